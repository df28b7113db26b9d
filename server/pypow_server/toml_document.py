# SPDX-License-Identifier: Apache-2.0
"""What may stand in ``pypow.toml``: its shape, its JSON schema, and what a wrong one is told."""

import difflib
from typing import Any, Final, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pypow.profiles import DEVICES, PROFILES

from .stores import without_secrets

Place: TypeAlias = tuple[str | int, ...]
"""Where something stands: table, number in its list, key."""

_EXPECTED: Final = {
    "string_type": "a text in quotes",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list in brackets",
    "tuple_type": "a list in brackets",
    "model_type": "a table",
    "dict_type": 'a table in braces, such as { name = "value" }',
    "bool_type": "true or false",
}


def _said(description: str, *, alias: str | None = None) -> Any:
    """A key that may be left out."""
    return Field(default=None, alias=alias, description=description)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class GateTable(_Table):
    """The gate itself."""

    upstream: str | None = _said("http(s) URL of the server to guard.")
    public_url: str | None = _said("The gate as callers see it; challenges are bound to its host.")
    listen: str | None = _said("HOST:PORT where callers come in.")
    admin: str | None = _said("HOST:PORT where operators come in.")
    mcp_paths: list[str] | None = _said("Where the upstream speaks MCP; [] where it speaks none.")
    hosts: list[str] | None = _said('Names by which callers may call the gate; ["*"] for any.')
    admin_hosts: list[str] | None = _said(
        'Names by which operators may call admin, beside addresses and localhost; ["*"] for any.'
    )
    mode: Literal["enforce", "observe"] | None = _said(
        "observe decides and counts, and lets everything through."
    )
    forward_auth: Literal["nginx", "caddy", "traefik", "envoy"] | None = _said(
        "The proxy that asks for decisions and passes requests on by itself."
    )
    mcp_headers: Literal["unchecked", "checked"] | None = _said(
        "With forward_auth: checked, where the upstream holds MCP's headers against the body."
    )
    bound_passes: Literal["off", "on", "nonces"] | None = _said(
        "Whether passes may be bound to their buyers' keys; nonces: proofs of keys need one."
    )
    free_limit: str | None = _said(
        'Calls that cost nothing, for each network: "600/60s", or "none".'
    )
    state_dir: str | None = _said("Holds keys, and the ledger by default.")
    drain: str | None = _said("How long calls in flight may take at the end.")
    entry: Literal["offers", "oauth"] | None = _said(
        "With [[oauth.issuer]]: oauth asks for a login first (401) where one helps."
    )
    pass_authorization: list[str] | None = _said(
        'With [l402]: schemes of Authorization that belong to the upstream: ["Bearer"].'
    )


class StoreTable(_Table):
    """Where spends are remembered."""

    url: str | None = _said("sqlite:PATH, redis://HOST:PORT/DB or memory:.")


class WorkTable(_Table):
    """How work is reckoned, and how long a challenge is good for."""

    profile: str | None = _said(
        "Whose speed turns times into work: " + ", ".join((*PROFILES, *DEVICES)) + "."
    )
    max_p99: str | None = _said('What a hundredth of the profile\'s solves may take: "5s".')
    lifetime: str | None = _said('Time to solve and send, 1s to 10m: "120s".')
    calibrate: str | None = _said(
        'What 99 of 100 solves by the slow tenth of known callers shall stay below: "500ms"; '
        'prices said as times follow. Or "none".'
    )


class PricedTable(_Table):
    """Work, and what it buys."""

    work: str | None = _said('Work as the time it takes the profile on average: "250ms".')
    bits: float | None = _said("Work in bits, 1 to 44.")
    hashes: int | None = _said("Work in hashes.")
    sats: int | None = _said("The same price in satoshis, for who would rather pay; see [l402].")
    scope: str | None = _said(
        'Scopes that let the holder of an access token in: "tools:search"; see [oauth].'
    )
    require: list[Literal["oauth", "work", "l402"]] | None = _said(
        'Rails that are needed in any case: ["oauth", "l402"]; without it, one of them is enough.'
    )
    login_free: str | None = _said(
        'Calls that each holder of such a token has free: "600/60s"; as many as free says.'
    )
    free: str | None = _said('Calls that each principal has free: "60/60s". Past them it pays.')
    sells: str | None = Field(
        default=None,
        alias="pass",
        description='The pass that a proof buys: "20 calls / 5m" or "5m".',
    )


class DefaultTable(PricedTable):
    """The price of every call that no [[price]] is about and that is not free by nature."""


class PriceTable(PricedTable):
    """The price of some calls. The first that matches counts."""

    match: str = Field(description='"tools/call search_*" or "POST /v1/*"; * is any characters.')
    mode: Literal["enforce", "observe"] | None = _said(
        "observe lets the calls of this price through."
    )


class AccessTable(_Table):
    """Calls, networks, or calls from networks, let in for nothing or kept out."""

    network: str | list[str] | None = _said('"10.0.0.0/8", or a list of such.')
    match: str | None = _said("As in [[price]].")


class PricingTable(_Table):
    """How prices follow what their callers use."""

    quota: str | None = _said(
        'What each caller may use before calls cost more: "60/60s", or "none".'
    )
    max_bits: float | None = _said("No call costs more, in bits.")
    max_overdraft: float | None = _said("How many bits use may add; beyond, callers wait.")
    replicas: int | None = _said("Gates that share callers and no store, 1 to 16.")
    standing: str | None = _said(
        'How long standing tokens count after they were renewed: "30d", or "none".'
    )
    capacity: str | None = _said(
        'What the upstream serves, in calls of the default price: "50/s". More wait their turn.'
    )


class L402Table(_Table):
    """How calls with a price in sats are sold over Lightning."""

    wallet: str | None = _said(
        'Who makes invoices: "lnd:https://HOST:8080" or "development:"; no credentials.'
    )
    network: Literal["mainnet", "testnet", "signet", "regtest"] | None = _said(
        "The chain that money is on."
    )
    public_development: bool | None = _said(
        "true lets the development wallet, which keeps nobody out, serve at a public URL."
    )
    invoices: str | None = _said('What each network gets without work: "10/60s", or "none".')
    all_invoices: str | None = _said(
        'What all networks get without work, together: "300/60s", or "none".'
    )
    invoice_bits: float | None = _said("The work for an invoice beyond that, in bits, 4 to 32.")
    expires: str | None = _said('How long an invoice can be paid: "10m".')
    grace: str | None = _said('How long after that a payment is honoured: "1h".')
    keep_sales: str | None = _said('How long it is remembered what was sold: "400d".')
    max_sats: int | None = _said("No call costs more, whatever is used.")
    strict: bool | None = _said(
        "true asks the wallet whether a payment has come before it admits the first time."
    )
    bind: Literal["call", "body"] | None = _said(
        '"body": a payment for one MCP call is for its arguments only.'
    )


class IssuerTable(_Table):
    """An issuer whose access tokens are taken."""

    issuer: str = Field(description="As its tokens and its metadata say it, to the letter.")
    audience: str | list[str] | None = _said("What its tokens name as aud; oauth.resource.")
    kind: Literal["jwt", "introspection"] | None = _said(
        "jwt reads its tokens here; introspection asks it about each."
    )
    algorithms: list[str] | None = _said('What its tokens may be signed by: ["ES256"].')
    jwks_uri: str | None = _said("Where its keys are; its metadata tells.")
    accept_untyped: bool | None = _said(
        "true takes JWTs that do not say that they are access tokens (typ)."
    )
    skew: str | None = _said('How far its clock may be from ours: "60s".')
    private_network: bool | None = _said("true lets its hosts be in a private network.")
    introspection_endpoint: str | None = _said("Where it is asked; its metadata tells.")
    client_id: str | None = _said("Who asks it.")
    client_secret_file: str | None = _said("Holds the secret of who asks.")
    client_secret_env: str | None = _said("Names the variable that holds it.")
    client_auth: Literal["client_secret_basic", "client_secret_post", "private_key_jwt"] | None = (
        _said("How that is proven; a private key, as PEM or JWK, is a secret too.")
    )


class WorkloadTable(_Table):
    """Jobs of a platform that get tokens here for its word."""

    platform: str = Field(description="github-actions, kubernetes, spiffe, google, aws or azure.")
    claims: dict[str, str] = Field(
        description="What its JWTs must say; * is one part, ** any: {repository = 'acme/*'}."
    )
    scope: str = Field(description="What they may do: 'tools:search tools:read'.")
    issuer: str | None = _said("Of the JWTs, where every tenant has one of his own.")
    jwks_uri: str | None = _said("Where its keys are; its metadata tells.")
    private_network: bool | None = _said("true lets its hosts be in a private network.")


class OAuthTable(_Table):
    """How callers sign in."""

    issuer: list[IssuerTable] = []
    workload: list[WorkloadTable] = []
    resource: str | None = _said("What access tokens must be for: the public URL and MCP path.")
    forward_token: bool | None = _said("true passes access tokens on to the upstream.")
    dpop_nonces: bool | None = _said("true: proofs of keys need a nonce of the gate.")
    server: bool | None = _said(
        "true gives out access tokens for work and sats; needs an https public_url."
    )
    client_documents: bool | None = _said(
        "With server: true lets clients name the https URL of a document about them."
    )


class KeysTable(_Table):
    """The secrets that challenges and passes are signed with."""

    file: str | None = _said("Made on the first run, and kept.")


class TrustTable(_Table):
    """Whose word on a caller's address is taken."""

    proxies: list[str] | None = _said('Networks of proxies: ["10.0.0.0/8"].')
    header: str | None = _said("Where they name the caller: X-Forwarded-For.")


class LimitsTable(_Table):
    """What the gate puts up with before it lets a connection go."""

    connections: int | None = _said("Of callers, at once.")
    per_network: int | None = _said("From one IPv4 address or IPv6 /64, at once.")
    min_rate: int | None = _said(
        "Octets a second of a body or an answer, over ten seconds; 0 for any."
    )


class LogTable(_Table):
    """What is written down."""

    level: str | None = _said("debug, info, warning or error.")
    format: str | None = _said("logfmt, json or console.")
    audit: str | None = _said("A file that gets a line for each decision.")


class Document(_Table):
    """pypow.toml: the settings and the policy of a gate."""

    gate: GateTable = GateTable()
    store: StoreTable = StoreTable()
    work: WorkTable = WorkTable()
    default: DefaultTable = DefaultTable()
    price: list[PriceTable] = []
    pricing: PricingTable = PricingTable()
    l402: L402Table = L402Table()
    oauth: OAuthTable = OAuthTable()
    allow: list[AccessTable] = []
    deny: list[AccessTable] = []
    keys: KeysTable = KeysTable()
    trust: TrustTable = TrustTable()
    limits: LimitsTable = LimitsTable()
    log: LogTable = LogTable()


def schema() -> dict[str, Any]:
    """The JSON schema of the file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Document.model_json_schema(by_alias=True),
    }


def complaint(error: ValidationError) -> tuple[Place, str]:
    """Where the first thing that cannot be stands, and what is wrong with it."""
    first = error.errors()[0]
    # A value that may be a text or a list is complained of once for each; the rest is its place.
    place = tuple(part for part in first["loc"] if part not in ("str", "list[str]"))
    if first["type"] == "extra_forbidden":
        return place, _unknown(place)
    if first["type"] == "missing":
        return place[:-1], f"expected {place[-1]} = ..."
    if first["type"] == "list_type" and isinstance(first["input"], dict):
        name = ".".join(map(str, place))
        return place, f"expected [[{name}]], a list of tables, got [{name}]"
    if first["type"] == "literal_error":
        expected = str(first["ctx"]["expected"]).replace("'", '"')
    else:
        expected = _EXPECTED.get(first["type"], first["msg"])
    return place, f"expected {expected}, got {without_secrets(repr(first['input'])):.60}"


def _unknown(place: Place) -> str:
    name = str(place[-1])
    known = _keys(place[:-1])
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
    kind = "key" if len(place) > 1 else "table"
    return f"there is no such {kind}; did you mean {nearest}? Correct or remove it"


def _keys(place: Place) -> list[str]:
    """What may stand in a table of the file."""
    model: Any = Document
    for name in (part for part in place if isinstance(part, str)):
        annotation = model.model_fields[name].annotation
        model = (*get_args(annotation), annotation)[0]
    return [field.alias or name for name, field in model.model_fields.items()]

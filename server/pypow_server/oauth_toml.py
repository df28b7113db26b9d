# SPDX-License-Identifier: Apache-2.0
"""Logins as ``pypow.toml`` says them: ``[oauth]``, and what a price asks of tokens."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pypow.errors import InvalidInputError

from .logins import Logins, TrustedIssuer
from .price import Ways
from .setting_texts import seconds
from .toml_document import IssuerTable, OAuthTable, PricedTable

NO_ISSUER: Final = (
    "expected [[oauth.issuer]] beside it, with the issuer whose access tokens are taken; without "
    "one nobody can sign in"
)

_MAX_SCOPES: Final = 16
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")
"""RFC 6749 section 3.3."""


def logins_of(
    table: OAuthTable, issuers: tuple[TrustedIssuer, ...], *, asks_first: bool
) -> Logins | None:
    """How callers sign in; None where nobody can.

    Raises:
        InvalidInputError: an issuer that comes twice, two that would have to be asked, or settings
            without an issuer.
    """
    if not issuers:
        asks_others = asks_first and not table.server
        if asks_others or table.model_dump(
            exclude_none=True, exclude={"issuer", "server", "client_documents", "workload"}
        ):
            raise InvalidInputError(NO_ISSUER)
        # Our own tokens are those of workloads.
        return Logins((), asks_first=asks_first) if table.workload else None
    urls = [issuer.url for issuer in issuers]
    twice = next((url for url in urls if urls.count(url) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"expected each issuer once, got {twice} twice; remove one")
    asked = [issuer.url for issuer in issuers if issuer.kind == "introspection"]
    if len(asked) > 1:
        raise InvalidInputError(
            f'expected kind = "introspection" of one issuer, got {" and ".join(asked)}: each would '
            "be shown the other's tokens"
        )
    return Logins(
        issuers,
        _resource(table.resource),
        forwards_tokens=bool(table.forward_token),
        asks_first=asks_first,
        dpop_nonces=bool(table.dpop_nonces),
    )


def issuer_of(table: IssuerTable) -> TrustedIssuer:
    """One issuer.

    Raises:
        InvalidInputError: it cannot be trusted so; the text has the fix.
    """
    audience = table.audience
    given = TrustedIssuer(
        url=table.issuer,
        audiences=(audience,) if isinstance(audience, str) else tuple(audience or ()),
        kind=table.kind or "jwt",
        algorithms=tuple(table.algorithms or ()),
        jwks_uri=table.jwks_uri,
        accept_untyped=bool(table.accept_untyped),
        skew_s=60 if table.skew is None else seconds(table.skew),
        near=bool(table.private_network),
        endpoint=table.introspection_endpoint,
        client_id=table.client_id,
        secret_file=None if table.client_secret_file is None else Path(table.client_secret_file),
        secret_env=table.client_secret_env,
        method=table.client_auth or "client_secret_basic",
    )
    asks = [given.endpoint, given.client_id, given.secret_file, given.secret_env, table.client_auth]
    if given.kind == "jwt" and any(one is not None for one in asks):
        raise InvalidInputError(
            'expected kind = "introspection" beside what says how to ask; tokens are read here'
        )
    secrets = [one for one in (given.secret_file, given.secret_env) if one is not None]
    if given.kind == "introspection" and (given.client_id is None or len(secrets) != 1):
        raise InvalidInputError(
            "expected client_id, and client_secret_file or client_secret_env, of the client that "
            "asks the issuer what a token is worth"
        )
    given.trusted()
    return given


def ways_of(table: PricedTable, *, has_work: bool, has_issuer: bool) -> Ways:
    """By which rails calls of a price are let in.

    Args:
        table: of the price.
        has_work: whether it says a price in work.
        has_issuer: whether anybody's tokens are taken.

    Raises:
        InvalidInputError: what cannot be, or would let nobody in.
    """
    needed = frozenset(table.require or ())
    scopes = frozenset() if table.scope is None else scopes_of(table.scope)
    if (scopes or "oauth" in needed) and not has_issuer:
        raise InvalidInputError(NO_ISSUER)
    if "oauth" in needed and not scopes:
        raise InvalidInputError(
            'expected scope beside require = ["oauth"]: what tokens must permit'
        )
    if {"work", "l402"} <= needed:
        raise InvalidInputError('expected "work" or "l402" in require: a call is paid for once')
    if "work" in needed and not has_work:
        raise InvalidInputError('expected work, bits or hashes beside require = ["work"]')
    if "l402" in needed and (table.sats is None or has_work):
        raise InvalidInputError(
            'expected sats, and no work, bits or hashes, beside require = ["l402"]'
        )
    if "work" in needed and table.sats is not None:
        raise InvalidInputError('expected no sats beside require = ["work"]')
    # Sats alone have always been another way to pay what a price is in work.
    takes_work = has_work or not (scopes or "l402" in needed)
    is_sold = takes_work or table.sats is not None
    if table.login_free is not None and not scopes:
        raise InvalidInputError("expected scope beside login_free: who signs in, has it free")
    if table.sells is not None and not is_sold:
        raise InvalidInputError("expected work or sats beside pass: a login alone buys none")
    return Ways(scopes, login="oauth" in needed or not is_sold, takes_work=takes_work)


def scopes_of(text: str) -> frozenset[str]:
    """The scopes in a text.

    Raises:
        InvalidInputError: there are none, or too many.
    """
    found = text.split(" ")
    if not all(map(_SCOPE.fullmatch, found)) or len(found) > _MAX_SCOPES:
        raise InvalidInputError(
            f'expected scopes of access tokens with one space between them, "tools:search", got '
            f"{text!a:.60}"
        )
    return frozenset(found)


def _resource(text: str | None) -> str | None:
    if text is None:
        return None
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname or "#" in text or "?" in text:
        raise InvalidInputError(
            f'expected a URL without query that tokens are for, "https://mcp.example.com/mcp", got '
            f"{text!a:.80}"
        )
    return text.rstrip("/")

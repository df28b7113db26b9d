# SPDX-License-Identifier: Apache-2.0
"""What an operator can set: one frozen value, read once from options, environment and file.

A command-line option beats a ``PYPOW_*`` variable, which beats the file, which beats the default.
Everything is checked when it is read, so that a gate which starts has settings that make sense.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from pypow import difficulty
from pypow.challenge import DEFAULT_LIFETIME_S
from pypow.errors import InvalidInputError
from pypow.steering import Calibration
from pypow.wire import MAX_LIFETIME_S

from . import logs, setting_texts
from .address import Address
from .client_address import TrustedProxies
from .connection_limits import ConnectionLimits
from .host_name import is_ip
from .policy import Policy
from .policy_rows import NO_ROWS, Rows
from .setting_sources import DEFAULT, Sources, default_state_dir, refuse_unknown
from .stores import Quota

_T = TypeVar("_T")
_G = TypeVar("_G")

_MAX_DRAIN_S = 3600

_LIMITS: Final = ConnectionLimits()

DEFAULT_LISTEN: Final = Address("127.0.0.1", 8402)
DEFAULT_ADMIN: Final = Address("127.0.0.1", 8403)
DEFAULT_BITS: Final = 16.0
DEFAULT_DRAIN_S: Final = 30
DEFAULT_FREE_LIMIT: Final = Quota(600, 60_000)
DEFAULT_MCP_PATHS: Final = ("/mcp",)
LIVE: Final = (
    "admin_hosts", "bits", "bound_passes", "client_header", "config", "free_limit", "hosts", "keys",
    "lifetime_s", "mcp_paths", "mode", "origins", "public_url", "rows", "trusted_proxies",
)  # fmt: skip
"""Settings that a running gate takes over; all others need a restart."""

MODES: Final = ("enforce", "observe")
FORWARD_AUTH: Final = ("nginx", "caddy", "traefik", "envoy")
MCP_HEADERS: Final = ("unchecked", "checked")
BOUND_PASSES: Final = ("off", "on", "nonces")


def _reads(
    parse: Callable[[str], Any] = str,
    check: Callable[[Any], Any] = lambda value: value,
    *,
    key: str | None = None,
) -> dict[str, Any]:
    """How a field is read from a text and checked, and its table and key in the file."""
    return {"parse": parse, "check": check, "key": key}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a gate; ``server/README.md`` and ``docs/policy.md`` list them for operators.

    Attributes:
        upstream: http(s) URL of the server that is guarded; None where an app is wrapped.
        listen: where callers come in.
        admin: where health, metrics and the API's documentation are served; keep it private.
        public_url: the gate's URL as callers see it; challenges are bound to its host. None is
            the URL of `listen`.
        store: URL of the ledger, ``memory:``, ``sqlite:PATH`` or ``redis://...``; None is a SQLite
            file in the state directory.
        bits: price of a call in bits of expected work, 1 to 44.
        mcp_paths: the paths at which the upstream speaks MCP; empty where it speaks none.
        lifetime_s: how long a challenge is good for, in seconds, 1 to 600.
        hosts: names by which callers may call the gate; ``*`` is any. None is any as well, until
            `bound_to` finds that the gate has a name of its own.
        admin_hosts: names by which operators may call `admin`, beside addresses, ``localhost``
            and its own; ``*`` is any.
        mode: one of `MODES`.
        free_limit: how many calls that cost nothing each network may make; None for any number.
        keys: the file of secrets; None is one in the state directory.
        trusted_proxies: networks whose word on the client's address is taken.
        client_header: where they name the client.
        forward_auth: the proxy that asks for decisions, one of `FORWARD_AUTH`; None where requests
            themselves come here.
        mcp_headers: ``checked`` where that proxy's upstream holds MCP's headers against the body,
            so that calls may be priced by them.
        bound_passes: whether callers may have passes bound to their keys, one of `BOUND_PASSES`;
            with ``nonces`` their proofs need one of ours.
        log_level: one of `logs.LEVELS`.
        log_format: one of `logs.FORMATS`.
        audit: the file that gets a line for each decision; None for no such file.
        drain_s: how long calls in flight may take to end once the gate is to stop, in seconds, 0
            to 3600.
        max_connections: of callers, at once.
        max_per_network: connections at once from one IPv4 address or IPv6 /64, but for this
            machine and `trusted_proxies`.
        min_rate: octets a second that a caller must send of a body and take of an answer, over
            ten seconds; 0 for as few as it likes.
        config: the policy file that was read; None for none.
        state_dir: holds the keys, and the ledger unless `store` says otherwise.
        rows: prices and lists, which only a policy file can say.
        origins: what said each setting: an option, a variable, the file and its line, or
            ``default``.

    Raises:
        InvalidInputError: a value that cannot be; the text begins with the field's name.
    """

    state_dir: Path = field(metadata=_reads(setting_texts.path, key="gate.state_dir"))
    upstream: str | None = field(
        default=None, metadata=_reads(check=setting_texts.http_url, key="gate.upstream")
    )
    listen: Address = field(
        default=DEFAULT_LISTEN, metadata=_reads(Address.parse, key="gate.listen")
    )
    admin: Address = field(default=DEFAULT_ADMIN, metadata=_reads(Address.parse, key="gate.admin"))
    public_url: str | None = field(
        default=None, metadata=_reads(check=setting_texts.http_url, key="gate.public_url")
    )
    store: str | None = field(
        default=None, metadata=_reads(check=setting_texts.store_url, key="store.url")
    )
    bits: float = field(
        default=DEFAULT_BITS, metadata=_reads(setting_texts.number, setting_texts.bits)
    )
    mcp_paths: tuple[str, ...] = field(
        default=DEFAULT_MCP_PATHS,
        metadata=_reads(setting_texts.texts, setting_texts.mcp_paths, key="gate.mcp_paths"),
    )
    lifetime_s: int = field(
        default=DEFAULT_LIFETIME_S,
        metadata=_reads(
            setting_texts.seconds,
            setting_texts.between(1, MAX_LIFETIME_S, "seconds"),
            key="work.lifetime",
        ),
    )
    hosts: tuple[str, ...] | None = field(
        default=None,
        metadata=_reads(setting_texts.texts, setting_texts.hosts, key="gate.hosts"),
    )
    admin_hosts: tuple[str, ...] = field(
        default=(),
        metadata=_reads(setting_texts.texts, setting_texts.hosts, key="gate.admin_hosts"),
    )
    mode: str = field(
        default="enforce", metadata=_reads(check=setting_texts.one_of(MODES), key="gate.mode")
    )
    free_limit: Quota | None = field(
        default=DEFAULT_FREE_LIMIT,
        metadata=_reads(setting_texts.quota_or_none, key="gate.free_limit"),
    )
    keys: Path | None = field(default=None, metadata=_reads(setting_texts.path, key="keys.file"))
    trusted_proxies: tuple[str, ...] = field(
        default=(),
        metadata=_reads(setting_texts.texts, setting_texts.networks, key="trust.proxies"),
    )
    client_header: str = field(
        default="X-Forwarded-For",
        metadata=_reads(check=setting_texts.header, key="trust.header"),
    )
    forward_auth: str | None = field(
        default=None,
        metadata=_reads(check=setting_texts.one_of(FORWARD_AUTH), key="gate.forward_auth"),
    )
    mcp_headers: str = field(
        default="unchecked",
        metadata=_reads(check=setting_texts.one_of(MCP_HEADERS), key="gate.mcp_headers"),
    )
    bound_passes: str = field(
        default="off",
        metadata=_reads(check=setting_texts.one_of(BOUND_PASSES), key="gate.bound_passes"),
    )
    log_level: str = field(
        default=logs.DEFAULT_LEVEL,
        metadata=_reads(check=setting_texts.one_of(logs.LEVELS), key="log.level"),
    )
    log_format: str = field(
        default=logs.DEFAULT_FORMAT,
        metadata=_reads(check=setting_texts.one_of(logs.FORMATS), key="log.format"),
    )
    audit: Path | None = field(default=None, metadata=_reads(setting_texts.path, key="log.audit"))
    drain_s: int = field(
        default=DEFAULT_DRAIN_S,
        metadata=_reads(
            setting_texts.seconds,
            setting_texts.between(0, _MAX_DRAIN_S, "seconds"),
            key="gate.drain",
        ),
    )
    max_connections: int = field(
        default=_LIMITS.connections,
        metadata=_reads(
            setting_texts.whole,
            setting_texts.between(1, 1_000_000, "connections"),
            key="limits.connections",
        ),
    )
    max_per_network: int = field(
        default=_LIMITS.per_network,
        metadata=_reads(
            setting_texts.whole,
            setting_texts.between(1, 1_000_000, "connections"),
            key="limits.per_network",
        ),
    )
    min_rate: int = field(
        default=_LIMITS.octets_s,
        metadata=_reads(
            setting_texts.whole,
            setting_texts.between(0, 1_000_000, "octets a second"),
            key="limits.min_rate",
        ),
    )
    config: Path | None = field(default=None, metadata=_reads(setting_texts.path))
    rows: Rows = NO_ROWS
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for name, said in _READ.items():
            if (value := getattr(self, name)) is not None:
                _labelled(name, said["check"], value)
        _labelled("bits", self.rows.require_quick, self.bits)
        self.rows.entries(self.rows.default(self.bits))  # each price says what it cannot be
        _labelled("work.calibrate", self.rows.calibration, self.bits)
        _labelled("oauth", lambda _: self.resource, None)

    @classmethod
    def from_env(
        cls, environment: Mapping[str, str], explicit: Mapping[str, str | None] | None = None
    ) -> "Settings":
        """Settings from a command line's texts, the environment, and the file that they name.

        Args:
            environment: such as ``os.environ``.
            explicit: texts by field name; None is "not given".

        Raises:
            InvalidInputError: an unknown ``PYPOW_*`` name, a file that cannot be read, or a value
                that cannot be; the text begins with the option, variable or line it came from.
        """
        refuse_unknown(environment, _READ)
        sources = Sources(environment, explicit or {})
        values: dict[str, Any] = {}
        origins = dict.fromkeys((*_READ, "rows"), DEFAULT)
        if (config := sources.said("config")) is not None:
            # Only who has such a file waits for pydantic.
            from . import pypow_toml

            values["config"] = _labelled(config.origin, setting_texts.path, config.text)
            found = pypow_toml.load(values["config"])
            sources = dataclasses.replace(sources, file=found.texts)
            values["rows"] = found.rows
            origins |= {"config": config.origin, "rows": str(values["config"])}
            if found.default_q is not None:
                values["bits"] = difficulty.bits(found.default_q)
                origins["bits"] = f"{values['config']}: [default]"
        for name in _READ.keys() - {"config"}:
            if (said := sources.said(name, key=_READ[name]["key"])) is not None:
                values[name] = _labelled(said.origin, _reader(name), said.text)
                origins[name] = said.origin
        if values.get("state_dir") is None:
            values["state_dir"] = default_state_dir(environment)
        return cls(**values, origins=origins)

    @property
    def url(self) -> str:
        """The gate's URL as callers see it, without a slash at its end."""
        return (self.public_url or self.listen.url).rstrip("/")

    @property
    def resource(self) -> str | None:
        """What access tokens must be for; None where nobody can sign in."""
        logins = self.rows.logins
        return None if logins is None else logins.resource_at(self.public_url, self.mcp_paths)

    @property
    def store_url(self) -> str:
        """The URL of the ledger."""
        return self.store or f"sqlite:{self.state_dir / 'ledger.db'}"

    @property
    def key_file(self) -> Path:
        """Where the secrets lie."""
        return self.keys or self.state_dir / "keys.json"

    @property
    def calibration(self) -> Calibration | None:
        """How prices said as times follow the callers' speed; None where they do not."""
        return self.rows.calibration(self.bits)

    @property
    def policy(self) -> Policy:
        """What the gate asks of whom, as it was said."""
        return self.policy_moved(0)

    def policy_moved(self, offset_q: int) -> Policy:
        """The same with prices said as times moved by so many 1/1024 bits."""
        logins = self.rows.logins
        any_host = self.hosts is None or "*" in self.hosts
        return Policy(
            default=self.rows.default(self.bits, offset_q=offset_q),
            entries=self.rows.entries(self.rows.default(self.bits), offset_q=offset_q),
            mcp_paths=self.mcp_paths,
            denied=self.rows.denied,
            allowed=self.rows.allowed,
            free_limit=self.free_limit,
            hosts=None if any_host else frozenset(name.lower() for name in self.hosts or ()),
            observe=self.mode == "observe",
            trusted=TrustedProxies.parse(self.trusted_proxies, self.client_header),
            takes_tokens=logins is not None,
            forwards_tokens=logins is not None and logins.forwards_tokens,
            asks_login_first=logins is not None and logins.asks_first,
        )

    @property
    def admin_names(self) -> frozenset[str] | None:
        """Names by which operators may call, in lower case; None for any."""
        if "*" in self.admin_hosts:
            return None
        return frozenset(name.lower() for name in ("localhost", self.admin.host, *self.admin_hosts))

    @property
    def limits(self) -> ConnectionLimits:
        """What the listeners put up with."""
        return ConnectionLimits(
            connections=self.max_connections,
            per_network=self.max_per_network,
            octets_s=self.min_rate,
        )

    def bound_to(self, *, listen: Address, admin: Address) -> "Settings":
        """The same settings with the ports that were really bound.

        A gate that listens to this machine alone, or that has a public name, has a name of its
        own: callers must use it, so that no page of another site reaches the gate under a name
        that was made to point here (DNS rebinding).
        """
        hosts = self.hosts
        if hosts is None and (self.public_url is not None or listen.is_loopback):
            # An address is always one of its names.
            name = str(urlsplit(self.url).hostname)
            hosts = ("localhost",) if is_ip(name) else ("localhost", name)
        return dataclasses.replace(self, listen=listen, admin=admin, hosts=hosts)


_READ: Final[Mapping[str, Mapping[str, Any]]] = {
    one.name: one.metadata for one in dataclasses.fields(Settings) if one.metadata
}


def _reader(name: str) -> Callable[[str], Any]:
    said = _READ[name]

    def read(text: str) -> Any:
        value = said["parse"](text)
        return None if value is None else said["check"](value)

    return read


def _labelled(label: str, read: Callable[[_G], _T], given: _G) -> _T:
    try:
        return read(given)
    except InvalidInputError as error:
        raise InvalidInputError(f"{label}: {error}") from None

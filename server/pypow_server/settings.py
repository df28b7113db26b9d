# SPDX-License-Identifier: Apache-2.0
"""What an operator can set: one frozen value, read once from options, environment and file.

A command-line option beats a ``PYPOW_*`` variable, which beats the file, which beats the default.
Everything is checked when it is read, so that a gate which starts has settings that make sense.
"""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from pypow import difficulty
from pypow.challenge import DEFAULT_LIFETIME_S
from pypow.errors import InvalidInputError
from pypow.wire import MAX_LIFETIME_S

from . import logs, setting_texts
from .address import Address
from .client_address import TrustedProxies
from .connection_limits import LOOPBACK, ConnectionLimits
from .policy import Policy, is_ip
from .policy_rows import NO_ROWS, Rows
from .stores import Quota

_T = TypeVar("_T")
_G = TypeVar("_G")

_ENGINE_VARIABLES = {"PYPOW_KERNEL"}
_MAX_TEXT = 1000
_MAX_DRAIN_S = 3600

_LIMITS: Final = ConnectionLimits()

DEFAULT_LISTEN: Final = Address("127.0.0.1", 8402)
DEFAULT_ADMIN: Final = Address("127.0.0.1", 8403)
DEFAULT_BITS: Final = 16.0
DEFAULT_DRAIN_S: Final = 30
DEFAULT_FREE_LIMIT: Final = Quota(600, 60_000)
DEFAULT_MCP_PATHS: Final = ("/mcp",)
LIVE: Final = (
    "bits", "client_header", "config", "free_limit", "hosts", "keys", "lifetime_s", "mcp_paths",
    "mode", "public_url", "rows", "trusted_proxies",
)  # fmt: skip
"""Settings that a running gate takes over; all others need a restart."""

MODES: Final = ("enforce", "observe")
FORWARD_AUTH: Final = ("nginx", "caddy", "traefik", "envoy")
MCP_HEADERS: Final = ("unchecked", "checked")


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
        mcp_paths: the paths at which the upstream speaks MCP.
        lifetime_s: how long a challenge is good for, in seconds, 1 to 600.
        hosts: names by which callers may call the gate; ``*`` is any. None is any as well, until
            `bound_to` finds that the gate has a name of its own.
        mode: one of `MODES`.
        free_limit: how many calls that cost nothing each network may make; None for any number.
        keys: the file of secrets; None is one in the state directory.
        trusted_proxies: networks whose word on the client's address is taken.
        client_header: where they name the client.
        forward_auth: the proxy that asks for decisions, one of `FORWARD_AUTH`; None where requests
            themselves come here.
        mcp_headers: ``checked`` where that proxy's upstream holds MCP's headers against the body,
            so that calls may be priced by them.
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

    def __post_init__(self) -> None:
        for name, said in _READ.items():
            if (value := getattr(self, name)) is not None:
                _labelled(name, said["check"], value)
        _labelled("bits", self.rows.require_quick, self.bits)

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
        _refuse_unknown(environment)
        given = _Given(environment, explicit or {}, {})
        values: dict[str, Any] = {}
        if (config := given.text("config")) is not None:
            # Only who has such a file waits for pydantic.
            from . import pypow_toml

            values["config"] = _labelled(config[1], setting_texts.path, config[0])
            found = pypow_toml.load(values["config"])
            given = dataclasses.replace(given, file=found.texts)
            values["rows"] = found.rows
            if found.default_q is not None:
                values["bits"] = difficulty.bits(found.default_q)
        for name in _READ.keys() - {"config"}:
            if (text := given.text(name)) is not None:
                values[name] = _labelled(text[1], _reader(name), text[0])
        values.setdefault("state_dir", None)
        values["state_dir"] = values["state_dir"] or _default_state_dir(environment)
        return cls(**values)

    @property
    def url(self) -> str:
        """The gate's URL as callers see it, without a slash at its end."""
        return (self.public_url or self.listen.url).rstrip("/")

    @property
    def store_url(self) -> str:
        """The URL of the ledger."""
        return self.store or f"sqlite:{self.state_dir / 'ledger.db'}"

    @property
    def key_file(self) -> Path:
        """Where the secrets lie."""
        return self.keys or self.state_dir / "keys.json"

    @property
    def policy(self) -> Policy:
        """What the gate asks of whom."""
        default = self.rows.default(self.bits)
        any_host = self.hosts is None or "*" in self.hosts
        return Policy(
            default=default,
            entries=self.rows.entries(default),
            mcp_paths=self.mcp_paths,
            denied=self.rows.denied,
            allowed=self.rows.allowed,
            free_limit=self.free_limit,
            hosts=None if any_host else frozenset(name.lower() for name in self.hosts or ()),
            observe=self.mode == "observe",
            trusted=TrustedProxies.parse(self.trusted_proxies, self.client_header),
        )

    @property
    def limits(self) -> ConnectionLimits:
        """What the listeners put up with."""
        proxies = TrustedProxies.parse(self.trusted_proxies).networks
        return ConnectionLimits(
            connections=self.max_connections,
            per_network=self.max_per_network,
            octets_s=self.min_rate,
            uncounted=(*LOOPBACK, *proxies),
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


_OPTIONS: Final = {
    "mcp_paths": "--mcp-path",
    "lifetime_s": "--lifetime",
    "drain_s": "--drain",
    "hosts": "--host",
    "trusted_proxies": "--trusted-proxy",
}


def option(name: str) -> str:
    """The command-line option of a field.

    >>> option("mcp_paths")
    '--mcp-path'
    """
    return _OPTIONS.get(name, "--" + name.replace("_", "-"))


def variable(name: str) -> str:
    """The environment variable of a field.

    >>> variable("public_url")
    'PYPOW_PUBLIC_URL'
    """
    return f"PYPOW_{name.upper()}"


@dataclass(frozen=True, slots=True)
class _Given:
    """Where texts come from, nearest first."""

    environment: Mapping[str, str]
    explicit: Mapping[str, str | None]
    file: Mapping[str, tuple[str, str]]

    def text(self, name: str) -> tuple[str, str] | None:
        """The text of a field, and what to call the place it came from."""
        if (explicit := self.explicit.get(name)) is not None:
            found = (explicit, option(name))
        elif (said := self.environment.get(variable(name))) is not None:
            found = (said, variable(name))
        elif (key := _READ[name]["key"]) in self.file:
            found = self.file[key]
        else:
            return None
        if len(found[0]) > _MAX_TEXT:
            raise InvalidInputError(
                f"{found[1]}: expected at most {_MAX_TEXT} characters, got {len(found[0])}"
            )
        return found


def _labelled(label: str, read: Callable[[_G], _T], given: _G) -> _T:
    try:
        return read(given)
    except InvalidInputError as error:
        raise InvalidInputError(f"{label}: {error}") from None


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {variable(name) for name in _READ} | _ENGINE_VARIABLES
    for name in sorted(environment):
        if name.startswith("PYPOW_") and name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise InvalidInputError(
                f"{name} is not a setting; did you mean {nearest}? Correct or unset it"
            )


def _default_state_dir(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_STATE_HOME", "")
    # The XDG specification has relative paths ignored.
    if base.startswith("/"):
        return Path(base) / "pypow"
    home = environment.get("HOME", "")
    if not home.startswith("/"):
        raise InvalidInputError("expected HOME or XDG_STATE_HOME to be set; or give --state-dir")
    return Path(home) / ".local" / "state" / "pypow"

# SPDX-License-Identifier: Apache-2.0
"""What an operator can set: one frozen value, read once from arguments and environment.

A command-line option beats a ``PYPOW_*`` variable, which beats the default. Everything is
checked when it is read, so that a gate which starts has settings that make sense.
"""

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from pypow import difficulty
from pypow.challenge import DEFAULT_LIFETIME_S
from pypow.errors import InvalidInputError
from pypow.wire import MAX_LIFETIME_S

from . import logs
from .address import Address
from .resource import is_canonical
from .stores import without_secrets

_T = TypeVar("_T")

_ENGINE_VARIABLES = {"PYPOW_KERNEL"}
_MAX_TEXT = 1000
_MAX_DRAIN_S = 3600
_MAX_BITS = difficulty.bits(difficulty.MAX_SUB_Q)


DEFAULT_LISTEN = Address("127.0.0.1", 8402)
DEFAULT_ADMIN = Address("127.0.0.1", 8403)
DEFAULT_BITS = 16.0
DEFAULT_DRAIN_S = 30
DEFAULT_MCP_PATHS = ("/mcp",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a gate; ``server/README.md`` lists them for operators.

    Attributes:
        upstream: http(s) URL of the server that is guarded; None where an app is wrapped.
        listen: where callers come in.
        admin: where health and the API's documentation are served; keep it private.
        public_url: the gate's URL as callers see it; challenges are bound to its host. None is
            the URL of `listen`.
        store: URL of the ledger, ``memory:`` or ``sqlite:PATH``; None is a SQLite file in the
            state directory.
        bits: price of a call in bits of expected work, 1 to 44.
        mcp_paths: the paths at which the upstream speaks MCP.
        lifetime_s: how long a challenge is good for, in seconds, 1 to 600.
        log_level: one of `logs.LEVELS`.
        log_format: one of `logs.FORMATS`.
        audit: the file that gets a line for each decision; None for no such file.
        drain_s: how long calls in flight may take to end once the gate is to stop, in seconds, 0
            to 3600.
        state_dir: holds the keys, and the ledger unless `store` says otherwise.

    Raises:
        InvalidInputError: a value that cannot be; the text begins with the field's name.
    """

    state_dir: Path
    upstream: str | None = None
    listen: Address = DEFAULT_LISTEN
    admin: Address = DEFAULT_ADMIN
    public_url: str | None = None
    store: str | None = None
    bits: float = DEFAULT_BITS
    mcp_paths: tuple[str, ...] = DEFAULT_MCP_PATHS
    lifetime_s: int = DEFAULT_LIFETIME_S
    log_level: str = logs.DEFAULT_LEVEL
    log_format: str = logs.DEFAULT_FORMAT
    audit: Path | None = None
    drain_s: int = DEFAULT_DRAIN_S

    def __post_init__(self) -> None:
        for name in ("upstream", "public_url"):
            if (url := getattr(self, name)) is not None:
                _labelled(name, _http_url, url)
        if self.store is not None:
            _labelled("store", _store_url, self.store)
        _labelled("bits", _bits, self.bits)
        _labelled("mcp_paths", _mcp_paths, self.mcp_paths)
        _labelled("lifetime_s", _lifetime_s, self.lifetime_s)
        _labelled("log_level", _one_of(logs.LEVELS), self.log_level)
        _labelled("log_format", _one_of(logs.FORMATS), self.log_format)
        _labelled("drain_s", _drain_s, self.drain_s)

    @classmethod
    def from_env(
        cls, environment: Mapping[str, str], explicit: Mapping[str, str | None] | None = None
    ) -> "Settings":
        """Settings from the environment, with a command line's texts in front of it.

        Args:
            environment: such as ``os.environ``.
            explicit: texts by field name; None is "not given".

        Raises:
            InvalidInputError: an unknown ``PYPOW_*`` name, or a value that cannot be; the text
                begins with the option or variable it came from.
        """
        _refuse_unknown(environment)
        given = _Given(environment, explicit or {})
        return cls(
            state_dir=given.read("state_dir", _path, None) or _default_state_dir(environment),
            upstream=given.read("upstream", _http_url, None),
            listen=given.read("listen", Address.parse, DEFAULT_LISTEN),
            admin=given.read("admin", Address.parse, DEFAULT_ADMIN),
            public_url=given.read("public_url", _http_url, None),
            store=given.read("store", _store_url, None),
            bits=given.read("bits", lambda text: _bits(_number(text)), DEFAULT_BITS),
            mcp_paths=given.read(
                "mcp_paths", lambda text: _mcp_paths(tuple(text.split(","))), DEFAULT_MCP_PATHS
            ),
            lifetime_s=given.read(
                "lifetime_s", lambda text: _lifetime_s(_integer(text)), DEFAULT_LIFETIME_S
            ),
            log_level=given.read("log_level", _one_of(logs.LEVELS), logs.DEFAULT_LEVEL),
            log_format=given.read("log_format", _one_of(logs.FORMATS), logs.DEFAULT_FORMAT),
            audit=given.read("audit", _path, None),
            drain_s=given.read("drain_s", lambda text: _drain_s(_integer(text)), DEFAULT_DRAIN_S),
        )

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
        return self.state_dir / "keys.json"

    def bound_to(self, *, listen: Address, admin: Address) -> "Settings":
        """The same settings with the ports that were really bound."""
        return dataclasses.replace(self, listen=listen, admin=admin)


def option(name: str) -> str:
    """The command-line option of a field.

    >>> option("mcp_paths")
    '--mcp-path'
    """
    return {"mcp_paths": "--mcp-path", "lifetime_s": "--lifetime", "drain_s": "--drain"}.get(
        name, "--" + name.replace("_", "-")
    )


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

    def read(self, name: str, parse: Callable[[str], _T], default: _T) -> _T:
        text, origin = self.explicit.get(name), option(name)
        if text is None:
            text, origin = self.environment.get(variable(name)), variable(name)
        if text is None:
            return default
        if len(text) > _MAX_TEXT:
            raise InvalidInputError(
                f"{origin}: expected at most {_MAX_TEXT} characters, got {len(text)}"
            )
        return _labelled(origin, parse, text)


_G = TypeVar("_G")


def _labelled(label: str, read: Callable[[_G], _T], given: _G) -> _T:
    try:
        return read(given)
    except InvalidInputError as error:
        raise InvalidInputError(f"{label}: {error}") from None


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {variable(field.name) for field in dataclasses.fields(Settings)} | _ENGINE_VARIABLES
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


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and "@" not in parts.netloc
            and not parts.query
            and not parts.fragment
            and text.isascii()
            and text.isprintable()
            and " " not in text
        )
    except ValueError:
        sound = False
    if not sound:
        raise InvalidInputError(
            "expected an http:// or https:// URL without user, query or fragment, such as "
            f"http://127.0.0.1:8000, got {text!r}"
        )
    return text


def _store_url(text: str) -> str:
    scheme, colon, _ = text.partition(":")
    if not colon or not scheme.replace("+", "").isalnum():
        raise InvalidInputError(
            f"expected memory:, sqlite:PATH or redis://HOST, got {without_secrets(text)!r}"
        )
    return text


def _bits(bits: float) -> float:
    if difficulty.from_bits(bits) > difficulty.MAX_SUB_Q:
        raise InvalidInputError(
            f"expected a price of 1 to {_MAX_BITS:.0f} bits, got {bits!r}; 16 is a good start"
        )
    return bits


def _mcp_paths(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        # No request on a path with two readings is ever taken for MCP.
        if not path.isascii() or not is_canonical(path.encode()):
            raise InvalidInputError(f"expected paths such as /mcp, joined by commas, got {path!r}")
    return paths


def _lifetime_s(lifetime_s: int) -> int:
    if not 1 <= lifetime_s <= MAX_LIFETIME_S:
        raise InvalidInputError(f"expected 1 to {MAX_LIFETIME_S} seconds, got {lifetime_s!r}")
    return lifetime_s


def _drain_s(drain_s: int) -> int:
    if not 0 <= drain_s <= _MAX_DRAIN_S:
        raise InvalidInputError(f"expected 0 to {_MAX_DRAIN_S} seconds, got {drain_s!r}")
    return drain_s


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in names:
            raise InvalidInputError(f"expected one of {', '.join(names)}, got {text!r}")
        return text

    return check


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise InvalidInputError(f"expected a path, got {text!r}")
    return Path(text).expanduser().absolute()


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInputError(f"expected a number, got {text!r}")
    return number


def _integer(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise InvalidInputError(f"expected a whole number, got {text!r}")
    return int(text)

# SPDX-License-Identifier: Apache-2.0
"""Texts that operators write, read into values: URLs, times, quotas, work and passes.

Every function raises `InvalidInputError` with what was expected, what came and what to do.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pypow import difficulty
from pypow.calibrate import MAX_P99_MS, require_p99
from pypow.durations import DURATION, duration_ms
from pypow.errors import InvalidInputError
from pypow.pricing import UNIT

from .access import parse_network
from .client_address import TrustedProxies
from .meter import MAX_BITS
from .policy import MAX_SATS, PassTerms
from .price import MAX_PASS_LIFETIME_S
from .resource import is_canonical
from .stores import Quota, without_secrets

_MAX_BITS = difficulty.bits(difficulty.MAX_SUB_Q)
_MAX_QUOTA_CALLS = 1_000_000
_MAX_DIGITS = 18
_MIN_CAPACITY = UNIT // 60
_MAX_CAPACITY = 500_000 * UNIT
_MAX_OVERDRAFT_BITS = 25
_MAX_STANDING_MS = 400 * 24 * 3_600_000  # no browser keeps a cookie longer
"""A challenge has room for no more, beside what newcomers pay."""
_SCHEME = re.compile(r"[a-z][a-z0-9+]{0,20}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?", re.ASCII)


def http_url(text: str) -> str:
    """Check an http(s) URL that names a server and, maybe, a path."""
    try:
        parts = urlsplit(text)
        sound = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            # Fails where no resolver could take the name, which would fail less politely.
            and bool(str(parts.hostname).encode("idna"))
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
            f"http://127.0.0.1:8000, got {without_secrets(text)!r}"
        )
    return text


def store_url(text: str) -> str:
    """Check that a text begins with the name of a store; whether there is one, the app knows."""
    scheme, colon, _ = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        raise InvalidInputError(
            f"expected memory:, sqlite:PATH or redis://HOST:PORT/DB, got {without_secrets(text)!r}"
        )
    return text


def header(name: str) -> str:
    """Check the name of a header."""
    TrustedProxies.parse((), name)
    return name


def bits(number: float) -> float:
    """Check a price in bits, 1 to 44."""
    if difficulty.from_bits(number) > difficulty.MAX_SUB_Q:
        raise InvalidInputError(
            f"expected a price of 1 to {_MAX_BITS:.0f} bits, got {number!r}; 16 is a good start"
        )
    return number


def mcp_paths(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Check the paths at which MCP is spoken."""
    for path in paths:
        # No request on a path with two readings is ever taken for MCP.
        if not path.isascii() or not is_canonical(path.encode()):
            raise InvalidInputError(
                f"expected none, or paths such as /mcp joined by commas, got {path!r}"
            )
    return paths


def hosts(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check names of a gate: of hosts, without a port; or just ``*``."""
    for name in names:
        if names != ("*",) and not _HOST.fullmatch(name):
            raise InvalidInputError(
                "expected names of hosts without a port, such as mcp.example.com, or just *, "
                f"got {name!r}"
            )
    return names


def networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Check networks whose word is to be taken, such as ``10.0.0.0/8``."""
    for text in texts:
        if parse_network(text).prefixlen == 0:
            raise InvalidInputError(
                f"expected the networks of your proxies, got {text!r}: with it, every caller could "
                "say that it is another"
            )
    return texts


def one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    """A check for one of a few names."""

    def check(text: str) -> str:
        if text not in names:
            raise InvalidInputError(f"expected one of {', '.join(names)}, got {text!r}")
        return text

    return check


def between(low: int, high: int, unit: str) -> Callable[[int], int]:
    """A check for a whole number from ``low`` to ``high``."""

    def check(number: int) -> int:
        if not low <= number <= high:
            raise InvalidInputError(f"expected {low} to {high} {unit}, got {number!r}")
        return number

    return check


def texts(text: str) -> tuple[str, ...]:
    """Read texts that are joined by commas; ``none`` is an empty list."""
    return () if text == "none" else tuple(text.split(","))


def path(text: str) -> Path:
    """Read a path; ``~`` stands for the home directory."""
    if not text or "\0" in text:
        raise InvalidInputError(f"expected a path, got {text!r}")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise InvalidInputError(f"expected a path, got {text!r}: there is no such home") from None


def number(text: str) -> float:
    """Read a decimal number."""
    try:
        read = float(text)
    except ValueError:
        read = math.nan
    if not math.isfinite(read):
        raise InvalidInputError(f"expected a number, got {text!r}")
    return read


def p99_ms(text: str) -> float:
    """Read how long all but one in a hundred solves may take, up to ten minutes."""
    return require_p99(duration_ms(text), force=True)


def calibrated_ms(text: str) -> int | None:
    """Read what 99 of 100 solves shall stay below, up to 5 s, or ``none``."""
    if text == "none":
        return None
    milliseconds = duration_ms(text)
    if milliseconds > MAX_P99_MS:
        raise InvalidInputError(
            f"expected a p99 of at most {MAX_P99_MS / 1000:g} s, got {milliseconds / 1000:g} s; "
            f"give {MAX_P99_MS // 1000}s or less: callers wait no longer"
        )
    return milliseconds


def whole(text: str) -> int:
    """Read a whole number, 0 or more."""
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        raise InvalidInputError(f"expected a whole number, got {text[:_MAX_DIGITS]!r}")
    return int(text)


def seconds(text: str) -> int:
    """Read whole seconds: ``120``, ``120s`` or ``2m``."""
    if text.isascii() and text.isdigit():
        # Python refuses to read a number of thousands of digits.
        return int(text[:12])
    milliseconds = duration_ms(text)
    if milliseconds % 1000:
        raise InvalidInputError(f"expected whole seconds, got {text!r}")
    return milliseconds // 1000


def quota(text: str) -> Quota:
    """Read so many calls in so much time.

    >>> quota("60/60s")
    Quota(calls=60, period_ms=60000)
    """
    calls, slash, period = (part.strip() for part in text.partition("/"))
    if not slash or not re.fullmatch(r"[0-9]{1,7}", calls, re.ASCII):
        raise InvalidInputError(f'expected calls in a time, such as "60/60s", got {text[:60]!r}')
    if not 1 <= int(calls) <= _MAX_QUOTA_CALLS:
        raise InvalidInputError(f"expected 1 to {_MAX_QUOTA_CALLS} calls, got {calls}")
    return Quota(int(calls), duration_ms(period))


def quota_or_none(text: str) -> Quota | None:
    """Read a quota, or ``none``."""
    return None if text == "none" else quota(text)


def capacity(text: str) -> int | None:
    """Read how many calls are served in a time, in millionths of a call a second; or ``none``.

    >>> capacity("50/s"), capacity("90/1m")
    (50000000, 1500000)
    """
    if text == "none":
        return None
    said = re.fullmatch(r"([0-9]{1,9}) ?/ ?([0-9 ]*)([a-z]+)", text, re.ASCII)
    if said is None:
        raise InvalidInputError(f'expected calls in a time, such as "50/s", got {text[:60]!r}')
    rate = int(said[1]) * UNIT * 1000 // duration_ms((said[2] or "1") + said[3])
    if not _MIN_CAPACITY <= rate <= _MAX_CAPACITY:
        raise InvalidInputError(f'expected "1/m" to "500000/s", got {text[:60]!r}')
    return rate


def standing_ms(text: str) -> int | None:
    """Read how long standing tokens count after they were renewed, 1h to 400d, or ``none``."""
    if text == "none":
        return None
    milliseconds = duration_ms(text)
    if not 3_600_000 <= milliseconds <= _MAX_STANDING_MS:
        raise InvalidInputError(f'expected 1h to 400d, or "none", got {text!r}')
    return milliseconds


def cap_q(number: float) -> int:
    """Read the highest price of all in bits, into 1/1024 bit."""
    if not 8 <= number <= MAX_BITS:
        raise InvalidInputError(f"expected 8 to {MAX_BITS:g} bits, got {number!r}")
    return difficulty.from_bits(number)


def overdraft_q(number: float) -> int:
    """Read how many bits a price may rise by, into 1/1024 bit."""
    if not 1 <= number <= _MAX_OVERDRAFT_BITS:
        raise InvalidInputError(f"expected 1 to {_MAX_OVERDRAFT_BITS} bits, got {number!r}")
    return difficulty.from_bits(number)


def pass_terms(text: str) -> PassTerms:
    """Read what a pass is good for: ``20 calls / 5m``, or ``5m`` for any number of calls."""
    calls, slash, lifetime = (part.strip() for part in text.rpartition("/"))
    count = re.fullmatch(r"([0-9]{1,6}) ?calls?", calls, re.ASCII)
    if bool(slash) != (count is not None) or not DURATION.fullmatch(lifetime):
        raise InvalidInputError(f'expected "20 calls / 5m" or "5m", got {text[:60]!r}')
    how_many = 0 if count is None else int(count[1])
    if slash and how_many == 0:
        raise InvalidInputError('expected at least 1 call; "5m" alone is for any number of calls')
    milliseconds = duration_ms(lifetime)
    if milliseconds % 1000:
        raise InvalidInputError(f"expected whole seconds, got {lifetime!r}")
    return PassTerms(how_many, milliseconds // 1000)


def work_q(text: str, *, hashes_per_s: float) -> int:
    """Read work as the time it takes on average, into a difficulty in 1/1024 bit.

    Args:
        text: such as ``250ms``.
        hashes_per_s: of the machine that is thought of.
    """
    return hashes_q(hashes_per_s * duration_ms(text) / 1000)


def hashes_q(hashes: float) -> int:
    """A number of hashes, 2 to 2**44, as a difficulty in 1/1024 bit."""
    if not 2 <= hashes <= 2**_MAX_BITS:
        raise InvalidInputError(f"expected work of 2 to 2**{_MAX_BITS:.0f} hashes, got {hashes:g}")
    return difficulty.from_hashes(hashes)


def bits_q(number: float) -> int:
    """A number of bits, 1 to 44, as a difficulty in 1/1024 bit."""
    return difficulty.from_bits(bits(number))


def wallet(text: str) -> str:
    """Check that a text begins with the kind of a wallet; what there are, the app knows."""
    kind, colon, _ = text.partition(":")
    if not colon or not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", kind, re.ASCII):
        raise InvalidInputError(
            f'expected a wallet such as "lnd:https://HOST:8080", got {without_secrets(text)!r}'
        )
    return text


def _within(low_s: int, high_s: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        found = seconds(text)
        if not low_s <= found <= high_s:
            least, most = _written(low_s), _written(high_s)
            raise InvalidInputError(f"expected a time of {least} to {most}, got {text!r}")
        return found

    return read


def _written(whole_s: int) -> str:
    """A time as operators write it, in the largest unit that leaves no rest."""
    unit, length = next(one for one in _WRITTEN if whole_s % one[1] == 0)
    return f"{whole_s // length}{unit}"


def _stamp_q(number: float) -> int:
    if not 4 <= number <= 32:
        raise InvalidInputError(f"expected 4 to 32 bits, got {number!r}")
    return difficulty.from_bits(number)


_DAY_S: Final = 24 * 3600
_WRITTEN: Final = (("d", _DAY_S), ("h", 3600), ("m", 60), ("s", 1))
_MOST_EXPIRY_S: Final = _DAY_S
_MOST_GRACE_S: Final = 30 * _DAY_S
# A sale that is forgotten while its payment is good would be one more with the next call.
_LEAST_KEPT_S: Final = _MOST_EXPIRY_S + max(_MOST_GRACE_S, MAX_PASS_LIFETIME_S) + _DAY_S

SELLING: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "wallet": ("wallet", wallet),
    "network": ("network", str),
    "public_development": ("public_development", bool),
    "invoices": ("free_invoices", quota_or_none),
    "all_invoices": ("all_invoices", quota_or_none),
    "invoice_bits": ("stamp_q", _stamp_q),
    "expires": ("expiry_s", _within(120, _MOST_EXPIRY_S)),
    "grace": ("grace_s", _within(60, _MOST_GRACE_S)),
    "keep_sales": ("keep_sales_s", _within(_LEAST_KEPT_S, 4000 * _DAY_S)),
    "max_sats": ("max_sats", between(1, MAX_SATS, "sats")),
    "strict": ("strict", bool),
    "bind": ("binds_bodies", lambda text: text == "body"),
}
"""Keys of ``[l402]``: what each is of a `Selling`, and how it is read."""

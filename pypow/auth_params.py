# SPDX-License-Identifier: Apache-2.0
"""Challenges of ``WWW-Authenticate``: schemes with parameters (RFC 9110 section 11)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .errors import WireError, shown
from .payment_reasons import Reason

MAX_FIELD = 16 * 1024
"""Characters of one field value that are read."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the grammar's word
_SPACE = re.compile(r"[ \t,]*")
_PARAMETER = re.compile(
    rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*)"'
    r"|([!#-+\x2d-~]+)(?=[ \t,]|\Z))"
)
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+|(?=,)|\Z)")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|\Z)")
_ESCAPED = re.compile(r"\\(.)")
_TO_ESCAPE = re.compile(r'(["\\])')
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class AuthChallenge:
    """One challenge of a field value.

    Attributes:
        scheme: in lower case.
        parameters: by name in lower case; of a name that is repeated, the first.
    """

    scheme: str
    parameters: Mapping[str, str]


def read_challenges(value: str) -> tuple[AuthChallenge, ...]:
    """All challenges in one field value, in order.

    Commas may be missing or too many, and what stands without quotes may hold what only quotes
    can: some servers write them so.

    Raises:
        WireError: longer than `MAX_FIELD`, or no list of challenges.
    """
    if len(value) > MAX_FIELD:
        raise WireError(
            f"expected at most {MAX_FIELD} characters, got {len(value)}", Reason.TOO_LONG
        )
    return tuple(_challenges(value))


def _challenges(value: str) -> Iterator[AuthChallenge]:
    current: dict[str, str] | None = None
    place = _space(value, 0)
    while place < len(value):
        parameter = _PARAMETER.match(value, place)
        if parameter is not None and current is not None:
            name, quoted, token = parameter.groups()
            current.setdefault(name.lower(), token if quoted is None else _unescaped(quoted))
            place = _space(value, parameter.end())
            continue
        scheme = _SCHEME.match(value, place)
        if scheme is None:
            raise WireError(
                "expected schemes with parameters (RFC 9110 section 11), "
                f"got {shown(value[place:])}"
            )
        current = {}
        yield AuthChallenge(scheme[1].lower(), current)
        alone = _TOKEN68.match(value, scheme.end())
        place = _space(value, scheme.end() if alone is None else alone.end())


def quoted(text: str) -> str:
    """A text as a quoted string (RFC 9110 section 5.6.4).

    Raises:
        WireError: control characters or halves of surrogate pairs, which no header can carry.
    """
    if _UNSENDABLE.search(text):
        raise WireError(f"expected text that a header can carry, got {shown(text)}")
    escaped = _TO_ESCAPE.sub(r"\\\1", text)
    return f'"{escaped}"'


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _space(value: str, place: int) -> int:
    match = _SPACE.match(value, place)
    assert match is not None
    return match.end()

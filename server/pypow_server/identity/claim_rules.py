# SPDX-License-Identifier: Apache-2.0
"""What a claim must be, written exactly or with ``*`` for one part and ``**`` for any parts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pypow.errors import InvalidInputError, shown

_STARS: Final = re.compile(r"(\*+)")
# Others choose what claims say: two stars over so much text are tried within milliseconds.
_MAX_VALUE: Final = 512
_MAX_STARS: Final = 2
_MEANS: Final = {"*": "[^/:]*", "**": ".*"}


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """One claim, and what it must be.

    A part ends at ``/`` and at ``:``, and one star stays in its own: ``repo:acme/*:ref:*`` is any
    repository of acme.

    Attributes:
        claim: its name; members of objects are written behind a slash, ``kubernetes.io/namespace``.
        pattern: what it must be; case counts.

    Raises:
        InvalidInputError: no name, or a pattern that is empty or takes anything.
    """

    claim: str
    pattern: str
    _matches: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = _STARS.split(self.pattern)
        if not self.claim or not self.pattern.strip("*/:"):
            raise InvalidInputError(
                f"expected a claim and what it must be, got {shown(self.claim)} and"
                f" {shown(self.pattern)}"
            )
        stars = parts[1::2]
        if len(stars) > _MAX_STARS or not set(stars) <= _MEANS.keys():
            raise InvalidInputError(
                f"{self.claim}: expected at most {_MAX_STARS} times * or **,"
                f" got {shown(self.pattern)}"
            )
        expression = "".join(
            _MEANS[part] if at % 2 else re.escape(part) for at, part in enumerate(parts)
        )
        object.__setattr__(self, "_matches", re.compile(expression, re.DOTALL))

    @property
    def beginning(self) -> str:
        """What the claim begins with for certain."""
        return self.pattern.partition("*")[0]

    @property
    def is_exact(self) -> bool:
        """Whether one value alone will do."""
        return "*" not in self.pattern

    def holds(self, claims: Mapping[str, object]) -> bool:
        """Whether the claim is there and is what it must be."""
        match _found(claims, self.claim):
            case bool() as flag:
                value = str(flag).lower()
            case str() | int() as plain:
                value = str(plain)
            case _:
                return False
        return len(value) <= _MAX_VALUE and self._matches.fullmatch(value) is not None


def _found(claims: Mapping[str, object], name: str) -> object:
    """A claim, or a member of one; names may themselves hold slashes."""
    if name in claims:
        return claims[name]
    for at in (at for at, letter in enumerate(name) if letter == "/"):
        inside = claims.get(name[:at])
        if isinstance(inside, dict):
            return _found(inside, name[at + 1 :])
    return None

# SPDX-License-Identifier: Apache-2.0
"""What attackers rent: hashrates and rents, each with its source, read from a TOML file."""

import math
import re
import tomllib
from dataclasses import dataclass, fields
from typing import Any, Final

from . import difficulty
from .errors import InvalidInputError, shown
from .solve_times import require_rate

_MAX_MACHINES: Final = 64
_MAX_NAME: Final = 24
_MAX_TEXT: Final = 200
_MONTH: Final = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attacker:
    """One kind of machine that can be rented.

    Attributes:
        name: 1 to 24 characters.
        hashes_per_s: SHA-256 hashes of one block.
        rate_source: who measured it.
        usd_per_hour: its rent; 0 for machines that are stolen.
        price_source: who asks it.
        price_as_of: year and month of the rent, such as ``2026-06``.

    Raises:
        InvalidInputError: a value that cannot be.
    """

    name: str
    hashes_per_s: float
    rate_source: str
    usd_per_hour: float
    price_source: str
    price_as_of: str

    def __post_init__(self) -> None:
        for field, most in (("name", _MAX_NAME), ("rate_source", _MAX_TEXT),
                            ("price_source", _MAX_TEXT)):  # fmt: skip
            text = getattr(self, field)
            if not isinstance(text, str) or not 1 <= len(text) <= most or not text.isprintable():
                raise InvalidInputError(
                    f"{field}: expected 1 to {most} printable characters, got {shown(text)}"
                )
        if not _is_number(self.hashes_per_s):
            raise InvalidInputError(
                f"hashes_per_s: expected a number, got {shown(self.hashes_per_s)}"
            )
        require_rate(self.hashes_per_s)
        if not _is_number(self.usd_per_hour) or not 0 <= self.usd_per_hour <= 1e6:
            raise InvalidInputError(
                f"usd_per_hour: expected 0 to 1e6 dollars, got {shown(self.usd_per_hour)}"
            )
        if not isinstance(self.price_as_of, str) or not _MONTH.fullmatch(self.price_as_of):
            raise InvalidInputError(
                f'price_as_of: expected a year and month such as "2026-06", got '
                f"{shown(self.price_as_of)}"
            )

    def solves_per_s(self, q: int) -> float:
        """How many puzzles of a difficulty, in 1/1024 bit, it solves on average."""
        return self.hashes_per_s / difficulty.expected_hashes(q)

    def usd_per_million(self, q: int) -> float:
        """What a million solves cost."""
        return 1e6 * self.usd_per_hour / 3600 / self.solves_per_s(q)


def read_attackers(text: str, *, name: str) -> tuple[Attacker, ...]:
    """Read a file of ``[[machine]]`` tables, in its order.

    Args:
        text: TOML.
        name: what errors call it.

    Raises:
        InvalidInputError: it is no TOML, has other keys than an `Attacker`, or one that cannot be.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{name}: this is no TOML: {error}") from None
    machines = document.get("machine")
    if (
        set(document) != {"machine"}
        or not isinstance(machines, list)
        or not 1 <= len(machines) <= _MAX_MACHINES
        or not all(isinstance(machine, dict) for machine in machines)
    ):
        raise InvalidInputError(
            f"{name}: expected 1 to {_MAX_MACHINES} tables [[machine]] and nothing else; "
            "see pypow advise --show-prices"
        )
    found = []
    for number, machine in enumerate(machines, start=1):
        try:
            found.append(_attacker(machine))
        except InvalidInputError as error:
            raise InvalidInputError(f"{name}: [[machine]] {number}: {error}") from None
    if len({attacker.name for attacker in found}) < len(found):
        raise InvalidInputError(f"{name}: expected machines of different names")
    return tuple(found)


def _attacker(table: dict[str, Any]) -> Attacker:
    known = {field.name for field in fields(Attacker)}
    for key in sorted(known ^ table.keys()):
        what = "expected" if key in known else "expected no"
        raise InvalidInputError(f"{what} key {shown(key)}; see pypow advise --show-prices")
    return Attacker(**table)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return not isinstance(value, float) or math.isfinite(value)

# SPDX-License-Identifier: Apache-2.0
"""What a ledger is asked while something fails beneath it, and what it may have answered."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from pypow_server.stores import Ledger, Spend, StoreError
from support.ledger_contract import spend

KEYS: Final = tuple(b"key %d" % number for number in range(12))
RELEASED: Final = KEYS[0]


@dataclass(slots=True)
class Told:
    """What a ledger said while something failed, and what it said afterwards."""

    won: Counter[bytes] = field(default_factory=Counter)
    unknown: int = 0
    opened: bool = False
    maybe_released: bool = False
    recovered: bool = False

    def count(self, keys: tuple[bytes, ...], outcomes: list[Spend]) -> None:
        """Take note of the outcomes of spends."""
        self.won.update(k for k, said in zip(keys, outcomes, strict=True) if said is Spend.WON)
        self.unknown += outcomes.count(Spend.UNKNOWN)

    @property
    def kept(self) -> bool:
        """Whether no key was won more often than it may have been, and the ledger works again."""
        allowed = {key: 1 + (key == RELEASED and self.maybe_released) for key in KEYS}
        return self.recovered and all(self.won[key] <= allowed[key] for key in KEYS)


async def use(ledger: Ledger, told: Told) -> None:
    """Every operation that a gate makes; each may fail."""
    told.count(KEYS[:1], [await spend(ledger, KEYS[0])])
    together = await asyncio.gather(*(spend(ledger, key) for key in KEYS[1:]))
    told.count(KEYS[1:], together)
    told.maybe_released = True
    try:
        await ledger.release(RELEASED)
        await ledger.probe()
    except StoreError:
        pass
    told.count(KEYS, [await spend(ledger, key) for key in KEYS])


async def use_again(ledger: Ledger, told: Told) -> None:
    """The same spends once more, now that nothing fails."""
    told.recovered = await spend(ledger, b"afterwards") is Spend.WON
    told.count(KEYS, [await spend(ledger, key) for key in KEYS])

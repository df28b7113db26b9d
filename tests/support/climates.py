# SPDX-License-Identifier: Apache-2.0
"""Records of the climate whose time is played, and gates that rewrite them."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pypow.pricing import UNIT
from pypow.steering import Loop
from pypow_server.crowd.conditions import Conditions, Rules
from pypow_server.meter import Pricing
from pypow_server.stores import Quota, SharedRecord
from pypow_server.stores.memory import MemoryRecord
from support.ledger_contract import NOW_MS

PRICING = Pricing(Quota(60, 60_000), capacity=50 * UNIT)
CONSTANTS = PRICING.constants(Quota(60, 60_000), 4 * 1024)
RULES = Rules(CONSTANTS, Loop(capacity=50 * UNIT))


@dataclass
class Played:
    """A store's record, by a clock that stands still until it is moved.

    Others get their turn between a look and what comes of it, as they do where stores are far.
    """

    inner: SharedRecord = field(default_factory=MemoryRecord)
    now_ms: int = NOW_MS
    fails: bool = False
    loses: Collection[str] = ()
    """Which answers are lost once, ``look`` or ``replace``, after it was done."""

    async def look(self) -> tuple[bytes, int]:
        if self.fails:
            raise OSError("out of reach")
        record, _ = await self.inner.look()
        await asyncio.sleep(0)
        self._lose("look")
        return record, self.now_ms

    async def replace(self, before: bytes, after: bytes) -> bool:
        await asyncio.sleep(0)
        replaced = await self.inner.replace(before, after)
        self._lose("replace")
        return replaced

    def _lose(self, answer: str) -> None:
        if answer in self.loses:
            self.loses = ()
            raise OSError("the answer was lost")


def gate(climates: SharedRecord, rules: Rules | None = RULES) -> Conditions:
    """A gate that is told when to look."""
    found = Conditions(climates)
    found.follow(rules)
    return found


async def look(climates: Played, gates: Sequence[Conditions], after_ms: int) -> None:
    """All of them look, so many milliseconds later, and note what they counted."""
    climates.now_ms += after_ms
    await asyncio.gather(*(one.exchange() for one in gates))

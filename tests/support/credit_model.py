# SPDX-License-Identifier: Apache-2.0
"""A ledger beside a model of it: whatever is asked of both, credits are spends and refunds.

The model knows for each key how many of its uses are taken, or, after a fault, between which two
numbers that lies. An answer that does not fit what it knows is the ledger's mistake.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeAlias

from pypow_server.stores import SKEW_MS, Ledger, Spend, StoreError
from support.ledger_contract import NOW_MS

POOL: Final = 24
"""Keys in use at a time: few, so that they meet again and again."""

OpenAt: TypeAlias = Callable[[Callable[[], int]], Awaitable[Ledger]]
"""Opens the store, by a clock; opened again, it is the same store."""

Failing: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
"""Makes the store fail for the length of a block."""


@dataclass(slots=True)
class Credit:
    """What is known of one key.

    Attributes:
        least: uses that are surely taken.
        most: uses that may be taken.
    """

    key: bytes
    epoch: int | None
    limit: int
    expires_at_ms: int
    least: int = 0
    most: int = 0

    def spent(self, outcome: Spend) -> bool:
        """Take note of an answer; False when it cannot be."""
        match outcome:
            case Spend.WON:
                possible = self.least < self.limit
                self.least, self.most = self.least + 1, min(self.most + 1, self.limit)
            case Spend.LOST:
                possible = self.most >= self.limit
                self.least = self.most = self.limit
            case _:
                possible = True
                self.most = min(self.most + 1, self.limit)
        return possible

    def released(self, *, surely: bool) -> None:
        """Take note of a refund."""
        self.least = max(self.least - 1, 0)
        if surely:
            self.most = max(self.most - 1, 0)


@dataclass(slots=True)
class Tally:
    """How much was tried; what a run is worth."""

    operations: int = 0
    won: int = 0
    lost: int = 0
    stale: int = 0
    unknown: int = 0
    released: int = 0
    restarts: int = 0
    faults: int = 0
    mistakes: list[str] = field(default_factory=list)

    def count(self, outcome: Spend) -> None:
        self.operations += 1
        name = outcome.name.lower()
        setattr(self, name, getattr(self, name) + 1)


class Trial:
    """One ledger, asked at random."""

    def __init__(
        self,
        open_at: OpenAt,
        chance: Random,
        *,
        forgets: bool = False,
        failing: Failing | None = None,
    ) -> None:
        """Prepare a trial.

        Args:
            open_at: opens the store under test.
            chance: decides what is asked.
            forgets: whether a restart of this store forgets everything, as it may with another
                epoch.
            failing: makes the store fail; None for a store that cannot.
        """
        self._open_at = open_at
        self._chance = chance
        self._forgets = forgets
        self._failing = failing
        self._now_ms = self._high_water_ms = NOW_MS
        self._serial = 0
        self._faulty = False
        self.tally = Tally()

    async def run(self, operations: int) -> Tally:
        """Ask until there were so many operations, then use up what is left of every credit."""
        self._ledger = await self._open_at(lambda: self._now_ms)
        self._epoch = await self._ledger.epoch()
        self._credits = [self._issue() for _ in range(POOL)]
        while self.tally.operations < operations and not self.tally.mistakes:
            await self._step()
        await self._use_up()
        await self._ledger.aclose()
        return self.tally

    async def _step(self) -> None:
        draw = self._chance.random()
        if draw < 0.02:
            await self._restart()
        elif draw < 0.04 and self._failing is not None:
            await self._fail()
        elif draw < 0.10:
            self._now_ms += self._chance.choice((1, 1000, 4000, 4000, 120_000, 600_000))
        elif draw < 0.12:
            self._now_ms -= self._chance.choice((1, 4000))  # a clock set back
        elif draw < 0.3:
            at = self._chance.randrange(POOL)
            self._credits[at] = self._issue()
        await self._ask()

    def _issue(self) -> Credit:
        self._serial += 1
        key = b"%d" % self._serial
        expires_at_ms = self._now_ms + self._chance.choice((1000, 120_000, 3_600_000))
        if self._chance.random() < 0.5:
            epoch = self._epoch ^ self._chance.choice((0, 0, 0, 1))
            return Credit(key, epoch, 1, expires_at_ms)
        return Credit(key, None, self._chance.choice((1, 2, 5, 50)), expires_at_ms)

    async def _ask(self) -> None:
        """Some keys at once, each so many times; refunds of some others in between."""
        first, *others = self._chance.sample(self._credits, self._chance.randint(1, 8))
        asked, refunds = [first], []
        for credit in others:
            if credit.least and self._chance.random() < 0.3:
                refunds.append(credit)
            else:
                asked += [credit] * self._chance.choice((1, 1, 1, 2, 5))
        self._high_water_ms = max(self._high_water_ms, self._now_ms)
        outcomes, _ = await asyncio.gather(
            asyncio.gather(*(self._spend(credit) for credit in asked)),
            asyncio.gather(*(self._release(credit) for credit in refunds)),
        )
        self._compare(asked, outcomes)

    async def _spend(self, credit: Credit) -> Spend:
        return await self._ledger.spend(
            credit.key,
            epoch=credit.epoch,
            expires_at_ms=credit.expires_at_ms,
            now_ms=self._now_ms,
            limit=credit.limit,
        )

    async def _release(self, credit: Credit) -> None:
        try:
            await self._ledger.release(credit.key)
        except StoreError:
            assert self._faulty
            credit.released(surely=False)
        else:
            credit.released(surely=True)
        self.tally.operations += 1
        self.tally.released += 1

    def _compare(self, asked: list[Credit], outcomes: list[Spend]) -> None:
        # Of those who asked for one key at once, it is not said who wins: winners come first.
        order = [Spend.WON, Spend.UNKNOWN, Spend.LOST, Spend.STALE]
        told = sorted(zip(asked, outcomes, strict=True), key=lambda pair: order.index(pair[1]))
        for credit, outcome in told:
            self.tally.count(outcome)
            if not self._possible(credit, outcome):
                self.tally.mistakes.append(f"{outcome} for {credit}")

    def _possible(self, credit: Credit, outcome: Spend) -> bool:
        if self._faulty and outcome in (Spend.UNKNOWN, Spend.STALE):
            return credit.spent(Spend.UNKNOWN)
        if credit.epoch not in (None, self._epoch):
            return outcome is Spend.STALE
        if credit.expires_at_ms + SKEW_MS <= self._high_water_ms:
            return outcome is Spend.UNKNOWN
        return outcome in (Spend.WON, Spend.LOST) and credit.spent(outcome)

    async def _restart(self) -> None:
        await self._ledger.aclose()
        if self._chance.random() < 0.5:
            self._now_ms += 60_000
        self._ledger = await self._open_at(lambda: self._now_ms)
        self._epoch = await self._ledger.epoch()
        self.tally.restarts += 1
        if self._forgets:
            self._high_water_ms = 0
            for credit in self._credits:
                credit.least = credit.most = 0

    async def _fail(self) -> None:
        assert self._failing is not None
        self.tally.faults += 1
        await self._ask()  # so that the ledger's clock is known to have come to this time
        async with self._failing():
            self._faulty = True
            await self._ask()
        self._faulty = False
        await self._recovered()
        self._epoch = await self._ledger.epoch()

    async def _recovered(self) -> None:
        while True:
            try:
                return await self._ledger.probe()
            except StoreError:
                await asyncio.sleep(0.01)  # it recovers by itself, when it can

    async def _use_up(self) -> None:
        """Whatever is left can be spent, and not once more."""
        for credit in self._credits:
            for _ in range(credit.limit + 1):
                self._high_water_ms = max(self._high_water_ms, self._now_ms)
                outcome = await self._spend(credit)
                self._compare([credit], [outcome])
            if outcome is Spend.WON:
                self.tally.mistakes.append(f"never used up: {credit}")

# SPDX-License-Identifier: Apache-2.0
"""Ledgers that are wrong in one way each, as real ones have been: the contract must catch them."""

import asyncio
import heapq
from typing import Any, TypeVar

from pypow_server.stores import SKEW_MS, Ledger, Spend
from pypow_server.stores.memory import MemoryLedger


class AsksThenMarks(MemoryLedger):
    """Reads whether the key is spent, and marks it later."""

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        record = self._records.get(key)
        await asyncio.sleep(0)
        if record is not None and record.uses >= limit:
            return Spend.LOST
        await super().spend(
            key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )
        return Spend.WON


class ForgetsOnRestart(MemoryLedger):
    """Keeps its epoch over a restart, and not its records."""

    async def epoch(self) -> int:
        return 7

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        if epoch not in (None, 7):
            return Spend.STALE
        return await super().spend(
            key, epoch=None, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )


class IgnoresTheEpoch(MemoryLedger):
    """Honours challenges of any epoch."""

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        return await super().spend(
            key, epoch=None, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )


class IgnoresTheLimit(MemoryLedger):
    """Admits one caller whatever the limit."""

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        return await super().spend(
            key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=1
        )


class DropsAtExpiry(MemoryLedger):
    """Allows nothing for clocks that disagree."""

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        early_ms = max(0, expires_at_ms - SKEW_MS)
        return await super().spend(
            key, epoch=epoch, expires_at_ms=early_ms, now_ms=now_ms, limit=limit
        )


class TakesTheLastExpiry(MemoryLedger):
    """Keeps a record for as long as its last use asked, though an earlier one asked for more."""

    def _use(self, key: bytes, *, drop_at_ms: int, limit: int) -> Spend:
        outcome = super()._use(key, drop_at_ms=drop_at_ms, limit=limit)
        if outcome is Spend.WON:
            self._records[key].drop_at_ms = drop_at_ms
            others = [entry for entry in self._droppable if entry[1] != key]
            self._droppable = [(drop_at_ms, key), *others]
            heapq.heapify(self._droppable)
        return outcome


class FollowsTheClockBack(MemoryLedger):
    """Drops by the latest time it was told, and lets that time move back."""

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        self._high_water_ms = now_ms
        return await super().spend(
            key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )


class SpendsInTheCallersTask(MemoryLedger):
    """Loses the spend when its caller goes away."""

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        await asyncio.sleep(0)
        return await super().spend(
            key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )


class ReleasesEverything(MemoryLedger):
    """Forgets all uses of a key when one is given back."""

    async def release(self, key: bytes) -> None:
        for _ in range(3):
            await super().release(key)


class ReleasesBelowZero(MemoryLedger):
    """Counts a release of what was never spent."""

    async def release(self, key: bytes) -> None:
        if key in self._records:
            self._records[key].uses -= 1


_AnyLedger = TypeVar("_AnyLedger", bound=Ledger)


def takes_doubt_for_won(kind: type[_AnyLedger]) -> type[_AnyLedger]:
    """A ledger of this kind that admits when it cannot tell."""

    async def spend(self: _AnyLedger, key: bytes, **terms: Any) -> Spend:
        outcome = await kind.spend(self, key, **terms)
        return Spend.WON if outcome is Spend.UNKNOWN else outcome

    return type("TakesDoubtForWon", (kind,), {"spend": spend})

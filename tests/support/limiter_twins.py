# SPDX-License-Identifier: Apache-2.0
"""Limiters that are wrong in one way each: the contract must catch them."""

import asyncio

from pypow_server.stores import Allowance, Quota
from pypow_server.stores.gcra import Level, take
from pypow_server.stores.memory import MemoryLimiter


class AsksThenTakes(MemoryLimiter):
    """Lets another caller in between the question and the mark."""

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        level, answer = take(self._levels.get(key), quota, now_ms=now_ms, calls=calls)
        await asyncio.sleep(0)
        self._levels[key] = level
        return answer


class SharesTheQuota(MemoryLimiter):
    """Counts everybody together."""

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        return await super().take(b"all", quota=quota, now_ms=now_ms, calls=calls)


class BeginsWindows(MemoryLimiter):
    """Gives the whole quota back when a period of the clock begins."""

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        window = now_ms // quota.period_ms
        return await super().take(b"%d " % window + key, quota=quota, now_ms=now_ms, calls=calls)


class SavesUp(MemoryLimiter):
    """Has no end to what an idle caller saves."""

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        level = self._levels.get(key, Level(now_ms, 0))
        saved = level.used - (now_ms - level.at_ms) * quota.calls
        self._levels[key] = Level(now_ms, saved + calls * quota.period_ms)
        remaining = quota.calls - self._levels[key].used // quota.period_ms
        return Allowance(allowed=remaining >= 0, remaining=remaining, retry_after_ms=0)


class TakesWhatIsLeft(MemoryLimiter):
    """Takes a part where the whole does not fit."""

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        answer = await super().take(key, quota=quota, now_ms=now_ms, calls=calls)
        if not answer.allowed and answer.remaining:
            await super().take(key, quota=quota, now_ms=now_ms, calls=answer.remaining)
        return answer


class ChargesRefusals(MemoryLimiter):
    """Makes everybody who asks too often wait longer."""

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        answer = await super().take(key, quota=quota, now_ms=now_ms, calls=calls)
        if not answer.allowed:
            self._levels[key] = Level(now_ms, quota.calls * quota.period_ms)
        return answer


class RoundsTheWaitDown(MemoryLimiter):
    """Tells callers to come back too early."""

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        answer = await super().take(key, quota=quota, now_ms=now_ms, calls=calls)
        early_ms = max(0, answer.retry_after_ms - 1)
        return Allowance(answer.allowed, answer.remaining, early_ms)


class FollowsTheClockBack(MemoryLimiter):
    """Counts time twice that a clock goes through twice."""

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        if key in self._levels:
            before = self._levels[key]
            self._levels[key] = Level(min(now_ms, before.at_ms), before.used)
        return await super().take(key, quota=quota, now_ms=now_ms, calls=calls)


class TrustsTheFuture(MemoryLimiter):
    """Keeps a level until a clock that was wrong comes true."""

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        before = self._levels.get(key)
        late_ms = now_ms if before is None else max(now_ms, before.at_ms)
        return await super().take(key, quota=quota, now_ms=late_ms, calls=calls)

# SPDX-License-Identifier: Apache-2.0
"""What every limiter must do, as checks that take an open one."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Final, TypeAlias

import pytest

from pypow.errors import InvalidInputError
from pypow_server.stores import Allowance, Limiter, Quota
from pypow_server.stores.gcra import Level, take

NOW_MS: Final = 1_760_000_000_000
TEN: Final = Quota(calls=10, period_ms=60_000)

Check: TypeAlias = Callable[[Limiter], Coroutine[None, None, None]]


async def ask(
    limiter: Limiter,
    key: bytes = b"someone",
    *,
    calls: int = 1,
    at_ms: int = 0,
    quota: Quota = TEN,
) -> Allowance:
    """Take, so many milliseconds after now."""
    return await limiter.take(key, quota=quota, now_ms=NOW_MS + at_ms, calls=calls)


async def a_whole_quota_may_come_at_once_and_no_more(limiter: Limiter) -> None:
    answers = await asyncio.gather(*(ask(limiter) for _ in range(40)))
    assert sorted(answer.allowed for answer in answers) == [False] * 30 + [True] * 10
    assert sorted(a.remaining for a in answers if a.allowed) == list(range(10))
    assert {(a.remaining, a.retry_after_ms) for a in answers if not a.allowed} == {(0, 6_000)}


async def keys_share_nothing(limiter: Limiter) -> None:
    await ask(limiter, calls=10)
    assert (await ask(limiter, b"someone else", calls=10)).allowed
    assert (await ask(limiter, b"", calls=10)).allowed
    assert (await ask(limiter, bytes(range(256)), calls=10)).allowed


async def calls_grow_back_evenly(limiter: Limiter) -> None:
    await ask(limiter, calls=10)
    early, due, greedy = [
        await ask(limiter, at_ms=at_ms, calls=calls)
        for at_ms, calls in ((5_999, 1), (6_000, 1), (6_000, 1))
    ]
    assert (early.allowed, due.allowed, greedy.allowed) == (False, True, False)
    assert not (await ask(limiter, at_ms=65_999, calls=10)).allowed
    assert (await ask(limiter, at_ms=66_000, calls=10)).allowed


async def no_more_than_the_quota_is_ever_saved_up(limiter: Limiter) -> None:
    await ask(limiter)
    assert (await ask(limiter, at_ms=86_400_000)).remaining == 9


async def calls_are_taken_all_or_none(limiter: Limiter) -> None:
    await ask(limiter, calls=5)
    refused = await ask(limiter, calls=6)
    assert refused == Allowance(allowed=False, remaining=5, retry_after_ms=6_000)
    assert (await ask(limiter, calls=5)).allowed


async def a_refusal_takes_nothing(limiter: Limiter) -> None:
    await ask(limiter, calls=10)
    for at_ms in range(0, 6_000, 100):
        await ask(limiter, at_ms=at_ms)
    assert (await ask(limiter, at_ms=6_000)).allowed


async def what_is_refused_fits_when_it_was_told_to(limiter: Limiter) -> None:
    quota = Quota(calls=7, period_ms=1_000)
    await ask(limiter, calls=7, quota=quota)
    after_ms = (await ask(limiter, calls=3, quota=quota)).retry_after_ms
    assert after_ms == 429  # 3/7 of a second, rounded up
    assert not (await ask(limiter, calls=3, quota=quota, at_ms=after_ms - 1)).allowed
    assert (await ask(limiter, calls=3, quota=quota, at_ms=after_ms)).allowed


async def more_than_the_quota_never_fits(limiter: Limiter) -> None:
    refused = await ask(limiter, calls=11)
    assert (refused.allowed, refused.remaining) == (False, 10)
    assert (await ask(limiter, calls=10)).allowed


async def a_clock_a_little_back_gives_nothing_back(limiter: Limiter) -> None:
    await ask(limiter, calls=10)
    assert not (await ask(limiter, at_ms=-60_000)).allowed
    assert not (await ask(limiter, at_ms=5_999)).allowed
    assert (await ask(limiter, at_ms=6_000)).allowed
    await ask(limiter, b"half", calls=5)
    assert (await ask(limiter, b"half", at_ms=-6_000)).remaining == 4  # and takes nothing either
    assert (await ask(limiter, b"half")).remaining == 3


async def a_clock_that_was_far_ahead_locks_nobody_out(limiter: Limiter) -> None:
    await ask(limiter, calls=10, at_ms=86_400_000)
    assert (await ask(limiter)).allowed


async def a_changed_quota_applies_at_once(limiter: Limiter) -> None:
    await ask(limiter, calls=10)
    assert (await ask(limiter, quota=Quota(20, 60_000))).remaining == 9
    short = Quota(10, 1_000)
    assert not (await ask(limiter, quota=short)).allowed
    assert (await ask(limiter, quota=short, at_ms=1_000)).remaining == 9


async def no_calls_are_no_question(limiter: Limiter) -> None:
    for calls in (0, -1):
        with pytest.raises(InvalidInputError, match="at least 1 call"):
            await ask(limiter, calls=calls)
    assert (await ask(limiter, calls=10)).allowed


async def it_answers_as_the_rules_do(limiter: Limiter) -> None:
    chance = random.Random(4711)
    quotas = {
        b"%d/%d" % (calls, period_ms): Quota(calls, period_ms)
        for calls in (1, 3, 1000)
        for period_ms in (1, 7, 1000, 86_400_000)
    }
    levels: dict[bytes, Level] = {}
    now_ms = NOW_MS
    for _ in range(300):
        key, quota = chance.choice(list(quotas.items()))
        now_ms += chance.choice((0, 1, 7, 333, 100_000))
        calls = chance.choice((1, 1, 2, 400))
        levels[key], expected = take(levels.get(key), quota, now_ms=now_ms, calls=calls)
        assert await limiter.take(key, quota=quota, now_ms=now_ms, calls=calls) == expected


CONTRACT: Final[tuple[Check, ...]] = (
    a_whole_quota_may_come_at_once_and_no_more,
    keys_share_nothing,
    calls_grow_back_evenly,
    no_more_than_the_quota_is_ever_saved_up,
    calls_are_taken_all_or_none,
    a_refusal_takes_nothing,
    what_is_refused_fits_when_it_was_told_to,
    more_than_the_quota_never_fits,
    a_clock_a_little_back_gives_nothing_back,
    a_clock_that_was_far_ahead_locks_nobody_out,
    a_changed_quota_applies_at_once,
    no_calls_are_no_question,
    it_answers_as_the_rules_do,
)

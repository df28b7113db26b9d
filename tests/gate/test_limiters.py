# SPDX-License-Identifier: Apache-2.0
"""One contract for all limiters, the rules they share, and bounds to what they remember."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow_server.stores import Limiter, Quota, StoreError
from pypow_server.stores.gcra import Level, forgotten_at_ms, take
from pypow_server.stores.limit_file import LimitFile
from pypow_server.stores.memory import MemoryLimiter
from pypow_server.stores.operations import Take
from pypow_server.stores.redis_records import RedisLevels
from pypow_server.stores.redis_store import RedisLimiter
from pypow_server.stores.sqlite import SqliteLimiter
from support import limiter_contract as contract
from support import limiter_twins as twins
from support.limiter_contract import CONTRACT, NOW_MS, TEN, Check, ask
from support.redis_server import RedisServer
from support.redis_stores import fresh_address

UNIQUE_KEYS = int(os.environ.get("PYPOW_UNIQUE_KEYS", "10_000_000"))


@pytest.fixture(params=["memory", "sqlite", "redis", "valkey"])
def open_limiter(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Limiter]:
    match request.param:
        case "memory":
            return MemoryLimiter
        case "sqlite":
            return lambda: SqliteLimiter(tmp_path / "limits.db")
        case name:
            address = fresh_address(request.getfixturevalue(f"{name}_server"))
            return lambda: RedisLimiter(address)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_every_limiter_keeps_the_contract(
    open_limiter: Callable[[], Limiter], check: Check
) -> None:
    async def story() -> None:
        limiter = open_limiter()
        await asyncio.wait_for(check(limiter), timeout=60)
        await limiter.aclose()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("twin", "check"),
    [
        (twins.AsksThenTakes, contract.a_whole_quota_may_come_at_once_and_no_more),
        (twins.SharesTheQuota, contract.keys_share_nothing),
        (twins.BeginsWindows, contract.calls_grow_back_evenly),
        (twins.SavesUp, contract.no_more_than_the_quota_is_ever_saved_up),
        (twins.SavesUp, contract.more_than_the_quota_never_fits),
        (twins.TakesWhatIsLeft, contract.calls_are_taken_all_or_none),
        (twins.ChargesRefusals, contract.a_refusal_takes_nothing),
        (twins.RoundsTheWaitDown, contract.what_is_refused_fits_when_it_was_told_to),
        (twins.FollowsTheClockBack, contract.a_clock_a_little_back_gives_nothing_back),
        (twins.TrustsTheFuture, contract.a_clock_that_was_far_ahead_locks_nobody_out),
        (twins.BeginsWindows, contract.a_changed_quota_applies_at_once),
        (twins.AsksThenTakes, contract.no_calls_are_no_question),
        (twins.RoundsTheWaitDown, contract.it_answers_as_the_rules_do),
    ],
)
def test_the_contract_catches_a_limiter_that_is_wrong(
    twin: Callable[[], Limiter], check: Check
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        asyncio.run(check(twin()))


@given(
    quota=st.builds(Quota, st.integers(1, 50), st.integers(1, 10_000)),
    steps=st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 60)), max_size=40),
)
def test_the_rules_are_those_of_tokens_that_grow_back(
    quota: Quota, steps: list[tuple[int, int]]
) -> None:
    tokens, level, now_ms = Fraction(quota.calls), None, NOW_MS
    for wait_ms, calls in steps:
        now_ms += wait_ms
        grown = tokens + Fraction(wait_ms * quota.calls, quota.period_ms)
        tokens = min(Fraction(quota.calls), grown)
        level, answer = take(level, quota, now_ms=now_ms, calls=calls)
        assert answer.allowed == (tokens >= calls)
        tokens -= calls if answer.allowed else 0
        assert answer.remaining == int(tokens)
        missing = 0 if answer.allowed else (calls - tokens) * quota.period_ms / quota.calls
        assert 0 <= answer.retry_after_ms - missing < 1


@given(quota=st.builds(Quota, st.integers(1, 50), st.integers(1, 10_000)), data=st.data())
def test_a_level_is_forgotten_when_nothing_is_used_and_not_before(
    quota: Quota, data: st.DataObject
) -> None:
    used = data.draw(st.integers(1, quota.calls * quota.period_ms))
    end_ms = forgotten_at_ms(Level(NOW_MS, used), quota)
    assert (end_ms - NOW_MS - 1) * quota.calls < used <= (end_ms - NOW_MS) * quota.calls


def test_the_processes_of_a_machine_share_a_limiter(open_limiter: Callable[[], Limiter]) -> None:
    async def story() -> None:
        here, there = open_limiter(), open_limiter()
        await ask(here, calls=10)
        assert (await ask(there)).allowed is isinstance(here, MemoryLimiter)
        await here.aclose()
        await there.aclose()

    asyncio.run(story())


def test_a_full_memory_limiter_forgets_whom_it_saw_longest_ago() -> None:
    async def story() -> None:
        limiter = MemoryLimiter(max_entries=2)
        for key in (b"a", b"b", b"a", b"c"):
            await ask(limiter, key)
        remaining = [(await ask(limiter, key)).remaining for key in (b"a", b"b")]
        assert remaining == [7, 9]
        await limiter.aclose()
        assert (await ask(limiter, b"a")).remaining == 9

    asyncio.run(story())


@contextmanager
def _sqlite_levels(path: Path) -> Iterator[LimitFile]:
    levels = LimitFile(path, busy_timeout_ms=100, max_pages=16)
    yield levels
    levels.close()


def _takes(count: int, *, first: int = 0) -> list[Take]:
    keys = (b"%d" % number for number in range(first, first + count))
    return [Take(key, TEN, NOW_MS, 1) for key in keys]


def test_a_full_limit_file_makes_room_and_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "limits.db"
    with _sqlite_levels(path) as levels:
        for first in range(0, 5_000, 100):
            assert all(a.allowed for a in levels.apply(_takes(100, first=first)))
    assert path.stat().st_size <= 16 * 4096


def test_levels_that_are_back_at_nothing_leave_the_file(tmp_path: Path) -> None:
    path = tmp_path / "limits.db"
    with _sqlite_levels(path) as levels:
        levels.apply(_takes(60))
        levels.apply([Take(b"late", TEN, NOW_MS + 6_000, 1)])
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT key FROM levels").fetchall()
    db.close()
    assert rows == [(b"late",)]


def test_a_full_redis_limiter_forgets_who_used_least(redis_server: RedisServer) -> None:
    address = fresh_address(redis_server)
    levels = RedisLevels(address, max_levels=2)
    for key, calls in ((b"little", 1), (b"much", 9), (b"more", 10)):
        levels.apply([Take(key, TEN, NOW_MS, calls)])
    assert redis_server.ask("HLEN", address.key("levels")) == 2
    assert redis_server.ask("HKEYS", address.key("levels")) == [b"much", b"more"]
    levels.apply([Take(b"late", TEN, NOW_MS + 60_000, 1)])
    assert redis_server.ask("ZRANGE", address.key("ends"), 0, -1) == [b"late"]
    levels.close()


def test_a_limiter_that_cannot_tell_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "limits.db"
        limiter = SqliteLimiter(path, busy_timeout_ms=20)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process keeps it locked"):
            SqliteLimiter(path, busy_timeout_ms=20)
        with pytest.raises(StoreError, match="another process keeps it locked"):
            await ask(limiter)
        other.close()
        assert (await ask(limiter)).allowed
        await limiter.aclose()
        with pytest.raises(StoreError, match="is closed"):
            await ask(limiter)

    asyncio.run(story())


_MANY_KEYS = r"""
import asyncio, re, sys
from pypow_server.stores import Quota
from pypow_server.stores.memory import MemoryLimiter

async def story(count):
    limiter, quota = MemoryLimiter(), Quota(10, 60_000)
    for number in range(count):
        await limiter.take(number.to_bytes(16, "big"), quota=quota, now_ms=number, calls=1)

asyncio.run(story(int(sys.argv[1])))
# Not what getrusage says: that remembers how large the parent was when it forked.
print(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.deep
def test_ten_million_callers_fit_into_256_mib() -> None:
    command = [sys.executable, "-c", _MANY_KEYS, str(UNIQUE_KEYS)]
    peak_kib = int(subprocess.run(command, check=True, capture_output=True).stdout)
    assert peak_kib < 256 * 1024

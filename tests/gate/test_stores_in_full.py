# SPDX-License-Identifier: Apache-2.0
"""Stores, to the last word: what they tell of themselves, and where each of their bounds lies."""

import asyncio
import itertools
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pypow_server.stores import SKEW_MS, Spend, Store, StoreError, memory, sqlite
from pypow_server.stores.batched import wall_clock_ms
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.sqlite import SqliteLedger, SqliteLimiter
from pypow_server.stores.watched import StoreCall, WatchedLedger
from support.ledger_contract import EXPIRES_AT_MS, KEY, NOW_MS, spend
from support.limiter_contract import TEN


class FailingLedger(MemoryLedger):
    """Cannot do anything."""

    async def epoch(self) -> int:
        raise StoreError("away")

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        raise StoreError("away")

    async def release(self, key: bytes) -> None:
        raise StoreError("away")

    async def probe(self) -> None:
        raise StoreError("away")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[StoreCall]:
    """What a watcher was told, by a clock that moves on whenever it is read."""
    monkeypatch.setattr(time, "time_ns", itertools.count(1).__next__)
    return []


def test_a_watcher_is_told_how_each_operation_went(told: list[StoreCall]) -> None:
    async def story() -> None:
        ledger = WatchedLedger(MemoryLedger(max_entries=1), [told.append])
        await ledger.epoch()
        for key in (KEY, KEY, b"more"):
            await spend(ledger, key)
        await spend(ledger, epoch=await ledger.epoch() ^ 1)
        await ledger.release(KEY)
        await WatchedLedger(MemoryLedger(), [told.append]).probe()
        await ledger.aclose()

    asyncio.run(story())
    assert told == [
        StoreCall("spend", 1, 2, Spend.WON, failed=False),
        StoreCall("spend", 3, 4, Spend.LOST, failed=False),
        StoreCall("spend", 5, 6, Spend.UNKNOWN, failed=True),
        StoreCall("spend", 7, 8, Spend.STALE, failed=False),
        StoreCall("release", 9, 10, None, failed=False),
        StoreCall("probe", 11, 12, None, failed=False),
    ]


def test_a_watcher_is_told_of_what_raised(told: list[StoreCall]) -> None:
    async def story() -> None:
        ledger = WatchedLedger(FailingLedger(), [told.append])
        for operation in (ledger.epoch(), spend(ledger), ledger.release(KEY), ledger.probe()):
            with pytest.raises(StoreError, match="away"):
                await operation

    asyncio.run(story())
    assert told == [
        StoreCall("epoch", 1, 2, None, failed=True),
        StoreCall("spend", 3, 4, None, failed=True),
        StoreCall("release", 5, 6, None, failed=True),
        StoreCall("probe", 7, 8, None, failed=True),
    ]


@pytest.mark.parametrize("name", ["ledger.db", "a b?c#d%20.db"])
def test_a_store_counts_the_spends_that_it_keeps(tmp_path: Path, name: str) -> None:
    async def story(store: Store) -> None:
        assert store.entries is not None
        for key in (b"a", b"b", b"a"):
            await spend(store.ledger, key)
        assert store.entries() == 2
        await store.limiter.aclose()
        await store.ledger.aclose()

    asyncio.run(story(memory.open_store("")))
    asyncio.run(story(sqlite.open_store(f"{tmp_path}/{name}")))


def test_counting_never_makes_a_ledger(tmp_path: Path) -> None:
    store = sqlite.open_store(f"{tmp_path}/ledger.db")
    asyncio.run(store.ledger.aclose())
    asyncio.run(store.limiter.aclose())
    for file in tmp_path.iterdir():
        file.unlink()
    assert store.entries is not None
    with pytest.raises(Exception, match="unable to open"):
        store.entries()
    assert list(tmp_path.iterdir()) == []


def test_a_limiter_that_takes_a_spend_takes_one_call_if_none_are_named(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.ledger.spend(KEY, epoch=None, expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS)
        again = await store.ledger.spend(
            KEY, epoch=None, expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS
        )
        assert again is Spend.LOST
        assert (await store.limiter.take(KEY, quota=TEN, now_ms=NOW_MS)).remaining == 9
        await store.limiter.aclose()
        await store.ledger.aclose()

    asyncio.run(story(memory.open_store("")))
    asyncio.run(story(sqlite.open_store(f"{tmp_path}/ledger.db")))
    ledger = MemoryLedger()
    watched = WatchedLedger(ledger, [])
    asyncio.run(story(replace(memory.open_store(""), ledger=watched, credits=ledger)))


def test_a_clock_is_behind_only_past_the_skew_and_then_the_error_says_what_to_do(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        ledger = SqliteLedger(tmp_path / "ledger.db", clock=lambda: NOW_MS)
        last_ms = NOW_MS + SKEW_MS
        await spend(ledger, now_ms=last_ms, expires_at_ms=last_ms)
        await ledger.probe()
        await spend(ledger, b"later", now_ms=last_ms + 1999, expires_at_ms=last_ms + 1999)
        with pytest.raises(StoreError) as caught:
            await ledger.probe()
        assert str(caught.value) == (
            f"the clock is 601 s behind a time already recorded in the ledger {tmp_path}/ledger.db;"
            " set the clock right, or begin a new ledger if that time was wrong"
        )
        await ledger.aclose()

    asyncio.run(story())


def test_the_clock_of_stores_counts_unix_milliseconds() -> None:
    before_ms = time.time_ns() // 1_000_000
    now_ms = wall_clock_ms()
    assert before_ms <= now_ms <= time.time_ns() // 1_000_000


def test_a_home_that_nobody_has_is_named() -> None:
    with pytest.raises(
        StoreError, match=r"^expected a path, got '~nobody-has-it/x': there is no such home$"
    ):
        sqlite.open_store("~nobody-has-it/x")


def test_a_full_memory_ledger_says_what_to_do() -> None:
    async def story() -> None:
        with pytest.raises(StoreError) as caught:
            await MemoryLedger(max_entries=0).probe()
        assert str(caught.value) == (
            "the memory ledger is full: it keeps 0 records at most; use a sqlite: store, or "
            "shorten the lifetime of challenges"
        )

    asyncio.run(story())


def test_a_limiter_that_is_closed_says_which(tmp_path: Path) -> None:
    async def story() -> None:
        limiter = SqliteLimiter(tmp_path / "limits.db")
        await limiter.aclose()
        with pytest.raises(StoreError, match=rf"^the limiter {tmp_path}/limits.db is closed"):
            await limiter.take(KEY, quota=TEN, now_ms=NOW_MS)

    asyncio.run(story())

# SPDX-License-Identifier: Apache-2.0
"""One contract for all ledgers, and proof that it catches the ledgers that are wrong."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pypow_server.stores import SKEW_MS, Ledger, Spend, Store, StoreError, memory, sqlite
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.watched import WatchedLedger
from support import ledger_contract as contract
from support import ledger_twins as twins
from support.every_ledger import NAMES, opener
from support.ledger_contract import (
    CONTRACT,
    DURABLE,
    EXPIRES_AT_MS,
    KEY,
    NOW_MS,
    Check,
    OpenLedger,
    spend,
)
from support.limiter_contract import ask


@pytest.fixture(params=["watched", *NAMES])
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> OpenLedger:
    if request.param == "watched":
        return lambda: WatchedLedger(MemoryLedger(), [])
    return opener(request, tmp_path)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_every_ledger_keeps_the_contract(open_ledger: OpenLedger, check: Check) -> None:
    asyncio.run(asyncio.wait_for(check(open_ledger), timeout=60))


@pytest.mark.parametrize("check", DURABLE, ids=lambda check: check.__name__)
@pytest.mark.parametrize("open_ledger", ["sqlite", "redis", "valkey"], indirect=True)
def test_every_durable_ledger_keeps_the_rest_of_it(open_ledger: OpenLedger, check: Check) -> None:
    asyncio.run(asyncio.wait_for(check(open_ledger), timeout=60))


@pytest.mark.parametrize(
    ("twin", "check"),
    [
        (twins.AsksThenMarks, contract.exactly_one_of_many_callers_wins),
        (twins.AsksThenMarks, contract.exactly_limit_callers_win),
        (twins.ForgetsOnRestart, contract.what_was_spent_is_never_won_after_a_restart),
        (twins.IgnoresTheEpoch, contract.another_epoch_is_stale_and_uses_nothing),
        (twins.IgnoresTheLimit, contract.exactly_limit_callers_win),
        (twins.DropsAtExpiry, contract.a_record_outlives_its_expiry_by_the_skew),
        (twins.TakesTheLastExpiry, contract.the_latest_expiry_of_a_key_counts),
        (twins.FollowsTheClockBack, contract.a_clock_set_back_brings_nothing_back),
        (twins.takes_doubt_for_won(MemoryLedger), contract.what_may_have_been_dropped_is_unknown),
        (twins.takes_doubt_for_won(MemoryLedger), contract.a_closed_ledger_admits_nobody),
        (twins.SpendsInTheCallersTask, contract.a_cancelled_caller_has_spent),
        (twins.ReleasesEverything, contract.a_release_gives_back_exactly_one_use),
        (twins.ReleasesBelowZero, contract.a_release_of_what_was_never_spent_gives_nothing),
    ],
)
def test_the_contract_catches_a_ledger_that_is_wrong(
    twin: Callable[[], Ledger], check: Check
) -> None:
    with pytest.raises(AssertionError):
        asyncio.run(check(twin))


def test_a_full_memory_ledger_refuses_rather_than_forgets() -> None:
    async def story() -> None:
        ledger = MemoryLedger(max_entries=2)
        taken = [await spend(ledger, key) for key in (b"a", b"b", b"c")]
        assert taken == [Spend.WON, Spend.WON, Spend.UNKNOWN]
        with pytest.raises(StoreError, match="is full"):
            await ledger.probe()
        assert await spend(ledger, b"a") is Spend.LOST

    asyncio.run(story())


def test_a_memory_ledger_drops_what_has_expired() -> None:
    async def story() -> None:
        ledger = MemoryLedger(max_entries=2)
        await spend(ledger, b"a")
        await spend(ledger, b"kept", limit=2)
        late_ms = EXPIRES_AT_MS + SKEW_MS
        await spend(ledger, b"kept", limit=2, expires_at_ms=late_ms)
        assert await spend(ledger, KEY, expires_at_ms=late_ms, now_ms=late_ms) is Spend.WON
        assert (
            await spend(ledger, b"kept", expires_at_ms=late_ms, now_ms=late_ms, limit=2)
            is Spend.LOST
        )

    asyncio.run(story())


def test_a_memory_ledger_that_is_closed_is_not_ready() -> None:
    async def story() -> None:
        ledger = MemoryLedger()
        await ledger.aclose()
        with pytest.raises(StoreError, match="is closed; open a new one"):
            await ledger.probe()

    asyncio.run(story())


def test_no_caller_pays_for_all_that_has_expired() -> None:
    async def story() -> None:
        ledger = MemoryLedger(max_entries=200)
        await asyncio.gather(*(spend(ledger, b"%d" % index) for index in range(200)))
        late_ms = EXPIRES_AT_MS + SKEW_MS
        for index in range(200):
            key = b"late %d" % index
            assert await spend(ledger, key, expires_at_ms=late_ms, now_ms=late_ms) is Spend.WON
        assert await spend(ledger, b"more", expires_at_ms=late_ms, now_ms=late_ms) is Spend.UNKNOWN

    asyncio.run(story())


def test_what_a_url_opens_spends_counts_and_revokes(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        assert await spend(store.ledger, epoch=await store.ledger.epoch()) is Spend.WON
        assert (await ask(store.limiter, calls=10)).allowed
        assert not (await ask(store.limiter)).allowed
        await store.revocations.revoke(KEY, expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS)
        assert await store.revocations.revoked(now_ms=NOW_MS) == {KEY}
        await store.limiter.aclose()
        await store.ledger.aclose()

    asyncio.run(story(memory.open_store("")))
    asyncio.run(story(sqlite.open_store(f"{tmp_path}/ledger.db")))
    assert {path.name for path in tmp_path.iterdir()} == {"ledger.db", "ledger.db.limits"}


def test_a_store_without_a_limiter_leaves_no_ledger_open(tmp_path: Path) -> None:
    (tmp_path / "ledger.db.limits").mkdir()
    before = set(threading.enumerate())
    with pytest.raises(StoreError, match="cannot use the limiter"):
        sqlite.open_store(f"{tmp_path}/ledger.db")
    assert set(threading.enumerate()) <= before
    assert {path.name for path in tmp_path.iterdir()} == {"ledger.db", "ledger.db.limits"}


@pytest.mark.parametrize(
    ("open_store", "rest", "text"),
    [
        (memory.open_store, "ledger.db", "memory: with nothing after it, got 'ledger.db'"),
        (sqlite.open_store, "", "expected sqlite:PATH such as"),
        (sqlite.open_store, "//ledger.db", "got '//ledger.db'"),
    ],
)
def test_a_url_of_another_form_is_refused(
    open_store: Callable[[str], Store], rest: str, text: str
) -> None:
    with pytest.raises(StoreError, match=text):
        open_store(rest)

# SPDX-License-Identifier: Apache-2.0
"""One contract for all ledgers, and proof that it catches the ledgers that are wrong."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pypow_server.stores import SKEW_MS, Ledger, Spend, StoreError
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.sqlite import SqliteLedger
from pypow_server.stores.watched import WatchedLedger
from support import ledger_contract as contract
from support import ledger_twins as twins
from support.ledger_contract import CONTRACT, EXPIRES_AT_MS, KEY, NOW_MS, Check, OpenLedger, spend
from support.redis_stores import fresh_address, opened


@pytest.fixture(params=["memory", "watched", "sqlite", "redis", "valkey"])
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> OpenLedger:
    match request.param:
        case "memory":
            return MemoryLedger
        case "watched":
            return lambda: WatchedLedger(MemoryLedger(), [])
        case "sqlite":
            return lambda: SqliteLedger(tmp_path / "ledger.db", clock=lambda: NOW_MS)
        case name:
            address = fresh_address(request.getfixturevalue(f"{name}_server"))
            return lambda: opened(address)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_every_ledger_keeps_the_contract(open_ledger: OpenLedger, check: Check) -> None:
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
        (twins.FollowsTheClockBack, contract.a_clock_set_back_brings_nothing_back),
        (twins.DropsWithoutDoubt, contract.what_may_have_been_dropped_is_unknown),
        (twins.DropsWithoutDoubt, contract.a_closed_ledger_admits_nobody),
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

# SPDX-License-Identifier: Apache-2.0
"""When the SQLite ledger begins a new epoch, so that what it may have forgotten is never won."""

import asyncio
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from pypow_server.stores import Spend, StoreError
from pypow_server.stores.spend_file import FRESH_MS
from pypow_server.stores.sqlite import SqliteLedger
from support.ledger_contract import NOW_MS, spend
from support.sqlite_ledgers import opened, spend_once


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


async def _epoch_when_opened(path: Path, *, now_ms: int) -> int:
    ledger = opened(path, now_ms=now_ms)
    epoch = await ledger.epoch()
    await ledger.aclose()
    return epoch


@pytest.mark.parametrize("late_ms", [0, FRESH_MS, -FRESH_MS])
def test_a_prompt_restart_keeps_the_epoch(path: Path, late_ms: int) -> None:
    async def story() -> None:
        epoch = await _epoch_when_opened(path, now_ms=NOW_MS)
        assert await _epoch_when_opened(path, now_ms=NOW_MS + late_ms) == epoch

    asyncio.run(story())


@pytest.mark.parametrize("late_ms", [FRESH_MS + 1, -FRESH_MS - 1])
def test_a_heartbeat_that_is_not_fresh_begins_an_epoch(path: Path, late_ms: int) -> None:
    async def story() -> None:
        epoch = await _epoch_when_opened(path, now_ms=NOW_MS)
        assert await spend_once(path, epoch=epoch, now_ms=NOW_MS + late_ms) is Spend.STALE

    asyncio.run(story())


def test_a_wiped_store_begins_an_epoch(path: Path) -> None:
    epoch = asyncio.run(_epoch_when_opened(path, now_ms=NOW_MS))
    path.unlink()
    assert asyncio.run(spend_once(path, epoch=epoch)) is Spend.STALE


def test_a_restored_backup_admits_no_challenge_from_before(path: Path) -> None:
    async def story() -> None:
        epoch = await _epoch_when_opened(path, now_ms=NOW_MS)
        backup = shutil.copy(path, path.with_name("backup.db"))
        assert await spend_once(path, epoch=epoch) is Spend.WON
        shutil.copy(backup, path)
        assert await spend_once(path, epoch=epoch, now_ms=NOW_MS + 60_000) is Spend.STALE

    asyncio.run(story())


def test_a_process_that_slept_through_a_new_epoch_notices(path: Path) -> None:
    async def story() -> None:
        sleeper = opened(path)
        old = await sleeper.epoch()
        waker = opened(path, now_ms=NOW_MS + 60_000)
        new = await waker.epoch()
        outcomes = [await spend(sleeper, epoch=old), await spend(sleeper, epoch=new)]
        await waker.aclose()
        await sleeper.aclose()
        assert outcomes == [Spend.STALE, Spend.WON]
        assert await sleeper.epoch() == new

    asyncio.run(story())


def test_a_file_replaced_while_open_is_noticed(path: Path) -> None:
    async def story() -> None:
        ledger = opened(path)
        epoch = await ledger.epoch()
        assert await spend(ledger, epoch=epoch) is Spend.WON
        shutil.move(path, path.with_name("moved.db"))
        assert await spend(ledger, epoch=epoch) is Spend.UNKNOWN
        assert await spend(ledger, epoch=epoch) is Spend.STALE
        await ledger.aclose()

    asyncio.run(story())


def test_a_file_put_in_the_place_of_an_open_one_is_noticed(path: Path) -> None:
    async def story() -> None:
        ledger = opened(path)
        epoch = await ledger.epoch()
        other = path.with_name("other.db")
        with sqlite3.connect(path) as copier:
            copier.execute("VACUUM INTO ?", (str(other),))
        copier.close()
        assert await spend(ledger, epoch=epoch, now_ms=NOW_MS + 1) is Spend.WON
        for leftover in path.parent.glob("ledger.db-*"):
            leftover.unlink()
        other.replace(path)
        with pytest.raises(StoreError, match="was replaced while it was open"):
            await ledger.probe()
        # Its heartbeat is fresh, but its clock is behind what this process has seen.
        assert await spend(ledger, epoch=epoch) is Spend.STALE
        await ledger.aclose()

    asyncio.run(story())


def test_a_clock_in_the_file_that_moved_back_begins_an_epoch(path: Path) -> None:
    async def story() -> None:
        ledger = opened(path)
        epoch = await ledger.epoch()
        assert await spend(ledger, epoch=epoch) is Spend.WON
        with sqlite3.connect(path) as restored:
            restored.execute("UPDATE meta SET high_water_ms = high_water_ms - 1")
            restored.execute("DELETE FROM spends")
        restored.close()
        assert await spend(ledger, epoch=epoch) is Spend.STALE
        await ledger.aclose()

    asyncio.run(story())


def test_an_idle_ledger_keeps_its_heartbeat_fresh(path: Path) -> None:
    beats = threading.Semaphore(0)
    now = [NOW_MS]

    def clock() -> int:
        beats.release()
        return now[0]

    async def story() -> None:
        ledger = SqliteLedger(path, clock=clock, heartbeat_s=0.01)
        epoch = await ledger.epoch()
        now[0] += 60_000
        while beats.acquire(blocking=False):
            pass
        for _ in range(2):  # the second heartbeat begins when the first is committed
            assert beats.acquire(timeout=10)
        assert await _epoch_when_opened(path, now_ms=NOW_MS + 60_000) == epoch
        await ledger.aclose()

    asyncio.run(story())

# SPDX-License-Identifier: Apache-2.0
"""Every store keeps one record for all gates, and a store that mixes them up is caught."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeAlias

import pytest

from pypow_server.stores import SharedRecord, StoreError
from pypow_server.stores.batched import BatchedLedger
from pypow_server.stores.memory import MemoryRecord
from pypow_server.stores.sqlite import SqliteLedger
from support.climates import Played, gate, look
from support.ledger_contract import NOW_MS
from support.redis_stores import fresh_address, opened
from support.sqlite_ledgers import opened as opened_file
from support.sqlite_ledgers import spend_once

Open: TypeAlias = Callable[[], SharedRecord]
Check: TypeAlias = Callable[[SharedRecord], Coroutine[None, None, None]]

OCTETS = bytes(range(256))


@pytest.fixture(params=["memory", "sqlite", "redis", "valkey"])
def open_climates(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same store each time, but for memory."""
    match request.param:
        case "memory":
            return MemoryRecord
        case "sqlite":
            return lambda: SqliteLedger(tmp_path / "ledger.db")
        case name:
            address = fresh_address(request.getfixturevalue(f"{name}_server"))
            return lambda: opened(address)


async def _close(*stores: SharedRecord) -> None:
    for store in stores:
        if isinstance(store, BatchedLedger):
            await store.aclose()


async def what_is_recorded_is_read(climates: SharedRecord) -> None:
    assert (await climates.look())[0] == b""
    assert await climates.replace(b"", OCTETS)
    assert (await climates.look())[0] == OCTETS
    assert await climates.replace(OCTETS, b"{}")
    assert (await climates.look())[0] == b"{}"


async def only_what_was_read_is_replaced(climates: SharedRecord) -> None:
    assert not await climates.replace(b"something", b"else")
    assert (await climates.look())[0] == b""
    assert await climates.replace(b"", b"one")
    assert not await climates.replace(b"", b"two")
    assert (await climates.look())[0] == b"one"


async def of_many_at_once_one_is_recorded(climates: SharedRecord) -> None:
    records = [b"%d" % number for number in range(40)]
    replaced = await asyncio.gather(*(climates.replace(b"", record) for record in records))
    assert replaced.count(True) == 1
    assert (await climates.look())[0] == records[replaced.index(True)]


async def its_clock_goes_on(climates: SharedRecord) -> None:
    times = [(await climates.look())[1] for _ in range(3)]
    assert times == sorted(times)
    assert times[0] > 1_700_000_000_000


async def gates_count_no_load_twice_and_lose_none(climates: SharedRecord) -> None:
    played, alone = Played(climates), Played()
    gates, one = [gate(played) for _ in range(4)], gate(alone)
    for half in range(41):
        if half % 2:  # all of a second is noted before the step that is due at its end
            for each in gates * 2:
                each.admitted(8, newcomer=True)
                one.admitted(8, newcomer=True)
        await look(played, gates, 500 if half else 0)
        await look(alone, [one], 500 if half else 0)
    assert {each.gates for each in gates} == {4}
    assert sum(each.steps for each in gates) == one.steps == 20
    assert {each.climate for each in gates} == {one.climate}
    assert -(3 << 20) < one.climate.z < -(1 << 20)
    assert one.climate.entry_excess > 0


@pytest.mark.parametrize(
    "check",
    [
        what_is_recorded_is_read,
        only_what_was_read_is_replaced,
        of_many_at_once_one_is_recorded,
        its_clock_goes_on,
        gates_count_no_load_twice_and_lose_none,
    ],
)
def test_every_store_keeps_the_contract(open_climates: Open, check: Check) -> None:
    async def story() -> None:
        climates = open_climates()
        await check(climates)
        await _close(climates)

    asyncio.run(asyncio.wait_for(story(), timeout=60))


class _Overwrites(MemoryRecord):
    """The last who writes is right: what others noted meanwhile is lost."""

    async def replace(self, before: bytes, after: bytes) -> bool:
        self._record = after
        return True


class _SaysItDid(MemoryRecord):
    """Keeps what is there, and says otherwise."""

    async def replace(self, before: bytes, after: bytes) -> bool:
        await super().replace(before, after)
        return True


@pytest.mark.parametrize(
    ("twin", "check"),
    [
        (_Overwrites, only_what_was_read_is_replaced),
        (_Overwrites, of_many_at_once_one_is_recorded),
        (_Overwrites, gates_count_no_load_twice_and_lose_none),
        (_SaysItDid, only_what_was_read_is_replaced),
        (_SaysItDid, of_many_at_once_one_is_recorded),
        (_SaysItDid, gates_count_no_load_twice_and_lose_none),
    ],
)
def test_the_contract_catches_a_store_that_is_wrong(twin: Open, check: Check) -> None:
    with pytest.raises(AssertionError):
        asyncio.run(check(twin()))


def test_gates_that_share_a_store_share_its_record(open_climates: Open) -> None:
    async def story() -> None:
        here, there = open_climates(), open_climates()
        assert await here.replace(b"", b"one")
        shared = not isinstance(here, MemoryRecord)
        assert (await there.look())[0] == (b"one" if shared else b"")
        assert await there.replace(b"", b"two") is not shared
        await _close(here, there)

    asyncio.run(story())


def test_a_ledger_file_from_before_climates_takes_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    asyncio.run(spend_once(path))
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE records")
    db.close()

    async def story() -> None:
        ledger = opened_file(path)
        await what_is_recorded_is_read(ledger)
        await ledger.aclose()

    asyncio.run(story())


def test_a_climate_that_cannot_be_read_or_recorded_is_an_error(tmp_path: Path) -> None:
    async def story() -> None:
        ledger = opened_file(tmp_path / "ledger.db")
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="keeps it locked"):
            await ledger.look()
        with pytest.raises(StoreError, match="keeps it locked"):
            await ledger.replace(b"", b"one")
        other.close()
        await ledger.aclose()

    asyncio.run(story())


def test_the_time_of_a_file_is_its_gates_own(tmp_path: Path) -> None:
    async def story() -> int:
        ledger = SqliteLedger(tmp_path / "ledger.db", clock=lambda: NOW_MS)
        _, now_ms = await ledger.look()
        await ledger.aclose()
        return now_ms

    assert asyncio.run(story()) == NOW_MS

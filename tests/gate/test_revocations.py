# SPDX-License-Identifier: Apache-2.0
"""A revoked pass is revoked for every gate of a store, until nobody would take it anyway."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeAlias

import pytest

from pypow_server.stores import SKEW_MS, Revocations, StoreError
from pypow_server.stores.batched import BatchedLedger
from pypow_server.stores.memory import MemoryRevocations
from pypow_server.stores.sqlite import SqliteLedger
from support.ledger_contract import EXPIRES_AT_MS, NOW_MS
from support.redis_stores import fresh_address, opened
from support.sqlite_ledgers import opened as opened_file
from support.sqlite_ledgers import spend_once

Open: TypeAlias = Callable[[], Revocations]


@pytest.fixture(params=["memory", "sqlite", "redis", "valkey"])
def open_revocations(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same store each time, but for memory."""
    match request.param:
        case "memory":
            return MemoryRevocations
        case "sqlite":
            return lambda: SqliteLedger(tmp_path / "ledger.db", clock=lambda: NOW_MS)
        case name:
            address = fresh_address(request.getfixturevalue(f"{name}_server"))
            return lambda: opened(address)


async def _close(*stores: Revocations) -> None:
    for store in stores:
        if isinstance(store, BatchedLedger):
            await store.aclose()


async def what_is_revoked_is_listed_once(revocations: Revocations) -> None:
    assert await revocations.revoked(now_ms=NOW_MS) == frozenset()
    for identity in (b"a", bytes(range(256)), b"a"):
        await revocations.revoke(identity, expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS)
    assert await revocations.revoked(now_ms=NOW_MS) == {b"a", bytes(range(256))}


async def it_is_listed_until_its_expiry_and_the_skew(revocations: Revocations) -> None:
    await revocations.revoke(b"a", expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS)
    last_ms = EXPIRES_AT_MS + SKEW_MS - 1
    await revocations.revoke(b"b", expires_at_ms=last_ms, now_ms=last_ms)
    assert await revocations.revoked(now_ms=last_ms) == {b"a", b"b"}
    assert await revocations.revoked(now_ms=last_ms + 1) == {b"b"}


async def the_latest_expiry_counts(revocations: Revocations) -> None:
    for expires_at_ms in (EXPIRES_AT_MS, EXPIRES_AT_MS + 1, EXPIRES_AT_MS):
        await revocations.revoke(b"a", expires_at_ms=expires_at_ms, now_ms=NOW_MS)
    assert await revocations.revoked(now_ms=EXPIRES_AT_MS + SKEW_MS) == {b"a"}


async def a_look_ahead_drops_nothing(revocations: Revocations) -> None:
    await revocations.revoke(b"a", expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS)
    assert await revocations.revoked(now_ms=EXPIRES_AT_MS + SKEW_MS) == frozenset()
    assert await revocations.revoked(now_ms=NOW_MS) == {b"a"}


async def a_revocation_drops_what_has_expired(revocations: Revocations) -> None:
    await revocations.revoke(b"a", expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS)
    late_ms = EXPIRES_AT_MS + SKEW_MS
    await revocations.revoke(b"b", expires_at_ms=late_ms, now_ms=late_ms - 1)
    assert await revocations.revoked(now_ms=NOW_MS) == {b"a", b"b"}
    await revocations.revoke(b"c", expires_at_ms=late_ms, now_ms=late_ms)
    assert await revocations.revoked(now_ms=NOW_MS) == {b"b", b"c"}


Check: TypeAlias = Callable[[Revocations], Coroutine[None, None, None]]


@pytest.mark.parametrize(
    "check",
    [
        what_is_revoked_is_listed_once,
        it_is_listed_until_its_expiry_and_the_skew,
        the_latest_expiry_counts,
        a_look_ahead_drops_nothing,
        a_revocation_drops_what_has_expired,
    ],
)
def test_every_store_keeps_the_contract(open_revocations: Open, check: Check) -> None:
    async def story() -> None:
        revocations = open_revocations()
        await check(revocations)
        await _close(revocations)

    asyncio.run(story())


class _Forgets(MemoryRevocations):
    """Lets a pass live again at its expiry, and an earlier expiry replace a later one."""

    async def revoke(self, identity: bytes, *, expires_at_ms: int, now_ms: int) -> None:
        self._expiries[identity] = expires_at_ms - SKEW_MS


class _DropsOnLooking(MemoryRevocations):
    """Takes the time of a reader for the time."""

    async def revoked(self, *, now_ms: int) -> frozenset[bytes]:
        found = await super().revoked(now_ms=now_ms)
        self._expiries = {key: self._expiries[key] for key in found}
        return found


@pytest.mark.parametrize(
    ("twin", "check"),
    [
        (_Forgets, it_is_listed_until_its_expiry_and_the_skew),
        (_Forgets, the_latest_expiry_counts),
        (_Forgets, a_revocation_drops_what_has_expired),
        (_DropsOnLooking, a_look_ahead_drops_nothing),
    ],
)
def test_the_contract_catches_a_store_that_is_wrong(twin: Open, check: Check) -> None:
    with pytest.raises(AssertionError):
        asyncio.run(check(twin()))


def test_gates_that_share_a_store_share_revocations(open_revocations: Open) -> None:
    async def story() -> None:
        here, there = open_revocations(), open_revocations()
        await here.revoke(b"a", expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS)
        shared = not isinstance(here, MemoryRevocations)
        assert await there.revoked(now_ms=NOW_MS) == ({b"a"} if shared else frozenset())
        await _close(here, there)

    asyncio.run(story())


def test_a_ledger_file_from_before_revocations_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    asyncio.run(spend_once(path))
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE revocations")
    db.close()

    async def story() -> None:
        ledger = opened_file(path)
        await ledger.revoke(b"a", expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS)
        assert await ledger.revoked(now_ms=NOW_MS) == {b"a"}
        await ledger.aclose()

    asyncio.run(story())


def test_a_revocation_that_is_not_recorded_is_an_error(tmp_path: Path) -> None:
    async def story() -> None:
        ledger = opened_file(tmp_path / "ledger.db")
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="keeps it locked"):
            await ledger.revoke(b"a", expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS)
        with pytest.raises(StoreError, match="keeps it locked"):
            await ledger.revoked(now_ms=NOW_MS)
        other.close()
        await ledger.aclose()

    asyncio.run(story())

# SPDX-License-Identifier: Apache-2.0
"""When a Redis ledger begins a new epoch, so that what Redis may have forgotten is never won."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypow_server.stores import SKEW_MS, Spend, StoreError
from pypow_server.stores.redis_address import RedisAddress, read_address
from pypow_server.stores.redis_scripts import FRESH_MS
from pypow_server.stores.redis_store import RedisLedger
from support.ledger_contract import EXPIRES_AT_MS, KEY, spend
from support.redis_server import DURABLE, RedisServer, redis_binary, running, valkey_binary
from support.redis_stores import fresh_address, opened
from support.waiting import wait_for

SAVED = ("--appendonly", "no")


@pytest.fixture(scope="module", params=[redis_binary, valkey_binary], ids=["redis", "valkey"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """A server that these tests wipe, kill and promote."""
    with running(tmp_path_factory.mktemp("own"), *DURABLE, binary=request.param()) as started:
        yield started


@pytest.fixture
def address(server: RedisServer) -> RedisAddress:
    return fresh_address(server)


async def _epoch_when_opened(address: RedisAddress) -> int:
    ledger = opened(address)
    epoch = await ledger.epoch()
    await ledger.aclose()
    return epoch


async def _spend_when_opened(address: RedisAddress, *, epoch: int | None) -> Spend:
    ledger = opened(address)
    outcome = await spend(ledger, epoch=epoch)
    await ledger.aclose()
    return outcome


def _shift_heartbeat(server: RedisServer, address: RedisAddress, by_ms: int) -> None:
    server.ask("HINCRBY", address.key("spends"), "beat", by_ms)


def _heartbeat(server: RedisServer, address: RedisAddress) -> int:
    return int(server.ask("HGET", address.key("spends"), "beat"))


def test_a_prompt_restart_of_the_gate_keeps_the_epoch(address: RedisAddress) -> None:
    async def story() -> None:
        assert await _epoch_when_opened(address) == await _epoch_when_opened(address)

    asyncio.run(story())


def test_two_gates_have_one_epoch_and_two_deployments_have_two(
    server: RedisServer, address: RedisAddress
) -> None:
    async def story() -> None:
        epoch = await _epoch_when_opened(address)
        assert await _spend_when_opened(address, epoch=epoch) is Spend.WON
        assert await _spend_when_opened(address, epoch=epoch) is Spend.LOST
        assert await _spend_when_opened(fresh_address(server), epoch=epoch) is Spend.STALE

    asyncio.run(story())


@pytest.mark.parametrize("by_ms", [-FRESH_MS * 2, FRESH_MS * 2])
def test_a_heartbeat_that_is_not_fresh_begins_an_epoch(
    server: RedisServer, address: RedisAddress, by_ms: int
) -> None:
    async def story() -> None:
        ledger = opened(address)
        epoch = await ledger.epoch()
        _shift_heartbeat(server, address, by_ms)
        assert await spend(ledger, epoch=epoch) is Spend.STALE
        assert await ledger.epoch() != epoch
        assert await spend(ledger, epoch=await ledger.epoch()) is Spend.WON
        await ledger.aclose()

    asyncio.run(story())


@pytest.mark.parametrize("wipe", [("FLUSHALL",), ("DEL", "spends")])
def test_a_wiped_store_begins_an_epoch_though_gates_stay_connected(
    server: RedisServer, address: RedisAddress, wipe: tuple[str, ...]
) -> None:
    async def story() -> None:
        ledger = opened(address)
        epoch = await ledger.epoch()
        assert await spend(ledger, epoch=epoch) is Spend.WON
        server.ask(*wipe[:1], *(address.key(name) for name in wipe[1:]))
        assert await spend(ledger, epoch=epoch) is Spend.STALE
        await ledger.aclose()

    asyncio.run(story())


def test_the_clock_outlives_a_wipe_in_the_gates_that_saw_it(
    server: RedisServer, address: RedisAddress
) -> None:
    async def story() -> None:
        ledger = opened(address)
        late_ms = EXPIRES_AT_MS + SKEW_MS
        await spend(ledger, b"other", expires_at_ms=late_ms, now_ms=late_ms)
        server.ask("FLUSHALL")
        assert await spend(ledger) is Spend.UNKNOWN  # a pass from before may be used up
        await ledger.aclose()

    asyncio.run(story())


def test_records_that_moved_back_under_an_open_ledger_begin_an_epoch(
    server: RedisServer, address: RedisAddress
) -> None:
    async def story() -> None:
        ledger = opened(address)
        earlier = server.dump(address.key("spends"))
        epoch = await ledger.epoch()
        assert await spend(ledger, epoch=epoch) is Spend.WON
        server.ask("RESTORE", address.key("spends"), 0, earlier, "REPLACE")
        assert await spend(ledger, epoch=epoch) is Spend.STALE
        await ledger.aclose()

    asyncio.run(story())


def test_a_restarted_server_has_another_epoch_and_forgets_nothing(
    server: RedisServer, address: RedisAddress
) -> None:
    async def story() -> None:
        ledger = opened(address)
        epoch = await ledger.epoch()
        assert await spend(ledger) is Spend.WON
        server.restart()
        assert await spend(ledger, b"other", epoch=epoch) is Spend.STALE
        assert await spend(ledger) is Spend.LOST
        await ledger.aclose()

    asyncio.run(story())


def test_a_backup_put_back_admits_no_challenge_from_before(tmp_path: Path) -> None:
    with running(tmp_path / "redis", *SAVED) as server:
        address = fresh_address(server)

        async def story() -> None:
            epoch = await _epoch_when_opened(address)
            server.ask("SAVE")
            shutil.copy(tmp_path / "redis/dump.rdb", tmp_path / "backup.rdb")
            assert await _spend_when_opened(address, epoch=epoch) is Spend.WON
            server.kill()
            shutil.copy(tmp_path / "backup.rdb", tmp_path / "redis/dump.rdb")
            server.start()
            assert server.ask("HEXISTS", address.key("spends"), b":" + KEY) == 0
            assert await _spend_when_opened(address, epoch=epoch) is Spend.STALE

        asyncio.run(story())


def test_a_promoted_replica_admits_no_challenge_of_its_master(
    server: RedisServer, tmp_path: Path
) -> None:
    address = fresh_address(server)
    with running(tmp_path / "replica", *SAVED, binary=server.binary) as replica:
        there = read_address(f"{replica.rest}?deployment={address.deployment}", scheme="redis")

        async def story() -> None:
            replica.replicate(server)  # a master's id changes with its first replica
            ledger = opened(address)
            epoch = await ledger.epoch()
            with pytest.raises(StoreError, match="is a replica"):
                opened(there)
            replica.promote()
            assert await spend(ledger, epoch=epoch) is Spend.WON  # the one the replica misses
            assert await _spend_when_opened(there, epoch=epoch) is Spend.STALE
            # Split brain: the old master goes on, and what each hands out the other refuses.
            assert await spend(ledger, b"old", epoch=epoch) is Spend.WON
            new = await _epoch_when_opened(there)
            assert await spend(ledger, b"new", epoch=new) is Spend.STALE
            await ledger.aclose()

        asyncio.run(story())


def test_a_replica_that_takes_writes_is_no_ledger(server: RedisServer, tmp_path: Path) -> None:
    with running(
        tmp_path / "replica", *SAVED, "--replica-read-only", "no", binary=server.binary
    ) as replica:
        replica.replicate(server)
        with pytest.raises(StoreError, match="needs a master"):
            opened(fresh_address(replica))


def test_an_idle_ledger_keeps_its_heartbeat_fresh(
    server: RedisServer, address: RedisAddress
) -> None:
    async def story() -> None:
        ledger = RedisLedger(address, heartbeat_s=0.01)
        epoch = await ledger.epoch()
        _shift_heartbeat(server, address, -FRESH_MS + 1_000)
        before = _heartbeat(server, address)
        await asyncio.to_thread(wait_for, lambda: _heartbeat(server, address) > before)
        assert await ledger.epoch() == epoch
        await ledger.aclose()

    asyncio.run(story())


def test_reading_revocations_does_not_let_the_heartbeat_go_stale(
    server: RedisServer, address: RedisAddress
) -> None:
    async def story() -> None:
        ledger = opened(address)
        _shift_heartbeat(server, address, -1_000)
        before = _heartbeat(server, address)
        await ledger.revoked(now_ms=0)
        assert _heartbeat(server, address) > before
        await ledger.aclose()

    asyncio.run(story())

# SPDX-License-Identifier: Apache-2.0
"""The Redis ledger on a network that fails it: it never admits on doubt, and recovers by itself."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pypow_server.stores import StoreError, redis_connection
from pypow_server.stores.redis_address import read_address
from pypow_server.stores.redis_store import RedisLedger
from support.fault_proxy import Failure, ThreadedFaultProxy, fault_proxy
from support.fault_story import KEYS, Told, use, use_again
from support.ledger_contract import NOW_MS, spend
from support.ledger_twins import takes_doubt_for_won
from support.redis_server import RedisServer, running

HURRIED_S = 0.25
"""How long an answer may take here: long enough for a pause, short enough for many stories."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running(tmp_path / "redis") as redis:
        yield redis


@dataclass(slots=True)
class Sweep:
    """What became of all stories."""

    stories: int = 0
    unopened: int = 0
    unknown: int = 0
    broken: list[str] = field(default_factory=list)


async def _opened(kind: type[RedisLedger], port: int) -> RedisLedger:
    address = read_address(f"//127.0.0.1:{port}/0", scheme="redis")
    return await asyncio.to_thread(kind, address, clock=lambda: NOW_MS, heartbeat_s=60)


async def _story(
    kind: type[RedisLedger], proxy: ThreadedFaultProxy, failure: Failure, nth: int
) -> tuple[Told, bool]:
    told = Told()
    proxy.arm(failure, nth)
    try:
        ledger = await _opened(kind, proxy.port)
        told.opened = True
    except StoreError:
        failed = proxy.disarm()
        ledger = await _opened(kind, proxy.port)
        await use(ledger, told)
    else:
        await use(ledger, told)
        failed = proxy.disarm()
        await use_once_it_recovers(ledger)
    await use_again(ledger, told)
    await ledger.aclose()
    ledger = await _opened(kind, proxy.port)
    told.count(KEYS, [await spend(ledger, key) for key in KEYS])
    await ledger.aclose()
    return told, failed


async def use_once_it_recovers(ledger: RedisLedger) -> None:
    """One failed operation is how a ledger finds out that its connection is gone."""
    try:
        await ledger.probe()
    except StoreError:
        await ledger.probe()


def swept(kind: type[RedisLedger], server: RedisServer, failure: Failure, step: int) -> Sweep:
    """Fail at the first piece that the network carries, then at a later one, and so on."""
    sweep = Sweep()
    with fault_proxy(server.port) as proxy:
        for nth in itertools.count(1, step):
            server.ask("FLUSHALL")
            told, failed = asyncio.run(_story(kind, proxy, failure, nth))
            if not failed:
                return sweep
            sweep.stories += 1
            sweep.unopened += not told.opened
            sweep.unknown += told.unknown
            if not told.kept:
                sweep.broken.append(f"{failure} {nth}: {told}")
    raise AssertionError


each_failure = pytest.mark.parametrize("failure", Failure, ids=lambda failure: failure.name.lower())


@each_failure
def test_no_failing_network_is_taken_for_a_spend_or_outlasts_its_cause(
    failure: Failure, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "TIMEOUT_S", HURRIED_S)
    sweep = swept(RedisLedger, server, failure, step=7)
    assert sweep.broken == []
    assert sweep.stories >= 5


def test_a_ledger_that_takes_doubt_for_a_spend_is_caught(server: RedisServer) -> None:
    assert swept(takes_doubt_for_won(RedisLedger), server, Failure.DROP, step=3).broken


@pytest.mark.deep
@each_failure
def test_no_piece_of_network_that_fails_is_taken_for_a_spend(
    failure: Failure, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "TIMEOUT_S", HURRIED_S)
    sweep = swept(RedisLedger, server, failure, step=1)
    print(failure, sweep)
    assert sweep.broken == []

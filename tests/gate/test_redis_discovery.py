# SPDX-License-Identifier: Apache-2.0
"""Ledgers that ask sentinels or a cluster where the master is, each time they connect."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pypow_server.stores import Ledger, Spend, StoreError
from pypow_server.stores.redis_address import RedisAddress, read_address
from support.ledger_contract import spend
from support.redis_server import DURABLE, RedisServer, running, sentinel_binary
from support.redis_stores import opened
from support.waiting import wait_for

_SENTINEL = """\
sentinel monitor main 127.0.0.1 {port} 1
sentinel down-after-milliseconds main 500
sentinel failover-timeout main 2000
"""


@contextmanager
def watching(folder: Path, master: RedisServer) -> Iterator[RedisServer]:
    """A sentinel for `master`."""
    folder.mkdir()
    config = folder / "sentinel.conf"
    config.write_text(_SENTINEL.format(port=master.port))
    with running(folder, binary=sentinel_binary(), config=config) as sentinel:
        yield sentinel


def _through(sentinel: RedisServer, *, others: str = "") -> RedisAddress:
    return read_address(f"//{others}127.0.0.1:{sentinel.port}/main", scheme="redis+sentinel")


def test_a_failover_costs_a_solution_and_the_ledger_finds_the_new_master(tmp_path: Path) -> None:
    with (
        running(tmp_path / "first", *DURABLE) as first,
        running(tmp_path / "second", *DURABLE) as second,
    ):
        second.replicate(first)
        with watching(tmp_path / "sentinel", first) as sentinel:
            wait_for(lambda: len(sentinel.ask("SENTINEL", "REPLICAS", "main")) == 1)

            async def story() -> None:
                # The first sentinel named is not there; the next one is asked.
                ledger = opened(_through(sentinel, others="127.0.0.1:9,"))
                epoch = await ledger.epoch()
                assert await spend(ledger, epoch=epoch) is Spend.WON
                first.kill()
                assert await spend(ledger, b"meanwhile", epoch=epoch) is Spend.UNKNOWN
                assert await _spend_when_possible(ledger, epoch=epoch) is Spend.STALE
                assert second.is_master()
                assert await spend(ledger, b"anew", epoch=await ledger.epoch()) is Spend.WON
                await ledger.aclose()

            asyncio.run(story())


async def _spend_when_possible(ledger: Ledger, *, epoch: int) -> Spend:
    """What a caller is told who tries again for as long as nobody can tell."""
    patience = time.monotonic() + 20
    while (outcome := await spend(ledger, epoch=epoch)) is Spend.UNKNOWN:
        assert time.monotonic() < patience
        await asyncio.sleep(0.01)
    return outcome


def test_a_master_that_no_sentinel_knows_is_named(tmp_path: Path) -> None:
    with (
        running(tmp_path / "first") as first,
        watching(tmp_path / "sentinel", first) as sentinel,
    ):
        unknown = read_address(f"//127.0.0.1:{sentinel.port}/other", scheme="redis+sentinel")
        with pytest.raises(StoreError, match="check the sentinels' addresses and the master"):
            opened(unknown)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RedisServer]:
    """A cluster of one."""
    with running(tmp_path / "node", "--cluster-enabled", "yes") as node:
        yield node


def _give_all_slots(node: RedisServer) -> None:
    node.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_for(lambda: node.ask("CLUSTER INFO")["cluster_state"] == "ok")


def test_a_cluster_keeps_a_ledger_in_one_slot(node: RedisServer) -> None:
    address = read_address(f"//127.0.0.1:9,127.0.0.1:{node.port}", scheme="redis+cluster")
    with pytest.raises(StoreError, match="its cluster is down; bring it up"):
        opened(address)
    _give_all_slots(node)

    async def story() -> None:
        ledger = opened(address)
        assert await spend(ledger, epoch=await ledger.epoch()) is Spend.WON
        assert await spend(ledger) is Spend.LOST
        await ledger.aclose()

    asyncio.run(story())


def test_a_slot_that_moved_is_looked_for_again(node: RedisServer, tmp_path: Path) -> None:
    _give_all_slots(node)
    address = read_address(f"//127.0.0.1:{node.port}", scheme="redis+cluster")
    with running(tmp_path / "other", "--cluster-enabled", "yes") as other:
        other.ask("CLUSTER", "MEET", "127.0.0.1", node.port)
        its_id = other.ask("CLUSTER MYID").decode()
        wait_for(lambda: its_id in str(node.ask("CLUSTER NODES")))
        wait_for(lambda: "fail" not in str(node.ask("CLUSTER NODES")))

        async def story() -> None:
            ledger = opened(address)
            epoch = await ledger.epoch()
            slot = node.ask("CLUSTER KEYSLOT", address.key(""))
            node.ask("FLUSHALL")
            for one in (other, node):
                one.ask("CLUSTER SETSLOT", slot, "NODE", its_id)
            assert await spend(ledger, epoch=epoch) is Spend.UNKNOWN
            assert await _spend_when_possible(ledger, epoch=epoch) is Spend.STALE
            assert await spend(ledger, epoch=await ledger.epoch()) is Spend.WON
            await ledger.aclose()

        asyncio.run(story())


def test_a_node_that_is_asked_as_a_single_server_says_how_to_ask(node: RedisServer) -> None:
    with pytest.raises(StoreError, match=r"CLUSTERDOWN|cluster"):
        opened(read_address(node.rest, scheme="redis"))

# SPDX-License-Identifier: Apache-2.0
"""What the Redis ledger promises beyond the contract: what it refuses, and how it recovers."""

import asyncio
import importlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pypow_server.stores import SKEW_MS, Spend, StoreError
from pypow_server.stores.attempts import Ending
from pypow_server.stores.redis_address import RedisAddress, read_address
from pypow_server.stores.redis_store import RedisLimiter, open_store
from support.ledger_contract import EXPIRES_AT_MS, KEY, NOW_MS, spend
from support.limiter_contract import ask
from support.redis_faults import Wire, wire_to
from support.redis_server import RedisServer, redis_binary, running, valkey_binary
from support.redis_stores import fresh_address, opened
from support.sales_contract import END_MS, fresh, sale

POLICIES = [
    "noeviction",
    *(f"{which}-{how}" for which in ("allkeys", "volatile") for how in ("lru", "lfu", "random")),
    "volatile-ttl",
]


@pytest.fixture(scope="module", params=[redis_binary, valkey_binary], ids=["redis", "valkey"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """A server that these tests configure and stop."""
    with running(tmp_path_factory.mktemp("own"), binary=request.param()) as started:
        yield started


@pytest.fixture
def address(server: RedisServer) -> RedisAddress:
    return fresh_address(server)


@pytest.fixture
def wire(server: RedisServer) -> Iterator[Wire]:
    with wire_to(server.port) as wire:
        yield wire


def _over(wire: Wire, address: RedisAddress) -> RedisAddress:
    return read_address(f"//127.0.0.1:{wire.port}?deployment={address.deployment}", scheme="redis")


@pytest.mark.parametrize("policy", POLICIES)
def test_only_a_server_that_evicts_nothing_is_a_ledger(
    server: RedisServer, address: RedisAddress, policy: str
) -> None:
    server.ask("CONFIG", "SET", "maxmemory-policy", policy)
    try:
        if policy == "noeviction":
            asyncio.run(opened(address).aclose())
        else:
            with pytest.raises(StoreError, match=f"is {policy}; set it to noeviction"):
                opened(address)
    finally:
        server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_a_server_that_begins_to_evict_is_a_ledger_no_more(
    server: RedisServer, address: RedisAddress
) -> None:
    async def story() -> None:
        ledger = opened(address)
        server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(StoreError, match="maxmemory-policy is not noeviction"):
                await ledger.probe()
            assert await spend(ledger) is Spend.UNKNOWN
        finally:
            server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        assert await spend(ledger) is Spend.WON
        await ledger.aclose()

    asyncio.run(story())


def test_a_user_with_the_documented_rights_is_enough(
    server: RedisServer, address: RedisAddress
) -> None:
    page = Path(__file__).parents[2] / "docs/stores.md"
    (rule,) = [line for line in page.read_text().splitlines() if line.startswith("ACL SETUSER")]
    server.ask(*rule.replace("default}", address.deployment + "}").split())
    password = rule.split(">")[1].split()[0]
    as_pypow = f"//pypow:{password}@127.0.0.1:{server.port}?deployment={address.deployment}"

    async def story() -> None:
        store = open_store(as_pypow)
        assert await spend(store.ledger) is Spend.WON
        await store.ledger.release(KEY)
        await store.ledger.probe()
        payment = sale(1)
        await store.payments.take(
            KEY,
            expires_at_ms=EXPIRES_AT_MS,
            now_ms=NOW_MS,
            limit=2,
            sale=payment,
            attempt=(attempt := fresh()),
            charge=None,
        )
        assert await store.payments.end(KEY, attempt, Ending.ANSWERED)
        await store.payments.live(attempt.life, lasts_ms=0)
        assert await store.sales.sold(since_ms=0, until_ms=END_MS) == [payment._replace(spent=1)]
        await store.sales.forget(before_ms=END_MS)
        await store.revocations.revoke(b"a", expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS)
        assert await store.revocations.revoked(now_ms=NOW_MS) == {b"a"}
        assert (await ask(store.limiter)).allowed
        await store.limiter.aclose()
        await store.ledger.aclose()

    asyncio.run(story())
    with pytest.raises(StoreError, match="give its user the commands and keys"):
        open_store(as_pypow + "-another")
    with pytest.raises(StoreError, match="right user and password") as caught:
        open_store(as_pypow.replace(password, "WRONG-SECRET"))
    assert "SECRET" not in str(caught.value)


def test_spends_that_wait_travel_together(address: RedisAddress, wire: Wire) -> None:
    async def story() -> None:
        ledger = opened(_over(wire, address))
        trips = wire.trips
        await asyncio.gather(*(spend(ledger, b"%d" % index) for index in range(200)))
        assert wire.trips - trips <= 40  # what is sent at once arrives in parts
        await ledger.aclose()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "reading its data; wait"),
        (b"-READONLY You can't write against a read only replica.\r\n", "it is a replica"),
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "more maxmemory"),
        (b"-MOVED 42 127.0.0.1:9\r\n", "another node of its cluster has the slot"),
        (b"-CLUSTERDOWN The cluster is down\r\n", "bring it up"),
        (b"-MISCONF Errors writing to the AOF file\r\n", "MISCONF Errors writing"),
        (b"-NOREPLICAS Not enough good replicas to write.\r\n", "NOREPLICAS"),
        (b"-NOSCRIPT No matching script.\r\n", "NOSCRIPT|No matching script"),
        (b"?\r\n", "Protocol error|cannot use"),
    ],
)
def test_whatever_redis_answers_instead_is_unknown_and_then_over(
    address: RedisAddress, wire: Wire, answer: bytes, text: str
) -> None:
    async def story() -> None:
        ledger = opened(_over(wire, address))
        wire.answer = answer
        assert await spend(ledger) is Spend.UNKNOWN
        with pytest.raises(StoreError, match=text):
            await ledger.probe()
        with pytest.raises(StoreError, match=text):
            await ledger.release(KEY)
        wire.answer = None
        assert await spend(ledger) is Spend.WON
        await ledger.probe()
        await ledger.aclose()

    asyncio.run(story())


def test_a_connection_that_ends_after_the_spend_is_unknown_and_the_spend_stands(
    address: RedisAddress, wire: Wire
) -> None:
    async def story() -> None:
        ledger = opened(_over(wire, address))
        wire.breaks = True
        assert await spend(ledger) is Spend.UNKNOWN
        assert await spend(ledger) is Spend.LOST
        await ledger.aclose()

    asyncio.run(story())


def test_a_server_that_does_not_answer_is_given_up_after_a_second(
    address: RedisAddress, wire: Wire
) -> None:
    async def story() -> None:
        ledger = opened(_over(wire, address))
        wire.is_silent = True
        assert await spend(ledger) is Spend.UNKNOWN
        wire.is_silent = False
        assert await spend(ledger) is Spend.LOST  # the first one was heard, not answered
        await ledger.aclose()

    asyncio.run(story())


def test_scripts_that_the_server_forgot_are_loaded_again(
    server: RedisServer, address: RedisAddress
) -> None:
    async def story() -> None:
        ledger, limiter = opened(address), RedisLimiter(address)
        server.ask("SCRIPT", "FLUSH")
        outcomes = await asyncio.gather(*(spend(ledger) for _ in range(20)))
        assert sorted(outcome is Spend.WON for outcome in outcomes) == [False] * 19 + [True]
        assert set(outcomes) == {Spend.WON, Spend.LOST}
        assert (await ask(limiter)).allowed
        await limiter.aclose()
        await ledger.aclose()

    asyncio.run(story())


def test_a_full_server_admits_nobody_and_is_survived(
    server: RedisServer, address: RedisAddress
) -> None:
    async def story() -> None:
        ledger = opened(address)
        epoch = await ledger.epoch()
        server.ask("CONFIG", "SET", "maxmemory", "1mb")
        try:
            assert await spend(ledger, epoch=epoch) is Spend.UNKNOWN
            with pytest.raises(StoreError, match="it is full; give it more maxmemory"):
                await ledger.probe()
        finally:
            server.ask("CONFIG", "SET", "maxmemory", "0")
        assert await spend(ledger, epoch=epoch) is Spend.WON
        await ledger.aclose()

    asyncio.run(story())


def test_a_stopped_server_is_found_again(server: RedisServer, address: RedisAddress) -> None:
    async def story() -> None:
        ledger = opened(address)
        server.kill()
        assert await spend(ledger) is Spend.UNKNOWN
        with pytest.raises(StoreError, match="check that it runs and can be reached"):
            opened(address)
        server.start()
        assert await spend(ledger) is Spend.WON
        await ledger.aclose()

    asyncio.run(story())


def test_a_server_that_hangs_is_unknown(server: RedisServer, address: RedisAddress) -> None:
    async def story() -> None:
        ledger = opened(address)
        server.process.send_signal(signal.SIGSTOP)
        try:
            assert await spend(ledger) is Spend.UNKNOWN
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert await spend(ledger) in {Spend.LOST, Spend.WON}
        assert await spend(ledger) is Spend.LOST
        await ledger.aclose()

    asyncio.run(story())


def test_expired_records_leave_the_server(server: RedisServer, address: RedisAddress) -> None:
    async def story() -> None:
        ledger = opened(address)
        await asyncio.gather(*(spend(ledger, b"%d" % index) for index in range(10)))
        late_ms = EXPIRES_AT_MS + SKEW_MS
        for index in range(5):
            await spend(ledger, b"late %d" % index, expires_at_ms=late_ms, now_ms=late_ms)
        await ledger.aclose()

    asyncio.run(story())
    late = {b"late %d" % index for index in range(5)}
    assert set(server.ask("ZRANGE", address.key("expiries"), 0, -1)) == late
    fields = {b":" + key for key in late} | {b"seed", b"beat", b"high"}
    assert set(server.ask("HKEYS", address.key("spends"))) == fields


def test_a_key_that_is_used_again_keeps_its_uses(address: RedisAddress) -> None:
    async def story() -> None:
        ledger = opened(address)
        await spend(ledger, limit=2)
        late_ms = EXPIRES_AT_MS + SKEW_MS
        outcomes = [
            await spend(ledger, expires_at_ms=late_ms, now_ms=late_ms, limit=2) for _ in range(2)
        ]
        assert outcomes == [Spend.WON, Spend.LOST]
        await ledger.aclose()

    asyncio.run(story())


def test_a_key_that_looks_like_the_epoch_is_a_key(
    server: RedisServer, address: RedisAddress
) -> None:
    async def story() -> None:
        ledger = opened(address)
        epoch = await ledger.epoch()
        for key in (b"seed", b"beat", b"high", b":", bytes(range(256))):
            assert await spend(ledger, key, epoch=epoch) is Spend.WON
            assert await spend(ledger, key, epoch=epoch) is Spend.LOST
        await ledger.aclose()

    asyncio.run(story())


def test_nobody_there_is_named_at_opening(tmp_path: Path) -> None:
    with running(tmp_path / "gone") as gone:
        pass
    with pytest.raises(StoreError, match=f"127.0.0.1:{gone.port}: .*check that it runs"):
        open_store(gone.rest)


def test_an_old_server_is_named(address: RedisAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"redis_version": "6.2.19", "maxmemory_policy": "noeviction"}
    monkeypatch.setattr(redis.Redis, "info", lambda *_: told)
    with pytest.raises(StoreError, match=r"expected Redis 7.0 or Valkey 7.2 at .*; got 6.2.19"):
        opened(address)


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before the first import of what needs the redis package."""
    for name in ("redis_store", "redis_records", "redis_connection"):
        monkeypatch.delitem(sys.modules, f"pypow_server.stores.{name}", raising=False)


@pytest.mark.usefixtures("unloaded")
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(StoreError, match=r"pip install 'pypow-engine\[redis\]'"):
        importlib.import_module("pypow_server.stores.redis_store")


@pytest.mark.usefixtures("unloaded")
def test_a_package_that_is_there_in_part_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "redis.backoff", None)
    with pytest.raises(ModuleNotFoundError, match=r"redis\.backoff"):
        importlib.import_module("pypow_server.stores.redis_store")

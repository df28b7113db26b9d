# SPDX-License-Identifier: Apache-2.0
"""How a Redis is looked for and asked, to the last word, by answers written down here."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
import redis

from pypow_server.stores import Allowance, Spend, StoreError, redis_connection, redis_records
from pypow_server.stores.operations import Claim, Release, Take
from pypow_server.stores.redis_address import RedisAddress, read_address
from pypow_server.stores.redis_connection import Condition, RedisConnection
from pypow_server.stores.redis_records import RedisLevels, RedisRecords
from pypow_server.stores.redis_store import open_store
from support.ledger_contract import EXPIRES_AT_MS, NOW_MS, spend
from support.limiter_contract import TEN, ask
from support.redis_server import RedisServer

FIT: Final = {"redis_version": "7.0.15", "maxmemory_policy": "noeviction"}
NO_RETRY: Final = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "protocol": 2}

Answers = dict[tuple[Any, ...], Any]


class Answering:
    """In the place of `redis.Redis`: answers by the book, and notes who it was made for.

    Attributes:
        made: what each client was made with.
        closed: the ports of those that were closed.
        answers: by the words asked; an exception is raised.
    """

    made: list[dict[str, Any]]
    closed: list[int]
    answers: Callable[[int], Answers]

    def __init__(self, **given: Any) -> None:
        self.port: int = given["port"]
        self.made.append(given)

    def info(self, *sections: str) -> Any:
        return self.execute_command("INFO", *sections)

    def script_load(self, text: str) -> str:
        return f"digest of {text}"

    def execute_command(self, *words: Any) -> Any:
        answer = type(self).answers(self.port)[words]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed.append(self.port)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> type[Answering]:
    class Fresh(Answering):
        made: list[dict[str, Any]] = []  # noqa: RUF012 - of this class alone
        closed: list[int] = []  # noqa: RUF012 - of this class alone
        answers = staticmethod(lambda _port: {("INFO", "server", "memory"): FIT})

    monkeypatch.setattr(redis, "Redis", Fresh)
    return Fresh


def _address(rest: str, scheme: str = "redis") -> RedisAddress:
    return read_address(rest, scheme=scheme)


def _made(answering: type[Answering]) -> list[dict[str, Any]]:
    """What the clients were made with; the rules for trying again are looked at here."""
    for given in answering.made:
        assert given.pop("retry").get_retries() == 0
    return answering.made


def test_a_server_is_asked_by_its_user_in_its_database_with_one_try(
    answering: type[Answering],
) -> None:
    RedisConnection(_address("//me:word@h:7/3"), ())
    to = {"host": "h", "port": 7, "db": 3, "username": "me", "password": "word"}
    assert _made(answering) == [{**to, **NO_RETRY}]


def test_an_encrypted_server_is_held_against_the_named_authorities(
    answering: type[Answering],
) -> None:
    RedisConnection(_address("//h?ca=/etc/ca.pem", "rediss"), ())
    to = {"host": "h", "port": 6379, "db": 0, "username": None, "password": None}
    tls = {"ssl": True, "ssl_ca_certs": "/etc/ca.pem"}
    assert _made(answering) == [{**to, **NO_RETRY, **tls}]


def test_sentinels_are_asked_by_their_own_user_for_the_named_master(
    answering: type[Answering], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Watching:
        def __init__(self, hosts: object, *, sentinel_kwargs: dict[str, Any]) -> None:
            assert sentinel_kwargs.pop("retry").get_retries() == 0
            asked.append((hosts, sentinel_kwargs))

        def __enter__(self) -> "Watching":
            return self

        def __exit__(self, *_: object) -> None:
            asked.append("closed")

        def discover_master(self, name: str) -> tuple[str, int]:
            asked.append(name)
            return "found", 8

    monkeypatch.setattr(redis_connection, "Sentinel", Watching)
    rest = "//me:word@a:1,b:2/main?sentinel_user=s&sentinel_password=t&ca=/c"
    RedisConnection(_address(rest, "rediss+sentinel"), ())
    tls = {"ssl": True, "ssl_ca_certs": "/c"}
    theirs = {**NO_RETRY, **tls, "username": "s", "password": "t"}
    assert asked == [((("a", 1), ("b", 2)), theirs), "main", "closed"]
    (given,) = _made(answering)
    assert (given["host"], given["port"], given["username"]) == ("found", 8, "me")


CLUSTER: Final = _address("//a:1,b:2", "redis+cluster")
SLOT: Final = ("CLUSTER KEYSLOT", "{pypow:default}:")
SLOTS: Final = ("CLUSTER SLOTS",)
AWAY: Final = redis.ConnectionError("away")


@pytest.mark.parametrize(
    ("name", "host"), [(b"named", "named"), (b"", "a")], ids=["named", "as_it_was_asked"]
)
def test_the_node_that_has_the_slot_is_the_one(
    answering: type[Answering], name: bytes, host: str
) -> None:
    slots = [[0, 99, [b"low", 7]], [100, 100, [name, 8], [b"replica", 9]], [101, 200, [b"up", 10]]]
    book = {SLOT: 100, SLOTS: slots, ("INFO", "server", "memory"): FIT}
    answering.answers = staticmethod(lambda _port: book)
    RedisConnection(CLUSTER, ())
    found = [(given["host"], given["port"]) for given in _made(answering)]
    assert found == [("a", 1), (host, 8)]
    assert answering.closed == [1]


def test_nodes_are_asked_one_after_the_other(answering: type[Answering]) -> None:
    def answers(port: int) -> Answers:
        books: dict[int, Answers] = {
            1: {SLOT: AWAY},
            2: {SLOT: 5, SLOTS: [[0, 16383, [b"c", 3]]]},
            3: {("INFO", "server", "memory"): FIT},
        }
        return books[port]

    answering.answers = staticmethod(answers)
    RedisConnection(CLUSTER, ())
    assert [given["port"] for given in answering.made] == [1, 2, 3]
    assert answering.closed == [1, 2]


@pytest.mark.parametrize(
    ("second", "text"),
    [
        ({SLOT: 5, SLOTS: [[6, 7, [b"c", 3]]]}, "no node has slot 5; its cluster is down"),
        ({SLOT: AWAY}, "away; check that it runs and can be reached"),
    ],
)
def test_what_the_last_node_said_is_told(
    answering: type[Answering], second: Answers, text: str
) -> None:
    answering.answers = staticmethod(
        lambda port: {1: {SLOT: redis.TimeoutError("late")}, 2: second}[port]
    )
    with pytest.raises(StoreError, match=text):
        RedisConnection(CLUSTER, ())
    assert answering.closed == [1, 2]


@pytest.mark.parametrize("appends", [0, 1])
def test_a_server_says_whether_it_appends_and_what_time_it_is(
    answering: type[Answering], appends: int
) -> None:
    connection = RedisConnection(_address("//h"), ())
    book: Answers = {("INFO", "persistence"): {"aof_enabled": appends}, ("TIME",): [b"12", b"3456"]}
    answering.answers = staticmethod(lambda _port: book)
    assert connection.condition() == Condition(bool(appends), 12_003)
    book["TIME",] = AWAY
    with pytest.raises(StoreError, match="cannot use the Redis at h:6379: away; check"):
        connection.condition()


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (
            {"redis_version": "6.9"},
            "expected Redis 7.0 or Valkey 7.2 at h:6379; got 6.9; upgrade it",
        ),
        ({}, "expected Redis 7.0 or Valkey 7.2 at h:6379; got 0; upgrade it"),
        (
            {"redis_version": "10.1", "maxmemory_policy": "allkeys-lru"},
            "the Redis at h:6379 may forget what is spent: its maxmemory-policy is allkeys-lru; "
            "set it to noeviction, and give it memory enough",
        ),
    ],
)
def test_a_server_that_is_no_ledger_is_told_what_to_do_and_left(
    answering: type[Answering], told: dict[str, str], text: str
) -> None:
    answering.answers = staticmethod(lambda _port: {("INFO", "server", "memory"): told})
    with pytest.raises(StoreError) as caught:
        RedisConnection(_address("//h"), ())
    assert str(caught.value) == text
    assert answering.closed == [6379]


def test_a_fault_without_a_remedy_is_told_as_it_is(answering: type[Answering]) -> None:
    odd = redis.ResponseError("odd")
    answering.answers = staticmethod(lambda _port: {("INFO", "server", "memory"): odd})
    with pytest.raises(StoreError) as caught:
        RedisConnection(_address("//h"), ())
    assert str(caught.value) == "cannot use the Redis at h:6379: odd"


def test_what_a_url_opens_spends_and_counts(redis_server: RedisServer) -> None:
    async def story() -> None:
        store = open_store(f"{redis_server.rest}?deployment=opened-by-its-url")
        assert await spend(store.ledger, epoch=await store.ledger.epoch()) is Spend.WON
        assert (await ask(store.limiter, calls=10)).allowed
        assert (await ask(store.limiter)).retry_after_ms == 6_000
        await store.limiter.aclose()
        with pytest.raises(StoreError, match=r"the Redis limiter at 127\.0\.0\.1:.* is closed"):
            await ask(store.limiter)
        await store.ledger.aclose()

    asyncio.run(story())


class Scripted:
    """In the place of a `RedisConnection`: each round trip has its replies written down."""

    replies: list[list[Any]]

    def __init__(self, *_: object) -> None:
        return

    def run(self, calls: Sequence[object]) -> list[Any]:
        replies = self.replies.pop(0)
        assert len(replies) == len(calls)
        return replies


def test_a_fault_among_the_replies_is_the_answer_of_those_it_concerns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault = StoreError("odd")
    quota = Take(b"someone", TEN, NOW_MS, 1)
    used = [1, NOW_MS, TEN.period_ms]
    replies = [[[None, 7, 5]], [fault, None], [fault, used]]
    monkeypatch.setattr(Scripted, "replies", replies, raising=False)
    monkeypatch.setattr(redis_records, "RedisConnection", Scripted)
    records = RedisRecords(_address("//h"), high_water_ms=3)
    assert (records.epoch, records.high_water_ms) == (7, 5)
    claims = [Claim(key, None, EXPIRES_AT_MS, NOW_MS, 1) for key in (b"a", b"b")]
    assert records.apply([claims[0], Release(b"a"), claims[1]]) == [fault, None, fault]
    taken = RedisLevels(_address("//h")).apply([quota, quota])
    assert taken == [fault, Allowance(allowed=True, remaining=9, retry_after_ms=0)]

# SPDX-License-Identifier: Apache-2.0
"""Credits are spends and refunds: ledgers asked at random, beside a model of them."""

import asyncio
import itertools
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pypow_server import passes
from pypow_server.scope import UPSTREAM_REACHED, Receive, Scope, Send
from pypow_server.stores import Ledger
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.redis_address import read_address
from pypow_server.stores.redis_store import RedisLedger
from pypow_server.stores.sqlite import SqliteLedger
from support.challenges import KEY, NOW_MS
from support.credit_model import Failing, OpenAt, Tally, Trial
from support.fault_proxy import Failure, fault_proxy
from support.gated import Bench
from support.ledger_twins import AsksThenMarks, ReleasesEverything
from support.redis_server import running

OPERATIONS = 3_000
DEEP_OPERATIONS = int(os.environ.get("PYPOW_TORTURE_OPERATIONS", "1000000"))


@dataclass(frozen=True, slots=True)
class Subject:
    """A store under trial."""

    open_at: OpenAt
    forgets: bool = False
    failing: Failing | None = None

    def tried(self, chance: Random, operations: int) -> Tally:
        trial = Trial(self.open_at, chance, forgets=self.forgets, failing=self.failing)
        return asyncio.run(trial.run(operations))


def in_memory(_folder: Path, kind: type[MemoryLedger] = MemoryLedger) -> Subject:
    async def open_at(_clock: Callable[[], int]) -> Ledger:
        return kind()

    return Subject(open_at, forgets=True)


def in_sqlite(folder: Path) -> Subject:
    path = folder / "ledger.db"

    async def open_at(clock: Callable[[], int]) -> Ledger:
        return SqliteLedger(path, clock=clock, busy_timeout_ms=1)

    @asynccontextmanager
    async def locked() -> AsyncIterator[None]:
        other = sqlite3.connect(path, isolation_level=None, timeout=30)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.close()

    return Subject(open_at, failing=locked)


@contextmanager
def in_redis(folder: Path) -> Iterator[Subject]:
    with running(folder / "redis") as server, fault_proxy(server.port) as proxy:
        address = read_address(f"//127.0.0.1:{proxy.port}/0", scheme="redis")

        async def open_at(clock: Callable[[], int]) -> Ledger:
            return RedisLedger(address, clock=clock)

        @asynccontextmanager
        async def dropped() -> AsyncIterator[None]:
            proxy.arm(Failure.DROP, next(pieces))
            try:
                yield
            finally:
                proxy.disarm()

        pieces = itertools.cycle((1, 2, 3, 4))  # questions and answers in turn
        yield Subject(open_at, failing=dropped)


@pytest.mark.parametrize("subject", [in_memory, in_sqlite])
def test_credits_are_spends_and_refunds(subject: Callable[[Path], Subject], tmp_path: Path) -> None:
    tally = subject(tmp_path).tried(Random(4711), OPERATIONS)
    assert tally.mistakes == []
    assert min(tally.won, tally.lost, tally.stale, tally.unknown, tally.released) > 0
    assert tally.restarts > 0


def test_credits_are_spends_and_refunds_in_redis(tmp_path: Path) -> None:
    with in_redis(tmp_path) as subject:
        tally = subject.tried(Random(4711), OPERATIONS)
    assert tally.mistakes == []
    assert tally.faults > 0


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_no_short_history_makes_credits_differ(chance: Random) -> None:
    assert in_memory(Path()).tried(chance, 30).mistakes == []


@pytest.mark.parametrize("twin", [AsksThenMarks, ReleasesEverything])
def test_a_ledger_whose_credits_do_not_add_up_is_caught(twin: type[MemoryLedger]) -> None:
    assert in_memory(Path(), twin).tried(Random(4711), OPERATIONS).mistakes


@pytest.mark.deep
@pytest.mark.parametrize("subject", [in_memory, in_sqlite])
def test_credits_are_spends_and_refunds_over_a_million_operations(
    subject: Callable[[Path], Subject], tmp_path: Path
) -> None:
    tally = subject(tmp_path).tried(Random(4711), DEEP_OPERATIONS)
    print(tally)
    assert tally.mistakes == []


@pytest.mark.deep
def test_credits_are_spends_and_refunds_over_a_million_operations_in_redis(tmp_path: Path) -> None:
    with in_redis(tmp_path) as subject:
        tally = subject.tried(Random(4711), DEEP_OPERATIONS)
    print(tally)
    assert tally.mistakes == []


@settings(max_examples=20)
@given(st.integers(1, 12), st.lists(st.booleans(), max_size=40))
def test_a_pass_buys_its_calls_however_often_the_upstream_is_away(
    calls: int, reachable: list[bool]
) -> None:
    weather = iter(reachable)
    served = 0

    async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal served
        if up := next(weather, True):
            served += 1
        else:
            scope[UPSTREAM_REACHED] = False
        await send({"type": "http.response.start", "status": 200 if up else 502, "headers": []})
        await send({"type": "http.response.body"})

    bench = Bench(app=upstream)
    bought = passes.issue(
        KEY, identity=bytes(16), calls=calls, weight=1, expires_at_ms=NOW_MS + 60_000
    )
    bearer = [(b"authorization", b"Bearer " + bought.text.encode())]
    statuses = [bench.send("GET", headers=bearer).status for _ in range(calls + len(reachable) + 3)]
    assert served == statuses.count(200) == calls
    assert bench.ledger.spends - bench.ledger.releases - statuses.count(402) == calls

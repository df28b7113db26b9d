# SPDX-License-Identifier: Apache-2.0
"""What the gate adds to a request, in process, with a ledger in memory."""

import asyncio
from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import pypow
from pypow import Key, Keyring
from pypow_server.gate import Gate
from pypow_server.policy import Policy, Price
from pypow_server.rails.work import WorkRail
from pypow_server.scope import ASGIApp, Receive, Scope, Send
from pypow_server.stores.memory import MemoryLedger
from support.asgi_client import call

REQUESTS = 200
"""In each measured call, so that the event loop's own cost is spread thin."""

KEY = Key(id=1, secret=bytes(32))
PRICE = Price("easy", 4 * 1024)

Headers = list[tuple[bytes, bytes]]


async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture
def gate() -> Gate:
    return Gate(
        app,
        rails=[WorkRail(Keyring([KEY]), public_host="gate.example")],
        ledger=MemoryLedger(),
        policy=Policy(default=PRICE),
    )


def ask(
    loop: asyncio.AbstractEventLoop, asked: ASGIApp, path: bytes, headers: list[Headers]
) -> set[int]:
    """One request for each list of headers; the statuses met."""

    async def all_of_them() -> set[int]:
        answers = [await call(asked, "GET", path, headers=one) for one in headers]
        return {answer.status for answer in answers}

    return loop.run_until_complete(all_of_them())


HOST = (b"host", b"gate.example")
PLAIN: list[Headers] = [[HOST]] * REQUESTS


def note_cost(benchmark: BenchmarkFixture) -> None:
    """Put microseconds for each request, by the median call, into the saved run."""
    if benchmark.stats is not None:
        median_s = benchmark.stats.stats.median
        benchmark.extra_info["us_per_request"] = round(1e6 * median_s / REQUESTS, 1)


def test_no_gate(benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop) -> None:
    benchmark.group = "200 requests"
    assert benchmark(ask, loop, app, b"/x", PLAIN) == {200}
    note_cost(benchmark)


def test_free_path(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, gate: Gate
) -> None:
    benchmark.group = "200 requests"
    assert benchmark(ask, loop, gate, b"/.well-known/x", PLAIN) == {200}
    note_cost(benchmark)


def test_refused_with_an_offer(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, gate: Gate
) -> None:
    benchmark.group = "200 requests"
    assert benchmark(ask, loop, gate, b"/x", PLAIN) == {402}
    note_cost(benchmark)


def test_admitted_with_a_fresh_proof(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, gate: Gate
) -> None:
    benchmark.group = "200 requests"

    async def proof() -> Headers:
        refusal = await call(gate, "GET", b"/x", headers=[HOST])
        (offered,) = refusal.values(b"www-authenticate")
        challenge = offered.decode().split('challenge="')[1].split('"')[0]
        return [HOST, (b"x-pow-solution", pypow.solve(challenge).header().encode())]

    async def proofs() -> list[Headers]:
        return [await proof() for _ in range(REQUESTS)]

    def fresh() -> tuple[tuple[object, ...], dict[str, object]]:
        return (loop, gate, b"/x", loop.run_until_complete(proofs())), {}

    statuses = benchmark.pedantic(ask, setup=fresh, rounds=10)  # type: ignore[no-untyped-call]
    assert statuses == {200}
    note_cost(benchmark)

# SPDX-License-Identifier: Apache-2.0
"""What a call costs whose caller has signed in: the whole gate, a token that was seen, no socket.

The same call without a gate stands beside.
"""

import asyncio
from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pypow_server.gate import Gate
from pypow_server.policy import Policy
from pypow_server.rails.oauth import OAuthRail
from pypow_server.scope import ASGIApp, Message, Receive, Scope, Send
from pypow_server.stores.memory import MemoryLedger
from support import tokens
from support.asgi_client import http_scope
from support.logins import ONLY, bearer
from support.tokens import NOW_MS, RESOURCE, claims, judge_of, minted

CALLS = 200
"""In each measured round, so that the event loop's own cost is spread thin."""

KEY = tokens.ec_key("key")
TOKEN = minted(claims(), KEY)


async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def gated() -> Gate:
    rail = OAuthRail(
        judge_of(KEY),
        resource=RESOURCE,
        public_url="https://gate.example",
        metadata_url="https://gate.example/.well-known/oauth-protected-resource",
        issuers=[tokens.ISSUER],
    )
    policy = Policy(default=ONLY, takes_tokens=True)
    return Gate(
        app, rails=(), ledger=MemoryLedger(), policy=policy, login=rail, clock=lambda: NOW_MS
    )


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.mark.parametrize("asked", [app, gated()], ids=["ungated", "signed in"])
def test_calls(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, asked: ASGIApp
) -> None:
    statuses: list[int] = []

    async def receive() -> Message:
        raise AssertionError("no body is read")

    async def send(message: Message) -> None:
        if "status" in message:
            statuses.append(message["status"])

    headers = [(b"host", b"gate.example"), *bearer(TOKEN)]

    async def call_all() -> None:
        for _ in range(CALLS):
            await asked(http_scope(headers=headers), receive, send)

    benchmark.pedantic(  # type: ignore[no-untyped-call]  # the plugin's own gap
        lambda: loop.run_until_complete(call_all()), rounds=50, warmup_rounds=1
    )
    assert set(statuses) == {200}
    if benchmark.stats is not None:
        # The fastest: whatever else the machine does only adds to it.
        benchmark.extra_info["us_per_call"] = round(1e6 * benchmark.stats.stats.min / CALLS, 1)

# SPDX-License-Identifier: Apache-2.0
"""A gate behind real nginx, Caddy and HAProxy, run on the files of docs/deploy."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from pypow_server.scope import Receive, Scope, Send
from support.balancers import GATE, SECOND_GATE, balancer
from support.gate_process import gate_process
from support.plain_http import ask, solution
from support.serving import served

PROXIES = {
    "nginx": "nginx/proxy.conf",
    "caddy": "caddy/proxy.Caddyfile",
    "haproxy": "haproxy/haproxy.cfg",
}
_PATIENCE_S = 20


@dataclass
class Upstream:
    """Streams three events, each when it is told to; echoes over WebSockets; else says hello."""

    scopes: list[Scope] = field(default_factory=list)
    next_event: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({**await receive(), "type": "websocket.send"})
            await receive()
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(3 if scope["path"] == "/events" else 0):
            event = b"data: %d\n\n" % number
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.to_thread(self.next_event.acquire)
        await send({"type": "http.response.body", "body": b"hello"})


@dataclass(frozen=True)
class Bench:
    url: str
    upstream: Upstream

    def proof(self, path: str) -> dict[str, str]:
        return solution(ask(f"{self.url}/api/challenge?resource=GET%20{path}").json)


@pytest.fixture(scope="module", params=PROXIES)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    home = tmp_path_factory.mktemp("balanced")
    upstream = Upstream()
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(served(upstream))
        ledger = f"sqlite:{home / 'ledger.db'}"
        gate = stack.enter_context(gate_process(home, url, "--bits", "4", "--store", ledger))
        addresses = {GATE: gate.url.removeprefix("http://")}
        if request.param == "haproxy":
            addresses[SECOND_GATE] = addresses[GATE]
        front = stack.enter_context(balancer(home, PROXIES[request.param], addresses))
        yield Bench(front, upstream)


def test_the_price_is_seen_and_a_proof_admits_once(bench: Bench) -> None:
    refusal = ask(f"{bench.url}/x?a=1")
    assert refusal.status == 402
    assert refusal.headers["WWW-Authenticate"].startswith("PoW ")
    paid = solution(refusal.json["offers"][0])
    before = len(bench.upstream.scopes)
    assert [ask(f"{bench.url}/x?a=1", headers=paid).status for _ in range(3)] == [200, 402, 402]
    assert len(bench.upstream.scopes) == before + 1
    reached = bench.upstream.scopes[-1]
    assert (reached["raw_path"], reached["query_string"]) == (b"/x", b"a=1")
    assert b"x-pow-solution" not in [name for name, _ in reached["headers"]]


def test_events_pass_as_they_come(bench: Bench) -> None:
    async def story() -> list[bytes]:
        events = []
        async with (
            asyncio.timeout(_PATIENCE_S),
            aiohttp.ClientSession() as session,
            session.get(f"{bench.url}/events", headers=bench.proof("/events")) as response,
        ):
            async for chunk in response.content.iter_any():
                events.append(chunk)
                bench.upstream.next_event.release()
        return events

    assert asyncio.run(story())[:3] == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


def test_a_websocket_opens_for_a_proof(bench: Bench) -> None:
    async def story() -> str:
        async with (
            asyncio.timeout(_PATIENCE_S),
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{bench.url}/ws", headers=bench.proof("/ws")) as websocket,
        ):
            await websocket.send_str("hello")
            text: str = (await websocket.receive()).data
            return text

    assert asyncio.run(story()) == "hello"


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_a_balancer_that_speaks_the_proxy_protocol_is_told_to_set_a_header(
    version: str, tmp_path: Path
) -> None:
    with gate_process(tmp_path, "http://127.0.0.1:9", "--store", "memory:") as gate:
        speaking = f"{gate.url.removeprefix('http://')} {version}"
        addresses = {GATE: speaking, SECOND_GATE: speaking}
        with balancer(tmp_path / "haproxy", PROXIES["haproxy"], addresses) as url:
            answers = [ask(f"{url}/x") for _ in range(5)]
        _, complaints = gate.stop()
    assert {answer.status for answer in answers} == {400}
    assert b"PROXY protocol" in answers[0].body
    assert complaints.count("127.0.0.1 speaks the PROXY protocol, and is refused") == 1

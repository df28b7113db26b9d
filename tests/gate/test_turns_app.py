# SPDX-License-Identifier: Apache-2.0
"""The assembled server has calls wait, whatever stands before or behind it, and at its end none."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI

from pypow.pricing import UNIT
from pypow_server import app as app_module
from pypow_server.app import App, create_app
from pypow_server.crowd.departures import noticed
from pypow_server.crowd.turns import Turns
from pypow_server.meter import Pricing
from pypow_server.policy_rows import Rows
from pypow_server.require import install, require
from pypow_server.scope import Message
from pypow_server.settings import Settings
from pypow_server.stores import Quota
from support.asgi_client import call, http_scope
from support.gated import RecordingApp, offers, solution, solved
from support.played_loop import played, played_ns

QUOTA = Quota(600, 60_000)
A_CALL_A_SECOND = Rows(default_free=QUOTA, pricing=Pricing(QUOTA, capacity=UNIT))
HOST = [(b"host", b"127.0.0.1")]


@pytest.fixture(autouse=True)
def _played_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "Turns", partial(Turns, clock=played_ns))


def settings(folder: Path, rows: Rows = A_CALL_A_SECOND, **changes: Any) -> Settings:
    return Settings(state_dir=folder, store="memory:", bits=8.0, rows=rows, **changes)


async def asked(app: App, client: str = "192.0.2.1") -> tuple[int, float]:
    """The status of an answer, and when it came."""
    answer = await call(app, "GET", b"/x", headers=HOST, client=(client, 1))
    return answer.status, round(played_ns() / 1e9, 2)


def test_a_capacity_has_calls_wait_until_a_reload_takes_it_away(tmp_path: Path) -> None:
    async def story() -> None:
        app = create_app(settings(tmp_path), around=RecordingApp())
        found = await asyncio.gather(*(asked(app, f"192.0.2.{n}") for n in range(4)))
        assert sorted(found) == [(200, 0), (200, 1), (200, 2), (503, 0)]
        figures, _ = app.telemetry.metrics.exposition("")
        assert b'pypow_sent_away_total{lane="new"} 1.0' in figures
        waiting = [asyncio.create_task(asked(app)) for _ in range(2)]
        await asyncio.sleep(0.5)
        app.reload(settings(tmp_path, Rows(default_free=QUOTA)))
        assert [await one for one in waiting] == [(200, 2.5)] * 2
        assert [await asked(app) for _ in range(9)] == [(200, 2.5)] * 9
        await app.stop()

    played(story)


def test_a_gate_that_is_to_stop_sends_away_whoever_waits(tmp_path: Path) -> None:
    async def story() -> None:
        app = create_app(settings(tmp_path), around=RecordingApp())
        assert await asked(app) == (200, 0)
        waiting = [asyncio.create_task(asked(app)) for _ in range(2)]
        await asyncio.sleep(0.5)
        app.drain()
        assert [await one for one in waiting] == [(503, 0.5)] * 2
        assert await asked(app) == (503, 0.5)
        assert await app.readiness.hindrance() is not None
        await app.stop()

    played(story)


def test_a_proxy_that_asks_for_a_decision_waits_for_it_and_may_hang_up(tmp_path: Path) -> None:
    headers = [*HOST, (b"x-original-method", b"GET"), (b"x-original-uri", b"/x")]

    async def story() -> None:
        app = create_app(
            settings(tmp_path, forward_auth="nginx", trusted_proxies=("10.0.0.0/8",),
                     client_header="X-Real-IP", hosts=("*",))
        )  # fmt: skip

        async def decided(incoming: "asyncio.Queue[Message]", client: bytes) -> tuple[Any, float]:
            sent: list[Message] = []

            async def send(message: Message) -> None:
                sent.append(message)

            fields = [*headers, (b"x-real-ip", client)]
            scope = http_scope("GET", b"/decide", headers=fields, client=("10.0.0.1", 1))
            await app(scope, incoming.get, send)
            return sent[0]["status"], round(played_ns() / 1e9, 2)

        queues = [asyncio.Queue[Message]() for _ in range(3)]
        for queue in queues:
            queue.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        asks = [
            asyncio.create_task(decided(queue, b"192.0.2.%d" % n)) for n, queue in enumerate(queues)
        ]
        await asyncio.sleep(0.2)
        assert app.turns.waiting == 2
        for queue in queues:
            queue.put_nowait({"type": "http.disconnect"})
        assert [(await one)[1] for one in asks] == [0, 0.2, 0.2]
        assert app.turns.waiting == 0
        await app.stop()

    played(story)


def test_a_route_that_requires_a_price_waits_for_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "pypow.toml"
    policy.write_text('[pricing]\nquota = "600/60s"\ncapacity = "1/s"\n', encoding="utf-8")
    for name, value in (("CONFIG", policy), ("STATE_DIR", tmp_path), ("STORE", "memory:")):
        monkeypatch.setenv(f"PYPOW_{name}", str(value))

    async def story() -> None:
        app = FastAPI()
        install(app, prices={"search": 4.0})

        @app.get("/x", dependencies=[Depends(require("search"))])
        async def search() -> str:
            return "found"

        refusal = await call(app, "GET", b"/x", headers=HOST)
        assert refusal.status == 402
        line: Turns = app.state.pypow.gate._checkout.turns
        assert line.begin(1)
        proof = await paid(app)
        answer = await call(app, "GET", b"/x", headers=[*HOST, *proof])
        assert (answer.status, round(played_ns() / 1e9, 2)) == (200, 1)

    played(story)


async def paid(app: Any) -> list[tuple[bytes, bytes]]:
    return solution(solved(offers(await call(app, "GET", b"/x", headers=HOST))[0]))


def test_a_connection_that_never_ends_to_say_the_same_is_read_a_few_times_only() -> None:
    async def story() -> None:
        reads = 0

        async def says_the_same() -> Message:
            nonlocal reads
            reads += 1
            return {"type": "http.request", "body": b"x", "more_body": False}

        with noticed(says_the_same, lambda: pytest.fail("nobody left")) as receive:
            await asyncio.sleep(1)
        assert reads == 4
        assert [(await receive())["body"] for _ in range(5)] == [b"x"] * 5
        assert reads == 5

    played(story)


def test_two_never_read_a_connection_at_once() -> None:
    async def story() -> None:
        reading = 0
        incoming = asyncio.Queue[Message]()

        async def read_alone() -> Message:
            nonlocal reading
            assert reading == 0
            reading += 1
            try:
                return await incoming.get()
            finally:
                await asyncio.sleep(0)
                reading -= 1

        with noticed(read_alone, lambda: None) as receive:
            await asyncio.sleep(1)
        said, _ = await asyncio.gather(receive(), incoming.put({"type": "http.disconnect"}))
        assert said["type"] == "http.disconnect"

    played(story)

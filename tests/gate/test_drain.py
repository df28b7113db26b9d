# SPDX-License-Identifier: Apache-2.0
"""How a gate ends: not ready at once, no call dropped, and not later than it was told."""

import asyncio
import http.client
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pypow_server.scope import Receive, Scope, Send
from support.gate_process import PATIENCE_S, GateProcess, gate_process
from support.plain_http import TIMEOUT_S, ask
from support.serving import served

FREE = "/.well-known/anything"
CALLERS = 8
RUNS = int(os.environ.get("PYPOW_TEST_DRAINS", "100"))


class Stream:
    """An upstream that begins a response, and ends it when it is told to."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
        self.began.set()
        await asyncio.to_thread(self.may_end.wait, PATIENCE_S)
        await send({"type": "http.response.body", "body": b"ended"})


async def soon(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.002)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"answered"})


@contextmanager
def streaming(gate: GateProcess, stream: Stream) -> Iterator[http.client.HTTPResponse]:
    """A response that has begun to come in."""
    connection = http.client.HTTPConnection(urlsplit(gate.url).netloc, timeout=TIMEOUT_S)
    try:
        connection.request("GET", FREE)
        response = connection.getresponse()
        assert response.read(6) == b"begun "
        yield response
    finally:
        stream.may_end.set()
        connection.close()


def until_refused(url: str) -> None:
    """Wait until nobody listens there any more."""
    address = (urlsplit(url).hostname, urlsplit(url).port)
    while True:
        try:
            socket.create_connection(address, timeout=TIMEOUT_S).close()
        except ConnectionError:
            return


def test_a_gate_that_is_to_stop_tells_so_takes_nobody_and_ends_what_it_began(
    tmp_path: Path,
) -> None:
    stream = Stream()
    with served(stream) as upstream, gate_process(tmp_path, upstream) as gate:
        assert ask(f"{gate.admin_url}/readyz").status == 200
        with streaming(gate, stream) as response:
            gate.process.send_signal(signal.SIGTERM)
            until_refused(gate.url)
            ready, alive = ask(f"{gate.admin_url}/readyz"), ask(f"{gate.admin_url}/livez")
            stream.may_end.set()
            assert response.read() == b"ended"
        _, complaints = gate.process.communicate(timeout=PATIENCE_S)

    assert (ready.status, alive.status) == (503, 200)
    assert ready.body.startswith(b"draining")
    assert (gate.process.returncode, complaints) == (0, "")


def test_a_stream_without_an_end_is_cut_when_the_time_is_over(tmp_path: Path) -> None:
    stream = Stream()
    with (
        served(stream) as upstream,
        gate_process(tmp_path, upstream, "--drain", "1") as gate,
        streaming(gate, stream) as response,
    ):
        gate.process.send_signal(signal.SIGTERM)
        gate.process.wait(timeout=PATIENCE_S)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            response.read()

    assert gate.process.returncode == 0


class Load:
    """Callers that ask again and again until nobody listens, and what became of what they sent."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self.outcomes: Counter[str] = Counter()
        self.runs = threading.Event()

    def calls(self, *, keep_alive: bool) -> None:
        """Ask until a connection is refused."""
        connection: http.client.HTTPConnection | None = None
        while True:
            if connection is None:
                connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    return
            outcome = self._one(connection)
            self.outcomes[outcome] += 1
            if self.outcomes["answered"] > 50:
                self.runs.set()
            if not keep_alive or connection.sock is None or outcome != "answered":
                connection.close()
                connection = None

    @staticmethod
    def _one(connection: http.client.HTTPConnection) -> str:
        try:
            connection.request("GET", FREE)
            response = connection.getresponse()
            body = response.read()
        except (ConnectionError, http.client.HTTPException) as error:
            return f"dropped: {type(error).__name__}"
        return "answered" if response.status in (200, 429) and body else f"{response.status}"


def ended_under_load(runs: int, tmp_path: Path, *, keep_alive: bool) -> Counter[str]:
    """What became of the calls of so many gates that were ended under load."""
    outcomes: Counter[str] = Counter()
    for run in range(runs):
        with (
            served(soon) as upstream,
            gate_process(tmp_path / str(run), upstream, "--log-level", "error") as gate,
            ThreadPoolExecutor(CALLERS) as pool,
        ):
            load = Load(gate.url)
            callers = [pool.submit(load.calls, keep_alive=keep_alive) for _ in range(CALLERS)]
            assert load.runs.wait(timeout=PATIENCE_S), load.outcomes
            code, complaints = gate.stop()
            for caller in callers:
                caller.result(timeout=PATIENCE_S)
        assert (code, complaints) == (0, "")
        outcomes += load.outcomes

    return outcomes


each_caller = pytest.mark.parametrize("keep_alive", [True, False], ids=["kept", "closed"])


@each_caller
def test_no_call_is_dropped_under_load(keep_alive: bool, tmp_path: Path) -> None:
    outcomes = ended_under_load(1, tmp_path, keep_alive=keep_alive)

    assert set(outcomes) == {"answered"}, outcomes


@pytest.mark.deep
@each_caller
def test_no_call_is_dropped_by_a_hundred_gates_that_end(keep_alive: bool, tmp_path: Path) -> None:
    outcomes = ended_under_load(RUNS // 2, tmp_path, keep_alive=keep_alive)

    assert set(outcomes) == {"answered"}, outcomes

# SPDX-License-Identifier: Apache-2.0
"""`pypow gate` as its users meet it: a process, its files, its signals, its one-line errors."""

import asyncio
import http.client
import json
import signal
import socket
import stat
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pypow.cli.gate import greeting
from pypow_server.scope import Receive, Scope, Send
from pypow_server.settings import Settings
from support.gate_process import PATIENCE_S, failed_start, gate_process
from support.plain_http import TIMEOUT_S, ask, solution
from support.serving import served

CHEAP = ("--bits", "4")


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"earned"})


def test_a_proof_admits_one_call_to_the_server_behind_it(tmp_path: Path) -> None:
    with served(hello) as upstream, gate_process(tmp_path, upstream, *CHEAP) as gate:
        refused = ask(f"{gate.url}/x")
        proof = solution(ask(f"{gate.url}/api/challenge").json)
        admitted = ask(f"{gate.url}/x", headers=proof)
        replayed = ask(f"{gate.url}/x", headers=proof)
        code, complaints = gate.stop()

    assert (refused.status, admitted.status, replayed.status) == (402, 200, 402)
    assert admitted.body == b"earned"
    assert "server" not in refused.headers
    assert code == 0
    assert "Traceback" not in complaints
    assert "problem=work-required" in complaints
    assert proof["X-PoW-Solution"] not in complaints


def test_a_replay_is_refused_after_a_restart_with_the_same_keys(tmp_path: Path) -> None:
    with served(hello) as upstream:
        with gate_process(tmp_path, upstream, *CHEAP, "--public-url", "http://g.example") as first:
            keys = Path(first.ready["keys"])
            made = keys.read_bytes()
            proof = solution(ask(f"{first.url}/api/challenge").json)
            assert ask(f"{first.url}/x", headers=proof).status == 200
            first.stop()
        with gate_process(tmp_path, upstream, *CHEAP, "--public-url", "http://g.example") as second:
            replayed = ask(f"{second.url}/x", headers=proof)

    assert keys == tmp_path / ".local" / "state" / "pypow" / "keys.json"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.parent.stat().st_mode) == 0o700
    assert keys.read_bytes() == made
    assert replayed.status == 402
    # A restart that took longer than five seconds has begun a new epoch.
    assert replayed.json["type"] in ("urn:pypow:error:already-spent", "urn:pypow:error:stale-epoch")


def test_health_and_documentation_are_on_the_operators_side_only(tmp_path: Path) -> None:
    with served(hello) as upstream, gate_process(tmp_path, upstream, *CHEAP) as gate:
        assert ask(f"{gate.admin_url}/livez").status == 200
        assert ask(f"{gate.admin_url}/readyz").status == 200
        assert "/api/challenge" in ask(f"{gate.admin_url}/openapi.json").json["paths"]
        for path in ("/livez", "/readyz", "/openapi.json", "/docs"):
            assert ask(gate.url + path).status == 402


def test_an_upstream_that_is_down_costs_the_caller_nothing(tmp_path: Path) -> None:
    with socket.socket() as reserved:
        # Bound and not listening: the port is ours, and connections to it are refused.
        reserved.bind(("127.0.0.1", 0))
        upstream = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with gate_process(tmp_path, upstream, *CHEAP) as gate:
            proof = solution(ask(f"{gate.url}/api/challenge").json)
            first = ask(f"{gate.url}/x", headers=proof)
            second = ask(f"{gate.url}/x", headers=proof)

    assert (first.status, second.status) == (502, 502)
    assert first.json["type"] == "urn:pypow:error:bad-gateway"


def test_events_pass_as_they_come_not_when_the_stream_ends(tmp_path: Path) -> None:
    first_was_read = threading.Event()

    async def events(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        assert await asyncio.to_thread(first_was_read.wait, PATIENCE_S)
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})

    with served(events) as upstream, gate_process(tmp_path, upstream, *CHEAP) as gate:
        proof = solution(ask(f"{gate.url}/api/challenge").json)
        connection = http.client.HTTPConnection(urlsplit(gate.url).netloc, timeout=TIMEOUT_S)
        connection.request("GET", "/events", headers=proof)
        response = connection.getresponse()
        assert response.readline() == b"data: 1\n"
        first_was_read.set()
        assert response.read() == b"\ndata: 2\n\n"
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_call_in_flight_end_and_then_the_process(
    number: signal.Signals, tmp_path: Path
) -> None:
    arrived, asked_to_stop = threading.Event(), threading.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.set()
        assert await asyncio.to_thread(asked_to_stop.wait, PATIENCE_S)
        await hello(scope, receive, send)

    with served(slow) as upstream, gate_process(tmp_path, upstream, *CHEAP) as gate:
        proof = solution(ask(f"{gate.url}/api/challenge").json)
        connection = http.client.HTTPConnection(urlsplit(gate.url).netloc, timeout=TIMEOUT_S)
        connection.request("GET", "/x", headers=proof)
        assert arrived.wait(PATIENCE_S)
        gate.process.send_signal(number)
        _until_refused(gate.url)
        asked_to_stop.set()
        body = connection.getresponse().read()
        connection.close()
        _, complaints = gate.process.communicate(timeout=PATIENCE_S)

    assert body == b"earned"
    assert gate.process.returncode == 0
    assert complaints == ""


def test_a_second_signal_does_not_wait_for_the_call_in_flight(tmp_path: Path) -> None:
    arrived, over = threading.Event(), threading.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.set()
        await asyncio.to_thread(over.wait, PATIENCE_S)

    with served(endless) as upstream, gate_process(tmp_path, upstream, *CHEAP) as gate:
        proof = solution(ask(f"{gate.url}/api/challenge").json)
        connection = http.client.HTTPConnection(urlsplit(gate.url).netloc, timeout=TIMEOUT_S)
        connection.request("GET", "/x", headers=proof)
        assert arrived.wait(PATIENCE_S)
        gate.process.send_signal(signal.SIGINT)
        try:
            _until_refused(gate.url)
            code, complaints = gate.stop(signal.SIGINT)
        finally:
            over.set()
            connection.close()

    assert code == 0
    assert "Traceback" not in complaints


def _until_refused(url: str) -> None:
    """Wait until the listener is closed, which shows that the first signal was taken."""
    address = (urlsplit(url).hostname, urlsplit(url).port)
    while True:
        try:
            socket.create_connection(address, timeout=TIMEOUT_S).close()
        except ConnectionError:
            return


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), "expected --upstream URL"),
        (("--upstream", "localhost"), "--upstream: expected an http:// or https:// URL"),
        (("--upstream", "http://x", "--bits", "99"), "--bits: expected"),
        (("--upstream", "http://x", "--bits", "nan"), "--bits: expected a number"),
        (("--upstream", "http://x", "--listen", "8402"), "--listen: expected HOST:PORT"),
        (
            ("--upstream", "http://x", "--store", "mysql://h"),
            "memory:, sqlite:PATH or redis://HOST",
        ),
        (("--upstream", "http://x", "--store", "sqlite:/nowhere/l.db"), "/nowhere"),
        (("--upstream", "http://x", "--state-dir", "/dev/null"), "/dev/null"),
        (("--upstream", "http://x", "--listen", "192.0.2.1:80"), "another address with --listen"),
        (("--upstream", "http://x", "--listen", "no.invalid:80"), "another address with --listen"),
        (("--upstrem", "http://x"), "--upstrem"),
    ],
)
def test_a_gate_that_cannot_start_says_why_in_one_line(
    options: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    free = () if "--listen" in options else ("--listen", "127.0.0.1:0")
    ended = failed_start(tmp_path, *options, *free, "--admin", "127.0.0.1:0")

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("pypow: ")
    assert ended.stderr.count("\n") == 1
    assert line in ended.stderr


@pytest.mark.parametrize("option", ["--listen", "--admin"])
def test_a_port_that_is_taken_is_told_with_the_option_that_moves_it(
    option: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        taken = f"127.0.0.1:{occupant.getsockname()[1]}"
        listeners = {"--listen": "127.0.0.1:0", "--admin": "127.0.0.1:0", option: taken}
        given = [text for pair in listeners.items() for text in pair]
        ended = failed_start(tmp_path, "--upstream", "http://x", *given)

    assert ended.returncode == 2
    assert ended.stderr == (
        f"pypow: cannot listen on {taken}: the port is taken; stop what listens there, or choose "
        f"another with {option}\n"
    )
    # Nothing is made for a gate that cannot start.
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_variable_is_told_with_its_name(tmp_path: Path) -> None:
    ended = failed_start(tmp_path, PYPOW_UPSTREEM="http://x")

    assert ended.returncode == 2
    assert "PYPOW_UPSTREEM is not a setting; did you mean PYPOW_UPSTREAM?" in ended.stderr


def test_errors_are_json_for_who_asks_for_it(tmp_path: Path) -> None:
    ended = failed_start(tmp_path, "--json")

    assert "expected --upstream" in json.loads(ended.stdout)["error"]["message"]


def test_the_greeting_says_what_is_guarded_where_and_at_what_price(
    tmp_path: Path,
) -> None:
    text = greeting(Settings(state_dir=tmp_path, upstream="http://127.0.0.1:8000"))

    for expected in (
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8402",
        "http://127.0.0.1:8403/  (live;",
        "price     16 bits, 65.5 k hashes, 4.23 ms on laptop, on average",
        f"{tmp_path}/keys.json",
        f"sqlite:{tmp_path}/ledger.db",
        "curl -i http://127.0.0.1:8402/",
    ):
        assert expected in text


LONG_NAME = f"{64 * 'a'}.example"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--upstream", f"http://{LONG_NAME}"), "--upstream: expected an http"),
        (("--listen", f"{LONG_NAME}:0"), "--listen: expected HOST:PORT"),
        (("--store", f"redis://{LONG_NAME}"), "expected a store such as redis://"),
        (("--store", "sqlite:~nobody-of-that-name/x"), "there is no such home"),
        (("--state-dir", "~nobody-of-that-name/x"), "there is no such home"),
    ],
)
def test_names_that_nothing_can_have_are_told_in_one_line(
    options: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    sound = ("--upstream", "http://127.0.0.1:9", "--listen", "127.0.0.1:0")
    ended = failed_start(tmp_path, *sound, "--admin", "127.0.0.1:0", *options)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert text in ended.stderr

# SPDX-License-Identifier: Apache-2.0
"""`pypow l402 doctor` at a real gate, and at servers that are wrong or hostile."""

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pypow.l402_doctor import asking
from pypow_server.scope import Receive, Scope, Send
from support.command import Command
from support.counting_upstream import counting_upstream
from support.gate_process import GateProcess, gate_process
from support.serving import served
from support.wrong_tolls import RIGHT, WRONG, Purse, WrongToll

pytest.importorskip("coincurve", reason="signatures need the extra l402")

SELLS = '[l402]\nwallet = "development:"\n[default]\nbits = 4\nsats = 5\n'


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[GateProcess]:
    policy = tmp_path / "pypow.toml"
    policy.write_text(SELLS, encoding="utf-8")
    with (
        counting_upstream() as upstream,
        gate_process(tmp_path, upstream.url, "--config", str(policy)) as running,
    ):
        yield running


def looked_at(command: Command, url: str, *options: str, status: int = 1) -> dict[str, Any]:
    ran = command("l402", "doctor", url, "--json", *options)
    assert ran.status == status, ran.out
    printed: dict[str, Any] = ran.json
    assert printed["ok"] == (status == 0)
    return printed


def levels(printed: dict[str, Any]) -> dict[str, str]:
    return {finding["check"]: finding["level"] for finding in printed["findings"]}


def test_all_is_well_at_a_gate_that_sells(command: Command, gate: GateProcess) -> None:
    printed = looked_at(command, f"{gate.url}/sold", status=0)

    assert set(levels(printed).values()) == {"ok"}
    assert len(printed["findings"]) == 14
    assert {client["fate"] for client in printed["clients"]} == {"pays"}
    assert len(printed["clients"]) == 10


def test_people_read_a_line_for_each_thing(command: Command, gate: GateProcess) -> None:
    ran = command("l402", "doctor", f"{gate.url}/sold", "--method", "POST")

    assert ran.status == 0
    assert "ok    order        L402, Payment, PoW: L402 is first" in ran.out
    assert "  npm l402 0.5.1: pays\n" in ran.out


def test_a_gate_that_was_asked_too_often_is_told_from_one_that_sells_nothing(
    command: Command, gate: GateProcess
) -> None:
    looked_at(command, f"{gate.url}/sold", status=0)
    (offers,) = (
        finding
        for finding in looked_at(command, f"{gate.url}/other")["findings"]
        if finding["check"] == "offers"
    )
    assert "an invoice costs work now" in offers["found"]


TOOL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search"}}


def test_a_tool_that_is_sold_is_looked_at_with_what_its_callers_send(
    command: Command, gate: GateProcess
) -> None:
    asks = ("--data", json.dumps(TOOL), "--header", "X-PoW-Accept: 1")
    printed = looked_at(command, f"{gate.url}/mcp", *asks)
    assert levels(printed)["order"] == "ok"
    # Its body is JSON-RPC's, and has no room for what one client looks for.
    assert [one["client"] for one in printed["clients"] if one["fate"] != "pays"] == [
        "PyPI lightning-toll"
    ]


PAYS = ("--pay", "--wallet", "development:")


def test_a_gate_sells_each_call_once_for_each_payment(command: Command, gate: GateProcess) -> None:
    printed = looked_at(command, f"{gate.url}/sold", *PAYS, "--max-sats", "10", status=0)

    assert set(levels(printed).values()) == {"ok"}
    told = [finding["found"] for finding in printed["findings"]]
    assert "5 sats by L402 bought the call" in told
    assert "5 sats by Payment bought the call" in told
    assert "a macaroon with a later end added is turned away" in told
    assert "the payment opens no other path" in told


def test_no_more_is_paid_than_was_said(command: Command, gate: GateProcess) -> None:
    printed = looked_at(command, f"{gate.url}/sold", *PAYS, "--max-sats", "4")
    assert levels(printed)["payment made"] == "fail"


def test_an_interrupt_ends_it(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(asking.Asker, "ask", interrupted)
    ran = command("l402", "doctor", "http://127.0.0.1:9/")
    assert (ran.status, ran.err) == (130, "pypow: interrupted\n")


class Careless(WrongToll):
    """Lets everybody in who sends anything."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if any(name == b"authorization" for name, _ in scope["headers"]):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"what nobody paid for"})
        else:
            await super().__call__(scope, receive, send)


def test_a_server_that_lets_everybody_in_is_found(command: Command) -> None:
    with served(Careless(RIGHT, Purse(), most_offers=99)) as url:
        printed = looked_at(command, url)
    forged = [one["found"] for one in printed["findings"] if one["check"] == "forgery"]
    assert len(forged) == 8
    assert "an unsigned token with its preimage was let in" in forged


def test_a_server_where_a_client_pays_without_end_is_found(command: Command) -> None:
    (looping,) = (one for one in WRONG if one.name == "Payment first, asking again")
    with served(WrongToll(looping, Purse(), most_offers=99)) as url:
        printed = looked_at(command, url)
        told = command("l402", "doctor", url).out
    fates = {client["client"]: client["fate"] for client in printed["clients"]}
    assert fates["npm l402"] == "pays again and again"
    assert fates["PyPI l402sdk"] == "gives up"
    assert (levels(printed)["order"], levels(printed)["pay loop"]) == ("fail", "fail")
    assert levels(printed)["flood"] == "warn"
    assert "npm l402 0.5.1: pays again and again\n      it takes the offer for its own" in told


@contextmanager
def raw_server(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """Answers every connection so, until the other side has enough."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    answer(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def endlessly(head: bytes, more: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(more)

    return answer


def in_silence(head: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        connection.recv(1)

    return answer


AT = "http://127.0.0.1:9/"
BEGUN = b"HTTP/1.1 402 Payment Required\r\n"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (endlessly(BEGUN, b"a: b\r\n"), "no answer that can be read"),
        (endlessly(BEGUN + b"a: ", b"b" * 4096), "no answer that can be read"),
        (endlessly(b"", b"\x00\x1b[2J"), "no answer that can be read"),
        (in_silence(BEGUN), "no answer within 0.5 s"),
        (in_silence(b""), "no answer within 0.5 s"),
        (lambda connection: connection.close(), "no answer that can be read"),
    ],
    ids=["endless headers", "an endless header", "noise", "half a head", "silence", "hangs up"],
)
def test_a_server_that_never_answers_is_one_finding(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[socket.socket], object],
    found: str,
) -> None:
    monkeypatch.setattr(asking, "TIMEOUT_S", 0.5)
    with raw_server(answer) as url:
        (finding,) = looked_at(command, url)["findings"]
    assert (finding["check"], finding["level"]) == ("answer", "fail")
    assert finding["found"].startswith(found)
    assert finding["found"].isprintable()


@pytest.mark.parametrize(
    "answer",
    [
        endlessly(BEGUN + b"\r\n", b"x" * 4096),
        in_silence(BEGUN + b"content-length: 100000000\r\n\r\n" + b"x" * 100),
    ],
    ids=["an endless body", "a body that drips"],
)
def test_a_body_without_an_end_is_cut(
    command: Command, monkeypatch: pytest.MonkeyPatch, answer: Callable[[socket.socket], object]
) -> None:
    monkeypatch.setattr(asking, "TIMEOUT_S", 0.5)
    with raw_server(answer) as url:
        assert levels(looked_at(command, url))["offers"] == "fail"


def test_a_redirect_is_told_and_not_followed(command: Command) -> None:
    asked: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        headers = [(b"location", b"/elsewhere\x9b2J")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body"})

    with served(app) as url:
        found = looked_at(command, f"{url}/here")["findings"]
    assert asked == ["/here"]
    assert found[0]["found"] == r"it redirects (302) to '/elsewhere\x9b2J'"


def test_words_of_a_server_move_no_cursor(command: Command) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"www-authenticate", b'Payment id="\xc2\x9b2J", realm="r", method="lightning"')]
        await send({"type": "http.response.start", "status": 402, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"invoice": "\\u001b[2J"}'})

    with served(app) as url:
        told = command("l402", "doctor", url).out
    assert all(line.isprintable() and line.isascii() for line in told.splitlines())


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["example.com"], "expected a URL such as"),
        (["ftp://example.com/"], "expected a URL such as"),
        (["http://[::1"], "expected a URL such as"),
        (["http://me:secret@example.com/"], "expected a URL without a login"),
        (["http://127.0.0.1:9/", "--method", "get"], "--method: expected a name in capitals"),
        ([], "Missing argument 'URL'"),
        ([AT, "--header", "secret"], "--header: expected NAME:VALUE"),
        ([AT, "--header", "x:se\ncret"], "--header: expected NAME:VALUE"),
        ([AT, "--header", "Authorization:secret"], "is what the doctor itself sends"),
        ([AT, "--pay"], "--pay: expected --wallet ADDRESS and --max-sats N"),
        ([AT, "--pay", "--wallet", "development:", "--max-sats", "0"], "--pay: expected"),
        ([AT, "--wallet", "development:"], "expected --pay with --wallet"),
        ([AT, *PAYS, "--max-sats", "9", "--other", "http://127.0.0.2:9/"], "of the same server"),
        ([AT, "--pay", "--wallet", "purse:", "--max-sats", "9"], "expected a wallet of"),
        ([AT, "--pay", "--wallet", "lnd:https://x", "--max-sats", "9"], "PYPOW_WALLET_CREDENTIAL"),
    ],
)
def test_wrong_use_is_told(command: Command, given: Sequence[str], complaint: str) -> None:
    ran = command("l402", "doctor", *given)
    assert ran.status == 2
    assert complaint in ran.err, ran.err
    assert "secret" not in ran.err


def test_nobody_there_is_one_finding(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (finding,) = looked_at(command, f"http://127.0.0.1:{port}/")["findings"]
    assert (finding["check"], finding["found"][:23]) == ("answer", "it cannot be reached: C")


def test_a_plain_install_says_what_to_add(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypow.l402_doctor.asking", None)
    ran = command("l402", "doctor", AT)
    assert ran.status == 2
    assert "pip install 'pypow-engine[l402]'" in ran.err

# SPDX-License-Identifier: Apache-2.0
"""Reload: all of the new settings or all of the old ones, and not one request dropped."""

import asyncio
import contextlib
import http.client
import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pypow import InvalidInputError, engine
from pypow.wire import Proof, decode_challenge
from pypow_server import key_rotation
from pypow_server.address import Address
from pypow_server.app import create_app
from pypow_server.decision import Outcome
from pypow_server.gate import wall_clock_ms
from pypow_server.meter import Pricing
from pypow_server.policy import Policy
from pypow_server.policy_rows import PriceRow, Rows
from pypow_server.reload import Reload
from pypow_server.reply import Header
from pypow_server.scope import Message, Receive, Scope, Send
from pypow_server.settings import LIVE, Settings
from pypow_server.stores import Quota
from support.asgi_client import Answer, call, http_scope
from support.gate_process import GateProcess, gate_process
from support.gated import EASY, Bench
from support.log_lines import LogLines
from support.plain_http import TIMEOUT_S, ask, solve
from support.serving import served

ROTATIONS = int(os.environ.get("PYPOW_TEST_ROTATIONS", "100"))
"""Of the deep test."""


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"earned"})


class Reloading:
    """A `Reload` between settings that can be changed and a gate that notes what it gets."""

    def __init__(self, **asked: object) -> None:
        began = Settings(state_dir=Path("/srv"), **asked)  # type: ignore[arg-type]
        self.began = began
        self.says: Settings | Exception = began
        self.applied: list[Settings] = []
        self.serving = began.bound_to(
            listen=Address("127.0.0.1", 40000), admin=Address("127.0.0.1", 40001)
        )
        self.reload = Reload(self._read, self.applied.append, asked=began, serving=self.serving)

    def _read(self) -> Settings:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def test_what_may_change_is_taken_over_with_the_ports_that_were_bound() -> None:
    gate = Reloading(listen=Address("127.0.0.1", 0))
    rows = Rows(prices=(PriceRow("POST /x", 20 * 1024),))
    gate.says = replace(gate.began, bits=18.0, rows=rows, mode="observe")
    gate.reload()
    (applied,) = gate.applied
    assert applied == replace(gate.serving, bits=18.0, rows=rows, mode="observe")


def test_what_takes_a_restart_stays_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    gate = Reloading(store="memory:")
    gate.says = replace(gate.began, store="sqlite:/x", listen=Address("127.0.0.1", 1), bits=18.0)
    gate.reload()
    assert gate.applied == [replace(gate.serving, bits=18.0)]
    told = [record.getMessage() for record in caplog.records]
    assert "--store was changed and takes a restart" in told
    assert "--listen was changed and takes a restart" in told


@pytest.mark.parametrize("fault", [InvalidInputError("line 3: no"), RuntimeError("a bug")])
def test_what_cannot_be_read_changes_nothing_and_is_told(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Reloading()
    gate.says = fault
    gate.reload()
    assert gate.applied == []
    (record,) = caplog.records
    assert (record.levelno, "nothing was reloaded" in record.getMessage()) == (logging.ERROR, True)


def test_every_live_setting_is_one_that_there_is() -> None:
    assert set(LIVE) < set(Settings.__dataclass_fields__)


def test_a_gate_that_was_bound_to_loopback_stays_named_after_a_reload() -> None:
    gate = Reloading()
    gate.reload()
    assert gate.applied[0].hosts == ("localhost",)


def test_a_request_is_judged_by_the_policy_that_it_began_with() -> None:
    bench = Bench(policy=Policy(default=EASY))
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a"}})
    sent: list[Message] = []

    async def receive() -> Message:
        # The gate is told to observe while the body is still on its way.
        bench.gate.decide_by(policy=Policy(default=EASY, observe=True), rails=[])
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(bench.gate(http_scope("POST", b"/mcp"), receive, send))
    assert (bench.app.reached, bench.decisions[0].outcome) == (0, Outcome.REFUSED)
    assert b"work" in sent[1]["body"]
    assert bench.send("GET").status == 200


def test_an_app_takes_over_settings_and_keys_or_neither(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, store="memory:", bits=8.0)
    app = create_app(settings, around=hello)

    def bits() -> float:
        answer = asyncio.run(call(app, "GET", b"/api/challenge"))
        return float(json.loads(answer.body)["bits"])

    assert bits() == 8
    app.reload(replace(settings, bits=12.0))
    assert bits() == 12
    (tmp_path / "keys.json").write_text("{}")
    with pytest.raises(InvalidInputError, match=r"keys\.json"):
        app.reload(replace(settings, bits=4.0))
    assert bits() == 12


@pytest.mark.parametrize("way", ["gate", "api"])
def test_work_that_was_finished_under_a_larger_quota_need_not_wait(
    tmp_path: Path, way: str
) -> None:
    rows = Rows(pricing=Pricing(Quota(60, 60_000)))
    settings = Settings(state_dir=tmp_path, store="memory:", bits=1.0, rows=rows)
    app = create_app(settings, around=hello)
    host = (b"host", b"127.0.0.1")

    def ask(method: str, target: bytes, body: bytes = b"", *headers: Header) -> Answer:
        fields = [host, *headers]
        return asyncio.run(call(app, method, target, headers=fields, body=body))

    def proof() -> Proof:
        answer = ask("GET", b"/api/challenge?resource=GET+/x&puzzles=1")
        return engine.solve(decode_challenge(json.loads(answer.body)["challenge"]))

    def pay(proof: Proof) -> int:
        return ask("GET", b"/x", b"", (b"x-pow-solution", proof.header().encode())).status

    assert [pay(proof()) for _ in range(20)] == [200] * 20
    late = proof()
    issued_ms = wall_clock_ms()
    while wall_clock_ms() == issued_ms:
        pass
    app.reload(replace(settings, rows=Rows(pricing=Pricing(Quota(15, 60_000)))))
    if way == "gate":
        assert pay(late) == 200
    else:
        body = json.dumps({**late.to_json(), "resource": "GET /x"}).encode()
        assert ask("POST", b"/api/verify", body).status == 200


class Caller:
    """Calls without a pause on connections that it keeps, and notes every answer."""

    def __init__(self, url: str, call: Callable[[http.client.HTTPConnection], int]) -> None:
        self._netloc = urlsplit(url).netloc
        self._call = call
        self._over = threading.Event()
        self._answered = threading.Condition()
        self.statuses: list[int] = []
        self.faults: list[Exception] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._netloc, timeout=TIMEOUT_S)
        while not self._over.is_set():
            try:
                status = self._call(connection)
                with self._answered:
                    self.statuses.append(status)
                    self._answered.notify()
            except (OSError, http.client.HTTPException) as fault:
                self.faults.append(fault)
                break
        connection.close()

    def wait_for(self, calls: int) -> None:
        """Return when so many more calls were answered."""
        with self._answered:
            wanted = len(self.statuses) + calls
            assert self._answered.wait_for(lambda: len(self.statuses) >= wanted, TIMEOUT_S), (
                self.faults
            )

    def __enter__(self) -> "Caller":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def get(connection: http.client.HTTPConnection, headers: dict[str, str] | None = None) -> int:
    connection.request("GET", "/x", headers=headers or {})
    response = connection.getresponse()
    response.read()
    return response.status


def pay(connection: http.client.HTTPConnection) -> int:
    """Get a challenge, solve it, and call: what takes longest from one end of a reload over."""
    connection.request("GET", "/api/challenge")
    published = json.loads(connection.getresponse().read())
    proof = f"challenge={published['challenge']},nonce={solve(published)}"
    return get(connection, {"X-PoW-Solution": proof})


@contextlib.contextmanager
def gate_with_file(
    tmp_path: Path, text: str, *options: str
) -> Iterator[tuple[GateProcess, LogLines, Path]]:
    file = tmp_path / "pypow.toml"
    file.write_text(text, encoding="utf-8")
    with (
        served(hello) as upstream,
        gate_process(
            tmp_path, upstream, "--config", str(file), "--store", "memory:", *options
        ) as gate,
    ):
        yield gate, LogLines(gate.process), file
        gate.process.send_signal(signal.SIGTERM)
        assert gate.process.wait(TIMEOUT_S) == 0


CHEAP = "[default]\nbits = 4\n"


def test_a_gate_takes_over_a_changed_file_and_drops_no_request(tmp_path: Path) -> None:
    with gate_with_file(tmp_path, CHEAP) as (gate, log, file):

        def reload(text: str, told: str) -> None:
            file.write_text(text, encoding="utf-8")
            gate.process.send_signal(signal.SIGHUP)
            log.wait_for(told)

        with Caller(gate.url, get) as strangers, Caller(gate.url, pay) as payers:
            reload("[default]\nbits = 8\n", "settings and keys were reloaded")
            dearer = ask(f"{gate.url}/api/challenge").json["bits"]
            reload("[default]\nbitz = 12\n", "did you mean bits")
            kept = ask(f"{gate.url}/api/challenge").json["bits"]
            reload(CHEAP + '[[allow]]\nmatch = "GET /open"\n', "settings and keys were reloaded")
            opened = ask(f"{gate.url}/open").status
            reload(CHEAP + '[gate]\nmode = "observe"\n', "settings and keys were reloaded")
            observed = ask(f"{gate.url}/x").status

    assert (dearer, kept, opened, observed) == (8, 8, 200, 200)
    assert (strangers.faults, payers.faults) == ([], [])
    assert set(strangers.statuses) <= {402, 200}
    # A proof that was bought at the lower price may be too small for the higher one.
    assert set(payers.statuses) <= {200, 402}
    assert len(strangers.statuses) > 0
    assert payers.statuses.count(200) > 0


def own_address() -> str:
    """An address of this machine that is not loopback's, whose connections are never counted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        try:
            unsent.connect(("203.0.113.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(unsent.getsockname()[0])


def test_a_balancer_that_a_reload_trusts_is_counted_no_more(tmp_path: Path) -> None:
    own = own_address()
    if own.startswith("127."):
        pytest.skip("this machine has no address but loopback's")
    options = ("--listen", f"{own}:0", "--max-per-network", "1")
    with gate_with_file(tmp_path, CHEAP, *options) as (gate, log, file):
        address = (own, urlsplit(gate.url).port or 0)
        with socket.create_connection(address):
            before = ask(f"{gate.url}/x").status
            file.write_text(f'{CHEAP}[trust]\nproxies = ["{own}"]\n', encoding="utf-8")
            gate.process.send_signal(signal.SIGHUP)
            log.wait_for("settings and keys were reloaded")
            after = ask(f"{gate.url}/x").status
    assert (before, after) == (503, 402)


def rotate_under_load(tmp_path: Path, rotations: int) -> list[int]:
    with gate_with_file(tmp_path, CHEAP) as (gate, log, _):
        keys = Path(gate.ready["keys"])
        with Caller(gate.url, pay) as first, Caller(gate.url, pay) as second:
            for count in range(rotations):
                key_rotation.rotate(keys)
                if count >= 2:
                    # What it signed is older than a whole reload, and than any proof in flight.
                    key_rotation.drop(keys, count - 2)
                gate.process.send_signal(signal.SIGHUP)
                log.wait_for("settings and keys were reloaded")
                first.wait_for(2)
                second.wait_for(2)
    return first.statuses + second.statuses


def test_keys_that_turn_under_load_turn_nobody_away(tmp_path: Path) -> None:
    assert set(rotate_under_load(tmp_path, 5)) == {200}


@pytest.mark.deep
def test_a_hundred_rotations_under_load_turn_nobody_away(tmp_path: Path) -> None:
    statuses = rotate_under_load(tmp_path, ROTATIONS)
    assert set(statuses) == {200}
    print(f"{ROTATIONS} rotations, {len(statuses)} paid calls, all of them admitted")

# SPDX-License-Identifier: Apache-2.0
"""Secrets are planted wherever a gate meets some, and looked for wherever it says something."""

import base64
import contextlib
import http.client
import io
import json
import logging
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from pypow.__main__ import main
from pypow_server import logs
from pypow_server.scope import Receive, Scope, Send
from support import redis_server
from support.asgi_client import http_scope
from support.gate_process import GateProcess, gate_process
from support.plain_http import ask, solution
from support.serving import served

CANARY = "canary7f3a"
"""Every secret of ours holds it; no program would by chance."""

KEY = bytes(range(0xA0, 0xC0))
PASSWORD = f"redis-{CANARY}"
CALLERS_OWN = {
    "Cookie": f"session=cookie-{CANARY}",
    "Authorization": f"Bearer upstream-{CANARY}",
    "X-Api-Key": f"header-{CANARY}",
}
MALFORMED = [
    {"X-PoW-Solution": f"challenge=proof-{CANARY},nonce=1"},
    {"Authorization": f"Bearer pyp_{CANARY}"},
    {"Authorization": f'PoW challenge="{CANARY}", nonce="1"'},
    {"Cookie": f"pypow_pass=pyp_{CANARY}"},
    {"X-PoW-Standing": f"pys_{CANARY}"},
    {"X-PoW-Standing": f"pys_{CANARY * 8}"[:76]},
    {"Cookie": f"pypow_standing=pys_{CANARY}"},
    {"X-PoW-Solution": CANARY, "Authorization": f"PoW {CANARY}"},
    {"Host": f"{CANARY}.example"},
    {"Content-Length": CANARY},
    {"Forwarded": f"for={CANARY}"},
    {"traceparent": f"00-{CANARY}"},
]


class Spoken:
    """All that a gate has said, by where."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, where: str, text: str) -> None:
        assert text, f"{where} said nothing, so nothing was looked at"
        self.texts[where] = self.texts.get(where, "") + text


def leaks(spoken: Mapping[str, str], secrets: Mapping[str, str]) -> list[str]:
    """Which secret was said where."""
    return [
        f"{secret} in {where}"
        for where, text in spoken.items()
        for secret, value in secrets.items()
        if value in text
    ]


async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
    """An upstream that says what it was sent, and fails on the way."""
    headers = [(b"set-cookie", f"upstream={CANARY}".encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": CANARY.encode(), "more_body": True})
    raise RuntimeError(f"{CANARY}: {scope['headers']}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    keys = tmp_path / ".local" / "state" / "pypow" / "keys.json"
    keys.parent.mkdir(parents=True)
    keys.write_text(json.dumps({"keys": [{"id": 0, "secret": KEY.hex()}]}))
    keys.chmod(0o600)
    return tmp_path


def meet(url: str, headers: dict[str, str]) -> None:
    """One request, whose answer may break off."""
    with contextlib.suppress(http.client.IncompleteRead):
        ask(url, headers=headers)


def provoke(gate: GateProcess) -> dict[str, str]:
    """Meet a gate in many ways, good and bad; the secrets that it gave out."""
    target = f"{gate.url}/x?token=query-{CANARY}"
    for headers in MALFORMED:
        meet(target, {**CALLERS_OWN, **headers})
    body = {
        "jsonrpc": "2.0",
        "id": CANARY,
        "method": "tools/call",
        "params": {"name": "search", "arguments": {"password": CANARY}},
    }
    for meta in ({}, {"_meta": {"io.pypow/proof": {"challenge": CANARY, "nonce": "1"}}}):
        body["params"] = {**body["params"], **meta}  # type: ignore[dict-item]
        for text in (json.dumps(body), json.dumps(body)[:-1]):
            ask(
                f"{gate.url}/mcp",
                method="POST",
                headers={"Content-Type": "application/json"},
                body=text.encode(),
            )
    proof = solution(ask(f"{gate.url}/api/challenge").json)
    meet(target, {**proof, **CALLERS_OWN})
    meet(target, {**proof, **CALLERS_OWN})
    challenge = ask(f"{gate.url}/api/challenge").json
    nonce = solution(challenge)["X-PoW-Solution"].rpartition("=")[2]
    answer = ask(
        f"{gate.url}/api/verify",
        method="POST",
        headers={"Content-Type": "application/json"},
        body=json.dumps({"challenge": challenge["challenge"], "nonce": nonce}).encode(),
    )
    token = answer.headers["X-PoW-Standing"]
    bearer = {"Authorization": f"Bearer {answer.json['pass']}"}
    for held in (bearer, bearer, {"X-PoW-Standing": token}, {"Cookie": f"pypow_standing={token}"}):
        meet(target, held)
    return {
        "pass": answer.json["pass"],
        "proof": proof["X-PoW-Solution"].partition(",")[0][-104:],
        "standing": token,
    }


def protected(server: redis_server.RedisServer) -> str:
    """The server's URL, with the password that it asks for."""
    with contextlib.suppress(redis.AuthenticationError):
        server.ask("CONFIG", "SET", "requirepass", PASSWORD)
    return f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"


def ask_operators_side(gate: GateProcess, spoken: Spoken) -> None:
    decision = ask(f"{gate.url}/x", headers=CALLERS_OWN).json["decision"]
    for path in (
        "/livez",
        "/readyz",
        "/metrics",
        "/config",
        f"/decisions/{decision}",
        "/nothing",
        "/",
        "/activity",
    ):
        spoken.add(path, ask(gate.admin_url + path).body.decode())


@pytest.mark.parametrize("form", logs.FORMATS)
def test_no_secret_is_said_anywhere_at_any_level(
    form: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoken = Spoken()
    options = ["--bits", "4", "--log-level", "debug", "--log-format", form]
    options += ["--audit", str(home / "audit.log"), "--config", str(home / "pypow.toml")]
    (home / "pypow.toml").write_text('[pricing]\nquota = "60/60s"\n')
    with (
        redis_server.running(home / "redis") as server,
        served(breaks_off) as upstream,
        gate_process(home, upstream, *options, "--store", protected(server)) as gate,
    ):
        given_out = provoke(gate)
        ask_operators_side(gate, spoken)
        monkeypatch.setenv("HOME", str(home))
        store = protected(server)
        where = ["--listen", urlsplit(gate.url).netloc, "--admin", urlsplit(gate.admin_url).netloc]
        main(["doctor", "--upstream", upstream, *where, "--store", store])
        main(["doctor", "--upstream", upstream, *where, "--store", store + "?nonsense=1"])
        server.kill()
        ask(f"{gate.url}/x", headers={**CALLERS_OWN, "X-PoW-Solution": CANARY})
        spoken.add("/readyz", ask(gate.admin_url + "/readyz").body.decode())
        gate.process.send_signal(signal.SIGHUP)
        spoken.add("/livez", ask(gate.admin_url + "/livez").body.decode())
        _, log = gate.stop()
    spoken.add("log", log)
    spoken.add("ready", json.dumps(gate.ready))
    spoken.add("audit", (home / "audit.log").read_text())
    printed = capsys.readouterr()
    spoken.add("doctor", printed.out)

    secrets = {
        "planted": CANARY,
        "key": KEY.hex(),
        "key in base64": base64.b64encode(KEY).decode()[:20],
        "key as bytes": repr(KEY)[2:20],
        **given_out,
    }
    assert leaks(spoken.texts, secrets) == []
    assert log.count("refused") > len(MALFORMED)
    assert "admitted" in log


@pytest.fixture
def _quiet() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], logging.getLogger("pypow_server").level
    yield
    root.handlers[:] = handlers
    logging.getLogger("pypow_server").setLevel(level)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("form", logs.FORMATS)
def test_a_log_line_that_prints_a_header_is_noticed(form: str) -> None:
    stream = io.StringIO()
    logs.configure(level="debug", form=form, stream=stream)
    headers = [(name.lower().encode(), value.encode()) for name, value in CALLERS_OWN.items()]
    logging.getLogger("pypow_server.gate").debug("%s", http_scope(headers=headers)["headers"])

    assert leaks({"log": stream.getvalue()}, {"planted": CANARY}) == ["planted in log"]


@pytest.mark.parametrize("secret", ["pass", "proof", "key"])
def test_a_secret_that_is_said_is_noticed(secret: str) -> None:
    assert leaks({"somewhere": f"it is {secret}-value"}, {secret: f"{secret}-value"})
    assert leaks({"somewhere": "nothing"}, {secret: f"{secret}-value"}) == []


def test_no_secret_is_in_a_span() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry is not installed")
    from opentelemetry.sdk.trace import ReadableSpan

    from support.traced_gate import TracedGate

    gate = TracedGate()
    planted = [(name.lower().encode(), value.encode()) for name, value in CALLERS_OWN.items()]
    spans: list[ReadableSpan] = []
    for malformed in MALFORMED:
        gate.send([(k.lower().encode(), v.encode()) for k, v in malformed.items()])
        spans += gate.kept.get_finished_spans()
    gate.paid(*planted)
    spans += gate.kept.get_finished_spans()

    assert len(spans) > len(MALFORMED)
    text = "".join(span.to_json() for span in spans)
    assert leaks({"spans": text}, {"planted": CANARY, "client": "192.0.2.7"}) == []

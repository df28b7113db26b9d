# SPDX-License-Identifier: Apache-2.0
"""`pypow explain` of a refusal, asked for at the gate that made it."""

import asyncio
import json
from pathlib import Path

import pytest

from pypow.__main__ import main
from pypow_server.app import App, create_app
from pypow_server.scope import ASGIApp, Receive, Scope, Send
from pypow_server.settings import Settings
from support.asgi_client import call
from support.gated import RecordingApp
from support.serving import served


def make(tmp_path: Path) -> App:
    return create_app(
        Settings(state_dir=tmp_path, store="memory:", bits=16.0), around=RecordingApp()
    )


def refusal(app: App, target: bytes, *headers: tuple[bytes, bytes]) -> str:
    """The id that a caller is told."""
    fields = [(b"host", b"127.0.0.1:8402"), *headers]
    answer = asyncio.run(call(app, "GET", target, headers=fields))
    return str(json.loads(answer.body)["decision"])


def answering(status: int, body: bytes) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


def test_a_refusal_is_explained_with_its_price(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = make(tmp_path)
    identity = refusal(app, b"/x")
    with served(app.admin) as admin:
        assert main(["explain", identity, "--admin", admin, "--profile", "laptop"]) == 0
        told = capsys.readouterr().out.splitlines()
        assert main(["explain", identity, "--admin", f"{admin}/", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)

    assert told[0].startswith("decision  refused, 20")
    assert told[1:] == [
        "call      GET /x",
        "from      192.0.2.7/32",
        "entry     default",
        "problem   work-required (402); docs/errors.md has its fix",
        "price     16 bits, 65.5 k hashes, 4.23 ms on laptop",
    ]
    assert (found["id"], found["bits"], found["hashes"]) == (identity, 16, 65536)


def test_where_no_work_would_help_no_price_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = make(tmp_path)
    identity = refusal(app, b"/x", (b"x-pow-solution", b"nonsense"))
    with served(app.admin) as admin:
        assert main(["explain", identity, "--admin", admin]) == 0
    assert "price     no work would help" in capsys.readouterr().out


def test_what_a_caller_wrote_moves_no_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = make(tmp_path)
    identity = refusal(app, b"/\x1b[2J" + b"a" * 9999)
    with served(app.admin) as admin:
        assert main(["explain", identity, "--admin", admin]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert max(map(len, told.splitlines())) < 250


def test_a_decision_that_the_gate_does_not_know_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(make(tmp_path).admin) as admin:
        assert main(["explain", "0" * 16, "--admin", admin]) == 1
    assert "among its last 1000" in capsys.readouterr().err


GOOD = {
    "outcome": "refused", "problem": "expired", "client": "c", "entry": "e", "method": "GET",
    "name": "/", "at_ms": 1, "status": 402, "q": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"[" * 100_000),
        (421, b"expected an address"),
        (302, b""),
        *(
            (200, json.dumps({**GOOD, **change}).encode())
            for change in ({"q": -1}, {"q": 10**400}, {"q": 1.5}, {"name": 5}, {"at_ms": "x"})
        ),
        (200, json.dumps({name: GOOD[name] for name in GOOD if name != "q"}).encode()),
    ],
)
def test_who_is_no_gate_is_not_believed(
    status: int, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(answering(status, body)) as admin:
        assert main(["explain", "0" * 16, "--admin", admin]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"got status {status}" in said.err
    assert len(said.err) < 600


def test_a_gate_from_the_end_of_time_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with served(answering(200, json.dumps({**GOOD, "at_ms": 10**400}).encode())) as admin:
        assert main(["explain", "0" * 16, "--admin", admin]) == 0
    assert "ms after 1970" in capsys.readouterr().out


@pytest.mark.parametrize(
    "admin", ["http://127.0.0.1:1", "http://127.0.0.1:1/é", "http://é\u200b:1"]
)
def test_nobody_there_is_one_line_and_exit_code_1(
    admin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "0" * 16, "--admin", admin]) == 1
    assert capsys.readouterr().err.count("\n") == 1

# SPDX-License-Identifier: Apache-2.0
"""`pypow explain` of a refusal, asked for at the gate that made it."""

import asyncio
import contextlib
import io
import json
import re
import time
from pathlib import Path

import pytest

from pypow.__main__ import main
from pypow_server.app import App, create_app
from pypow_server.scope import ASGIApp, Receive, Scope, Send
from pypow_server.settings import Settings
from support.asgi_client import call
from support.gate_process import gate_process
from support.gated import RecordingApp
from support.plain_http import ask
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


SCARCE = """
[[price]]
match = "GET /x"
bits = 12
free = "1/10m"
[trust]
proxies = ["127.0.0.1"]
"""


def test_whose_use_raised_a_price_is_told_by_a_running_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pypow.toml").write_text(SCARCE)
    config = ["--config", str(tmp_path / "pypow.toml"), "--store", "memory:"]

    def explained(address: str) -> dict[str, str]:
        headers = {"X-Forwarded-For": address, "X-PoW-Accept": "puzzles=1"}
        refused = ask(f"{gate.url}/x", headers=headers)
        assert refused.status == 402
        assert main(["explain", refused.json["decision"], "--admin", gate.admin_url]) == 0
        rows = (line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
        return {name: told.strip() for name, told in rows}

    with served(RecordingApp()) as upstream, gate_process(tmp_path, upstream, *config) as gate:
        free = ask(f"{gate.url}/x", headers={"X-Forwarded-For": "203.0.113.1"})
        assert free.status == 200
        own = explained("203.0.113.1")
        others = explained("203.0.113.2")

    assert own["base"] == "12 bits, for anybody"
    assert own["overdraft"].endswith("more: the caller, 203.0.113.1/32, used more than its share")
    assert own["price"].startswith("13 bits, ")
    # One call of a quota that grows back in ten minutes, and a sixteenth of it for the network.
    assert re.fullmatch(r"in (10|9) min \d+ s, if nobody calls meanwhile", own["base again"])
    assert others["overdraft"].endswith("more: 203.0.113.0/24 used more than its share")
    assert re.fullmatch(r"in [123]\d\.\d s, if nobody calls meanwhile", others["base again"])
    assert others["price"].startswith("12.12 bits, ")
    assert re.fullmatch(r"from 12\.0\d+ bits, to the steps .*", others["rounded"])


OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
AT_MS = 1_795_167_000_000  # 2026-11-20 09:30:00 UTC
DEAR = {
    "base_q": 16 * 1024, "weight_q": 2048, "overdraft_q": 1536, "entry_q": 512, "level": 1,
    "free_in_ms": 52_000,
}  # fmt: skip


def quoted(**changes: object) -> list[str]:
    """A refusal, in words, ten seconds later."""
    document = {
        **GOOD, "problem": "work-required", "client": "203.0.113.7/32", "at_ms": AT_MS,
        "entry": "tools/call search_*", "method": "tools/call", "name": "search_deep",
        "q": 20 * 1024, "quote": DEAR, "overdrawn": "203.0.113.0/24", **changes,
    }  # fmt: skip
    with (
        served(answering(200, json.dumps(document).encode())) as admin,
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()) as told,
    ):
        patch.setattr(time, "time_ns", lambda: (AT_MS + 10_000) * 1_000_000)
        assert main(["explain", "0" * 16, "--admin", admin]) == 0
    return told.getvalue().splitlines()


def test_each_part_of_a_price_is_told_as_the_page_for_operators_shows_it() -> None:
    shown = OPERATIONS.read_text("utf-8").partition("$ pypow explain 91f0c2a47be3d85e\n")[2]
    assert "\n".join(quoted()) + "\n" == shown.partition("```")[0]


def test_a_price_beyond_the_cap_is_told_with_the_wait() -> None:
    beyond = {**DEAR, "weight_q": 0, "entry_q": 0, "overdraft_q": 300 * 1024, "free_in_ms": 9_000}
    assert quoted(q=None, status=429, quote=beyond, retry_after_s=5)[5:] == [
        "price       no work would help",
        "base        16 bits, for anybody",
        "overdraft   300 bits more: 203.0.113.0/24 used more than its share",
        "base again  1.00 s ago, if nobody has called since",
        "wait        5.00 s, as the caller was told",
    ]


def test_the_holder_of_a_standing_token_is_the_caller_itself() -> None:
    (told,) = [row for row in quoted(overdrawn="standing:00ff") if row.startswith("overdraft")]
    assert told.endswith("more: the caller, standing:00ff, used more than its share")


def test_what_a_store_could_not_tell_is_not_made_up() -> None:
    base = {**DEAR, "weight_q": 0, "entry_q": 0, "overdraft_q": 0, "free_in_ms": 0}
    assert quoted(quote=base, q=16 * 1024, overdrawn=None, limiter_failed=True)[7:] == [
        "overdraft  not known: the store could not tell what the caller used",
    ]


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


GOOD: dict[str, object] = {
    "outcome": "refused", "problem": "expired", "client": "c", "entry": "e", "method": "GET",
    "name": "/", "at_ms": 1, "status": 402, "q": None,
}  # fmt: skip


WRONG: list[dict[str, object]] = [
    {"q": -1}, {"q": 10**400}, {"q": 1.5}, {"name": 5}, {"at_ms": "x"}, {"quote": []},
    {"quote": {}}, {"quote": {**DEAR, "free_in_ms": 2**53}}, {"quote": {**DEAR, "base_q": -1}},
    {"quote": {**DEAR, "overdraft_q": None}}, {"overdrawn": 5}, {"retry_after_s": 0.5},
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"[" * 100_000),
        (421, b"expected an address"),
        (302, b""),
        *((200, json.dumps({**GOOD, **change}).encode()) for change in WRONG),
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

# SPDX-License-Identifier: Apache-2.0
"""`pypow pass` shows what a pass says, and revokes it for every gate of its store."""

import asyncio
import io
import os
import time
from pathlib import Path

import pytest

from pypow_server import guard, passes
from pypow_server.keyfile import load_or_create
from pypow_server.passes import Pass
from pypow_server.stores.sqlite import open_store
from support.asgi_client import call
from support.challenges import KEY
from support.command import Command
from support.gated import RecordingApp, document

LATER_MS = 4_102_444_800_000  # the year 2100


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.setenv("PYPOW_STATE_DIR", str(tmp_path))
    return Command(capsys)


def some_pass(
    *, calls: int = 20, expires_at_ms: int = LATER_MS, resource: bytes = b"r" * 12
) -> Pass:
    return passes.issue(
        KEY, identity=bytes(range(16)), calls=calls, expires_at_ms=expires_at_ms, resource=resource
    )


def test_a_pass_is_shown_without_what_signs_it(command: Command) -> None:
    given = some_pass()
    ran = command("pass", "show", given.text)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "id        000102030405060708090a0b0c0d0e0f",
        "calls     20",
        "expires   2100-01-01 00:00:00 UTC",
        "resource  727272727272727272727272",
        "weight    1",
        "key       1",
    ]
    assert given.mac.hex() not in ran.out
    old = command("pass", "show", some_pass(calls=0, expires_at_ms=0, resource=bytes(12)).text)
    assert "as many as fit in its time" in old.out
    assert "1970-01-01 00:00:00 UTC (over)" in old.out
    assert "resource  any" in old.out


def test_a_pass_is_read_from_standard_input_and_shown_as_json(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(some_pass().text + "\n"))
    assert command("pass", "show", "-", "--json").json == {
        "id": "000102030405060708090a0b0c0d0e0f",
        "calls": 20,
        "expires_at": LATER_MS // 1000,
        "weight": 1,
        "key": 1,
        "resource": "72" * 12,
        "any_resource": False,
        "bound": False,
    }


def test_a_pass_that_is_bound_to_a_key_says_to_which(command: Command) -> None:
    assert (
        "holder    " + "dHR0" * 10 + "dHQ"
        in command("pass", "show", passes.bound(KEY, some_pass(), b"t" * 32).text).out
    )


@pytest.mark.parametrize("verb", ["show", "revoke"])
@pytest.mark.parametrize("text", ["", "pyp_x", "x" * 139, "00" * 15, "0" * 10_000])
def test_what_is_no_pass_is_refused_and_not_quoted(command: Command, verb: str, text: str) -> None:
    ran = command("pass", verb, text)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("pypow: expected a pass, pyp_ and 135 base64url characters")
    assert not text or text not in ran.err
    is_text = text.startswith("pyp_")
    assert ("its id, 32 hex digits" in ran.err) == (verb == "revoke" and not is_text)


def test_a_command_without_a_verb_helps(command: Command) -> None:
    for group, verb in (("pass", "revoke"), ("l402", "ledger")):
        ran = command(group)
        assert (ran.status, ran.out) == (2, "")
        assert ran.err.startswith(f"Usage: pypow {group} [OPTIONS] COMMAND")
        assert f"\n  {verb} " in ran.err
    assert "see 'pypow pass --help'" in command("pass", "steal").err
    assert "see 'pypow pass revoke --help'" in command("pass", "revoke").err
    assert "or a subject, oauth: and" in command("pass", "revoke", "oauth:zz").err


@pytest.mark.parametrize("named_by", ["text", "id", "principal"])
def test_a_revoked_pass_is_turned_away_by_every_gate_of_the_store(
    command: Command, named_by: str, tmp_path: Path
) -> None:
    keys = load_or_create(tmp_path / "keys.json")
    now_ms = time.time_ns() // 1_000_000
    timed, other = (
        passes.issue(keys.signing, identity=os.urandom(16), calls=0, expires_at_ms=now_ms + 60_000)
        for _ in range(2)
    )
    name = {
        "text": timed.text, "id": timed.id.hex(), "principal": f"pass:{timed.id.hex()}",
    }[named_by]  # fmt: skip

    async def uses() -> list[str]:
        guarded = guard(RecordingApp())
        found = []
        for given in (timed, other):
            bearer = [(b"host", b"x"), (b"authorization", b"Bearer " + given.text.encode())]
            answer = await call(guarded, "GET", b"/x", headers=bearer)
            found.append("admitted" if answer.status == 200 else document(answer)["title"])
        await guarded.stop()
        return found

    assert asyncio.run(uses()) == ["admitted", "admitted"]
    ran = command("pass", "revoke", name)
    assert (ran.status, ran.out) == (0, f"revoked {timed.id.hex()}\n")
    assert asyncio.run(uses()) == ["The pass was revoked", "admitted"]


def test_a_store_that_no_command_can_reach_is_refused(command: Command) -> None:
    ran = command("pass", "revoke", "00" * 16, "--store", "memory:")
    assert ran.status == 2
    assert "lives in its gate's process" in ran.err
    ran = command("pass", "revoke", "00" * 16, "--store", "sqlite:/dev/null/x")
    assert ran.status == 2


def test_no_store_is_made_for_a_revocation_that_no_gate_would_read(
    command: Command, tmp_path: Path
) -> None:
    ran = command("pass", "revoke", "00" * 16)
    assert ran.status == 2
    assert f"there is no {tmp_path / 'ledger.db'}" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_the_store_may_be_named_by_the_gates_policy_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "shared.db").touch()
    file = tmp_path / "pypow.toml"
    file.write_text(f'[store]\nurl = "sqlite:{tmp_path}/shared.db"\n', "utf-8")
    ran = command("pass", "revoke", "00" * 16, "--config", str(file))
    assert (ran.status, ran.err) == (0, "")

    async def revoked() -> frozenset[bytes]:
        store = open_store(f"{tmp_path}/shared.db")
        try:
            return await store.revocations.revoked(now_ms=0)
        finally:
            await store.limiter.aclose()
            await store.ledger.aclose()

    assert asyncio.run(revoked()) == {bytes(16)}


def test_a_revocation_is_told_as_json(command: Command, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    ran = command("pass", "revoke", "00" * 16, "--json")
    assert ran.json == {"revoked": "00" * 16}

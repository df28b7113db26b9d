# SPDX-License-Identifier: Apache-2.0
"""What is decided about tokens is told as the gate's own decisions are: counted, and audited."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pypow_server.authorization import authorize, token_endpoint
from support.asgi_client import call
from support.gated import document
from support.issuing import Desk

Told = Counter[tuple[str, ...]]
"""How often: entry, outcome, rail, problem."""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path) as made:
        yield made


def counted(desk: Desk) -> Told:
    metrics = call(desk.app.admin, "GET", b"/metrics", headers=[(b"host", b"127.0.0.1")])
    names = ("entry", "outcome", "rail", "problem")
    return Counter(
        {
            tuple(sample.labels[name] for name in names): int(sample.value)
            for family in parse_text(desk.run(metrics).body.decode())
            if family.name == "pypow_decisions"
            for sample in family.samples
            if sample.name == "pypow_decisions_total"
        }
    )


def test_a_token_for_work_is_told_with_its_rail_and_then_each_call(desk: Desk) -> None:
    token = desk.token()
    assert counted(desk) == {("default", "admitted", "work", ""): 1}
    desk.call_with(token)
    assert counted(desk) == {("default", "admitted", "work", ""): 2}


def refused(desk: Desk) -> None:
    """One of each kind that the endpoints refuse."""
    client = desk.register()
    desk.token_for(grant_type="password")
    desk.token_for(grant_type="client_credentials")
    desk.token_for(grant_type="client_credentials", client_secret="challenge=x,nonce=1")
    desk.redeem("made up", client)
    desk.post("/oauth/token", {}, dpop="x")
    desk.get("/oauth/authorize?client_id=nobody")
    desk.get(desk.asked(client, code_challenge_method="plain"), accept="text/html")
    desk.post("/oauth/authorize", {"request": "made up"})


REFUSED = {
    ("none", "refused", "", "bad-request"): 3,
    ("none", "refused", "", "invalid-token"): 3,
    ("none", "refused", "", "malformed-proof"): 1,
    ("none", "refused", "", "invalid-dpop-proof"): 1,
}


def test_what_the_endpoints_refuse_is_told(desk: Desk) -> None:
    refused(desk)
    assert counted(desk) == REFUSED


@pytest.mark.parametrize("module", [authorize, token_endpoint])
def test_an_endpoint_that_tells_less_is_caught(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, module: object
) -> None:
    monkeypatch.setattr(module, "note", lambda *_: None)
    refused(desk)
    assert counted(desk).total() < sum(REFUSED.values())


def test_what_was_shown_or_given_for_nothing_decides_nothing(desk: Desk) -> None:
    desk.code(desk.register())
    desk.get("/oauth/jwks")
    assert counted(desk) == {}


def test_a_token_that_is_not_good_is_refused_under_the_id_that_its_caller_hears(
    tmp_path: Path,
) -> None:
    file = tmp_path / "audit.log"
    with Desk(tmp_path, audit=file) as desk:
        token = desk.token()
        answer = desk.call_with(f"{token[:-8]}AAAAAAAA")
        assert counted(desk)["none", "refused", "", "invalid-token"] == 1
    given, own = (json.loads(line) for line in file.read_text("ascii").splitlines())
    assert (given["outcome"], given["rail"], given["entry"]) == ("admitted", "work", "default")
    assert (own["outcome"], own["problem"], own["status"]) == ("refused", "invalid-token", 401)
    assert own["decision"] == document(answer)["decision"]
    assert own["caller"] == given["caller"]
    assert token not in file.read_text("ascii")


def test_a_gate_that_only_observes_lets_a_bad_token_pass_and_not_travel(tmp_path: Path) -> None:
    with Desk(tmp_path, mode="observe") as desk:
        answer = desk.call_with(f"{desk.token()[:-8]}AAAAAAAA")
        assert answer.status == 200
        assert desk.upstream.header(b"authorization") == []
        assert counted(desk)["default", "observed", "", "work-required"] == 1


def test_who_calls_the_gate_by_another_name_hears_that_whatever_the_token(tmp_path: Path) -> None:
    with Desk(tmp_path, hosts=("gate.example",)) as desk:
        bad = f"Bearer {desk.token()[:-8]}AAAAAAAA".encode()
        fields = [(b"host", b"other.example"), (b"authorization", bad)]
        answer = desk.run(call(desk.app, "GET", b"/mcp/items", headers=fields))
        assert (answer.status, document(answer)["type"]) == (421, "urn:pypow:error:misdirected")
        assert counted(desk)["none", "refused", "", "misdirected"] == 1

# SPDX-License-Identifier: Apache-2.0
"""What the callers' API decides is told like what the gate decides: once, and to everybody."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pypow import engine
from pypow.pricing import Quote
from pypow.wire import decode_challenge
from pypow_server import problems, tracing
from pypow_server.access import Access
from pypow_server.api import create_api
from pypow_server.api_decisions import Deciding, asked_in
from pypow_server.app import App, create_app
from pypow_server.decision import Decision, Outcome
from pypow_server.match import Match
from pypow_server.meter import Pricing
from pypow_server.policy import Entry, PassTerms, Policy, Price
from pypow_server.rails.work import WorkRail
from pypow_server.redemption import Redemption
from pypow_server.scope import Receive, Scope, Send
from pypow_server.selling import Selling
from pypow_server.settings import Settings
from pypow_server.stores import Quota, Spend
from support.asgi_client import Answer, call
from support.challenges import KEYRING
from support.gated import EASY, HOST, Clock, CountingLedger, RecordingApp, document
from support.selling import SELLING

NAMED = (b"host", HOST.encode())
DEAR = Price("dear", 5 * 1024, weight=2)
OTHER_NAME = [(b"host", b"other.example")]


class Api:
    """The callers' API of a gate, and what it told."""

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        rail: WorkRail | None = None,
        selling: Selling | None = None,
    ) -> None:
        self.told: list[Decision] = []
        self.ledger = CountingLedger()
        self.clock = Clock()
        self._app = create_api(
            Redemption(
                rail or WorkRail(KEYRING, public_host=HOST),
                policy or Policy(default=EASY, entries=(Entry("GET /dear", DEAR),)),
                self.ledger,
                self.ledger,
            ),
            clock=self.clock,
            recorders=[_fails, self.told.append],
            selling=selling,
        )

    def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (NAMED,),
    ) -> Answer:
        sent = b"" if body is None else json.dumps(body).encode()
        return asyncio.run(call(self._app, method, target.encode(), headers=headers, body=sent))

    def proof(self, resource: str | None = None) -> dict[str, object]:
        """A solved challenge, for a call or for any."""
        query = "?puzzles=1" if resource is None else f"?puzzles=1&resource={resource}"
        answer = self.ask("GET", f"/api/challenge{query}")
        return engine.solve(decode_challenge(document(answer)["challenge"])).to_json()

    def redeem(self, proof: dict[str, object], **more: object) -> Answer:
        return self.ask("POST", "/api/verify", {**proof, **more})


def _fails(_decision: Decision) -> None:
    raise RuntimeError("a recorder that fails is in nobody's way")


def test_a_redemption_is_one_decision_with_the_work_that_was_paid() -> None:
    api = Api()
    proof = api.proof()
    api.clock.now_ms += 1234
    assert api.redeem(proof).status == 200
    (told,) = api.told
    assert (told.outcome, told.rail, told.entry) == (Outcome.ADMITTED, "work", "easy")
    assert (told.q, told.solve_ms) == (EASY.q, 1234)
    assert (told.client, told.principal) == ("192.0.2.7/32", "192.0.2.7/32")
    assert (told.method, told.name) == ("POST", "/api/verify")
    assert (told.problem, told.status, told.at_ms) == (None, None, api.clock.now_ms)


def test_a_redemption_tells_the_entry_that_its_call_was_named_for() -> None:
    api = Api()
    assert api.redeem(api.proof("GET /dear"), resource="GET /dear").status == 200
    assert api.redeem(api.proof("GET /dear")).status == 200  # which call it is for, nobody said
    assert [told.entry for told in api.told] == ["dear", "none"]
    assert [told.q for told in api.told] == [DEAR.q] * 2


def test_a_proof_that_buys_a_pass_of_many_calls_is_one_decision() -> None:
    api = Api(Policy(default=replace(EASY, sells=PassTerms(20, 60))))
    assert document(api.redeem(api.proof()))["calls"] == 20
    assert [(told.outcome, told.q) for told in api.told] == [(Outcome.ADMITTED, EASY.q)]


@pytest.mark.parametrize("method", ["GET /x", "tools/call search"])
def test_a_call_that_a_row_denies_to_the_network_that_asks_has_no_challenge_and_no_pass(
    method: str,
) -> None:
    def api(network: str) -> Api:
        row = Access((network,), Match(method))
        return Api(Policy(default=EASY, denied=(row,)))

    elsewhere, here = api("198.51.100.0/24"), api("192.0.2.0/24")
    target = f"/api/challenge?puzzles=1&resource={method.replace(' ', '+')}"
    assert elsewhere.ask("GET", target).status == 200
    assert here.ask("GET", target).status == 403
    proof = elsewhere.proof(method.replace(" ", "+"))
    assert here.redeem(proof, resource=method).status == 403
    assert here.ledger.spends == 0


def test_a_challenge_that_is_given_out_is_no_decision() -> None:
    api = Api()
    api.proof()
    assert api.told == []


DENYING = Policy(
    default=EASY, denied=(Access(networks=("192.0.2.0/24",)),), hosts=frozenset({HOST})
)


@pytest.mark.parametrize(
    ("status", "entry", "method", "target"),
    [
        (400, "none", "GET", "/api/challenge?nonsense=1"),
        (400, "none", "GET", "/api/challenge?puzzles=3"),
        (400, "none", "POST", "/api/verify"),
        (405, "none", "HEAD", "/api/verify"),
        (404, "none", "GET", "/elsewhere"),
    ],
)
def test_a_refusal_is_told_by_the_id_that_its_caller_heard(
    status: int, entry: str, method: str, target: str
) -> None:
    api = Api()
    answer = api.ask(method, target)
    (told,) = api.told
    assert (answer.status, told.status, told.entry) == (status, status, entry)
    assert (told.outcome, told.rail, told.q) == (Outcome.REFUSED, None, None)
    assert told.id == document(answer)["decision"]
    assert told.problem == document(answer)["type"].rpartition(":")[2]


@pytest.mark.parametrize(("headers", "status"), [((NAMED,), 403), (OTHER_NAME, 421)])
def test_who_is_turned_away_is_told(headers: Sequence[tuple[bytes, bytes]], status: int) -> None:
    api = Api(DENYING)
    answer = api.ask("GET", "/api/challenge", headers=headers)
    assert (answer.status, [told.status for told in api.told]) == (status, [status])
    assert api.told[0].id == document(answer)["decision"]


def test_a_replay_is_told_with_its_problem_and_pays_nothing() -> None:
    api = Api()
    proof = api.proof("GET /dear")
    answers = [api.redeem(proof, resource="GET /dear") for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 402]
    replay = api.told[-1]
    assert (replay.outcome, replay.entry, replay.problem) == (
        Outcome.REFUSED, "dear", "already-spent"
    )  # fmt: skip
    assert (replay.rail, replay.principal, replay.q, replay.solve_ms) == (None, None, None, None)


def test_what_the_store_could_not_tell_is_told() -> None:
    api = Api()
    proof = api.proof()
    api.ledger.answer = Spend.UNKNOWN
    assert api.redeem(proof).status == 503
    assert [(told.problem, told.q) for told in api.told] == [("store-unavailable", None)]


def test_a_policy_that_observes_refuses_here_all_the_same() -> None:
    api = Api(Policy(default=EASY, observe=True))
    assert api.ask("POST", "/api/verify", {}).status == 400
    assert api.told[0].outcome is Outcome.REFUSED


def test_a_challenge_past_the_cap_is_told_with_whose_use_it_was() -> None:
    quota = Pricing(quota=Quota(1, 50_000), max_overdraft_q=512)
    api = Api(Policy(default=replace(EASY, pricing=quota)))
    assert api.redeem(api.proof()).status == 200
    answer = api.ask("GET", "/api/challenge")
    told = api.told[-1]
    assert (answer.status, told.problem, told.retry_after_s) == (429, "overdrawn", 25)
    assert told.quote == Quote(EASY.q, 0, 1024, 0, level=0, free_in_ms=50_000)
    assert (told.entry, told.overdrawn) == ("easy", "192.0.2.7/32")


def test_what_a_challenge_says_of_sats_rises_with_use_as_its_work_does() -> None:
    quota = Pricing(quota=Quota(1, 50_000))
    sold = replace(EASY, sats=5, pricing=quota)
    api = Api(Policy(default=sold), selling=SELLING)

    def asked() -> tuple[float, int]:
        told = document(api.ask("GET", "/api/challenge?puzzles=16&resource=GET+/x"))
        return told["bits"], told["sats"]

    assert asked() == (4, 5)
    assert api.redeem(api.proof()).status == 200
    assert asked() == (5, 10)


def test_a_fault_of_ours_is_refused_and_told() -> None:
    class Faulty(WorkRail):
        def challenge(self, *_given: Any, **_terms: Any) -> Any:
            raise RuntimeError("a fault")

    api = Api(rail=Faulty(KEYRING, public_host=HOST))
    answer = api.ask("GET", "/api/challenge")
    assert (answer.status, document(answer)["type"]) == (500, "urn:pypow:error:internal-error")
    assert [told.id for told in api.told] == [document(answer)["decision"]]


def test_a_fault_in_the_middle_of_an_answer_is_not_answered_twice() -> None:
    async def breaks_off(scope: Scope, _receive: Receive, send: Send) -> None:
        asked_in(scope).problem = problems.denied("no")
        await send({"type": "http.response.start", "status": 403, "headers": []})
        raise RuntimeError("a fault")

    told: list[Decision] = []
    api = Deciding(
        breaks_off,
        policy=Policy(default=EASY),
        clock=Clock(),
        recorders=[told.append],
        holders=None,
    )
    with pytest.raises(RuntimeError, match="a fault"):
        asyncio.run(call(api, "GET", b"/api/challenge", headers=[NAMED]))
    assert [one.problem for one in told] == ["denied"]


def test_a_request_that_cannot_be_read_is_told() -> None:
    api = Api()
    twice = [(b"authorization", word) for word in (b"Basic eDp5", b"Basic eDp6")]
    answer = api.ask("GET", "/api/challenge", headers=[NAMED, *twice])
    assert [told.id for told in api.told] == [document(answer)["decision"]]
    assert api.told[0].problem == "conflicting-credentials"


def make(tmp_path: Path) -> App:
    settings = Settings(state_dir=tmp_path, store="memory:", bits=4.0, audit=tmp_path / "audit.log")
    return create_app(settings, around=RecordingApp())


def ask(app: Any, method: str, target: str, body: bytes = b"", *fields: tuple[bytes, bytes]) -> Any:
    headers = [(b"host", b"127.0.0.1"), *fields]
    answer = asyncio.run(call(app, method, target.encode(), headers=headers, body=body))
    return answer.body.decode() if target == "/metrics" else document(answer)


def redeemed(app: App) -> tuple[Any, Any]:
    """A pass, and the refusal of its proof's replay."""
    challenge = ask(app, "GET", "/api/challenge?puzzles=1")["challenge"]
    body = json.dumps(engine.solve(decode_challenge(challenge)).to_json()).encode()
    return ask(app, "POST", "/api/verify", body), ask(app, "POST", "/api/verify", body)


def test_figures_view_audit_log_and_last_refusals_know_a_redemption_once(tmp_path: Path) -> None:
    app = make(tmp_path)
    admin = app.admin
    bought, replay = redeemed(app)
    before = ask(admin, "GET", "/activity")["whole"]
    assert (before["outcomes"], before["rails"]) == ({"admitted": 1, "refused": 1}, {"work": 1})
    assert (before["problems"], before["paid"]["mean_bits"]) == ({"already-spent": 1}, 4)
    assert before["solves"]["count"] == 1

    bearer = (b"authorization", f"Bearer {bought['pass']}".encode())
    asyncio.run(call(app, "GET", b"/x", headers=[(b"host", b"127.0.0.1"), bearer]))
    after = ask(admin, "GET", "/activity")["whole"]
    assert (after["outcomes"]["admitted"], after["paid"]["count"]) == (2, 1)

    figures = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parse_text(ask(admin, "GET", "/metrics"))
        for sample in family.samples
    }
    assert figures["pypow_decisions_total", "", "admitted", "default", "work"] == 2
    assert figures["pypow_difficulty_count", "paid"] == 1
    assert figures["pypow_solve_seconds_count",] == 1

    found = ask(admin, "GET", f"/decisions/{replay['decision']}")
    assert (found["problem"], found["name"]) == ("already-spent", "/api/verify")

    app.telemetry.close()
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert [(line["outcome"], line["bits"]) for line in lines] == [
        ("admitted", 4.0), ("refused", None), ("admitted", None)
    ]  # fmt: skip


def test_a_redemption_is_a_span_with_its_spend_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="OpenTelemetry is not installed")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(tracing, "configured", lambda: tracing.Tracing(provider))
    redeemed(make(tmp_path))
    spans = kept.get_finished_spans()
    assert [span.name for span in spans] == ["pypow spend", "pypow decision"] * 2
    outcomes = [dict(span.attributes or {}).get("pypow.outcome") for span in spans]
    assert outcomes == [None, "admitted", None, "refused"]

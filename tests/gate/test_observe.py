# SPDX-License-Identifier: Apache-2.0
"""Observing: everything is decided and counted as it would be, and nothing is kept out."""

import asyncio
import copy
import dataclasses
import json

import pytest

from pypow_server.access import Access
from pypow_server.decision import Decision, Outcome
from pypow_server.gate import Gate
from pypow_server.policy import Entry, Policy
from pypow_server.scope import Message
from pypow_server.stores import Quota, Spend, StoreError
from support.asgi_client import Answer, http_scope
from support.gated import EASY, HOST, Bench, Headers, offers, solution, solved
from support.limiters import CountingLimiter

ENFORCED = Policy(
    default=EASY,
    denied=(Access(networks=("203.0.113.0/24",)),),
    free_limit=Quota(2, 1000),
    hosts=frozenset({HOST}),
)
OBSERVED = dataclasses.replace(ENFORCED, observe=True)


def make(policy: Policy) -> Bench:
    return Bench(policy=policy, limiter=CountingLimiter())


def tool_call(proof: object = None) -> bytes:
    meta = {} if proof is None else {"_meta": {"io.pypow/proof": proof}}
    params = {"name": "search", "arguments": {}, **meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return json.dumps(message).encode()


def trace(bench: Bench, proofs: list[str]) -> list[Answer]:
    """Requests of every kind, the same for each bench."""
    good, once = proofs
    return [
        bench.send("GET"),
        bench.send("GET", headers=solution(good)),
        bench.send("GET", headers=solution(good)),
        bench.send("GET", headers=solution("nonsense")),
        bench.send("GET", headers=solution(good) + solution(once)),
        bench.send("GET", headers=[(b"x-http-method-override", b"DELETE")]),
        bench.send("GET", headers=[(b"host", b"evil.example")]),
        bench.send("GET", headers=[(b"x-filler", b"a" * 40_000)]),
        bench.send("GET", client="203.0.113.5"),
        *(bench.send("GET", "/.well-known/x") for _ in range(3)),
        bench.send("POST", "/mcp", (), tool_call()),
        bench.send("POST", "/mcp", (), b"no JSON"),
        bench.send("POST", "/mcp", (), b" " * 5000),
        bench.send("POST", "/mcp", [(b"content-length", b"9999")], b"x"),
        bench.send("POST", "/mcp", [(b"content-type", b"text/plain")], b"{}"),
        bench.send("OPTIONS"),
    ]


def shape(decision: Decision) -> tuple[object, ...]:
    """All that is counted of a decision, with observed and refused taken for one."""
    outcome = decision.outcome
    kept_out = Outcome.REFUSED if outcome is Outcome.OBSERVED else outcome
    return (kept_out, decision.entry, decision.rail, decision.problem, decision.status)


def both() -> tuple[Bench, Bench, list[Answer]]:
    enforcing, observing = make(ENFORCED), make(OBSERVED)
    proofs = [enforcing.proof(), enforcing.proof()]
    # Two ledgers of one epoch: what one gate issued is good at both, once each.
    observing.ledger.inner = copy.deepcopy(enforcing.ledger.inner)
    enforcing.decisions.clear()
    trace(enforcing, proofs)
    return enforcing, observing, trace(observing, proofs)


def test_what_is_counted_is_what_enforcing_counts() -> None:
    enforcing, observing, _ = both()
    assert [shape(one) for one in observing.decisions] == [
        shape(one) for one in enforcing.decisions
    ]
    counted = {one.outcome for one in observing.decisions}
    assert counted == {Outcome.OBSERVED, Outcome.ADMITTED, Outcome.FREE}
    assert {one.outcome for one in enforcing.decisions} == {
        Outcome.REFUSED,
        Outcome.ADMITTED,
        Outcome.FREE,
    }


def test_nothing_is_kept_out_and_every_body_arrives_whole() -> None:
    _, observing, answers = both()
    assert {answer.status for answer in answers} == {200}
    assert observing.app.reached == len(answers)
    assert observing.app.bodies[-6:] == [
        tool_call(), b"no JSON", b" " * 5000, b"x", b"{}", b"",
    ]  # fmt: skip


class BlockingGate(Gate):
    """A wrong twin: takes observing for enforcing."""

    def __init__(self, *arguments: object, **named: object) -> None:
        named["policy"] = dataclasses.replace(named["policy"], observe=False)  # type: ignore[type-var]
        super().__init__(*arguments, **named)  # type: ignore[arg-type]


@pytest.mark.parametrize(("gate", "status"), [(Gate, 200), (BlockingGate, 402)])
def test_the_check_tells_a_gate_that_blocks(gate: type[Gate], status: int) -> None:
    assert Bench(policy=OBSERVED, gate=gate).send("GET").status == status


def test_credentials_do_not_travel_on_though_the_head_cannot_be_read() -> None:
    bench = make(OBSERVED)
    headers: Headers = [
        (b"x-pow-solution", b"challenge=x,nonce=1"),
        (b"authorization", b"Bearer pyp_secret"),
        (b"cookie", b"pypow_pass=pyp_secret; theme=dark"),
        (b"x-method-override", b"PUT"),
    ]
    assert bench.send("GET", headers=headers).status == 200
    assert bench.app.scopes[0]["headers"] == [
        (b"host", HOST.encode()),
        (b"cookie", b"theme=dark"),
        (b"x-method-override", b"PUT"),
    ]


@pytest.mark.parametrize("answer", [Spend.UNKNOWN, Spend.STALE, StoreError("gone")])
def test_a_store_that_fails_is_counted_and_keeps_nobody_out(answer: Spend | Exception) -> None:
    bench = make(OBSERVED)
    issuing = make(ENFORCED)
    proof = solution(solved(offers(issuing.send("GET"))[0]))
    bench.ledger.inner = issuing.ledger.inner
    bench.ledger.answer = answer
    assert bench.send("GET", headers=proof).status == 200
    (decision,) = bench.decisions
    assert (decision.outcome, decision.rail) == (Outcome.OBSERVED, None)
    assert decision.problem in ("store-unavailable", "stale-epoch")


def test_a_fault_of_the_gate_itself_is_counted_and_keeps_nobody_out() -> None:
    bench = Bench(policy=OBSERVED, rails=[None])  # type: ignore[list-item]
    assert bench.send("GET").status == 200
    assert bench.decisions[0].problem == "internal-error"


def test_one_price_can_be_observed_while_the_others_hold() -> None:
    tried = Entry("POST /tried", dataclasses.replace(EASY, name="tried", observe=True))
    bench = make(dataclasses.replace(ENFORCED, entries=(tried,)))
    assert (bench.send("POST", "/tried").status, bench.send("POST", "/held").status) == (200, 402)
    assert [one.outcome for one in bench.decisions] == [Outcome.OBSERVED, Outcome.REFUSED]
    assert [one.entry for one in bench.decisions] == ["tried", EASY.name]


def test_a_slow_body_arrives_whole_though_it_came_too_late_to_be_judged() -> None:
    bench = make(OBSERVED)
    gate = Gate(
        bench.app, rails=[], ledger=bench.ledger, policy=OBSERVED, body_deadline_s=0, recorders=()
    )
    parts: list[Message] = [
        {"type": "http.request", "body": b"b", "more_body": False},
        {"type": "http.request", "body": b"a", "more_body": True},
    ]
    asked = 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        if asked == 2:  # the second part comes after the deadline
            await asyncio.Event().wait()
        return parts.pop()

    async def send(message: Message) -> None:
        pass

    scope = http_scope("POST", b"/mcp", headers=[(b"host", HOST.encode())])
    asyncio.run(gate(scope, receive, send))
    assert bench.app.bodies == [b"ab"]

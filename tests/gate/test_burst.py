# SPDX-License-Identifier: Apache-2.0
"""Bursts at the gate: free calls, then a price that rises with overdraft, and then a wait."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

import pytest

from pypow import engine
from pypow.wire import decode_challenge
from pypow_server.api import create_api
from pypow_server.decision import Outcome
from pypow_server.fronts.forward_auth import vouch
from pypow_server.gate import Gate
from pypow_server.meter import Pricing
from pypow_server.policy import Entry, PassTerms, Policy, Price
from pypow_server.redemption import Redemption
from pypow_server.stores import Quota
from support.asgi_client import Answer
from support.asgi_client import call as call_asgi
from support.challenges import NOW_MS
from support.gated import HOST, Bench, CountingLedger, document, offers, solution

QUOTA = Quota(60, 60_000)
BITS = 4
FREE = Price("search", BITS * 1024, free=QUOTA)
PRICED = Price("search", BITS * 1024, pricing=Pricing(quota=QUOTA))
FINE = [(b"x-pow-accept", b"puzzles=16")]
"""What a caller sends that takes fractions of a bit."""


def bench(price: Price = FREE, **terms: Any) -> Bench:
    return Bench(policy=Policy(default=price), **terms)


def known(price: Price = FREE, *, client: str = "192.0.2.7", **terms: Any) -> Bench:
    """A gate at which a caller has called before, and is back at its whole quota."""
    gate = bench(price, **terms)
    assert gate.send("GET", client=client).status in (200, 402)
    gate.clock.now_ms += 3_600_000
    return gate


def solve(offer: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    challenge = decode_challenge(offer["challenge"])
    return solution(engine.solve(challenge).header())


def refused(gate: Bench, **how: Any) -> dict[str, Any]:
    """The offer in a refusal."""
    answer = gate.send("GET", headers=FINE, **how)
    assert answer.status == 402, answer.body
    return offers(answer)[0]


def extra_bits(offer: dict[str, Any]) -> float:
    """What it asks besides the price."""
    return float(offer["bits"]) - BITS


def test_a_burst_is_free_and_then_sold_and_all_of_it_gets_through() -> None:
    gate = known()
    free = [gate.send("GET", headers=FINE) for _ in range(61)]
    assert [answer.status for answer in free] == [200] * 60 + [402]
    asked = []
    for _ in range(60):
        offer = refused(gate)
        asked.append(extra_bits(offer))
        assert gate.send("GET", headers=solve(offer)).status == 200
    # Each call is a quarter of a bit: four of them double the price.
    assert asked == [number / 4 for number in range(1, 61)]


def test_the_refusal_says_the_price_and_when_the_call_is_free() -> None:
    gate = known()
    for _ in range(60):
        gate.send("GET")
    offer = refused(gate)
    challenge = decode_challenge(offer["challenge"])
    assert (offer["bits"], offer["free_in"]) == (4.25, 1)
    assert (challenge.q, challenge.overdraft) == (4.25 * 1024, 2)
    gate.clock.now_ms += 999
    assert refused(gate)["free_in"] == 1
    gate.clock.now_ms += 1
    assert gate.send("GET").status == 200


def test_a_newcomer_has_a_part_of_the_quota_and_grows_into_it() -> None:
    gate = bench()
    assert [gate.send("GET").status for _ in range(5)] == [200] * 4 + [402]
    gate.clock.now_ms += 56_000
    assert [gate.send("GET").status for _ in range(57)] == [200] * 56 + [402]


def test_past_the_cap_callers_wait_and_then_are_sold_to_again() -> None:
    capped = replace(FREE, pricing=Pricing(max_overdraft_q=2 * 1024))
    gate = known(capped)
    for _ in range(60):
        assert gate.send("GET").status == 200
    for _ in range(8):
        assert gate.send("GET", headers=solve(refused(gate))).status == 200
    answer = gate.send("GET")
    assert (answer.status, answer.values(b"retry-after")) == (429, [b"1"])
    assert document(answer)["type"] == "urn:pypow:error:overdrawn"
    assert "offers" not in document(answer)
    gate.clock.now_ms += 1000
    assert extra_bits(refused(gate)) == 2


def test_asking_moves_no_price() -> None:
    gate = known()
    for _ in range(60):
        gate.send("GET")
    first = refused(gate)
    for _ in range(200):
        gate.send("GET")
    assert refused(gate)["bits"] == first["bits"]


def test_proofs_fetched_at_once_are_redeemed_up_to_the_slack_and_the_rest_waits() -> None:
    gate = known()
    for _ in range(60):
        gate.send("GET")
    hoard = [solve(refused(gate)) for _ in range(12)]
    answers = [gate.send("GET", headers=[*FINE, *proof]) for proof in hoard]
    # A quarter of a bit was paid for, and two are forgiven: nine calls.
    assert [answer.status for answer in answers] == [200] * 9 + [429] * 3
    early = document(answers[-1])
    assert (early["type"], early["retry_after"]) == ("urn:pypow:error:early", 1)
    assert extra_bits(early["offers"][0]) == 2.5
    assert gate.app.reached == 61 + 9 + 0
    gate.clock.now_ms += 1000
    assert gate.send("GET", headers=hoard[-1]).status == 200
    assert gate.send("GET", headers=hoard[-1]).status == 402  # it was spent once
    assert [one.outcome for one in gate.decisions[-2:]] == [Outcome.ADMITTED, Outcome.REFUSED]


def test_a_fresh_proof_from_the_refusal_of_an_early_one_is_good_at_once() -> None:
    gate = known()
    for _ in range(60):
        gate.send("GET")
    hoard = [solve(refused(gate)) for _ in range(10)]
    early = [gate.send("GET", headers=[*FINE, *proof]) for proof in hoard][-1]
    assert early.status == 429
    assert gate.send("GET", headers=solve(offers(early)[0])).status == 200


def test_a_price_without_free_calls_follows_use_where_the_policy_says_so() -> None:
    gate = known(PRICED)
    asked = []
    for _ in range(62):
        offer = refused(gate)
        assert "free_in" not in offer
        asked.append(extra_bits(offer))
        assert gate.send("GET", headers=solve(offer)).status == 200
    assert asked == [0] * 4 + [number / 4 for number in range(1, 59)]


def test_a_price_that_does_not_follow_use_asks_no_store() -> None:
    gate = bench(Price("static", BITS * 1024))
    for _ in range(3):
        proof = solve(refused(gate))
        assert gate.send("GET", headers=proof).status == 200
    assert (gate.ledger.quotes, gate.ledger.spends) == (0, 3)


def test_a_refusal_asks_the_store_once() -> None:
    for price in (FREE, PRICED):
        gate = bench(price)
        for asked in range(1, 10):
            gate.send("GET")
            assert gate.ledger.quotes == asked


@pytest.mark.parametrize(
    ("clients", "share"),
    [
        ([f"192.0.2.{host}" for host in range(1, 255)], 16),
        ([f"2001:db8:0:{net:x}::1" for net in range(250)], 16),
        ([f"2001:db8:0:{net:x}00::1" for net in range(250)], 64),
    ],
    ids=["an IPv4 /24", "an IPv6 /56", "an IPv6 /48"],
)
def test_who_walks_through_a_network_gets_what_the_network_has(
    clients: list[str], share: int
) -> None:
    gate = bench()
    statuses = [gate.send("GET", client=client).status for client in clients]
    free = statuses.count(200)
    # A newcomer's part of the network's allowance, but for what its last caller must have left.
    assert free == 3 * share + 1
    assert extra_bits(refused(gate, client=clients[-1])) > 0
    assert gate.send("GET", client="198.51.100.1").status == 200


def test_two_gates_with_one_store_charge_as_one() -> None:
    ledger = CountingLedger()
    here, there = known(ledger=ledger), bench(ledger=ledger)
    there.clock = here.clock
    there.gate._clock = here.clock
    statuses = [(here, there)[number % 2].send("GET").status for number in range(62)]
    assert statuses == [200] * 60 + [402] * 2
    assert there.send("GET", headers=solve(refused(here))).status == 200
    assert extra_bits(refused(there)) == 0.5


def test_a_challenge_is_redeemed_by_the_policy_that_issued_it() -> None:
    gate = known()
    for _ in range(60):
        gate.send("GET")
    for _ in range(20):
        proof = solve(refused(gate))
        gate.send("GET", headers=proof)
    late = solve(refused(gate))
    strict = Policy(default=replace(FREE, free=Quota(15, 60_000)))
    gate.clock.now_ms += 1
    gate.gate.decide_by(policy=strict, rails=[gate.rail])
    # By the new rules each call is a bit, and all that is owed more than is ever sold.
    assert document(gate.send("GET"))["type"] == "urn:pypow:error:overdrawn"
    assert gate.send("GET", headers=late).status == 200


def test_a_challenge_of_a_policy_before_the_last_is_redeemed_by_that_one() -> None:
    gate = known()
    for _ in range(60):
        gate.send("GET")
    for _ in range(20):
        gate.send("GET", headers=solve(refused(gate)))
    late = solve(refused(gate))
    for calls in (30, 15, 1, 2):
        gate.clock.now_ms += 1
        policy = Policy(default=replace(FREE, free=Quota(calls, 60_000)))
        gate.gate.decide_by(policy=policy, rails=[gate.rail])
    before = gate.gate._rulebook.former
    gate.clock.now_ms += 600_001
    gate.gate.decide_by(policy=gate.policy, rails=[gate.rail])
    assert [until - NOW_MS - 3_600_000 for until, _ in before] == [4, 3, 2, 1]
    assert len(gate.gate._rulebook.former) == 1
    gate.gate._rulebook = replace(gate.gate._rulebook, former=before)
    gate.clock.now_ms -= 600_001
    assert gate.send("GET", headers=late).status == 200


def test_the_calls_of_a_pass_are_charged_when_it_is_bought() -> None:
    gate = known(replace(FREE, sells=PassTerms(20, 300)))
    for _ in range(60):
        gate.send("GET")
    bought = gate.send("GET", headers=solve(refused(gate)))
    bearer = [(b"authorization", b"Bearer " + bought.values(b"x-pow-pass")[0])]
    owed = extra_bits(refused(gate))
    asked = gate.ledger.quotes
    assert owed == (20 + 1) / 4
    statuses = [gate.send("GET", headers=bearer).status for _ in range(20)]
    assert statuses == [200] * 19 + [402]
    assert gate.ledger.quotes == asked + 1  # of the last one alone
    assert extra_bits(refused(gate)) == owed


def test_a_call_that_did_not_reach_the_upstream_is_not_charged() -> None:
    async def absent(scope: Any, receive: Any, send: Any) -> None:
        scope["pypow.upstream_reached"] = False
        await send({"type": "http.response.start", "status": 502, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gate = known(PRICED, app=absent)
    for _ in range(4):
        proof = solve(refused(gate))
        for _ in range(10):
            assert gate.send("GET", headers=proof).status == 502
    assert gate.ledger.releases == 40
    assert extra_bits(refused(gate)) == 0


def test_forward_auth_and_mcp_callers_get_the_same_offer() -> None:
    def forward_auth() -> Answer:
        gate = known(PRICED)
        ask = Gate(
            vouch, rails=[gate.rail], ledger=gate.ledger, credit=gate.ledger,
            policy=gate.policy, clock=gate.clock,
        )  # fmt: skip
        for _ in range(8):
            gate.send("GET", headers=solve(refused(gate)))
        return asyncio.run(
            call_asgi(
                ask, "GET", b"/x", headers=[(b"host", HOST.encode()), *FINE],
                client=("192.0.2.7", 1),
            )
        )  # fmt: skip

    def mcp(headers: list[tuple[bytes, bytes]]) -> Answer:
        gate = known(PRICED)
        for _ in range(8):
            gate.send("GET", headers=solve(refused(gate)))
        return gate.post_mcp("tools/call", {"name": "search", "arguments": {}}, headers=headers)

    assert extra_bits(offers(forward_auth())[0]) == 1.25
    assert extra_bits(offers(mcp(FINE))[0]) == 1.25
    assert decode_challenge(offers(mcp([]))[0]["challenge"]).overdraft == 0  # rounded to 4 bits


def test_an_overdrawn_mcp_caller_keeps_its_session() -> None:
    gate = known(replace(FREE, pricing=Pricing(max_overdraft_q=1024)))
    called: Answer | None = None
    for _ in range(66):
        called = gate.post_mcp("tools/call", {"name": "search", "arguments": {}})
        if called.body != b"reached" and offers(called):
            gate.post_mcp(
                "tools/call", {"name": "search", "arguments": {}}, headers=solve(offers(called)[0])
            )
    assert called is not None
    assert called.status == 200
    result = document(called)["result"]
    assert result["isError"]
    assert result["_meta"]["io.pypow/refusal"]["status"] == 429
    assert "wait" in result["content"][0]["text"]


def test_prices_of_one_policy_share_an_account_unless_they_have_free_calls() -> None:
    pricing = Pricing(quota=QUOTA)
    default = Price("default", BITS * 1024, pricing=pricing)
    heavy = Price("heavy", (BITS + 2) * 1024, 4, pricing=pricing)
    entries = (Entry("GET /heavy", heavy), Entry("GET /free", FREE))
    gate = Bench(policy=Policy(default=default, entries=entries))

    def asked(target: str) -> float:
        return float(offers(gate.send("GET", target, FINE))[0]["bits"])

    for _ in range(2):
        offer = offers(gate.send("GET", "/heavy", FINE))[0]
        assert gate.send("GET", "/heavy", solve(offer)).status == 200
    assert asked("/x") == BITS + 1.25
    assert asked("/heavy") == BITS + 2 + 2
    assert gate.send("GET", "/free").status == 200


def test_what_cannot_be_told_is_sold_at_the_price() -> None:
    class CannotTell(CountingLedger):
        async def quote(self, charge: Any, *, now_ms: int) -> Any:
            raise OSError("gone")

    gate = bench(PRICED, ledger=CannotTell())
    for _ in range(8):
        offer = refused(gate)
        assert extra_bits(offer) == 0
        gate.send("GET", headers=solve(offer))
    assert gate.decisions[-2].limiter_failed


def test_a_gate_that_only_observes_takes_nothing_for_what_it_lets_through() -> None:
    gate = Bench(policy=Policy(default=FREE, observe=True))
    assert [gate.send("GET").status for _ in range(8)] == [200] * 8
    outcomes = [one.outcome for one in gate.decisions]
    assert outcomes == [Outcome.FREE] * 4 + [Outcome.OBSERVED] * 4


def test_callers_that_count_zeros_are_asked_in_steps_of_four_bits() -> None:
    gate = known()
    for _ in range(60):
        gate.send("GET")
    seen = []
    for _ in range(23):
        answer = gate.send("GET")
        offer = offers(answer)[0]
        seen.append((offer["bits"], decode_challenge(offer["challenge"]).overdraft))
        assert gate.send("GET", headers=solve(offer)).status == 200
    assert {bits for bits, _ in seen} == {4, 8}
    # Of what a price is rounded down by, none is paid for: what is left of it is the slack's.
    assert seen[:8] == [(4, 0)] * 7 + [(8, 16)]
    assert seen[-1] == (8, 32)


class Api:
    """The callers' API beside a gate, for one caller."""

    def __init__(self, gate: Bench) -> None:
        self._gate = gate
        self._api = create_api(
            Redemption(gate.rail, gate.policy, gate.ledger, gate.ledger), clock=gate.clock
        )

    def challenge(self, resource: str | None = None) -> Answer:
        query = "puzzles=16" + ("" if resource is None else f"&resource={quote_plus(resource)}")
        return self._call("GET", f"/api/challenge?{query}".encode())

    def verify(self, challenge: Answer, resource: str | None = None) -> Answer:
        proof = engine.solve(decode_challenge(document(challenge)["challenge"]))
        said = {} if resource is None else {"resource": resource}
        body = {**proof.to_json(), **said}
        return self._call("POST", b"/api/verify", json.dumps(body).encode())

    def _call(self, method: str, target: bytes, body: bytes = b"") -> Answer:
        return asyncio.run(
            call_asgi(self._api, method, target, body=body, client=("192.0.2.7", 50000))
        )


def bearer(bought: Answer) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {document(bought)['pass']}".encode())]


def test_a_pass_from_the_api_costs_what_the_call_would_and_is_charged_once() -> None:
    gate = known(PRICED)
    api = Api(gate)
    asked = []
    for _ in range(62):
        challenge = api.challenge("GET /x")
        asked.append(document(challenge)["bits"] - BITS)
        bought = api.verify(challenge, "GET /x")
        assert bought.status == 200, bought.body
        assert gate.send("GET", headers=bearer(bought)).status == 200
    assert asked == [0] * 4 + [number / 4 for number in range(1, 59)]


def test_the_api_hoards_nothing_for_anybody() -> None:
    gate = known(PRICED)
    api = Api(gate)
    for _ in range(4):
        gate.send("GET", headers=solve(refused(gate)))
    hoard = [api.challenge("GET /x") for _ in range(10)]
    answers = [api.verify(challenge, "GET /x") for challenge in hoard]
    assert [answer.status for answer in answers] == [200] * 9 + [429]
    assert document(answers[-1])["type"] == "urn:pypow:error:early"


def test_the_api_sells_nothing_past_the_cap() -> None:
    gate = known(replace(PRICED, pricing=Pricing(quota=QUOTA, max_overdraft_q=1024)))
    for _ in range(8):
        gate.send("GET", headers=solve(refused(gate)))
    answer = Api(gate).challenge("GET /x")
    assert (answer.status, document(answer)["type"]) == (429, "urn:pypow:error:overdrawn")


def test_no_pass_is_had_for_a_call_that_is_not_charged() -> None:
    static = Price("default", BITS * 1024)
    gate = Bench(policy=Policy(default=static, entries=(Entry("GET /free", FREE),)))
    api = Api(gate)
    unnamed = api.verify(api.challenge("GET /free"))
    assert (unnamed.status, "resource" in document(unnamed)["detail"]) == (400, True)
    for_any = bearer(api.verify(api.challenge()))
    for _ in range(4):
        assert gate.send("GET", "/free").status == 200
    assert gate.send("GET", "/free", for_any).status == 402
    assert gate.send("GET", "/x", for_any).status == 200

# SPDX-License-Identifier: Apache-2.0
"""The work rail: whose proof counts for which call, and what its offers say."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest

from pypow import challenge as engine
from pypow import wire
from pypow.challenge import Key, Keyring, Reason
from pypow.wire import Challenge, Proof
from pypow_server.accepts import Accepts
from pypow_server.call import Call
from pypow_server.policy import Price
from pypow_server.presented import Form, Presented
from pypow_server.rails import Absent, Admit, Refuse, Verdict
from pypow_server.rails.refusals import problem_of
from pypow_server.rails.work import Exchange, WorkRail
from pypow_server.resource import Resource
from support.challenges import EPOCH, KEY, KEYRING, NOW_MS
from support.gated import EASY, HOST, Bench, document, offers, solution, solved

CALL = Call(method="POST", path=b"/tools", client="192.0.2.7/32", headers=())
DEAR = Price("dear", 4 * 1024, weight=16)
RAIL = WorkRail(KEYRING, public_host=HOST)


def proof_for(challenge: Challenge) -> Proof:
    for nonce in itertools.count():
        proof = Proof((str(nonce).encode(),), challenge.text)
        if engine.work_stands(challenge, proof.nonces):
            return proof
    raise AssertionError


def challenge_for(
    resource: Resource | None, price: Price = EASY, *, rail: WorkRail = RAIL
) -> Challenge:
    return rail.challenge(resource, price, puzzles=None, now_ms=NOW_MS, epoch=EPOCH)


def presenting(*presented: Presented) -> Call:
    return Call(
        method="POST", path=b"/tools", client="192.0.2.7/32", headers=(), presented=presented
    )


def judge(
    *presented: Presented,
    price: Price = EASY,
    now_ms: int = NOW_MS,
    rail: WorkRail = RAIL,
) -> Verdict:
    return asyncio.run(rail.judge(presenting(*presented), price, now_ms=now_ms))


def header(proof: Proof) -> Presented:
    return Presented(Form.SOLUTION_HEADER, proof.header().encode())


def refused(verdict: Verdict) -> str:
    assert isinstance(verdict, Refuse), verdict
    return verdict.problem.name


def test_no_credential_is_absent() -> None:
    assert judge() == Absent()


def test_a_proof_admits_its_caller_and_claims_its_challenge() -> None:
    challenge = challenge_for(CALL.resource)
    verdict = judge(header(proof_for(challenge)))
    assert isinstance(verdict, Admit)
    assert verdict.principal == "192.0.2.7/32"
    assert verdict.spend is not None
    assert verdict.spend.key == challenge.id
    assert (verdict.spend.epoch, verdict.spend.limit) == (EPOCH, 1)
    assert verdict.spend.expires_at_ms == challenge.expires_at_ms


def test_all_forms_of_a_proof_are_read_alike() -> None:
    proof = proof_for(challenge_for(CALL.resource))
    text, nonce = proof.challenge, proof.nonce.decode()
    parameters = f'challenge="{text}", nonce="{nonce}"'.encode()
    forms: Sequence[Presented] = (
        header(proof),
        Presented(Form.AUTHORIZATION, parameters),
        Presented(Form.META, proof.to_json()),
        Presented(Form.META, proof.header()),
    )
    assert all(isinstance(judge(form), Admit) for form in forms)
    assert isinstance(judge(*forms), Admit)


def test_a_challenge_for_no_resource_is_good_for_any_call_of_its_weight() -> None:
    proof = header(proof_for(challenge_for(None)))
    assert isinstance(judge(proof), Admit)
    assert refused(judge(proof, price=DEAR)) == "underweight"


def test_a_proof_for_another_call_or_another_host_is_refused() -> None:
    other_call = challenge_for(Resource("http", "POST", "/other"))
    elsewhere = WorkRail(KEYRING, public_host="other.example")
    other_host = challenge_for(CALL.resource, rail=elsewhere)
    for challenge in (other_call, other_host):
        assert refused(judge(header(proof_for(challenge)))) == "wrong-resource"


def test_time_bounds_a_proof() -> None:
    challenge = challenge_for(CALL.resource)
    proof = header(proof_for(challenge))
    assert isinstance(judge(proof, now_ms=challenge.expires_at_ms - 1), Admit)
    assert refused(judge(proof, now_ms=challenge.expires_at_ms)) == "expired"
    assert refused(judge(proof, now_ms=NOW_MS - 5_001)) == "not-yet-valid"


def test_a_nonce_that_does_not_win_is_refused() -> None:
    challenge = challenge_for(CALL.resource)
    losing = next(
        str(n).encode()
        for n in itertools.count()
        if not engine.work_stands(challenge, (str(n).encode(),))
    )
    assert refused(judge(header(Proof((losing,), challenge.text)))) == "not-enough-work"


def test_rotating_keys_voids_no_proof() -> None:
    new = Key(id=2, secret=bytes(range(32, 64)))
    proof = header(proof_for(challenge_for(CALL.resource)))
    rotated = WorkRail(Keyring([new, KEY]), public_host=HOST)
    assert isinstance(judge(proof, rail=rotated), Admit)
    retired = WorkRail(Keyring([new]), public_host=HOST)
    assert refused(judge(proof, rail=retired)) == "unknown-key"


def test_another_deployments_challenge_is_refused() -> None:
    foreign = Keyring([Key(id=KEY.id, secret=bytes(32))])
    challenge = challenge_for(CALL.resource, rail=WorkRail(foreign, public_host=HOST))
    assert refused(judge(header(proof_for(challenge)))) == "bad-signature"


@pytest.mark.parametrize(
    "presented",
    [
        Presented(Form.SOLUTION_HEADER, b""),
        Presented(Form.SOLUTION_HEADER, b"\xff"),
        Presented(Form.SOLUTION_HEADER, b"a" * 100_000),
        Presented(Form.SOLUTION_HEADER, "nonce=\u0661".encode()),
        Presented(Form.AUTHORIZATION, b'challenge="x"'),
        Presented(Form.PASS, b"not-a-pass"),
        Presented(Form.PASS, b"pyp_" + b"A" * 134),
        Presented(Form.PASS, b"pyp_\xc3\xa9"),
        Presented(Form.META, None),
        Presented(Form.META, 3),
        Presented(Form.META, []),
        Presented(Form.META, {"challenge": "x"}),
        Presented(Form.META, {"challenge": 1, "nonce": 2}),
    ],
)
def test_what_cannot_be_read_is_malformed(presented: Presented) -> None:
    assert refused(judge(presented)) == "malformed-proof"


def test_a_proof_and_a_pass_are_two_credentials() -> None:
    proof = proof_for(challenge_for(CALL.resource))
    bought = RAIL.exchange(proof, None, EASY, now_ms=NOW_MS)
    assert isinstance(bought, Exchange)
    as_pass = Presented(Form.PASS, bought.bought.text.encode())
    assert refused(judge(header(proof), as_pass)) == "conflicting-credentials"


def test_a_proof_buys_a_pass_for_one_call_of_what_its_challenge_was_for() -> None:
    challenge = challenge_for(CALL.resource)
    exchange = RAIL.exchange(proof_for(challenge), None, EASY, now_ms=NOW_MS)
    assert isinstance(exchange, Exchange)
    assert exchange.spend.key == challenge.id
    verdict = judge(Presented(Form.PASS, exchange.bought.text.encode()))
    assert isinstance(verdict, Admit)
    assert verdict.spend is not None
    assert (verdict.spend.key, verdict.spend.epoch, verdict.spend.limit) == (
        exchange.bought.id, None, 1,
    )  # fmt: skip


def test_a_proof_that_does_not_stand_buys_nothing() -> None:
    challenge = challenge_for(CALL.resource)
    proof = proof_for(challenge)
    assert isinstance(RAIL.exchange(proof, None, EASY, now_ms=challenge.expires_at_ms), Refuse)
    assert isinstance(RAIL.exchange(Proof((b"0",), "x"), None, EASY, now_ms=NOW_MS), Refuse)


def test_every_reason_of_the_engine_has_a_problem() -> None:
    for reason in Reason:
        assert problem_of(engine.Refusal(reason, "because")).detail == "because"


def test_a_caller_that_only_counts_zeros_gets_one_puzzle_of_whole_digits() -> None:
    price = Price("odd", 17 * 1024 + 300)
    offered = RAIL.challenge(None, price, puzzles=None, now_ms=NOW_MS, epoch=EPOCH)
    assert (offered.puzzles, offered.q) == (1, 16 * 1024)
    assert offered.published()["difficulty"] == 4


def test_a_caller_that_can_do_more_gets_sub_puzzles_and_the_exact_price() -> None:
    price = Price("odd", 17 * 1024 + 300)
    call = Call(method="GET", path=b"/x", client="local", headers=(), accepts=Accepts(puzzles=64))
    offer = asyncio.run(RAIL.offer(call, price, now_ms=NOW_MS, epoch=EPOCH))
    assert offer is not None
    text = offer.body["challenge"]
    assert isinstance(text, str)
    offered = wire.decode_challenge(text)
    assert (offered.puzzles, offered.q) == (64, price.q)


def test_no_two_offers_share_a_challenge() -> None:
    bench = Bench()
    ids = {offers(bench.send("GET"))[0]["challenge"] for _ in range(20)}
    assert len(ids) == 20


def test_the_offer_says_in_every_form_how_to_pay() -> None:
    bench = Bench()
    refusal = bench.send("GET")
    offer = offers(refusal)[0]
    assert offer["solve"] == f"pypow solve --challenge {offer['challenge']}"
    assert offer["send"] == f"X-PoW-Solution: challenge={offer['challenge']},nonce=<nonce>"
    (line,) = refusal.values(b"www-authenticate")
    scheme, _, parameters = line.decode().partition(" ")
    assert scheme == "PoW"
    assert parameters.split(", ") == [
        f'challenge="{offer["challenge"]}"', 'difficulty="1"', 'algorithm="sha256"', 'bits="4"',
    ]  # fmt: skip
    assert document(refusal)["status"] == 402
    assert bench.send("GET", headers=solution(solved(offer))).status == 200


def test_a_pass_bought_while_keys_rotate_is_good_for_what_was_paid() -> None:
    proof = proof_for(challenge_for(CALL.resource))
    rotated = WorkRail(Keyring([Key(2, bytes(32)), KEY]), public_host=HOST)
    exchange = rotated.exchange(proof, None, EASY, now_ms=NOW_MS)
    assert isinstance(exchange, Exchange)
    presented = Presented(Form.PASS, exchange.bought.text.encode())
    assert isinstance(judge(presented, rail=rotated), Admit)

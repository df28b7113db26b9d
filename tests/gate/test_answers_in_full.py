# SPDX-License-Identifier: Apache-2.0
"""What the gate answers, word for word: refusals, offers, preflights, and what a pass says."""

import asyncio
import base64
import itertools
import logging
import time
from dataclasses import replace

import pytest

from pypow import wire
from pypow.challenge import Expected, Refusal, scope_digest, work_stands
from pypow.errors import WireError
from pypow.wire import Proof
from pypow_server import passes, problems
from pypow_server.accepts import Accepts
from pypow_server.call import Call
from pypow_server.gate import wall_clock_ms
from pypow_server.mcp_message import Kind, McpMessage
from pypow_server.passes import Pass
from pypow_server.policy import Entry, PassTerms, Policy, Price
from pypow_server.presented import Form, Presented
from pypow_server.problems import Problem
from pypow_server.rails import Admit, Claim, Refuse
from pypow_server.rails.work import Exchange, WorkRail
from pypow_server.resource import Resource
from pypow_server.scope import Receive, Scope, Send
from pypow_server.settlement import release, settle
from pypow_server.stores import Spend, StoreError
from support.challenges import EPOCH, KEY, KEYRING, NOW_MS
from support.gated import EASY, HOST, Bench, CountingLedger, document, solution

CLAIM = Claim(b"key", None, NOW_MS + 1000)


def told(problem: Problem | None) -> tuple[str, str] | None:
    return None if problem is None else (problem.name, problem.detail)


SPENT = "this proof or pass was used up before; solve a fresh challenge"
RENEWED = "the ledger was renewed since the challenge was issued; solve a fresh one"
CANNOT_TELL = "the ledger cannot tell what is spent, so nothing is admitted; try again"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Spend.WON, None),
        (Spend.LOST, ("already-spent", SPENT)),
        (Spend.STALE, ("stale-epoch", RENEWED)),
        (Spend.UNKNOWN, ("store-unavailable", CANNOT_TELL)),
        (StoreError("the disk is full"), ("store-unavailable", CANNOT_TELL)),
    ],
)
def test_every_answer_of_a_ledger_is_told(
    answer: Spend | Exception, expected: tuple[str, str] | None
) -> None:
    ledger = CountingLedger(answer=answer)
    assert told(asyncio.run(settle(ledger, CLAIM, now_ms=NOW_MS))) == expected


class FailingLedger(CountingLedger):
    """Can do nothing at all."""

    async def epoch(self) -> int:
        raise StoreError("gone")

    async def release(self, key: bytes) -> None:
        raise StoreError("gone")


def test_every_failure_of_a_ledger_is_logged_for_its_operator(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = FailingLedger(answer=StoreError("gone"))
    asyncio.run(settle(ledger, CLAIM, now_ms=NOW_MS))
    asyncio.run(release(lambda: ledger.release(CLAIM.key)))
    assert document(Bench(ledger=ledger).send("GET"))["detail"] == CANNOT_TELL
    failures = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert all(one.exc_info is not None for one in failures)
    assert [one.getMessage() for one in failures] == [
        "the ledger failed in a spend",
        "a spend could not be given back",
        "the ledger does not tell its epoch",
    ]


def test_the_clock_tells_whole_unix_milliseconds() -> None:
    before_ms = time.time_ns() // 1_000_000
    now_ms = wall_clock_ms()
    assert isinstance(now_ms, int)
    assert before_ms <= now_ms <= time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (b"X-PoW-Solution, Content-Type", b"X-PoW-Solution, Content-Type"),
        (None, b"*"),
        (b"", b"*"),
        (b"x-a: b", b"*"),
        (b"x-a\xff", b"*"),
    ],
)
def test_a_preflight_is_answered_with_these_headers(asked: bytes | None, allowed: bytes) -> None:
    headers = [] if asked is None else [(b"access-control-request-headers", asked)]
    answer = Bench().send("OPTIONS", headers=headers)
    assert answer.status == 204
    assert set(answer.headers) >= {
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
        (b"access-control-allow-headers", allowed),
        (b"access-control-expose-headers", b"WWW-Authenticate, Retry-After"),
        (b"access-control-max-age", b"600"),
    }


HEAVY = Price("GET /heavy/*", EASY.q, weight=16, sells=PassTerms(3, 60))


def test_a_response_without_headers_carries_a_pass_too() -> None:
    async def terse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})

    bench = Bench(policy=Policy(default=EASY, entries=(Entry(HEAVY.name, HEAVY),)), app=terse)
    answer = bench.send("GET", "/heavy/1", solution(bench.proof("GET", "/heavy/1")))
    (text,) = answer.values(b"x-pow-pass")
    assert list(answer.headers) == [
        (b"x-pow-pass", text),
        (b"cache-control", b"no-store"),
        (b"access-control-expose-headers", b"X-PoW-Pass"),
    ]


BOUND = Pass(
    key=1, id=bytes(16), resource=b"r" * 12, principal=b"p" * 12, calls=3, weight=2,
    expires_at_ms=NOW_MS, thumbprint=b"t" * 32,
)  # fmt: skip
EXPECTED = Expected(NOW_MS - 1, 0, resource=b"r" * 12, weight=2, principal=b"p" * 12)


@pytest.mark.parametrize(
    ("expected", "thumbprint", "detail"),
    [
        (EXPECTED, b"t" * 32, None),
        (replace(EXPECTED, now_ms=NOW_MS + 1_000_000_000), b"t" * 32,
         "the pass expired 1000000.0 s ago; get a new one"),
        (replace(EXPECTED, resource=b"x" * 12), b"t" * 32,
         "the pass is for another call; get one for this"),
        (replace(EXPECTED, weight=3), b"t" * 32,
         "the call costs 3 units and the pass is good for 2"),
        (replace(EXPECTED, principal=b"x" * 12), b"t" * 32,
         "the pass was issued to another caller"),
        (EXPECTED, b"x" * 32, "the pass is bound to a key that was not proven"),
        (EXPECTED, passes.UNBOUND, "the pass is bound to a key that was not proven"),
    ],
)  # fmt: skip
def test_a_refused_pass_is_told_why(
    expected: Expected, thumbprint: bytes, detail: str | None
) -> None:
    given = passes.issue(
        KEY, identity=BOUND.id, calls=3, expires_at_ms=NOW_MS, weight=2, resource=BOUND.resource,
        principal=BOUND.principal, thumbprint=BOUND.thumbprint,
    )  # fmt: skip
    found = passes.check(given, KEYRING, expected, thumbprint=thumbprint)
    assert (found.detail if isinstance(found, Refusal) else None) == detail
    forged = passes.check(replace(given, calls=4), KEYRING, expected, thumbprint=thumbprint)
    assert isinstance(forged, Refusal)
    assert forged.detail == "the pass was not issued here, or was changed"


def test_a_pass_is_good_for_calls_of_one_unit_and_for_anyone_unless_told_otherwise() -> None:
    given = passes.issue(KEY, identity=bytes(16), calls=0, expires_at_ms=NOW_MS)
    assert (given.weight, given.resource, given.principal) == (1, bytes(12), bytes(12))
    assert given.thumbprint == bytes(32)


def test_a_pass_holds_the_largest_numbers_of_its_layout() -> None:
    largest = Pass(
        key=65_535, id=TOKEN, resource=bytes(12), principal=bytes(12), calls=65_535,
        weight=65_535, expires_at_ms=2**48 - 1,
    )  # fmt: skip
    assert passes.decode(largest.text) == largest


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("pyp_x", "expected a pass, pyp_ and 135 base64url characters, got 5"),
        ("pyp_Ag" + "A" * 133, "expected pass version 1, got 2"),
    ],
)
def test_what_is_no_pass_is_told_what_one_is(text: str, detail: str) -> None:
    with pytest.raises(WireError) as refused:
        passes.decode(text)
    assert str(refused.value) == detail


RAIL = WorkRail(KEYRING, public_host=HOST, lifetime_s=100, fresh_id=lambda: b"f" * 16)
SEARCH = McpMessage(
    kind=Kind.REQUEST, id=1, method="tools/call", name="search", modern=True, proof=(), body=b""
)
CALL = Call(method="GET", path=b"/heavy/1", client="192.0.2.7/32", headers=())
TOKEN = b"f" * 16
EVERY_ENTRY = scope_digest(KEY.resource_mac, HOST.encode(), b"entry", HEAVY.name.encode())


def test_an_offer_of_work_says_all_that_a_caller_needs() -> None:
    call = CALL._replace(mcp=SEARCH, accepts=Accepts(puzzles=16))
    dear = replace(HEAVY, q=14 * 1024)
    offer = asyncio.run(RAIL.offer(call, dear, now_ms=NOW_MS, epoch=EPOCH))
    assert offer is not None
    issued = RAIL.challenge(call.resource, dear, puzzles=16, now_ms=NOW_MS, epoch=EPOCH)
    proof = f"challenge={issued.text},nonce=<nonce>"
    assert (offer.rail, issued.weight, issued.lifetime_s, issued.id) == ("work", 16, 100, TOKEN)
    assert offer.www_authenticate == (
        f'PoW challenge="{issued.text}", difficulty="3", algorithm="sha256", bits="14"',
    )
    assert offer.body == {
        "rail": "work",
        **issued.published(),
        "solve": f"pypow solve --challenge {issued.text}",
        "send": f"X-PoW-Solution: {proof}",
        "pass": {"calls": 3, "lifetime": 60, "resource": "tools/call search"},
        "send_mcp": {"_meta": {"io.pypow/proof": proof}},
    }
    assert offer.ask == (
        f"Run `pypow solve --challenge {issued.text}` and repeat the call with the header that "
        'it prints as _meta["io.pypow/proof"].'
    )


def test_an_offer_for_a_call_over_http_does_not_speak_of_mcp() -> None:
    offer = asyncio.run(RAIL.offer(CALL, EASY, now_ms=NOW_MS, epoch=EPOCH))
    assert offer is not None
    assert "send_mcp" not in offer.body
    assert "pass" not in offer.body


def solved(price: Price, resource: Resource | None = CALL.resource) -> Proof:
    issued = RAIL.challenge(resource, price, puzzles=None, now_ms=NOW_MS, epoch=EPOCH)
    return next(
        proof
        for proof in (Proof((b"%d" % number,), issued.text) for number in itertools.count())
        if work_stands(issued, proof.nonces)
    )


def test_a_proof_of_a_heavy_call_buys_passes_of_its_weight() -> None:
    proof = solved(HEAVY)
    call = CALL._replace(presented=(Presented(Form.META, proof.to_json()),))
    verdict = asyncio.run(RAIL.judge(call, HEAVY, now_ms=NOW_MS))
    assert isinstance(verdict, Admit)
    assert verdict.bought is not None
    bought = passes.decode(verdict.bought)
    all_of_it = RAIL.exchange(proof, CALL.resource, HEAVY, now_ms=NOW_MS)
    plain = RAIL.exchange(solved(replace(HEAVY, sells=None)), None, HEAVY, now_ms=NOW_MS)
    assert isinstance(all_of_it, Exchange)
    assert isinstance(plain, Exchange)
    assert [
        (p.id, p.resource, p.calls, p.weight, p.expires_at_ms)
        for p in (bought, all_of_it.bought, plain.bought)
    ] == [
        (TOKEN, EVERY_ENTRY, 2, 16, NOW_MS + 60_000),
        (TOKEN, EVERY_ENTRY, 3, 16, NOW_MS + 60_000),
        (TOKEN, wire.decode_challenge(proof.challenge or "").resource, 1, 16, NOW_MS + 100_000),
    ]


def test_a_challenge_for_a_lighter_call_than_the_price_still_buys_that_call() -> None:
    bought = RAIL.exchange(solved(EASY), None, HEAVY, now_ms=NOW_MS)
    assert isinstance(bought, Exchange)
    assert (bought.bought.calls, bought.bought.weight) == (1, 1)


def refused(verdict: object) -> tuple[str, str]:
    assert isinstance(verdict, Refuse), verdict
    return verdict.problem.name, verdict.problem.detail


def test_a_proof_that_cannot_be_read_is_told_why() -> None:
    none = "expected a challenge of 104 base64url characters, got ''"
    seven = "expected at most 64 sub-puzzles, got 2**7"
    octets = bytearray(wire.decode_challenge(solved(EASY).challenge or "").octets)
    octets[2] = 7
    bad = Proof((b"1",), base64.urlsafe_b64encode(octets).decode())
    presented = CALL._replace(presented=(Presented(Form.SOLUTION_HEADER, bad.header().encode()),))
    not_ascii = CALL._replace(presented=(Presented(Form.SOLUTION_HEADER, b"\xff"),))
    judge = RAIL.judge
    assert [
        refused(RAIL.exchange(Proof((b"1",)), None, EASY, now_ms=NOW_MS)),
        refused(RAIL.exchange(bad, None, EASY, now_ms=NOW_MS)),
        refused(asyncio.run(judge(presented, EASY, now_ms=NOW_MS))),
        refused(asyncio.run(judge(not_ascii, EASY, now_ms=NOW_MS))),
    ] == [
        ("malformed-proof", none),
        ("malformed-proof", seven),
        ("malformed-proof", seven),
        ("malformed-proof", "X-PoW-Solution: expected ASCII characters only"),
    ]


def holding(given: Pass) -> Call:
    return CALL._replace(presented=(Presented(Form.PASS, given.text.encode()),))


def test_a_pass_for_any_call_is_good_for_calls_up_to_its_weight() -> None:
    terms = {"identity": TOKEN, "calls": 0, "expires_at_ms": NOW_MS + 1}
    light, heavy = (passes.issue(KEY, weight=w, **terms) for w in (15, 16))  # type: ignore[arg-type]  # a table of terms
    assert refused(asyncio.run(RAIL.judge(holding(light), HEAVY, now_ms=NOW_MS))) == (
        "underweight", "the call costs 16 units and the pass is good for 15",
    )  # fmt: skip
    admitted = asyncio.run(RAIL.judge(holding(heavy), HEAVY, now_ms=NOW_MS))
    assert admitted == Admit(f"pass:{TOKEN.hex()}", None)


def test_a_pass_is_denied_by_its_id_and_its_holder_hears_the_denial() -> None:
    asked: list[bytes] = []

    async def denial(identity: bytes) -> Problem | None:
        asked.append(identity)
        return problems.denied("revoked")

    rail = WorkRail(KEYRING, public_host=HOST, denial=denial)
    given = passes.issue(KEY, identity=TOKEN, calls=0, expires_at_ms=NOW_MS + 1)
    verdict = asyncio.run(rail.judge(holding(given), EASY, now_ms=NOW_MS))
    assert refused(verdict) == ("denied", "revoked")
    assert asked == [TOKEN]

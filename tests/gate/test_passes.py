# SPDX-License-Identifier: Apache-2.0
"""Passes: what was signed is what counts, and every other text is refused with a reason."""

import asyncio
import json
import string
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import challenge
from pypow.challenge import Expected, Key, Keyring, Reason, Refusal
from pypow.errors import InvalidInputError, WireError
from pypow_server import passes
from pypow_server.api import create_api
from pypow_server.call import Call
from pypow_server.hearing import Hearing, Rulebook
from pypow_server.passes import Pass
from pypow_server.policy import MAX_PASS_LIFETIME_S, Entry, PassTerms, Policy
from pypow_server.presented import Form, Presented
from pypow_server.rails import Admit
from pypow_server.rails.work import WorkRail
from pypow_server.redemption import Redemption
from pypow_server.resource import Resource
from pypow_server.scope import UPSTREAM_REACHED, Message, Receive, Scope, Send
from pypow_server.stores import Spend
from support.asgi_client import Answer, call, http_scope
from support.challenges import KEY, KEYRING, NOW_MS
from support.gated import EASY, HOST, Bench, CountingLedger, document, offers, solution, solved

RESOURCE = b"r" * 12
EXPECTED = Expected(now_ms=NOW_MS, epoch=0, resource=RESOURCE, weight=2, principal=b"p" * 12)
SOON_MS = NOW_MS + 60_000


def some_pass(**changes: int | bytes) -> Pass:
    arguments: dict[str, int | bytes] = {
        "identity": bytes(range(16)),
        "calls": 3,
        "weight": 2,
        "expires_at_ms": SOON_MS,
        "resource": RESOURCE,
        **changes,
    }
    return passes.issue(KEY, **arguments)  # type: ignore[arg-type]


def reason(text: str, expected: Expected = EXPECTED) -> Reason | None:
    try:
        given = passes.decode(text)
    except WireError:
        return Reason.MALFORMED
    found = passes.check(given, KEYRING, expected)
    return found.reason if isinstance(found, Refusal) else None


@given(
    calls=st.integers(0, 0xFFFF),
    weight=st.integers(1, 0xFFFF),
    expires_at_ms=st.integers(0, 2**48 - 1),
    identity=st.binary(min_size=16, max_size=16),
    thumbprint=st.binary(min_size=32, max_size=32),
)
def test_what_is_issued_decodes_to_itself(
    calls: int, weight: int, expires_at_ms: int, identity: bytes, thumbprint: bytes
) -> None:
    issued = some_pass(
        calls=calls, weight=weight, expires_at_ms=expires_at_ms, identity=identity,
        thumbprint=thumbprint,
    )  # fmt: skip
    assert passes.decode(issued.text) == issued
    assert len(issued.text) == 139


def test_a_pass_that_stands_is_returned() -> None:
    issued = some_pass()
    assert passes.check(issued, KEYRING, EXPECTED) == issued


def test_every_flipped_bit_and_every_truncation_is_refused() -> None:
    text = some_pass().text
    for index in range(len(text)):
        assert reason(text[:index]) is Reason.MALFORMED
        for bit in range(8):
            flipped = text[:index] + chr(ord(text[index]) ^ 1 << bit) + text[index + 1 :]
            assert reason(flipped) in (Reason.MALFORMED, Reason.UNKNOWN_KEY, Reason.BAD_MAC)


def test_a_pass_has_one_text() -> None:
    text = some_pass().text
    read = []
    for last in string.ascii_letters + string.digits + "-_":
        with suppress(WireError):
            read.append(passes.decode(text[:-1] + last))
    assert len(read) == 16
    assert len({given.octets for given in read}) == 16


def test_another_secret_under_the_same_id_does_not_sign_for_us() -> None:
    forged = passes.issue(
        Key(id=KEY.id, secret=bytes(32)), identity=bytes(16), calls=1, expires_at_ms=SOON_MS
    )
    assert reason(forged.text) is Reason.BAD_MAC


def test_a_retired_key_is_named() -> None:
    assert passes.check(some_pass(), Keyring([Key(id=9, secret=bytes(32))]), EXPECTED) == Refusal(
        Reason.UNKNOWN_KEY, "key 1 is not known here; get a new pass"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"expires_at_ms": NOW_MS + 1}, None),
        ({"expires_at_ms": NOW_MS}, Reason.EXPIRED),
        ({"resource": bytes(12)}, None),
        ({"resource": b"x" * 12}, Reason.WRONG_RESOURCE),
        ({"weight": 1}, Reason.UNDERWEIGHT),
        ({"principal": b"p" * 12}, None),
        ({"principal": b"x" * 12}, Reason.WRONG_PRINCIPAL),
        ({"thumbprint": b"t" * 32}, Reason.WRONG_PRINCIPAL),
    ],
)
def test_the_terms_of_a_pass_are_held_against_the_call(
    changes: dict[str, int | bytes], expected: Reason | None
) -> None:
    assert reason(some_pass(**changes).text) is expected


def test_a_bound_pass_is_good_for_whoever_proved_the_key() -> None:
    bound = some_pass(thumbprint=b"t" * 32)
    held = passes.check(bound, KEYRING, EXPECTED, thumbprint=b"t" * 32)
    assert isinstance(held, Pass)


@pytest.mark.parametrize(
    "changes",
    [{"calls": 65536}, {"weight": 0}, {"expires_at_ms": 2**48}, {"identity": b"short"},
     {"thumbprint": b""}, {"resource": b"long" * 4}],
)  # fmt: skip
def test_a_pass_that_does_not_fit_its_layout_is_not_issued(
    changes: dict[str, int | bytes],
) -> None:
    with pytest.raises(WireError, match=r"pass\.\w+: expected"):
        some_pass(**changes)


def test_an_error_does_not_quote_a_pass_that_is_nearly_right() -> None:
    with pytest.raises(WireError) as caught:
        passes.decode(some_pass().text + "x")
    assert "pyp_A" not in str(caught.value)


def bearer(given: Pass | str) -> list[tuple[bytes, bytes]]:
    text = given if isinstance(given, str) else given.text
    return [(b"authorization", b"Bearer " + text.encode())]


def test_a_pass_of_three_calls_admits_three_calls_even_across_a_lost_ledger() -> None:
    bench = Bench()
    three = bearer(some_pass(resource=bytes(12)))
    answers = [bench.send("GET", f"/{n}", three) for n in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 402]
    assert document(answers[-1])["type"] == "urn:pypow:error:already-spent"
    assert bench.app.header(b"authorization") == []


def test_a_pass_without_a_number_of_calls_touches_no_store_until_it_expires() -> None:
    bench = Bench()
    timed = some_pass(calls=0, resource=bytes(12))
    cookie = [(b"cookie", b"pypow_pass=" + timed.text.encode())]
    assert [bench.send("GET", headers=cookie).status for _ in range(5)] == [200] * 5
    assert bench.app.scopes[0]["pypow.principal"] == f"pass:{timed.id.hex()}"
    assert bench.ledger.spends == 0
    bench.clock.now_ms = timed.expires_at_ms
    assert bench.send("GET", headers=cookie).status == 402


class NoLedger(CountingLedger):
    """Cannot be asked anything."""

    async def epoch(self) -> int:
        raise AssertionError("asked for the epoch")

    async def spend(self, key: bytes, **terms: object) -> Spend:
        raise AssertionError("asked to spend")


def test_a_timed_pass_is_good_while_no_store_can_be_reached() -> None:
    bench = Bench(ledger=NoLedger())
    timed = bearer(some_pass(calls=0, resource=bytes(12)))
    assert [bench.send("GET", headers=timed).status for _ in range(3)] == [200] * 3
    assert bench.send("GET").status == 503
    counted = bearer(some_pass(calls=3, resource=bytes(12)))
    assert bench.send("GET", headers=counted).status == 503


def selling(calls: int, lifetime_s: int = 300, *, match: str = "GET /search/*") -> Policy:
    price = replace(EASY, name=match, sells=PassTerms(calls, lifetime_s))
    return Policy(default=EASY, entries=(Entry(match, price),))


def bought(bench: Bench, target: str) -> tuple[str, int]:
    """The pass that a call with a proof buys, and how many calls are left on it."""
    answer = bench.send("GET", target, solution(bench.proof("GET", target)))
    assert answer.status == 200, answer.body
    (text,) = answer.values(b"x-pow-pass")
    assert answer.values(b"cache-control") == [b"no-store"]
    assert answer.values(b"access-control-expose-headers") == [b"X-PoW-Pass"]
    return text.decode(), passes.decode(text.decode()).calls


def kinds(answers: Iterable[Answer]) -> list[str]:
    """The type of each refusal, and of each admission ``admitted``."""
    return [
        "admitted" if a.status == 200 else document(a)["type"].removeprefix("urn:pypow:error:")
        for a in answers
    ]


def test_one_proof_buys_exactly_the_calls_that_its_price_sells() -> None:
    bench = Bench(policy=selling(20))
    text, left = bought(bench, "/search/0")
    assert left == 19
    answers = [bench.send("GET", f"/search/{n}", bearer(text)) for n in range(1, 21)]
    assert kinds(answers) == ["admitted"] * 19 + ["already-spent"]
    assert all(answer.values(b"x-pow-pass") == [] for answer in answers)
    assert bench.app.reached == 20


def test_a_price_that_sells_one_call_or_nothing_gives_no_pass() -> None:
    for policy in (selling(1), Policy(default=EASY)):
        bench = Bench(policy=policy)
        answer = bench.send("GET", "/search/x", solution(bench.proof("GET", "/search/x")))
        assert (answer.status, answer.values(b"x-pow-pass")) == (200, [])


def test_a_timed_pass_is_good_for_its_time_and_not_a_moment_longer() -> None:
    bench = Bench(policy=selling(0, 60))
    bench.clock.now_ms = NOW_MS
    text, calls = bought(bench, "/search/a")
    spends = bench.ledger.spends
    assert calls == 0
    bench.clock.now_ms = NOW_MS + 59_999
    assert bench.send("GET", "/search/b", bearer(text)).status == 200
    bench.clock.now_ms = NOW_MS + 60_000
    assert kinds([bench.send("GET", "/search/b", bearer(text))]) == ["expired"]
    assert bench.ledger.spends == spends


def test_a_pass_is_good_for_every_call_of_its_entry_and_for_no_other() -> None:
    bench = Bench(policy=selling(0))
    text, _ = bought(bench, "/search/a")
    answers = [
        bench.send("GET", target, bearer(text)) for target in ("/search/z", "/x", "/searches")
    ]
    assert kinds(answers) == ["admitted", "wrong-resource", "wrong-resource"]


def test_a_pass_does_not_outlive_the_host_it_was_sold_for() -> None:
    here = Bench(policy=selling(0))
    text, _ = bought(here, "/search/a")
    there = Bench(policy=selling(0), rails=[WorkRail(KEYRING, public_host="other.example")])
    assert kinds([there.send("GET", "/search/a", bearer(text))]) == ["wrong-resource"]


def test_no_name_of_an_entry_makes_its_pass_one_for_a_call() -> None:
    """The digest of an entry is never that of a call, whatever the entry is called."""
    digests = {
        challenge.scope_digest(KEY.resource_mac, HOST.encode(), *parts)
        for parts in (
            (b"entry", b"GET /x"), (b"http", b"GET", b"/x"), (b"entry", b"GET", b"/x"),
            (b"mcp", b"entry", b"GET /x"),
        )
    }  # fmt: skip
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("later", "found"),
    [
        ("the same", "admitted"),
        ("dearer and heavier", "admitted"),
        ("sells no more passes", "admitted"),
        ("renamed", "wrong-resource"),
        ("gone", "wrong-resource"),
        ("free", "admitted"),
    ],
)
def test_a_pass_meets_another_policy(later: str, found: str) -> None:
    text, _ = bought(Bench(policy=selling(0)), "/search/a")
    (entry,) = selling(0).entries
    assert entry.price is not None
    prices: dict[str, tuple[Entry, ...]] = {
        "the same": (entry,),
        "dearer and heavier": (replace(entry, price=replace(entry.price, q=20 * 1024, weight=16)),),
        "sells no more passes": (replace(entry, price=replace(entry.price, sells=None)),),
        "renamed": selling(0, match="GET /search/a").entries,
        "gone": (),
        "free": (replace(entry, price=None),),
    }
    bench = Bench(policy=Policy(default=EASY, entries=prices[later]))
    assert kinds([bench.send("GET", "/search/a", bearer(text))]) == [found]


def test_a_pass_outlives_the_rotation_of_its_key_until_the_key_is_dropped() -> None:
    text, _ = bought(Bench(policy=selling(0)), "/search/a")
    new = Key(id=KEY.id + 1, secret=bytes(range(40, 72)))
    rings = {"rotated": Keyring([new, KEY]), "dropped": Keyring([new])}
    benches = {
        name: Bench(policy=selling(0), rails=[WorkRail(ring, public_host=HOST)])
        for name, ring in rings.items()
    }
    answers = {name: b.send("GET", "/search/a", bearer(text)) for name, b in benches.items()}
    assert kinds(answers.values()) == ["admitted", "unknown-key"]
    assert offers(answers["dropped"]) != []
    newer, _ = bought(benches["rotated"], "/search/a")
    assert passes.decode(newer).key == new.id


def test_what_a_proof_buys_is_offered() -> None:
    bench = Bench(policy=selling(20, 300))
    (offer,) = offers(bench.send("GET", "/search/a"))
    assert offer["pass"] == {"calls": 20, "lifetime": 300, "resource": "GET /search/a"}
    (offer,) = offers(bench.send("GET", "/x"))
    assert "pass" not in offer


def test_a_call_that_did_not_reach_the_upstream_gets_its_proof_back_and_no_pass() -> None:
    async def unreachable(scope: Scope, receive: Receive, send: Send) -> None:
        scope[UPSTREAM_REACHED] = False
        await send({"type": "http.response.start", "status": 502, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    bench = Bench(policy=selling(20), app=unreachable)
    proof = solution(bench.proof("GET", "/search/a"))
    answers = [bench.send("GET", "/search/a", proof) for _ in range(3)]
    assert [(a.status, a.values(b"x-pow-pass")) for a in answers] == [(502, [])] * 3


def test_a_cookie_gives_way_to_what_was_sent_on_purpose() -> None:
    bench = Bench(policy=selling(0, 60))
    text, _ = bought(bench, "/search/a")
    cookie = (b"cookie", b"pypow_pass=" + text.encode())
    fresh = bearer(some_pass(calls=0, resource=bytes(12), expires_at_ms=NOW_MS + 10**6))
    bench.clock.now_ms += 60_000
    answers = [
        bench.send("GET", "/search/a", [cookie]),
        bench.send("GET", "/search/a", [cookie, *solution(bench.proof("GET", "/search/a"))]),
        bench.send("GET", "/search/a", [cookie, *fresh]),
    ]
    assert kinds(answers) == ["expired", "admitted", "admitted"]


def test_a_cookie_that_cannot_be_read_is_no_credential() -> None:
    bench = Bench()
    for value in (b"", b"x", b"pyp_" + b"A" * 134, b'"quoted"', b"\xff"):
        refusal = bench.send("GET", headers=[(b"cookie", b"pypow_pass=" + value)])
        assert (kinds([refusal]), len(offers(refusal))) == (["work-required"], 1)


def test_two_different_credentials_sent_on_purpose_are_refused() -> None:
    bench = Bench()
    given = bearer(some_pass(calls=0, resource=bytes(12)))
    both = [*given, *solution(bench.proof())]
    assert kinds([bench.send("GET", headers=both)]) == ["conflicting-credentials"]
    cookies = b"; ".join(
        b"pypow_pass=" + some_pass(calls=0, identity=bytes([n] * 16)).text.encode() for n in (1, 2)
    )
    assert kinds([bench.send("GET", headers=[(b"cookie", cookies)])]) == ["conflicting-credentials"]


def test_a_proof_of_a_ledger_that_was_wiped_is_solved_anew_and_buys_nothing() -> None:
    before = Bench(policy=selling(0))
    proof = solution(before.proof("GET", "/search/a"))
    after = Bench(policy=selling(0))
    answer = after.send("GET", "/search/a", proof)
    assert kinds([answer]) == ["stale-epoch"]
    assert answer.values(b"x-pow-pass") == []
    again = solution(solved(offers(answer)[0]))
    assert after.send("GET", "/search/a", again).status == 200


def test_hundreds_of_concurrent_uses_of_a_pass_admit_its_number_of_calls() -> None:
    bench = Bench(policy=selling(20))
    text, left = bought(bench, "/search/a")
    headers = [(b"host", HOST.encode()), *bearer(text)]

    async def rush() -> list[Answer]:
        uses = (call(bench.gate, "GET", b"/search/b", headers=headers) for _ in range(200))
        return await asyncio.gather(*uses)

    answers = asyncio.run(rush())
    assert kinds(answers).count("admitted") == left == 19


@pytest.mark.parametrize(
    "terms", [(-1, 60), (65_536, 60), (1, 0), (1, -1), (0, MAX_PASS_LIFETIME_S + 1)]
)
def test_a_price_cannot_sell_what_a_pass_cannot_hold(terms: tuple[int, int]) -> None:
    with pytest.raises(InvalidInputError, match="expected a pass"):
        PassTerms(*terms)


def redeem(bench: Bench, proof: str, *, resource: object = None) -> Answer:
    """What ``POST /api/verify`` answers."""
    api = create_api(Redemption(bench.rail, bench.policy, bench.ledger), clock=bench.clock)
    text, _, nonce = proof.removeprefix("challenge=").partition(",nonce=")
    body: dict[str, object] = {"challenge": text, "nonce": nonce}
    if resource is not None:
        body["resource"] = resource
    return asyncio.run(call(api, "POST", b"/api/verify", body=json.dumps(body).encode()))


def test_the_api_sells_all_the_calls_of_a_pass() -> None:
    bench = Bench(policy=selling(20, 300))
    answer = redeem(bench, bench.proof("GET", "/search/a"), resource="GET /search/a")
    sold = document(answer)
    assert (sold["calls"], sold["expires_at"]) == (20, bench.clock.now_ms // 1000 + 300)
    uses = [bench.send("GET", f"/search/{n}", bearer(sold["pass"])) for n in range(21)]
    assert kinds(uses) == ["admitted"] * 20 + ["already-spent"]


def test_a_proof_buys_by_api_or_by_its_call_and_not_by_both() -> None:
    bench = Bench(policy=selling(20))
    by_call, by_api = (bench.proof("GET", "/search/a") for _ in range(2))
    bench.send("GET", "/search/a", solution(by_call))
    redeem(bench, by_api, resource="GET /search/a")
    answers = [
        redeem(bench, by_call, resource="GET /search/a"),
        bench.send("GET", "/search/a", solution(by_api)),
        redeem(bench, by_api, resource="GET /search/a"),
    ]
    assert kinds(answers) == ["already-spent"] * 3
    assert answers[1].values(b"x-pow-pass") == []


@pytest.mark.parametrize(
    ("resource", "status", "found"),
    [
        ("GET /search/b", 402, "wrong-resource"),
        ("GET /x", 402, "wrong-resource"),
        ("POST /mcp", 400, "bad-request"),
        ("tools/list", 400, "bad-request"),
        ("nonsense here", 402, "wrong-resource"),
        ("", 400, "malformed-proof"),
        ("GET search", 400, "malformed-proof"),
        ("POST /\ud800", 400, "malformed-proof"),
        ("tools/call \ud800", 400, "malformed-proof"),
        ("GET /" + "x" * 2000, 400, "malformed-proof"),
        (7, 400, "malformed-proof"),
        ([], 400, "malformed-proof"),
    ],
)
def test_a_resource_that_the_challenge_was_not_for_buys_nothing(
    resource: object, status: int, found: str
) -> None:
    bench = Bench(policy=selling(20))
    proof = bench.proof("GET", "/search/a")
    answer = redeem(bench, proof, resource=resource)
    assert (answer.status, kinds([answer])) == (status, [found])
    assert bench.ledger.spends == 0


def test_a_challenge_for_one_call_that_says_no_resource_buys_that_call() -> None:
    default = replace(EASY, name="default", sells=PassTerms(5, 60))
    bench = Bench(policy=Policy(default=default, entries=selling(20).entries))
    sold = document(redeem(bench, bench.proof("GET", "/search/a")))
    assert sold["calls"] == 1
    answers = [bench.send("GET", f"/search/{x}", bearer(sold["pass"])) for x in "bab"]
    assert kinds(answers) == ["wrong-resource", "admitted", "wrong-resource"]


def test_a_challenge_for_any_call_buys_what_the_default_price_sells_or_what_is_named() -> None:
    default = replace(EASY, name="default", sells=PassTerms(5, 60))
    bench = Bench(policy=Policy(default=default, entries=selling(20).entries))

    def proof() -> str:
        issued = bench.rail.challenge(
            None, default, puzzles=None, now_ms=NOW_MS, epoch=asyncio.run(bench.ledger.epoch())
        )
        return solved(issued.published())

    of_default = document(redeem(bench, proof()))
    of_entry = document(redeem(bench, proof(), resource="GET /search/a"))
    assert (of_default["calls"], of_entry["calls"]) == (5, 20)
    answers = [
        bench.send("GET", target, bearer(sold["pass"]))
        for sold in (of_default, of_entry)
        for target in ("/x", "/search/a")
    ]
    assert kinds(answers) == ["admitted", "wrong-resource", "wrong-resource", "admitted"]


def test_a_cheap_challenge_buys_no_pass_of_a_dear_entry() -> None:
    (cheap,) = selling(20).entries
    assert cheap.price is not None
    dear = replace(cheap, price=replace(cheap.price, weight=16))
    bench = Bench(policy=Policy(default=EASY, entries=(dear,)))
    issued = bench.rail.challenge(
        None, EASY, puzzles=None, now_ms=NOW_MS, epoch=asyncio.run(bench.ledger.epoch())
    )
    answer = redeem(bench, solved(issued.published()), resource="GET /search/a")
    assert kinds([answer]) == ["underweight"]


def test_an_mcp_caller_is_told_of_its_pass_in_the_same_header() -> None:
    bench = Bench(policy=selling(3, match="tools/call search_*"))
    (offer,) = offers(bench.post_mcp("tools/call", {"name": "search_web"}))
    assert offer["pass"]["resource"] == "tools/call search_web"
    meta = {"io.pypow/proof": solved(offer)}
    answer = bench.post_mcp("tools/call", {"name": "search_web", "_meta": meta})
    (text,) = answer.values(b"x-pow-pass")
    uses = [
        bench.post_mcp("tools/call", {"name": f"search_{n}"}, headers=bearer(text.decode()))
        for n in range(3)
    ]
    assert [answer.body == b"reached" for answer in uses] == [True, True, False]


def test_a_websocket_is_told_of_its_pass_when_it_opens() -> None:
    async def opens(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "headers": [(b"x-kept", b"yes")]})

    bench = Bench(policy=selling(3, match="GET /live"), app=opens)
    scope = {
        "type": "websocket", "path": "/live", "raw_path": b"/live", "query_string": b"",
        "client": ("192.0.2.7", 50000), "headers": [(b"host", HOST.encode())],
    }  # fmt: skip
    challenge_of = bench.rail.challenge(
        Resource.parse("GET /live"), EASY, puzzles=None, now_ms=NOW_MS,
        epoch=asyncio.run(bench.ledger.epoch()),
    )  # fmt: skip
    scope["headers"] = [(b"host", HOST.encode()), *solution(solved(challenge_of.published()))]
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    asyncio.run(bench.gate(scope, receive, send))
    (accepted,) = sent
    names = [name for name, _ in accepted["headers"]]
    assert accepted["type"] == "websocket.accept"
    assert names[:2] == [b"x-kept", b"x-pow-pass"]


def _hearing(text: str) -> Hearing:
    async def receive() -> Message:
        raise AssertionError

    scope = http_scope(headers=[(b"authorization", text.encode())])
    return Hearing(scope, receive, Rulebook(Policy(), ()), NOW_MS)


def test_no_repr_on_the_way_shows_a_pass_or_a_proof() -> None:
    text = some_pass().text
    for value in (
        some_pass(),
        Admit("someone", None, text),
        Presented(Form.PASS, text.encode()),
        _hearing(text),
        Call("GET", b"/", "local", (), presented=(Presented(Form.PASS, text.encode()),)),
    ):
        assert text[60:] not in repr(value)
        assert some_pass().mac.hex() not in repr(value)
        assert repr(some_pass().mac) not in repr(value)

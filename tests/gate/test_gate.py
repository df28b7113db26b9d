# SPDX-License-Identifier: Apache-2.0
"""The gate's one promise: the app is reached by what is free or has earned it, and nothing else."""

import asyncio
import base64
import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pypow.pricing import Quote
from pypow_server.call import Call
from pypow_server.checkout import Checkout
from pypow_server.client_address import TrustedProxies
from pypow_server.crowd.conditions import Conditions
from pypow_server.crowd.turns import Turns
from pypow_server.gate import Gate
from pypow_server.hearing import Hearing
from pypow_server.policy import FREE, Entry, Policy, Price
from pypow_server.problems import Problem
from pypow_server.rails import Absent, Admit, Claim, Offer, Verdict
from pypow_server.scope import UPSTREAM_REACHED, Message, Receive, Scope, Send
from pypow_server.stores import Spend, StoreError
from pypow_server.stores.memory import MemoryLedger
from support.asgi_client import Answer, call, http_scope
from support.gated import EASY, Bench, Headers, document, offers, solution, solved
from support.ledger_twins import AsksThenMarks


def kind(answer: Answer) -> str:
    name: str = document(answer)["type"]
    return name.removeprefix("urn:pypow:error:")


def test_a_call_without_a_proof_is_refused_with_an_offer_and_never_reaches_the_app() -> None:
    bench = Bench()
    answer = bench.send("GET")
    assert (answer.status, kind(answer), bench.app.reached) == (402, "work-required", 0)
    assert [offer["rail"] for offer in offers(answer)] == ["work"]
    assert bench.ledger.spends == 0


def test_a_solved_challenge_admits_once() -> None:
    bench = Bench()
    proof = solution(bench.proof())
    first, second = bench.send("GET", headers=proof), bench.send("GET", headers=proof)
    assert (first.status, first.body) == (200, b"reached")
    assert (second.status, kind(second), bench.app.reached) == (402, "already-spent", 1)


def test_a_replay_is_told_a_fresh_challenge() -> None:
    bench = Bench()
    proof = solution(bench.proof())
    bench.send("GET", headers=proof)
    again = solution(solved(offers(bench.send("GET", headers=proof))[0]))
    assert bench.send("GET", headers=again).status == 200


@pytest.mark.parametrize(
    ("answer", "status", "name"),
    [
        (Spend.LOST, 402, "already-spent"),
        (Spend.STALE, 402, "stale-epoch"),
        (Spend.UNKNOWN, 503, "store-unavailable"),
        (StoreError("disk full"), 503, "store-unavailable"),
        (RuntimeError("a fault nobody thought of"), 503, "store-unavailable"),
    ],
)
def test_only_a_spend_that_won_admits(answer: Spend | Exception, status: int, name: str) -> None:
    bench = Bench()
    proof = solution(bench.proof())
    bench.ledger.answer = answer
    refusal = bench.send("GET", headers=proof)
    assert (refusal.status, kind(refusal), bench.app.reached) == (status, name, 0)
    assert bool(refusal.values(b"retry-after")) is (status == 503)
    assert bool(offers(refusal)) is (status == 402)


class GateThatFailsOpen(Gate):
    """A wrong twin: serves when the ledger cannot tell."""

    async def _decide(self, hearing: Hearing) -> Problem | None:
        problem = await super()._decide(hearing)
        return None if problem is not None and problem.status == 503 else problem


class CheckoutThatForgetsToSpend(Checkout):
    async def admit(self, hearing: Hearing, call: Call, price: Price) -> Problem | None:
        judged = await self._judge(hearing, call, price)
        return None if isinstance(judged, list) else await super().admit(hearing, call, price)


class GateThatForgetsToSpend(Gate):
    """A wrong twin: judges, and never asks the ledger."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._checkout = CheckoutThatForgetsToSpend(
            kwargs["ledger"], kwargs["credit"], Conditions(), Turns()
        )


def admits_only_what_won(gate: type[Gate]) -> bool:
    """The check that right and wrong gates are held to."""
    for ledger_says in (Spend.LOST, Spend.STALE, Spend.UNKNOWN, StoreError("gone")):
        bench = Bench(gate=gate)
        proof = solution(bench.proof())
        bench.ledger.answer = ledger_says
        bench.send("GET", headers=proof)
        if bench.app.reached:
            return False
    return True


@pytest.mark.parametrize(
    ("gate", "right"),
    [(Gate, True), (GateThatFailsOpen, False), (GateThatForgetsToSpend, False)],
)
def test_the_check_tells_right_gates_from_wrong_ones(gate: type[Gate], right: bool) -> None:
    assert admits_only_what_won(gate) is right


class BrokenRail:
    """Raises whatever it is asked."""

    name = "broken"

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        raise RuntimeError("secret-in-a-traceback")

    async def offer(
        self, call: Call, price: Price, *, now_ms: int, epoch: int, quote: Quote | None
    ) -> Offer:
        raise AssertionError


class OpenRail:
    """Admits everybody, and leaves something to spend."""

    name = "open"

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        return Admit("someone", Claim(b"open", None, now_ms + 1000))

    async def offer(
        self, call: Call, price: Price, *, now_ms: int, epoch: int, quote: Quote | None
    ) -> Offer:
        return Offer("open", (), '{"rail": "open"}', "ask")


class DeafRail(OpenRail):
    """Sees no credential, ever."""

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        return Absent()


def test_a_rail_that_fails_admits_nobody_and_tells_nothing() -> None:
    bench = Bench(rails=[OpenRail(), BrokenRail()])
    answer = bench.send("GET")
    assert (answer.status, kind(answer)) == (500, "internal-error")
    assert (bench.app.reached, bench.ledger.spends) == (0, 0)
    assert b"secret-in-a-traceback" not in answer.body


def test_a_refusal_by_one_rail_is_not_overruled_by_another() -> None:
    bench = Bench()
    gate = Gate(bench.app, rails=[OpenRail(), bench.rail], ledger=bench.ledger, policy=bench.policy)
    bench.gate = gate
    assert bench.send("GET", headers=[(b"x-pow-solution", b"nonsense")]).status == 400
    assert (bench.app.reached, bench.ledger.spends) == (0, 0)


def test_all_rails_make_their_offers() -> None:
    bench = Bench(rails=[DeafRail(), DeafRail()])
    assert [offer["rail"] for offer in offers(bench.send("GET"))] == ["open", "open"]


def test_an_epoch_that_cannot_be_told_refuses() -> None:
    bench = Bench()

    async def epoch() -> int:
        raise StoreError("locked")

    bench.ledger.epoch = epoch  # type: ignore[method-assign]
    answer = bench.send("GET")
    assert (answer.status, bench.app.reached) == (503, 0)


def test_the_app_sees_who_was_charged_and_none_of_our_credentials() -> None:
    bench = Bench()
    proof = bench.proof()
    headers = [
        *solution(proof),
        (b"x-pow-accept", b"1"),
        (b"x_pow_solution", b"smuggled"),
        (b"x-pow-principal", b"smuggled"),
        (b"cookie", b"theme=dark; lang=en"),
        (b"x-kept", b"yes"),
    ]
    assert bench.send("GET", headers=headers).status == 200
    assert bench.app.scopes[0]["pypow.principal"] == "192.0.2.7/32"
    assert bench.app.scopes[0]["headers"] == [
        (b"host", b"gate.example"),
        (b"cookie", b"theme=dark; lang=en"),
        (b"x-kept", b"yes"),
    ]


def test_a_foreign_authorization_travels_on_untouched() -> None:
    bench = Bench()
    headers = [*solution(bench.proof()), (b"authorization", b"Bearer eyJ0.foreign")]
    assert bench.send("GET", headers=headers).status == 200
    assert bench.app.header(b"authorization") == [b"Bearer eyJ0.foreign"]


def test_the_same_proof_in_two_headers_is_one_credential() -> None:
    bench = Bench()
    proof = bench.proof()
    challenge, nonce = (part.partition("=")[2] for part in proof.split(","))
    twice = [
        *solution(proof),
        (b"authorization", f'PoW challenge="{challenge}", nonce="{nonce}"'.encode()),
    ]
    assert bench.send("GET", headers=twice).status == 200
    assert bench.app.header(b"authorization") == []


def test_two_different_proofs_are_refused_and_neither_is_spent() -> None:
    bench = Bench()
    first, second = bench.proof(), bench.proof()
    answer = bench.send("GET", headers=solution(first) + solution(second))
    assert (answer.status, kind(answer)) == (400, "conflicting-credentials")
    assert bench.ledger.spends == 0
    assert bench.send("GET", headers=solution(first)).status == 200


def test_what_was_spent_is_given_back_when_the_upstream_was_not_reached() -> None:
    async def unreachable(scope: Scope, receive: Receive, send: Send) -> None:
        scope[UPSTREAM_REACHED] = False
        await send({"type": "http.response.start", "status": 502, "headers": []})
        await send({"type": "http.response.body"})

    bench = Bench(app=unreachable)
    proof = solution(bench.proof())
    assert [bench.send("GET", headers=proof).status for _ in range(2)] == [502, 502]
    assert bench.ledger.releases == 2


def test_what_is_given_back_is_given_back_before_the_answer_goes_out() -> None:
    async def unreachable(scope: Scope, receive: Receive, send: Send) -> None:
        scope[UPSTREAM_REACHED] = False
        await send({"type": "http.response.start", "status": 502, "headers": []})

    bench = Bench(app=unreachable)
    proof = solution(bench.proof())
    released: list[int] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        released.append(bench.ledger.releases)

    asyncio.run(bench.gate(http_scope("GET", b"/x", headers=proof), receive, send))
    assert released == [1]


@pytest.mark.parametrize(("ledger", "admitted"), [(MemoryLedger, 1), (AsksThenMarks, 50)])
def test_of_fifty_presenters_at_once_one_is_admitted_unless_the_ledger_asks_and_then_marks(
    ledger: type[MemoryLedger], admitted: int
) -> None:
    bench = Bench()
    bench.ledger.inner = ledger()
    proof = solution(bench.proof())

    async def rush() -> list[Answer]:
        return await asyncio.gather(
            *(call(bench.gate, "GET", b"/x", headers=proof) for _ in range(50))
        )

    statuses = [answer.status for answer in asyncio.run(rush())]
    assert statuses.count(200) == bench.app.reached == admitted


def test_a_caller_who_left_before_the_upstream_was_reached_gets_back_what_was_spent() -> None:
    async def left(scope: Scope, receive: Receive, send: Send) -> None:
        scope[UPSTREAM_REACHED] = False

    bench = Bench(app=left)
    proof = solution(bench.proof())

    async def nothing() -> Message:
        raise AssertionError

    async def nowhere(message: Message) -> None:
        raise AssertionError(message)

    for _ in range(2):
        asyncio.run(bench.gate(http_scope("GET", b"/x", headers=proof), nothing, nowhere))
    assert (bench.ledger.spends, bench.ledger.releases) == (2, 2)


def test_a_request_that_is_cancelled_on_its_way_to_the_upstream_gives_back_what_it_spent() -> None:
    async def connecting(scope: Scope, receive: Receive, send: Send) -> None:
        scope[UPSTREAM_REACHED] = False
        raise asyncio.CancelledError

    bench = Bench(app=connecting)
    with pytest.raises(asyncio.CancelledError):
        bench.send("GET", headers=solution(bench.proof()))
    assert bench.ledger.releases == 1


def test_what_was_spent_stays_spent_when_the_app_failed() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise OSError("upstream broke off")

    bench = Bench(app=failing)
    proof = solution(bench.proof())
    with pytest.raises(OSError, match="broke off"):
        bench.send("GET", headers=proof)
    assert bench.send("GET", headers=proof).status == 402
    assert bench.ledger.releases == 0


def test_a_spend_stays_spent_when_the_caller_goes_away_meanwhile() -> None:
    bench = Bench()
    proof = solution(bench.proof())
    inner = bench.ledger.inner.spend

    async def scenario() -> None:
        begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(*arguments: object, **named: object) -> Spend:
            # As every ledger promises: what was submitted is carried through.
            return await asyncio.shield(asyncio.ensure_future(carried(*arguments, **named)))

        async def carried(*arguments: object, **named: object) -> Spend:
            begun.set()
            await go_on.wait()
            result = await inner(*arguments, **named)  # type: ignore[arg-type]
            done.set()
            return result

        bench.ledger.inner.spend = slow  # type: ignore[method-assign]
        scope = http_scope("GET", b"/x", headers=proof)

        async def receive() -> Message:
            raise AssertionError

        async def send(message: Message) -> None:
            raise AssertionError

        request = asyncio.ensure_future(bench.gate(scope, receive, send))
        await begun.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        go_on.set()
        await done.wait()

    asyncio.run(scenario())
    bench.ledger.inner.spend = inner  # type: ignore[method-assign]
    assert kind(bench.send("GET", headers=proof)) == "already-spent"
    assert bench.app.reached == 0


def test_options_is_answered_by_the_gate_itself() -> None:
    bench = Bench()
    asked = [(b"access-control-request-headers", b"x-pow-solution, content-type")]
    answer = bench.send("OPTIONS", headers=asked)
    assert (answer.status, answer.body, bench.app.reached) == (204, b"", 0)
    assert answer.values(b"access-control-allow-headers") == [b"x-pow-solution, content-type"]
    assert b"WWW-Authenticate" in answer.values(b"access-control-expose-headers")[0]


@pytest.mark.parametrize(
    "path", ["/.well-known/../x", "/%2ewell-known/x", "//.well-known/x", "/.well-known%2Fx"]
)
def test_no_way_of_writing_a_path_makes_it_free(path: str) -> None:
    bench = Bench()
    assert bench.send("GET", "/.well-known/x").status == 200
    assert bench.send("GET", path).status == 402


def test_an_ambiguous_path_costs_the_dearest_price_on_the_list() -> None:
    dear = Price("dear", 8 * 1024, 16)
    bench = Bench(policy=Policy(default=EASY, entries=(Entry("GET /dear", dear),)))
    assert offers(bench.send("GET", "/cheap"))[0]["difficulty"] == 1
    assert offers(bench.send("GET", "/d%65ar"))[0]["difficulty"] == 2


def test_headers_beyond_the_limit_are_refused() -> None:
    answer = Bench().send("GET", headers=[(b"x-filler", b"a" * 40_000)])
    assert (answer.status, kind(answer)) == (431, "headers-too-large")


def test_a_gate_around_another_app_keeps_the_bounds_of_bodies() -> None:
    bench = Bench(body_limit=100)
    other = bench.gate.around(bench.app, price=EASY)
    other.decide_by(policy=bench.policy, rails=[bench.rail])
    answers = [
        asyncio.run(call(gate, "POST", b"/mcp", body=b" " * 101)) for gate in (bench.gate, other)
    ]
    assert [answer.status for answer in answers] == [413, 413]


def test_a_body_beyond_the_limit_is_refused_before_it_is_read() -> None:
    bench = Bench(body_limit=64)
    declared = bench.send("POST", "/mcp", [(b"content-length", b"65")], b"")
    streamed = bench.send("POST", "/mcp", (), b" " * 65)
    assert (declared.status, streamed.status, bench.app.reached) == (413, 413, 0)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        (b"content-type", b"application/json", 200),
        (b"content-type", b'Application/JSON; Charset="UTF-8"', 200),
        (b"content-type", b"application/json; charset=utf-7", 415),
        (b"content-type", b"application/json; charset=utf-8; charset=utf-7", 415),
        (b"content-type", b"application/json, text/plain; charset=utf-7", 415),
        (b"content-type", b"text/plain", 415),
        (b"content-type", b"", 415),
        (b"content-encoding", b"gzip", 415),
        (b"content-encoding", b"deflate", 415),
    ],
)
def test_an_mcp_message_is_plain_json_in_utf_8(name: bytes, value: bytes, status: int) -> None:
    # In UTF-7 this is a tools/call, and some SDKs read it so.
    hidden = base64.b64encode('","method":"tools/call'.encode("utf-16-be")).rstrip(b"=")
    body = b'{"jsonrpc":"2.0","id":1,"method":"ping","x":"+%b-"}' % hidden
    assert json.loads(body.decode("utf-7"))["method"] == "tools/call"
    bench = Bench()
    assert bench.send("POST", "/mcp", [(name, value)], body).status == status
    assert bench.app.reached == (status == 200)


def test_two_content_types_are_both_looked_at() -> None:
    types = [(b"content-type", b"application/json"), (b"content-type", b"text/plain")]
    assert Bench().send("POST", "/mcp", types, b"{}").status == 415


def test_a_body_that_does_not_come_in_time_is_refused() -> None:
    bench = Bench()
    gate = Gate(bench.app, rails=[], ledger=bench.ledger, policy=bench.policy, body_deadline_s=0)
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(gate(http_scope("POST", b"/mcp"), receive, send))
    assert (sent[0]["status"], bench.app.reached) == (408, 0)


@pytest.mark.parametrize(
    "name",
    [b"x-http-method-override", b"X-HTTP-Method", b"x_method_override", b"x-original-url",
     b"x-rewrite-url", b"x-original-method"],
)  # fmt: skip
def test_a_header_that_names_another_method_or_path_than_the_priced_one_is_refused(
    name: bytes,
) -> None:
    bench = Bench()
    headers = [*solution(bench.proof()), (name, b"DELETE")]
    answer = bench.send("GET", headers=headers)
    assert (answer.status, kind(answer)) == (400, "bad-request")
    assert (bench.app.reached, bench.ledger.spends) == (0, 0)


def test_lifespan_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    bench = Bench(app=app)

    async def nothing() -> Message:
        raise AssertionError

    async def nowhere(message: Message) -> None:
        raise AssertionError

    asyncio.run(bench.gate({"type": "lifespan"}, nothing, nowhere))
    assert seen == ["lifespan"]


def open_websocket(bench: Bench, path: bytes, headers: Headers = (), **more: Any) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {**http_scope("GET", path, headers=headers), "type": "websocket", **more}
    del scope["method"]
    asyncio.run(bench.gate(scope, receive, send))
    return sent


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"})


def test_a_websocket_is_closed_unless_the_policy_says_that_it_is_free() -> None:
    policy = Policy(default=EASY, entries=(Entry("GET /free", FREE),))
    bench = Bench(app=echo, policy=policy)
    closed: list[Message] = [{"type": "websocket.close", "code": 1008}]
    assert open_websocket(bench, b"/free") == [{"type": "websocket.accept"}]
    for path in (b"/mcp", b"/.well-known/x", b"/%66ree"):
        assert open_websocket(bench, path) == closed


def test_no_websocket_is_sold_where_mcp_calls_would_go_on_in_it_unseen() -> None:
    named = Policy(default=EASY, entries=(Entry("GET /mcp", EASY),))
    can: dict[str, Any] = {"extensions": {"websocket.http.response": {}}}
    for path in (b"/mcp", b"/MCP/", b"/%6dcp"):
        start, _ = open_websocket(Bench(app=echo), path, (), **can)
        assert start["status"] == 405
    assert open_websocket(Bench(app=echo, policy=named), b"/mcp", (), **can)[0]["status"] == 402


def test_a_websocket_costs_what_a_get_costs_and_is_told_so_where_a_server_can() -> None:
    bench = Bench(app=echo)
    can: dict[str, Any] = {"extensions": {"websocket.http.response": {}}}
    start, body = open_websocket(bench, b"/x", (), **can)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 402)
    offer = json.loads(body["body"])["offers"][0]
    paid = solution(solved(offer))
    assert open_websocket(bench, b"/x", paid) == [{"type": "websocket.accept"}]
    assert open_websocket(bench, b"/x", paid, **can)[0]["status"] == 402


def test_a_refusal_is_logged_in_one_line_under_its_decision_and_without_the_proof(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    proof = bench.proof("GET", "/x")
    bench.send("GET", headers=solution(proof))
    with caplog.at_level(logging.INFO, logger="pypow_server.decisions"):
        answer = bench.send("GET", headers=solution(proof))
    (record,) = caplog.records
    line = str(vars(record))
    assert document(answer)["decision"] in line
    assert "already-spent" in line
    assert proof[10:34] not in line


def refused(bench: Bench, proof: str) -> str:
    answer = bench.send("GET", headers=[(b"x-pow-solution", proof.encode("latin-1"))])
    assert answer.status in (400, 402), answer.status
    return kind(answer)


def test_every_truncation_of_a_proof_is_refused_before_the_ledger() -> None:
    bench = Bench()
    proof = bench.proof()
    shorter = (proof[:length] for length in range(len("challenge=") + 104 + len(",nonce=")))
    assert {refused(bench, text) for text in shorter} == {"malformed-proof"}
    assert (bench.ledger.spends, bench.app.reached) == (0, 0)


def test_every_flipped_bit_of_a_challenge_is_refused_before_the_ledger() -> None:
    bench = Bench()
    proof = bench.proof()
    names = set()
    for index in range(len("challenge="), len("challenge=") + 104):
        for bit in range(8):
            flipped = proof[:index] + chr(ord(proof[index]) ^ 1 << bit) + proof[index + 1 :]
            names.add(refused(bench, flipped))
    assert (bench.ledger.spends, bench.app.reached) == (0, 0)
    assert {"malformed-proof", "bad-signature", "unknown-key"} <= names
    assert bench.send("GET", headers=solution(proof)).status == 200


header_names = st.sampled_from(
    [b"x-pow-solution", b"authorization", b"cookie", b"x-pow-accept", b"x_pow_solution",
     b"mcp-method", b"mcp-name", b"mcp-protocol-version", b"content-length", b"x-other"]
)  # fmt: skip
header_values = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [b"PoW ", b"Bearer pyp_", b"pypow_pass=pyp_x", b"1", b"puzzles=64", b"=?base64?YQ=?="]
    ),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(header_names, header_values), max_size=6), st.binary(max_size=60))
def test_no_headers_reach_the_app_or_the_ledger_without_a_proof(
    headers: list[tuple[bytes, bytes]], tail: bytes
) -> None:
    bench = Bench()
    answer = bench.send("POST", "/x" + tail.decode("latin-1"), headers)
    assert 400 <= answer.status < 500
    assert (bench.ledger.spends, bench.app.reached) == (0, 0)


message_keys = st.sampled_from(["jsonrpc", "id", "method", "params", "_meta", "name"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(message_keys, inner),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_body_on_the_mcp_path_breaks_the_gate_or_earns_admission(body: bytes) -> None:
    bench = Bench()
    answer = bench.send("POST", "/mcp", (), body)
    assert answer.status in (200, 400)
    assert (bench.ledger.spends, bench.app.reached) == (0, 0)


def test_the_app_sees_the_client_that_a_trusted_proxy_names() -> None:
    trusted = TrustedProxies.parse(["192.0.2.0/24"])
    bench = Bench(policy=Policy(default=EASY, entries=(Entry("GET /x", FREE),), trusted=trusted))
    bench.send("GET", "/x", [(b"x-forwarded-for", b"6.6.6.6, 203.0.113.9")])
    assert bench.app.scopes[-1]["client"] == ("203.0.113.9", 0)
    bench.send("GET", "/x")
    assert bench.app.scopes[-1]["client"] == ("192.0.2.7", 50000)

# SPDX-License-Identifier: Apache-2.0
"""Where a store's numbers end, what is taken for granted, and what is written down of a request."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from pypow.challenge import scope_digest
from pypow.errors import InvalidInputError
from pypow.pricing import Quote
from pypow_server.access import Access
from pypow_server.call import Call
from pypow_server.decision import Decision
from pypow_server.match import Match
from pypow_server.policy import FREE, Entry, Policy, Price
from pypow_server.rails import Offer, Verdict
from pypow_server.rails.work import WorkRail
from pypow_server.resource import Resource
from pypow_server.scope import Message, Receive, Scope, Send
from pypow_server.stores import Quota, Spend, check_spend
from pypow_server.stores.memory import MemoryLedger, MemoryLimiter
from support.asgi_client import http_scope
from support.challenges import KEY, KEYRING, NOW_MS
from support.gated import EASY, HOST, Bench, document, offers, solution

END = 2**63


@pytest.mark.parametrize(
    ("key", "limit", "expires_at_ms", "now_ms", "told"),
    [
        (b"k", 1, 0, 0, None),
        (b"k", END - 1, END - 1, END - 1, None),
        (b"", 1, 0, 0, "expected a spend key of at least one octet; got an empty one"),
        (b"k", 0, 0, 0, "expected a limit of at least 1 use; got 0"),
        (b"k", END, 0, 0, f"expected a limit of at least 1 use; got {END}"),
        (b"k", 1, -1, 0, "expected Unix milliseconds; got expires_at_ms=-1, now_ms=0"),
        (b"k", 1, END, 0, f"expected Unix milliseconds; got expires_at_ms={END}, now_ms=0"),
        (b"k", 1, 0, -1, "expected Unix milliseconds; got expires_at_ms=0, now_ms=-1"),
        (b"k", 1, 0, END, f"expected Unix milliseconds; got expires_at_ms=0, now_ms={END}"),
    ],
)
def test_a_store_takes_numbers_of_63_bits_and_keys_of_some_length(
    key: bytes, limit: int, expires_at_ms: int, now_ms: int, told: str | None
) -> None:
    refused = None
    try:
        check_spend(key, limit=limit, expires_at_ms=expires_at_ms, now_ms=now_ms)
    except InvalidInputError as error:
        refused = str(error)
    assert refused == told


def test_a_key_is_good_for_one_use_and_a_call_takes_one_unless_told_otherwise() -> None:
    async def story() -> None:
        ledger, limiter = MemoryLedger(), MemoryLimiter()
        terms = {"epoch": None, "expires_at_ms": NOW_MS + 1000, "now_ms": NOW_MS}
        outcomes = [await ledger.spend(b"key", **terms) for _ in range(2)]  # type: ignore[arg-type]  # a table of terms
        assert outcomes == [Spend.WON, Spend.LOST]
        taken = await limiter.take(b"key", quota=Quota(3, 1000), now_ms=NOW_MS)
        assert taken.remaining == 2

    asyncio.run(story())


def digest_of_call(host: bytes, *names: bytes) -> bytes:
    return scope_digest(KEY.resource_mac, host, *names)


@pytest.mark.parametrize("path", ["/x", "/" + "a" * 490, "/" + "a" * 2000])
def test_a_challenge_names_its_call_and_host_however_long_the_name(path: str) -> None:
    rail = WorkRail(KEYRING, public_host="Gate.Example")
    challenge = rail.challenge(
        Resource("http", "GET", path),
        Price("dear", 14 * 1024, weight=9),
        puzzles=16, now_ms=NOW_MS, epoch=3,
    )  # fmt: skip
    assert challenge.resource == digest_of_call(b"gate.example", b"http", b"GET", path.encode())
    assert (challenge.puzzles, challenge.weight, challenge.lifetime_s) == (16, 9, 120)
    assert (challenge.epoch, challenge.issued_at_ms, challenge.key) == (3, NOW_MS, KEY.id)


POLICY = Policy(
    default=EASY,
    entries=(Entry("GET /priced", Price("priced", EASY.q)), Entry("GET /free", FREE)),
    denied=(Access(match=Match("GET /denied")),),
    allowed=(Access(match=Match("GET /allowed")),),
    hosts=frozenset({HOST}),
)
WITHOUT = "this call has a price and came without a proof or pass"
NOT_TAKEN = "the operator of this server does not take this call"


@pytest.mark.parametrize(
    ("method", "target", "entry", "detail"),
    [
        ("GET", "/priced", "priced", WITHOUT),
        ("GET", "/other", "easy", WITHOUT),
        # Only a POST to an MCP path is read as a message.
        ("POST", "/other", "easy", WITHOUT),
        ("PUT", "/mcp", "easy", WITHOUT),
        ("GET", "/denied", "deny", NOT_TAKEN),
        ("GET", "/allowed", "allow", None),
        ("GET", "/free", "free", None),
        ("OPTIONS", "/priced", "free", None),
    ],
)
def test_what_a_request_was_taken_for_is_told_and_written_down(
    method: str, target: str, entry: str, detail: str | None
) -> None:
    bench = Bench(policy=POLICY)
    answer = bench.send(method, target, body=b"no message")
    (decision,) = bench.decisions
    assert decision.entry == entry
    assert (document(answer)["detail"] if answer.status >= 400 else None) == detail


def test_a_request_for_another_host_is_told_whose_it_is() -> None:
    bench = Bench(policy=POLICY)
    answer = bench.send_bare("GET", "/free", [(b"host", b"evil.example")])
    assert document(answer)["detail"] == (
        "expected a Host header with a name of this gate; operators: add it to hosts"
    )
    assert bench.decisions[0].entry == "none"


def test_a_decision_says_how_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([10.0, 12.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(readings))
    bench = Bench()
    bench.send("GET")
    assert bench.decisions[0].seconds == 2.5


class BrokenRail:
    """Raises whatever it is asked."""

    name = "broken"

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        raise RuntimeError("secret")

    async def offer(
        self, call: Call, price: Price, *, now_ms: int, epoch: int, quote: Quote | None
    ) -> Offer:
        raise AssertionError


def test_failures_are_logged_under_the_decision_that_the_caller_hears(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(decision: Decision) -> None:
        raise RuntimeError("the disk is full")

    bench = Bench(rails=[BrokenRail()], recorders=(broken,))
    answer = document(bench.send("GET"))
    assert answer["detail"] == "the gate failed; try again later"
    failures = [one.getMessage() for one in caplog.records if one.exc_info is not None]
    assert failures == [
        f"decision={answer['decision']} problem=internal-error",
        f"decision={answer['decision']} was not recorded",
    ]


def test_a_faulty_message_is_answered_under_its_id() -> None:
    answer = document(Bench().post_mcp("tools/call", {"name": 7}, id="seven"))
    assert (answer["jsonrpc"], answer["id"], answer["error"]["code"]) == ("2.0", "seven", -32602)


def test_behind_a_message_the_app_hears_that_its_caller_went_away() -> None:
    said: Iterator[Message] = iter(
        [
            {"type": "http.request", "body": b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'},
            {"type": "http.disconnect"},
        ]
    )
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.extend([(await receive())["type"] for _ in range(2)])

    async def receive() -> Message:
        return next(said)

    async def send(message: Message) -> None:
        raise AssertionError

    asyncio.run(Bench(app=app).gate(http_scope("POST", b"/mcp"), receive, send))
    assert heard == ["http.request", "http.disconnect"]


def test_a_gate_goes_on_with_the_rails_and_policy_that_it_is_given() -> None:
    bench = Bench(rails=[], policy=Policy(default=Price("dear", 20 * 1024)))
    bench.gate.decide_by(policy=Policy(default=EASY), rails=[bench.rail])
    assert bench.send("GET", headers=solution(bench.proof())).status == 200
    assert [one.rail for one in bench.decisions] == [None, "work"]


def test_a_gate_around_another_app_has_one_price_and_is_the_same_gate_otherwise() -> None:
    limiter = MemoryLimiter()
    dear = Policy(default=Price("dear", 20 * 1024, weight=9))
    bench = Bench(policy=dear, limiter=limiter)
    once = Price("once", EASY.q, weight=2, free=Quota(1, 1000))
    bench.gate = bench.gate.around(bench.app, price=once)
    # Ambiguous paths are no dearer, and nothing is read as a message.
    calls = [("POST", "/mcp"), ("POST", "/mcp"), ("GET", "/a%2Fb"), ("OPTIONS", "/x")]
    answers = [bench.send(*call, body=b"no message") for call in calls]
    assert [answer.status for answer in answers] == [200, 402, 402, 204]
    assert [(one.entry, one.at_ms) for one in bench.decisions] == [
        (entry, NOW_MS) for entry in ("once", "once", "dearest", "free")
    ]
    assert {offers(answer)[0]["bits"] for answer in answers[1:3]} == {4}
    assert bench.send("POST", "/x", solution(bench.proof("POST", "/x"))).status == 200
    assert bench.app.reached == 2


def test_calls_that_anybody_may_make_are_counted_for_each_network() -> None:
    rows = (Access(match=Match("GET /allowed")),)
    policy = Policy(default=EASY, allowed=rows, free_limit=Quota(1, 1000))
    bench = Bench(policy=policy, limiter=MemoryLimiter())
    clients = ("192.0.2.1", "192.0.2.1", "192.0.2.2")
    statuses = [bench.send("GET", "/allowed", client=client).status for client in clients]
    assert statuses == [200, 429, 200]


def test_two_different_credentials_are_counted() -> None:
    bench = Bench()
    proofs = [*solution(bench.proof()), *solution(bench.proof())]
    assert document(bench.send("GET", headers=proofs))["detail"] == (
        "expected one proof or pass, got 2 different ones; send one"
    )


def test_the_lifespan_of_the_app_is_the_servers() -> None:
    """The app hears what the server says, and no gate stands between them."""
    heard: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.append(await receive())
        await send({"type": "lifespan.startup.complete"})

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        heard.append(message)

    asyncio.run(Bench(app=app).gate({"type": "lifespan"}, receive, send))
    assert heard == [{"type": "lifespan.startup"}, {"type": "lifespan.startup.complete"}]

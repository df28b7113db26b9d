# SPDX-License-Identifier: Apache-2.0
"""A paid call belongs to whoever asked until it is answered: no death costs it, no departure."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from pypow_server.answering import HandedOnError
from pypow_server.paid_calls import PaidCalls
from pypow_server.rails import Claim
from pypow_server.scope import UPSTREAM_FAILED, UPSTREAM_REACHED, Message, Receive, Scope, Send
from pypow_server.stores import Charged, Early, Spend, StoreError
from pypow_server.stores.attempts import MOST_DEPARTURES, Attempt, Ending
from pypow_server.stores.memory import MemoryLedger
from support.asgi_client import Answer, call, http_scope
from support.gated import HOST, CountingLedger, document
from support.ledger_contract import EXPIRES_AT_MS, NOW_MS
from support.sales_contract import every_sale, sale
from support.selling import Stall, authorized, l402_credential, payment_credential

Say = Callable[[Scope, Send], Awaitable[None]]

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
LATE_S = 60.0


class Upstream:
    """Does with each call in turn what it is told; then answers like any."""

    def __init__(self, *turns: Say) -> None:
        self.reached = 0
        self._turns: Iterator[Say] = iter(turns)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached += 1
        await next(self._turns, answer)(scope, send)


async def answer(scope: Scope, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"served"})


async def leave(scope: Scope, send: Send) -> None:
    """What a proxy does whose caller went away."""


async def break_down(scope: Scope, send: Send) -> None:
    raise RuntimeError("broken")


async def begin_and_break_down(scope: Scope, send: Send) -> None:
    await send(START)
    raise RuntimeError("broken")


async def stream_and_break_down(scope: Scope, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"some", "more_body": True})
    raise RuntimeError("broken")


async def fail(scope: Scope, send: Send) -> None:
    """What a proxy does whose upstream broke off."""
    scope[UPSTREAM_REACHED], scope[UPSTREAM_FAILED] = True, True
    await send({**START, "status": 502})
    await send({"type": "http.response.body", "body": b"sorry"})


def stall_of(*turns: Say, **options: Any) -> tuple[Stall, Upstream]:
    upstream = Upstream(*turns)
    return Stall(app=upstream, **options), upstream


def vanish(stall: Stall, credential: bytes, target: bytes = b"/x") -> list[Message]:
    """A call whose outcome nobody waits for; what was sent of it."""
    sent: list[Message] = []
    headers = [(b"host", HOST.encode()), *authorized(credential)]

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    async def story() -> None:
        with suppress(RuntimeError, HandedOnError):
            await stall.gate(http_scope("GET", target, headers=headers), receive, send)

    asyncio.run(story())
    return sent


async def take(calls: PaidCalls) -> Any:
    claim = Claim(b"ln:" + bytes(32), None, EXPIRES_AT_MS, 1)
    return await calls.take(claim, sale(), b"a request".ljust(16), None, now_ms=NOW_MS)


async def until(is_so: Callable[[], bool]) -> None:
    """Let other tasks go on until it is."""
    for _ in range(1000):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError


def show(stall: Stall, credential: bytes, target: str = "/x") -> Answer:
    return stall.send("GET", target, authorized(credential))


def spent(stall: Stall) -> int:
    assert isinstance(stall.ledger.inner, MemoryLedger)
    (sold,) = asyncio.run(every_sale(stall.ledger.inner))
    return sold.spent


@pytest.mark.parametrize("end", [leave, break_down, begin_and_break_down])
def test_a_call_that_was_not_answered_is_had_again_for_the_same_payment(end: Say) -> None:
    stall, upstream = stall_of(end)
    credential = stall.buy()
    vanish(stall, credential)
    assert show(stall, credential).body == b"served"
    assert show(stall, credential).status == 402
    assert (upstream.reached, spent(stall)) == (2, 1)


def test_an_answer_that_broke_off_was_one(capsys: pytest.CaptureFixture[str]) -> None:
    stall, upstream = stall_of(stream_and_break_down)
    credential = stall.buy()
    vanish(stall, credential)
    assert show(stall, credential).status == 402
    assert upstream.reached == 1


def test_an_upstream_that_gave_no_answer_costs_no_payment() -> None:
    stall, upstream = stall_of(fail)
    credential = stall.buy()
    assert show(stall, credential).status == 502
    assert show(stall, credential).status == 200
    assert upstream.reached == 2


def test_a_caller_who_keeps_leaving_has_used_the_payment_in_the_end() -> None:
    stall, upstream = stall_of(*[leave] * 20)
    credential = stall.buy()
    for _ in range(MOST_DEPARTURES + 1):
        assert vanish(stall, credential) == []
    assert show(stall, credential).status == 402
    assert upstream.reached == MOST_DEPARTURES + 1


def test_another_request_does_not_get_the_use() -> None:
    stall, upstream = stall_of(leave)
    credential = stall.buy()
    vanish(stall, credential)
    assert show(stall, credential, "/x?other").status == 402
    assert upstream.reached == 1
    assert show(stall, credential).status == 200


def test_the_same_payment_in_its_other_form_is_the_same_request() -> None:
    stall, _ = stall_of(leave)
    refusal = stall.send("GET")
    vanish(stall, l402_credential(refusal))
    assert show(stall, payment_credential(refusal)).status == 200


def test_an_mcp_call_that_is_numbered_anew_is_the_same_request() -> None:
    stall, upstream = stall_of(break_down)
    ask = {"name": "search", "arguments": {"q": 1}}
    refusal = stall.post_mcp("tools/call", ask, headers=[(b"x-pow-accept", b"1")])
    header = authorized(l402_credential(refusal))
    with pytest.raises(RuntimeError, match="broken"):
        stall.post_mcp("tools/call", ask, headers=header)
    other = {**ask, "arguments": {"q": 2}}
    assert stall.post_mcp("tools/call", other, headers=header).status != 503
    assert upstream.reached == 1
    again = {**ask, "_meta": {"progressToken": 7}}
    stall.post_mcp("tools/call", again, headers=header, id=2)
    assert upstream.reached == 2


def test_a_second_gate_waits_for_the_first_and_then_knows_that_it_answered() -> None:
    first_began, first_may_end = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, send: Send) -> None:
        first_began.set()
        await first_may_end.wait()
        await answer(scope, send)

    stall, _ = stall_of(slow)
    other, upstream = stall_of(ledger=stall.ledger, life=b"2nd life")
    credential = stall.buy()

    async def story() -> list[int]:
        first = asyncio.create_task(_status(stall, credential))
        await first_began.wait()
        held = await _status(other, credential)
        first_may_end.set()
        return [await first, held, await _status(other, credential)]

    assert asyncio.run(story()) == [200, 503, 402]
    assert upstream.reached == 0


def test_a_gate_that_says_nothing_any_more_is_taken_for_dead() -> None:
    stall, _ = stall_of(leave)
    other, upstream = stall_of(ledger=stall.ledger, life=b"2nd life")
    credential = stall.buy()

    async def killed(scope: Scope, send: Send) -> None:
        await stall.ledger.live(b"one life", lasts_ms=0)
        assert await _status(other, credential) == 200

    stall, _ = stall_of(killed, ledger=stall.ledger)
    vanish(stall, credential)
    assert upstream.reached == 1
    assert [show(one, credential).status for one in (stall, other)] == [402, 402]


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_gate_that_may_be_taken_for_dead_answers_only_what_is_still_its_own(
    is_taken: bool,
) -> None:
    async def cut_off(scope: Scope, send: Send) -> None:
        stall.seconds += LATE_S
        if is_taken:
            await stall.ledger.live(b"one life", lasts_ms=0)
            assert await _status(other, credential) == 200
        await answer(scope, send)

    stall, _ = stall_of(cut_off)
    other, _ = stall_of(ledger=stall.ledger, life=b"2nd life")
    credential = stall.buy()
    told = show(stall, credential)
    assert told.status == (503 if is_taken else 200)
    if is_taken:
        assert document(told)["type"] == "urn:pypow:error:in-progress"
        assert told.values(b"retry-after")
        assert b"served" not in told.body
    assert show(stall, credential).status == 402


def test_an_answer_that_has_begun_breaks_off_where_the_use_was_handed_on() -> None:
    async def cut_off(scope: Scope, send: Send) -> None:
        await send(START)
        stall.seconds += LATE_S
        await stall.ledger.live(b"one life", lasts_ms=0)
        assert await _status(other, credential) == 200
        await send({"type": "http.response.body", "body": b"served"})

    stall, _ = stall_of(cut_off)
    other, _ = stall_of(ledger=stall.ledger, life=b"2nd life")
    credential = stall.buy()
    assert [message["type"] for message in vanish(stall, credential)] == [START["type"]]


class Faulty(CountingLedger):
    """A ledger whose payments fail where it is told."""

    taking = ending = False

    async def take(self, key: bytes, **terms: Any) -> Charged | Spend | Early:
        found = await super().take(key, **terms)
        if self.taking:
            raise StoreError("the answer was lost")
        return found

    async def end(self, key: bytes, attempt: Attempt, ending: Ending) -> bool:
        if self.ending:
            raise StoreError("not now")
        return await super().end(key, attempt, ending)


def test_a_gate_cut_off_from_its_ledger_does_not_answer() -> None:
    ledger = Faulty()

    async def cut_off(scope: Scope, send: Send) -> None:
        stall.seconds += LATE_S
        ledger.ending = True
        await answer(scope, send)

    stall, _ = stall_of(cut_off, ledger=ledger)
    credential = stall.buy()
    assert show(stall, credential).status == 503
    ledger.ending = False
    assert show(stall, credential).status == 200


def test_a_spend_in_doubt_costs_no_payment() -> None:
    ledger = Faulty()
    stall, upstream = stall_of(ledger=ledger)
    other, _ = stall_of(ledger=ledger, life=b"2nd life")
    credential = stall.buy()
    ledger.taking = True
    assert show(stall, credential).status == 503
    ledger.taking = False
    assert upstream.reached == 0
    assert show(other, credential).status == 200
    assert show(stall, credential).status == 402
    assert spent(stall) == 1


def test_a_spend_in_doubt_that_cannot_be_told_of_is_known_to_its_own_gate() -> None:
    ledger = Faulty()
    stall, upstream = stall_of(ledger=ledger)
    other, _ = stall_of(ledger=ledger, life=b"2nd life")
    credential = stall.buy()
    ledger.taking = ledger.ending = True
    assert show(stall, credential).status == 503
    ledger.taking = ledger.ending = False
    assert show(other, credential).status == 503
    assert show(stall, credential).status == 200
    assert upstream.reached == 1


def test_an_answer_that_could_not_be_recorded_is_recorded_later() -> None:
    ledger, pauses = Faulty(), asyncio.Queue[None]()

    async def story() -> list[Spend]:
        calls = PaidCalls(ledger, pause=pauses.get)
        found, call = await take(calls)
        ledger.ending = True
        call.answered()
        await call.left()
        held, _ = await take(calls)
        ledger.ending = False
        pauses.put_nowait(None)
        await until(lambda: not calls._unsaid)
        lost, _ = await take(calls)
        await calls.aclose()
        return [found, held, lost]

    assert asyncio.run(story()) == [Spend.WON, Spend.HELD, Spend.LOST]


def test_a_caller_who_is_back_before_that_is_recorded_has_left_all_the_same() -> None:
    class Slow(CountingLedger):
        async def end(self, key: bytes, attempt: Attempt, ending: Ending) -> bool:
            await may_end.wait()
            return await super().end(key, attempt, ending)

    may_end = asyncio.Event()

    async def story() -> list[Spend]:
        calls, found = PaidCalls(Slow()), []
        for _ in range(MOST_DEPARTURES + 2):
            may_end.clear()
            outcome, call = await take(calls)
            found.append(outcome)
            if call is not None:
                leaving = asyncio.create_task(call.left())
                await asyncio.sleep(0)
                found.append((await take(calls))[0])
                may_end.set()
                await leaving
        await calls.aclose()
        return found

    again = [Spend.WON, Spend.HELD] * (MOST_DEPARTURES + 1)
    assert asyncio.run(story()) == [*again, Spend.LOST]


def test_a_gate_that_ends_lets_others_answer_at_once() -> None:
    ledger = CountingLedger()

    async def story() -> list[object]:
        first, second = PaidCalls(ledger), PaidCalls(ledger)
        found = [await take(calls) for calls in (first, second)]
        await first.aclose()
        found.append(await take(second))
        (_, late), *_ = found
        assert not await late.may_be_answered()
        await second.aclose()
        return [outcome for outcome, _ in found]

    assert asyncio.run(story()) == [Spend.WON, Spend.HELD, Spend.WON]


def test_a_gate_with_calls_under_way_says_that_it_is_alive() -> None:
    said: list[int] = []

    class Listening(CountingLedger):
        async def live(self, life: bytes, *, lasts_ms: int) -> None:
            said.append(lasts_ms)
            await super().live(life, lasts_ms=lasts_ms)

    pauses, seconds = asyncio.Queue[None](), 0.0

    async def until_more_than(before: int) -> None:
        await until(lambda: len(said) > before)

    async def story() -> None:
        nonlocal seconds
        calls = PaidCalls(Listening(), pause=pauses.get, monotonic=lambda: seconds)
        _, call = await take(calls)
        for _ in range(3):
            seconds += 5.0
            before = len(said)
            pauses.put_nowait(None)
            await until_more_than(before)
            assert calls.is_sure(call)
        call.answered()
        await call.left()
        after = len(said)
        for _ in range(10):
            pauses.put_nowait(None)
            await asyncio.sleep(0)
        assert len(said) == after
        await calls.aclose()

    asyncio.run(story())
    assert (len(said) > 3, said[-1]) == (True, 0)


def test_a_caller_cancelled_while_its_payment_is_spent_keeps_it() -> None:
    class Slow(CountingLedger):
        async def take(self, key: bytes, **terms: Any) -> Charged | Spend | Early:
            found = await super().take(key, **terms)
            if self.spends == 1:
                await asyncio.Event().wait()
            return found

    stall, upstream = stall_of(ledger=Slow())
    other, _ = stall_of(ledger=stall.ledger, life=b"2nd life")
    credential = stall.buy()

    async def story() -> int:
        leaving = asyncio.create_task(_status(stall, credential))
        await until(lambda: stall.ledger.spends > 0)
        leaving.cancel()
        await asyncio.wait([leaving])
        await asyncio.sleep(0)
        return await _status(other, credential)

    assert asyncio.run(story()) == 200
    assert upstream.reached == 0


async def _status(stall: Stall, credential: bytes) -> int:
    headers = [(b"host", HOST.encode()), *authorized(credential)]
    return (await call(stall.gate, "GET", b"/x", headers=headers)).status

# SPDX-License-Identifier: Apache-2.0
"""Calls wait for their turn at the gate: who goes first, and that waiting spends nothing."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from pypow.pricing import UNIT
from pypow.wire import decode_challenge
from pypow_server.call import Call
from pypow_server.checkout import Checkout
from pypow_server.crowd.turns import Turns
from pypow_server.gate import Gate
from pypow_server.hearing import Hearing
from pypow_server.meter import Pricing
from pypow_server.policy import PassTerms, Policy, Price
from pypow_server.problems import Problem
from pypow_server.rails import Admit, Verdict
from pypow_server.rails.work import WorkRail
from pypow_server.scope import Message
from pypow_server.stores import Quota, StoreError
from support.asgi_client import Answer, call, http_scope
from support.challenges import KEYRING, NOW_MS
from support.gated import HOST, Bench, CountingLedger, document, offers, solution, solved
from support.played_loop import played, played_ns

QUOTA = Quota(60, 60_000)
PRICED = Price("easy", 4 * 1024, pricing=Pricing(quota=QUOTA))
FREE = replace(PRICED, free=QUOTA)
HOUR_MS = 3_600_000

Header = tuple[bytes, bytes]
BUSY = (503, "urn:pypow:error:busy")


class Stage(Bench):
    """A gate whose upstream serves so many calls a second, in a loop whose time is played."""

    def __init__(self, a_second: float = 1, price: Price = PRICED, **terms: Any) -> None:
        self.line = Turns(round(a_second * UNIT), draw=Random(1).randrange, clock=played_ns)
        super().__init__(policy=Policy(default=price), turns=self.line, **terms)

    async def ask(
        self, headers: Sequence[Header] = (), *, client: str = "192.0.2.7", body: bytes = b""
    ) -> Answer:
        method, path = ("POST", b"/mcp") if body else ("GET", b"/x")
        fields = [(b"host", HOST.encode()), *headers]
        return await call(
            self.gate, method, path, headers=fields, body=body, client=(client, 50000)
        )

    async def paid(self, **how: Any) -> list[Header]:
        """The header of a proof for such a call."""
        refusal = await self.ask(**how)
        return solution(solved(offers(refusal)[0]))

    def fill(self) -> None:
        """Have calls take what room there is."""
        while self.line.begin(1):
            pass

    def waits(self, headers: Sequence[Header], **how: Any) -> "asyncio.Task[Answer]":
        return asyncio.create_task(self.ask(headers, **how))


def kind(answer: Answer) -> tuple[int, str]:
    return answer.status, document(answer)["type"]


def test_a_call_that_is_sent_away_spent_nothing_and_its_proof_is_good_later_and_once() -> None:
    played(lambda: eviction_spends_nothing(Gate))


async def eviction_spends_nothing(gate: type[Gate]) -> None:
    stage = Stage(gate=gate)
    proofs = [await stage.paid() for _ in range(3)]
    stage.fill()
    waiting = [stage.waits(proof, client=f"192.0.2.{n}") for n, proof in enumerate(proofs[:2])]
    await asyncio.sleep(0)
    away = await stage.ask(proofs[2])
    assert kind(away) == BUSY
    assert [int(value) in range(1, 4) for value in away.values(b"retry-after")] == [True]
    assert (stage.ledger.spends, stage.app.reached) == (0, 0)
    assert [(await one).status for one in waiting] == [200, 200]
    await asyncio.sleep(10)
    assert (await stage.ask(proofs[2])).status == 200
    assert [(await stage.ask(proof)).status for proof in proofs] == [402] * 3
    assert stage.app.reached == 3


class CheckoutThatSpendsFirst(Checkout):
    async def _let_in(self, hearing: Hearing, price: Price, judged: Admit) -> Problem | None:
        problem = await self._spend(hearing, judged, self._charge(hearing, price, judged))
        return problem or await super()._let_in(hearing, price, judged)


class GateThatSpendsFirst(Gate):
    """A wrong twin: spends, and then has the call wait."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        right = self._checkout
        self._checkout = CheckoutThatSpendsFirst(
            right.ledger, right.credit, right.conditions, right.turns
        )


def test_the_check_catches_a_gate_that_spends_before_it_is_the_calls_turn() -> None:
    with pytest.raises(AssertionError):
        played(lambda: eviction_spends_nothing(GateThatSpendsFirst))


def test_while_there_is_room_nobody_looks_where_callers_stand() -> None:
    async def story() -> None:
        stage = Stage(50)
        proofs = [await stage.paid() for _ in range(5)]
        assert [(await stage.ask(proof)).status for proof in proofs] == [200] * 5
        assert (stage.ledger.ranks, stage.decisions[-1].lane) == (0, None)
        late = await stage.paid()
        assert (await stage.ask(late)).status == 200
        assert (stage.ledger.ranks, stage.decisions[-1].lane) == (1, "new")
        assert stage.decisions[-1].waited_ms == 20
        assert stage.decisions[-1].seconds < 0.02  # the played wait is not its time

    played(story)


async def know(stage: Stage, client: str) -> None:
    """Have the gate know a caller, who last called an hour ago."""
    stage.clock.now_ms = NOW_MS - HOUR_MS
    assert (await stage.ask(await stage.paid(), client=client)).status == 200
    stage.clock.now_ms = NOW_MS
    await asyncio.sleep(10)


def test_a_known_caller_takes_the_place_of_new_ones_and_goes_first() -> None:
    async def story() -> None:
        stage = Stage(4)
        await know(stage, "192.0.2.1")
        proofs = [await stage.paid() for _ in range(12)]
        stage.fill()
        new = [stage.waits(proof, client=f"198.51.100.{n}") for n, proof in enumerate(proofs[:8])]
        await asyncio.sleep(0.01)
        assert stage.line.waiting == 8
        known = [stage.waits(proof, client="192.0.2.1") for proof in proofs[8:]]
        done = await asyncio.gather(*known)
        assert [answer.status for answer in done] == [200] * 4
        assert Counter([(await one).status for one in new])[503] >= 4
        lanes = [(one.lane, one.problem) for one in stage.decisions if one.lane]
        assert lanes.count(("known", None)) == 4

    played(story)


class RailThatTakesMoney(WorkRail):
    """Takes the proofs of one caller for payments."""

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        found = await super().judge(call, price, now_ms=now_ms)
        if isinstance(found, Admit) and call.client == "192.0.2.1/32":
            return found._replace(goes_first=True)
        return found


def test_a_call_that_was_bought_goes_before_known_callers() -> None:
    async def story() -> None:
        stage = Stage(4)
        stage.gate.decide_by(
            policy=stage.policy, rails=[RailThatTakesMoney(KEYRING, public_host=HOST)]
        )
        await know(stage, "198.51.100.1")
        proofs = [await stage.paid() for _ in range(9)]
        stage.fill()
        known = [stage.waits(proof, client="198.51.100.1") for proof in proofs[:8]]
        await asyncio.sleep(0.01)
        assert (await stage.ask(proofs[8], client="192.0.2.1")).status == 200
        assert [one.lane for one in stage.decisions if one.lane].count("known") <= 1
        await asyncio.gather(*known)

    played(story)


def test_a_proof_that_will_not_do_is_told_so_and_does_not_wait() -> None:
    async def story() -> None:
        stage = Stage(50)
        proofs = [await stage.paid() for _ in range(13)]
        answers = [await stage.ask(proof) for proof in proofs[:12]]
        assert [answer.status for answer in answers] == [200] * 12
        stage.fill()
        early = await stage.ask(proofs[12])
        assert kind(early) == (429, "urn:pypow:error:early")
        assert (stage.line.waiting, stage.app.reached) == (0, 12)
        assert offers(early)
        stage.clock.now_ms += 10_000
        assert (await stage.ask(proofs[12])).status == 200

    played(story)


def test_the_turn_of_a_proof_that_was_spent_meanwhile_goes_to_the_next() -> None:
    async def story() -> None:
        stage = Stage(1)
        spent, good = await stage.paid(), await stage.paid()
        stage.fill()
        first = stage.waits(spent)
        await asyncio.sleep(0.01)
        second = stage.waits(good, client="192.0.2.9")
        await asyncio.sleep(0.01)
        key = decode_challenge(spent[0][1].decode().split("=")[1].split(",")[0]).id
        await stage.ledger.inner.spend(
            key, epoch=None, expires_at_ms=NOW_MS + 60_000, now_ms=NOW_MS
        )
        stage.line.give_back(1)
        assert kind(await first) == (402, "urn:pypow:error:already-spent")
        began_ns = played_ns()
        assert (await second).status == 200
        assert played_ns() - began_ns < 2_000_000_000
        assert stage.app.reached == 1

    played(story)


async def connected(
    stage: Stage, proof: Sequence[Header], incoming: "asyncio.Queue[Message]"
) -> list[Message]:
    """A POST whose messages come when they are put in a queue."""
    headers = [(b"host", HOST.encode()), *proof]
    scope = http_scope("POST", b"/x", headers=headers)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await stage.gate(scope, incoming.get, send)
    return sent


async def post_proof(stage: Stage) -> list[Header]:
    headers = [(b"host", HOST.encode())]
    refusal = await call(stage.gate, "POST", b"/x", headers=headers)
    return solution(solved(offers(refusal)[0]))


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_caller_that_goes_away_while_it_waits_is_forgotten_and_keeps_its_proof() -> None:
    async def story() -> None:
        stage = Stage(1)
        proof, incoming = await post_proof(stage), asyncio.Queue[Message]()
        stage.fill()
        waiting = asyncio.create_task(connected(stage, proof, incoming))
        incoming.put_nowait(part(b"whole", more=False))
        await asyncio.sleep(0.1)
        assert stage.line.waiting == 1
        incoming.put_nowait({"type": "http.disconnect"})
        await waiting
        assert (stage.line.waiting, stage.ledger.spends, stage.app.reached) == (0, 0, 0)
        await asyncio.sleep(10)
        again = asyncio.Queue[Message]()
        again.put_nowait(part(b"whole", more=False))
        assert (await connected(stage, proof, again))[0]["status"] == 200

    played(story)


def test_a_task_that_is_cancelled_while_it_waits_leaves_nothing_behind() -> None:
    async def story() -> None:
        stage = Stage(1)
        first, second = await stage.paid(), await stage.paid()
        stage.fill()
        leaving = stage.waits(first)
        await asyncio.sleep(0.1)
        leaving.cancel()
        staying = stage.waits(second)
        assert (await staying).status == 200
        assert leaving.cancelled()
        assert (stage.line.waiting, stage.ledger.spends, stage.app.reached) == (0, 1, 1)

    played(story)


def test_a_body_that_came_while_its_call_waited_reaches_the_app_whole() -> None:
    async def story() -> None:
        stage = Stage(1)
        proof, incoming = await post_proof(stage), asyncio.Queue[Message]()
        stage.fill()
        waiting = asyncio.create_task(connected(stage, proof, incoming))
        for message in (part(b"one ", more=True), part(b"two ", more=True)):
            incoming.put_nowait(message)
        await asyncio.sleep(0.1)
        assert incoming.qsize() == 1  # no more is read ahead than a part
        incoming.put_nowait(part(b"three", more=False))
        assert (await waiting)[0]["status"] == 200
        assert stage.app.bodies == [b"one two three"]

    played(story)


def test_a_caller_of_whom_the_store_cannot_tell_is_new() -> None:
    class Forgetful(CountingLedger):
        async def rank(self, *args: Any, **kwargs: Any) -> Any:
            raise StoreError("gone")

    async def story() -> None:
        stage = Stage(1, ledger=Forgetful())
        proof = await stage.paid()
        stage.fill()
        assert (await stage.ask(proof)).status == 200
        assert (stage.decisions[-1].lane, stage.decisions[-1].limiter_failed) == ("new", True)

    played(story)


def test_free_calls_wait_too_and_others_hear_the_price_at_once() -> None:
    async def story() -> None:
        stage = Stage(1, FREE)
        stage.fill()
        waiting = [stage.waits([], client=f"192.0.2.{n}") for n in range(2)]
        await asyncio.sleep(0.1)
        assert kind(await stage.ask(client="192.0.2.9")) == BUSY
        assert [(await one).status for one in waiting] == [200, 200]
        await asyncio.sleep(100)
        for _ in range(3):
            assert (await stage.ask(client="192.0.2.0")).status == 200
            await asyncio.sleep(1)
        # Its newcomer's part is used up: it pays, and no turn is taken to tell it so.
        stage.fill()
        refusal = await stage.ask(client="192.0.2.0")
        assert (refusal.status, stage.line.waiting) == (402, 0)
        assert offers(refusal)[0]["free_in"] == 1
        await asyncio.sleep(100)
        assert (await stage.ask(client="192.0.2.0")).status == 402
        assert stage.line.begin(1)

    played(story)


def test_calls_with_a_pass_wait_as_the_network_that_presents_it() -> None:
    async def story() -> None:
        price = replace(PRICED, sells=PassTerms(0, 300))
        stage = Stage(1, price)
        bought = await stage.ask(await stage.paid())
        (text,) = bought.values(b"x-pow-pass")
        passing = [(b"authorization", b"Bearer " + text)]
        waiting = [stage.waits(passing, client=f"192.0.2.{n}") for n in range(2)]
        await asyncio.sleep(0.1)
        assert kind(await stage.ask(passing, client="192.0.2.9")) == BUSY
        assert [(await one).status for one in waiting] == [200, 200]

    played(story)


def test_a_flood_on_one_pass_does_not_go_first_for_ever() -> None:
    async def story() -> int:
        stage = Stage(10, replace(PRICED, sells=PassTerms(0, 300)))
        flood, others = "192.0.2.1", [f"198.51.100.{n}" for n in range(1, 10)]
        passing: dict[str, list[Header]] = {}
        for client in (flood, *others):
            stage.clock.now_ms = NOW_MS - 120_000
            bought = await stage.ask(await stage.paid(client=client), client=client)
            (text,) = bought.values(b"x-pow-pass")
            passing[client] = [(b"authorization", b"Bearer " + text)]
            await asyncio.sleep(1)
        # All but the flood were served one call more than it was.
        stage.clock.now_ms = NOW_MS
        for client in (flood, *others, *others):
            assert (await stage.ask(await stage.paid(client=client), client=client)).status == 200
            await asyncio.sleep(1)
        stage.fill()
        served: Counter[str] = Counter()

        async def comes(client: str) -> None:
            answer = await stage.ask(passing[client], client=client)
            served[client] += answer.status == 200

        asked: list[asyncio.Task[None]] = []
        for number in range(300):
            asked += [asyncio.create_task(comes(flood)) for _ in range(2)]
            asked.append(asyncio.create_task(comes(others[number % 9])))
            await asyncio.sleep(0.1)
        await asyncio.gather(*asked)
        assert sum(served.values()) >= 300
        return served[flood]

    # A tenth of some 310 turns, and what more the lot gives whoever asks most.
    assert played(story) <= 75


def test_nobody_waits_where_the_policy_only_observes() -> None:
    async def story() -> None:
        enforcing = Stage(1)
        proof = await enforcing.paid()
        stage = Stage(1, replace(PRICED, observe=True), ledger=enforcing.ledger)
        stage.fill()
        assert (await stage.ask(proof)).status == 200
        assert (played_ns(), stage.app.reached, stage.ledger.spends) == (0, 1, 1)

    played(story)


def test_mcp_callers_that_are_sent_away_keep_their_session() -> None:
    async def story() -> None:
        stage = Stage(1)
        asked: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "method": "tools/call"}
        typed = [(b"content-type", b"application/json")]

        def body(**params: Any) -> bytes:
            return json.dumps({**asked, "params": {"name": "search", **params}}).encode()

        refusals = [await stage.ask(typed, body=body()) for _ in range(3)]
        proofs = [solved(offers(refusal)[0]) for refusal in refusals]
        bodies = [body(_meta={"io.pypow/proof": proof}) for proof in proofs]
        stage.fill()
        answers = await asyncio.gather(*(stage.ask(typed, body=paid) for paid in bodies))
        assert [answer.status for answer in answers] == [200] * 3
        results = [document(answer)["result"] for answer in answers if answer.body != b"reached"]
        assert [result["isError"] for result in results] == [True]
        refusal = results[0]["_meta"]["io.pypow/refusal"]
        assert (refusal["type"], refusal["status"]) == (BUSY[1], 503)
        assert stage.app.reached == 2

    played(story)


def test_whatever_comes_no_more_is_reached_than_the_upstream_serves_and_all_of_it_was_spent() -> (
    None
):
    async def story() -> None:
        draw = Random(5)
        stage = Stage(20, app=None)
        reached: list[int] = []
        inner = stage.app.__call__

        async def counting(scope: Any, receive: Any, send: Any) -> None:
            reached.append(played_ns())
            await inner(scope, receive, send)

        stage.gate._app = counting
        hoard = [await stage.paid() for _ in range(600)]
        replays = hoard[:50]

        async def comes(proof: list[Header], client: str) -> int:
            return (await stage.ask(proof, client=client)).status

        asked: list[Awaitable[int]] = []
        for number in range(1200):
            proof = hoard[number // 2] if draw.random() < 0.8 else draw.choice(replays)
            client = f"10.{draw.randrange(200)}.0.1"
            asked.append(asyncio.create_task(comes(proof, client)))
            await asyncio.sleep(draw.expovariate(100))
        statuses = Counter(await asyncio.gather(*asked))
        assert set(statuses) <= {200, 402, 429, 503}
        assert statuses[200] == len(reached) == len(set(reached)) or statuses[200] == len(reached)
        keys = len(stage.ledger.inner)  # type: ignore[arg-type]
        assert keys == len(reached)
        for first, since in enumerate(reached):
            for number, at in enumerate(reached[first:], start=1):
                assert number <= 20 * (at - since) / 1e9 + 2 + 1e-6
        # Work-conserving: it was overloaded five times for some twelve seconds.
        assert len(reached) >= 20 * 10

    played(story)

# SPDX-License-Identifier: Apache-2.0
"""Two gates of one store under load: who pays what, while it is crowded and afterwards."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fastapi import FastAPI

from pypow import engine
from pypow.pricing import UNIT
from pypow.tariff import CALM, Tariff
from pypow.wire import decode_challenge
from pypow_server.api import create_api
from pypow_server.crowd.conditions import Conditions, rules_of
from pypow_server.crowd.load import measured
from pypow_server.gate import Gate
from pypow_server.meter import Pricing
from pypow_server.policy import Policy, Price
from pypow_server.rails.work import WorkRail
from pypow_server.redemption import Redemption
from pypow_server.stores import Quota
from support.asgi_client import Answer, call
from support.challenges import KEYRING
from support.climates import Played
from support.gated import HOST, Clock, CountingLedger, RecordingApp, document, offers, solution

QUOTA = Quota(60, 60_000)
BITS = 4
PRICING = Pricing(QUOTA, capacity=20 * UNIT)
FREE = Price("search", BITS * 1024, free=QUOTA, pricing=PRICING)
PRICED = Price("search", BITS * 1024, pricing=PRICING)
FINE = (b"x-pow-accept", b"puzzles=16")


def addresses(group: int, count: int) -> list[str]:
    """Callers that share no network."""
    return [f"{group + number // 200}.{number % 200 + 1}.0.7" for number in range(count)]


LIGHT, HEAVY = addresses(20, 40), addresses(30, 20)


@dataclass
class Town:
    """Two gates that share a store and a price, and a clock for all of it."""

    price: Price = FREE
    climates: Played = field(default_factory=Played)
    clock: Clock = field(default_factory=Clock)
    turn: int = 0

    def __post_init__(self) -> None:
        self.ledger, self.app = CountingLedger(), RecordingApp()
        self.rail = WorkRail(KEYRING, public_host=HOST)
        self.policy = Policy(default=self.price)
        self.conditions = [Conditions(self.climates) for _ in range(2)]
        for one in self.conditions:
            one.follow(rules_of(PRICING, BITS * 1024))
        self.gates = [
            Gate(
                self.app,
                rails=[self.rail],
                ledger=self.ledger,
                credit=self.ledger,
                policy=self.policy,
                conditions=one,
                clock=self.clock,
            )
            for one in self.conditions
        ]

    async def ask(self, client: str, *headers: tuple[bytes, bytes]) -> Answer:
        """One call, at the gate whose turn it is."""
        self.turn += 1
        fields = [(b"host", HOST.encode()), FINE, *headers]
        return await call(
            self.gates[self.turn % 2], "GET", b"/x", headers=fields, client=(client, 5)
        )

    async def second(self, *clients: str) -> dict[str, float | None]:
        """A second in which these call, once each: what more it costs each of them; None: free."""
        told = {}
        for place, client in enumerate(clients):
            self.clock.now_ms += 1000 * (place + 1) // len(clients) - 1000 * place // len(clients)
            answer = await self.ask(client)
            told[client] = None if answer.status == 200 else extra_bits(answer)
        if not clients:
            self.clock.now_ms += 1000
        self.climates.now_ms = self.clock.now_ms
        for one in self.conditions:
            await one.exchange()
        return told

    async def settle(self, *clients: str) -> None:
        """These become known, few at a time, and are back at their whole quota."""
        for first in range(0, len(clients), 2):
            await self.second(*clients[first : first + 2])
        self.clock.now_ms += 120_000
        for _ in range(3):
            await self.second()

    @property
    def climate(self) -> Any:
        assert self.conditions[0].climate == self.conditions[1].climate
        return self.conditions[0].climate


def extra_bits(answer: Answer) -> float:
    """What a refusal asks besides the price."""
    assert answer.status == 402, answer.body
    return float(offers(answer)[0]["bits"]) - BITS


def paid(answer: Answer) -> tuple[bytes, bytes]:
    """The proof that a refusal asks for."""
    challenge = decode_challenge(offers(answer)[0]["challenge"])
    [header] = solution(engine.solve(challenge).header())
    return header


def light(second: int) -> list[str]:
    """A tenth of those who call once in ten seconds."""
    return LIGHT[second % 10 :: 10]


def test_constant_load_changes_no_price_for_anyone() -> None:
    async def story() -> None:
        town = Town()
        await town.settle(*LIGHT, *HEAVY[:10])
        for second in range(150):
            told = await town.second(*light(second), *HEAVY[:10])
            assert set(told.values()) == {None}
            assert town.climate == CALM

    asyncio.run(story())


def test_overload_is_paid_for_by_who_uses_much_and_by_newcomers_and_ends_with_it() -> None:
    async def story() -> None:
        town = Town()
        await town.settle(*LIGHT, *HEAVY)
        asked: list[float | None] = []
        for second in range(240):
            told = await town.second(*light(second), *HEAVY)
            assert {told[client] for client in light(second)} == {None}
            if second >= 120:
                asked += [told[client] for client in HEAVY]
        # 24 calls a second come, and 16 of 20 are aimed at: who calls each second has some refused.
        assert town.climate.z < 0
        assert 0.4 < asked.count(None) / len(asked) < 0.9
        assert {one for one in asked if one} != set()

        newcomers = iter(addresses(100, 10_000))
        entries = []
        for second in range(40):
            new = [next(newcomers) for _ in range(10)]
            told = await town.second(*light(second), *new)
            assert {told[client] for client in light(second)} == {None}
            entries += [told[client] for client in new]
        # Two a second may come for nothing: the others are asked for more work, or come later.
        assert 70 <= entries.count(None) <= 90
        assert all(0 < entry < 1 for entry in entries if entry is not None)

        for second in range(150):
            told = await town.second(*light(second))
            assert set(told.values()) == {None}
        assert town.climate == CALM
        again = [await town.ask(HEAVY[0]) for _ in range(61)]
        assert [answer.status for answer in again] == [200] * 60 + [402]

    asyncio.run(story())


def test_newcomers_who_pay_raise_the_price_of_entry_to_its_cap_and_known_callers_pay_none() -> None:
    async def story() -> None:
        town = Town(PRICED)
        known = LIGHT[0]
        answer = await town.ask(known)
        assert (await town.ask(known, paid(answer))).status == 200
        town.clock.now_ms += 120_000
        for one in town.conditions:
            one.admitted(0, newcomer=True)
        await town.second()
        for _ in range(450):
            town.conditions[0].admitted(0, newcomer=True)
        await town.second()
        entry_q = Tariff(rules().constants, town.climate).entry_q
        assert entry_q == 6 * 1024
        assert extra_bits(await town.ask(addresses(200, 1)[0])) == 6
        assert extra_bits(await town.ask(known)) == 0
        challenge = await asked_of_the_api(town, addresses(200, 1)[0])
        assert challenge["bits"] == BITS + 6

    asyncio.run(story())


def rules() -> Any:
    found = rules_of(PRICING, BITS * 1024)
    assert found is not None
    return found


def api_of(town: Town) -> FastAPI:
    return create_api(
        Redemption(town.rail, town.policy, town.ledger, town.ledger, town.conditions[0]),
        clock=town.clock,
    )


async def asked_of_the_api(town: Town, client: str) -> Any:
    target = b"/api/challenge?resource=GET+/x&puzzles=16"
    return document(await call(api_of(town), "GET", target, client=(client, 5)))


async def bought_from_the_api(town: Town, client: str) -> None:
    challenge = decode_challenge((await asked_of_the_api(town, client))["challenge"])
    body = json.dumps({**engine.solve(challenge).to_json(), "resource": "GET /x"}).encode()
    answer = await call(api_of(town), "POST", b"/api/verify", body=body, client=(client, 5))
    assert answer.status == 200, answer.body


async def crowd(town: Town) -> None:
    """Allowances are down to what is guaranteed."""
    for _ in range(40):
        town.conditions[0].admitted(1_000, newcomer=False)
        await town.second()


@pytest.mark.parametrize("way", ["gate", "api"])
def test_whoever_pays_in_a_crowd_keeps_no_more_than_is_guaranteed(way: str) -> None:
    async def story() -> list[float]:
        town = Town(PRICED)
        caller = HEAVY[0]
        await town.ask(caller, paid(await town.ask(caller)))
        town.clock.now_ms += 3_600_000
        await crowd(town)
        if way == "gate":
            assert (await town.ask(caller, paid(await town.ask(caller)))).status == 200
        else:
            await bought_from_the_api(town, caller)
        for one in town.conditions:
            one.follow(None)  # it is over: what was not kept has to be earned again
        asked = []
        for _ in range(5):
            answer = await town.ask(caller)
            asked.append(extra_bits(answer))
            assert (await town.ask(caller, paid(answer))).status == 200
        return asked

    assert asyncio.run(story()) == [0, 0, 0, 0.25, 0.5]


def test_a_pass_from_the_api_makes_a_newcomer_and_weighs_when_it_is_used() -> None:
    async def story() -> list[int]:
        town = Town(PRICED)
        for client in (HEAVY[0], HEAVY[0], HEAVY[1]):
            await bought_from_the_api(town, client)
        return town.conditions[0]._load.counts

    assert asyncio.run(story())[:2] == [0, 2]


def test_a_proof_that_came_early_does_not_look_like_a_slow_one_when_it_is_good() -> None:
    async def story() -> int:
        town = Town(PRICED)
        town.gates = town.gates[:1] * 2
        hoard = [paid(await town.ask(HEAVY[0])) for _ in range(13)]
        answers = [await town.ask(HEAVY[0], proof) for proof in hoard]
        assert [answer.status for answer in answers] == [200] * 12 + [429]
        town.clock.now_ms += 60_000
        assert (await town.ask(HEAVY[0], hoard[-1])).status == 200
        return measured(town.conditions[0]._load.counts, 1000).delay_ms

    assert asyncio.run(story()) == 999


def test_a_proof_is_good_whatever_the_climate_became_since() -> None:
    async def story() -> None:
        town = Town(PRICED)
        proof = paid(await town.ask(HEAVY[0]))
        await crowd(town)
        floor = Tariff(rules().constants, town.climate)
        assert (floor.rate, floor.burst) == (
            rules().constants.rate_min,
            rules().constants.burst_min,
        )
        assert (await town.ask(HEAVY[0], proof)).status == 200
        assert (await town.ask(HEAVY[0], proof)).status == 402

    asyncio.run(story())


def test_a_store_without_an_answer_for_the_climate_stops_no_call() -> None:
    async def story() -> None:
        town = Town()
        town.climates.fails = True
        told = await town.second(*LIGHT)
        assert set(told.values()) == {None}
        assert town.climate == CALM

    asyncio.run(story())


@pytest.mark.parametrize("price", [FREE, PRICED], ids=["free", "priced"])
def test_what_is_let_through_is_counted_by_its_weight_and_nothing_else_is(price: Price) -> None:
    async def story() -> None:
        town = Town(replace(price, weight=3))
        answer = await town.ask(HEAVY[0])
        if price is PRICED:
            proof = paid(answer)
            assert (await town.ask(HEAVY[0], proof)).status == 200
            assert (await town.ask(HEAVY[0], proof)).status == 402
        counts = [one._load.counts for one in town.conditions]
        assert [sum(column) for column in zip(*counts, strict=True)][:2] == [3, 1]

    asyncio.run(story())

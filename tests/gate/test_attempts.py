# SPDX-License-Identifier: Apache-2.0
"""Who took a use and has no answer: the same request gets it again, once, and nobody else."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pypow.errors import InvalidInputError
from pypow_server.sale import Sale
from pypow_server.stores import Spend
from pypow_server.stores.attempts import MOST_UNANSWERED, Attempt, Ending, read
from pypow_server.stores.memory import MemoryLedger
from support import attempts_contract as contract
from support import attempts_twins as twins
from support.attempts_contract import CONTRACT, DURABLE
from support.every_ledger import NAMES, opener
from support.sales_contract import Check, OpenTill, Till, every_sale, sale, take

LIVES = (b"one life", b"2nd life", b"3rd life")
TRACES = 8
STEPS = 40
MANY = 2 * MOST_UNANSWERED


@pytest.fixture(params=NAMES)
def open_till(request: pytest.FixtureRequest, tmp_path: Path) -> OpenTill:
    return opener(request, tmp_path)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_every_store_hands_uses_on_as_it_should(open_till: OpenTill, check: Check) -> None:
    asyncio.run(asyncio.wait_for(check(open_till), timeout=60))


@pytest.mark.parametrize("check", DURABLE, ids=lambda check: check.__name__)
@pytest.mark.parametrize("open_till", ["sqlite", "redis", "valkey"], indirect=True)
def test_every_durable_store_knows_after_a_restart(open_till: OpenTill, check: Check) -> None:
    asyncio.run(asyncio.wait_for(check(open_till), timeout=60))


@pytest.mark.parametrize(
    ("twin", "check"),
    [
        (twins.HandsOnWhatIsHeld, contract.of_many_at_once_one_takes_the_use),
        (twins.HandsOnWhatIsHeld, contract.a_use_whose_process_lives_is_held),
        (twins.HandsOnNothing, contract.a_use_whose_process_is_gone_goes_on_once),
        (
            twins.HandsOnToAnybody,
            contract.a_use_whose_process_is_gone_goes_on_once,
        ),
        (twins.HandsOnTwice, contract.a_use_whose_process_is_gone_goes_on_once),
        (twins.TakesEveryEndForAnAnswer, contract.a_caller_who_left_gets_the_use_again_a_few_times),
        (twins.TakesEveryEndForAnAnswer, contract.a_use_that_nobody_knows_of_is_no_departure),
        (twins.CountsNoDepartures, contract.a_caller_who_left_gets_the_use_again_a_few_times),
        (twins.BelievesItsOwnLifeAlone, contract.a_process_knows_which_of_its_attempts_are_over),
        (
            twins.RemembersAllThatIsUnanswered,
            contract.past_so_many_the_oldest_that_is_over_counts_as_used,
        ),
        (
            twins.RemembersAllThatIsUnanswered,
            contract.past_so_many_that_are_under_way_the_next_waits,
        ),
        (twins.ForgetsWhatIsUnderWay, contract.past_so_many_that_are_under_way_the_next_waits),
        (twins.ForgetsNothing, contract.past_so_many_the_oldest_that_is_over_counts_as_used),
        (twins.ForgetsTheLatest, contract.past_so_many_the_oldest_that_is_over_counts_as_used),
        (twins.GivesUpForOthers, contract.what_is_given_up_is_no_longer_taken),
        (twins.CountsWhatItHandsOn, contract.another_use_is_taken_while_one_is_held),
    ],
)
def test_the_contract_catches_a_store_that_hands_on_wrongly(
    twin: Callable[[], Till], check: Check
) -> None:
    with pytest.raises(AssertionError):
        asyncio.run(check(twin))


class Trace:
    """Processes that take uses, answer, leave, die and come back, by chance."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._sold = [sale(number, uses=uses) for number, uses in enumerate((1, 2, 4, MANY))]
        self._taken: list[tuple[bytes, Attempt]] = []
        self._numbers = itertools.count(1)
        self._seed = seed

    def steps(self, count: int) -> Iterator[Callable[[Till], Awaitable[object]]]:
        for _ in range(MOST_UNANSWERED):
            yield self._take_of_many()
        for _ in range(count):
            pick = self._chance.choice
            life, key = pick(LIVES), b""
            if self._taken:
                key, attempt = pick(self._taken)
            match pick(("take", "take", "take", "many", "many", "end", "give up", "live")):
                case "end" if self._taken:
                    yield partial(_end, key, attempt, pick(list(Ending)))
                case "give up" if self._taken:
                    yield partial(_give_up, key, attempt)
                case "live":
                    yield partial(_live, life, pick((0, 60_000)))
                case "many":
                    yield self._take_of_many()
                case _:
                    yield self._take(pick(self._sold), pick((b"this", b"that")), life)

    def _take_of_many(self) -> Callable[[Till], Awaitable[object]]:
        request = b"%d" % self._chance.randrange(MANY)
        return self._take(self._sold[-1], request, self._chance.choice(LIVES))

    def _take(self, sold: Sale, request: bytes, life: bytes) -> Callable[[Till], Awaitable[object]]:
        pick, number = self._chance.choice, next(self._numbers)
        oldest = self._chance.randint(1, number)
        sold = sold._replace(payment_hash=bytes([self._seed]) + sold.payment_hash[1:])
        attempt = Attempt(request.ljust(16), life, number, oldest, pick((0, 60_000)))
        self._taken.append((b"ln:" + sold.payment_hash, attempt))
        return partial(take, sold=sold, attempt=attempt)


async def _end(key: bytes, attempt: Attempt, ending: Ending, till: Till) -> object:
    return await till.end(key, attempt, ending)


async def _give_up(key: bytes, attempt: Attempt, till: Till) -> object:
    await till.give_up(key, attempt, None)
    return None


async def _live(life: bytes, lasts_ms: int, till: Till) -> object:
    await till.live(life, lasts_ms=lasts_ms)
    return None


@pytest.mark.parametrize("open_till", ["sqlite", "redis", "valkey"], indirect=True)
def test_every_durable_store_decides_as_the_one_in_memory(open_till: OpenTill) -> None:
    async def story() -> None:
        durable, seen = open_till(), set[object]()
        for seed in range(TRACES):
            model = MemoryLedger()
            for step in Trace(seed).steps(STEPS):
                found, expected = await step(durable), await step(model)
                assert found == expected, seed
                seen.add(found)
            ours = [each for each in await every_sale(durable) if each.payment_hash[0] == seed]
            assert ours == await every_sale(model), seed
            for life in LIVES:
                await durable.live(life, lasts_ms=0)
        await durable.aclose()
        assert seen >= {Spend.WON, Spend.LOST, Spend.HELD, True, False}

    asyncio.run(asyncio.wait_for(story(), timeout=120))


def test_a_record_of_who_took_uses_that_is_none_is_named() -> None:
    with pytest.raises(InvalidInputError, match="expected uses that were taken"):
        read("00 zz 1 2;")

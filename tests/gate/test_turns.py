# SPDX-License-Identifier: Apache-2.0
"""Calls begin at the pace that the upstream keeps, in the order of the queue."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypow.admission import Lane, Queue, Waiting
from pypow.pricing import UNIT
from pypow_server.crowd.turns import SOJOURN_MS, Turns
from support.played_loop import played, played_ns

KNOWN, NEW = Lane.KNOWN, Lane.NEW


def turns(a_second: float = 10, *, gates: Callable[[], int] = lambda: 1, seed: int = 0) -> Turns:
    draw = Random(seed).randrange
    return Turns(round(a_second * UNIT), gates=gates, draw=draw, clock=played_ns)


def begun_at_once(line: Turns, most: int = 1000) -> int:
    return next(number for number in range(most + 1) if number == most or not line.begin(1))


async def waits(line: Turns, ticket: object, lane: Lane = KNOWN, score: int = 0,
                weight: int = 1) -> tuple[bool, float]:  # fmt: skip
    """Whether a call has its turn, and when it hears that."""
    come = await line.wait(ticket, f"of {ticket}", lane, score, weight)
    return come, played_ns() / 1e9


def told(come: bool, at: float) -> Any:
    """What `waits` returns, as far as a clock can tell."""
    return come, pytest.approx(at, abs=0.002)


def test_nobody_waits_where_no_capacity_is_said() -> None:
    async def story() -> None:
        line = Turns(clock=played_ns)
        assert begun_at_once(line) == 1000
        assert await waits(line, 1) == told(True, 0)

    played(story)


@pytest.mark.parametrize(("a_second", "at_once"), [(0.5, 1), (5, 1), (10, 1), (50, 5), (1000, 100)])
def test_a_tenth_of_a_second_may_begin_at_once_and_one_call_at_least(
    a_second: float, at_once: int
) -> None:
    async def story() -> None:
        line = turns(a_second)
        assert begun_at_once(line) == at_once
        await asyncio.sleep(1000)
        assert begun_at_once(line) == at_once

    played(story)


def test_who_waits_begins_at_the_pace_of_the_upstream() -> None:
    async def story() -> None:
        line = turns(10)
        assert line.begin(1)
        heard = await asyncio.gather(*(waits(line, number) for number in range(5)))
        assert all(come for come, _ in heard)
        assert sorted(at for _, at in heard) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])

    played(story)


def test_nobody_begins_past_those_who_wait() -> None:
    async def story() -> None:
        line = turns(10)
        assert line.begin(1)
        waiting = asyncio.create_task(waits(line, 1))
        await asyncio.sleep(0.05)
        line.give_back(1)  # room for one: it is of who waits
        assert not line.begin(1)
        assert await waiting == told(True, 0.05)

    played(story)


def test_a_turn_that_came_to_nothing_goes_to_the_next_and_costs_nothing() -> None:
    async def story() -> None:
        line = turns(1)
        assert line.begin(1)
        waiting = [asyncio.create_task(waits(line, number)) for number in range(2)]
        await asyncio.sleep(0.25)
        line.give_back(1)
        heard = sorted([await one for one in waiting], key=lambda one: one[1])
        assert heard == [told(True, 0.25), told(True, 1.25)]

    played(story)


def test_a_heavy_call_has_others_wait_as_long_as_it_is_heavy() -> None:
    async def story() -> None:
        line = turns(10)
        assert line.begin(15)
        assert await waits(line, 1) == told(True, 1.5)

    played(story)


def test_who_waited_two_seconds_is_sent_away() -> None:
    async def story() -> None:
        line = turns(0.1)
        assert line.begin(1)
        assert await waits(line, 1) == told(False, SOJOURN_MS / 1000)
        assert line.waiting == 0

    played(story)


def test_of_more_than_two_seconds_of_calls_the_worst_is_sent_away_at_once() -> None:
    async def story() -> None:
        line = turns(10)
        assert line.begin(1)
        waiting = [asyncio.create_task(waits(line, n, score=n)) for n in range(20)]
        await asyncio.sleep(0)
        assert (line.waiting, line.mean_fill()) == (20, 0)
        assert await waits(line, "worse", score=99) == told(False, 0)
        better = asyncio.create_task(waits(line, "better", score=-1))
        await asyncio.sleep(0)
        assert await waiting[-1] == told(False, 0)
        assert (await better)[0]
        assert all([(await one)[0] for one in waiting[:-1]])

    played(story)


def test_the_same_call_does_not_wait_twice() -> None:
    async def story() -> None:
        line = turns(10)
        assert line.begin(1)
        first = asyncio.create_task(waits(line, "proof"))
        await asyncio.sleep(0)
        assert await waits(line, "proof") == told(False, 0)
        assert (await first)[0]

    played(story)


def test_known_callers_go_before_new_ones_which_have_their_share() -> None:
    async def story() -> Counter[Lane]:
        line, served = turns(10), Counter[Lane]()

        async def calls_again_and_again(number: int, lane: Lane) -> None:
            while sum(served.values()) < 10_000:
                ticket = object()
                if await line.wait(ticket, (lane, number), lane, 0, 1):
                    served[lane] += 1

        assert line.begin(1)
        callers = (calls_again_and_again(n, lane) for n in range(8) for lane in (KNOWN, NEW))
        await asyncio.gather(*callers)
        return served

    served = played(story)
    # A quarter by lot, of as many in each lane; of the rest 20 % are newcomers' for certain.
    assert served[NEW] == pytest.approx(10_000 * (0.25 / 2 + 0.75 * 0.2), rel=0.04)


def test_turns_are_given_as_the_laboratory_plays_them() -> None:
    arrivals = Random(7)
    calls = [
        (arrivals.randrange(40), arrivals.choice(list(Lane)), arrivals.randrange(-4000, 9000))
        for _ in range(14_000)
    ]
    steady = 12

    async def in_the_gate() -> list[int]:
        line, begun = turns(10, seed=3), list[int]()
        upcoming = iter(enumerate(calls))

        async def one_after_the_other() -> None:
            for ticket, (who, lane, score) in upcoming:
                if await line.wait(ticket, who, lane, score, 1):
                    begun.append(ticket)

        assert line.begin(1)
        await asyncio.gather(*(one_after_the_other() for _ in range(steady)))
        return begun

    def in_the_laboratory() -> list[object]:
        queue, begun = Queue(20, Random(3).randrange), list[object]()
        upcoming = iter(enumerate(calls))

        def comes(at_ms: int) -> None:
            for ticket, (who, lane, score) in itertools.islice(upcoming, 1):
                queue.join(Waiting(ticket, who, lane, score, at_ms))

        for _ in range(steady):
            comes(0)
        at_ms = 0
        while queue:
            at_ms += 1
            for _ in queue.expire(at_ms):
                comes(at_ms)
            if at_ms % 100 == 0 and (taken := queue.take()) is not None:
                begun.append(taken.ticket)
                comes(at_ms)
        return begun

    found, expected = played(in_the_gate), in_the_laboratory()
    assert len(found) > 10_000
    assert found[:10_000] == expected[:10_000]


def test_a_caller_that_leaves_makes_room() -> None:
    async def story() -> None:
        line = turns(10)
        assert line.begin(1)
        waiting = [asyncio.create_task(waits(line, number)) for number in range(3)]
        await asyncio.sleep(0.01)
        line.leave(0)
        line.leave("nobody")
        assert await waiting[0] == told(False, 0.01)
        waiting[1].cancel()
        assert await waiting[2] == told(True, 0.1)
        assert waiting[1].cancelled()
        assert line.waiting == 0

    played(story)


def test_the_turn_of_a_caller_that_leaves_in_that_moment_goes_to_the_next() -> None:
    async def story() -> None:
        line = turns(10)
        assert line.begin(1)
        first, second = (asyncio.create_task(waits(line, number)) for number in range(2))
        await asyncio.sleep(0.05)
        line.give_back(1)  # the first has its turn, and does not know it yet
        first.cancel()
        assert await second == told(True, 0.05)
        assert first.cancelled()

    played(story)


def test_the_turn_of_a_caller_that_left_a_moment_before_goes_to_the_next() -> None:
    async def story() -> None:
        line = turns(10)
        assert line.begin(1)
        first, second = (asyncio.create_task(waits(line, number)) for number in range(2))
        await asyncio.sleep(0.05)
        first.cancel()  # and nobody has told the queue yet
        line.give_back(1)
        assert await second == told(True, 0.05)

    played(story)


def test_at_the_end_all_are_sent_away_and_nobody_waits_any_more() -> None:
    async def story() -> None:
        line = turns(10)
        assert line.begin(1)
        waiting = [asyncio.create_task(waits(line, number)) for number in range(3)]
        await asyncio.sleep(0.01)
        line.close()
        assert [await one for one in waiting] == [told(False, 0.01)] * 3
        assert await waits(line, "late") == told(False, 0.01)
        await asyncio.sleep(1)
        assert line.begin(1)

    played(story)


def test_another_pace_counts_at_once() -> None:
    async def story() -> None:
        line = turns(0.5)
        assert line.begin(1)
        waiting = [asyncio.create_task(waits(line, number)) for number in range(1)]
        await asyncio.sleep(0.5)
        line.serve(10 * UNIT)  # three quarters of a call are owed, at the new pace
        assert await waiting[0] == told(True, 0.575)
        last = asyncio.create_task(waits(line, "last"))
        await asyncio.sleep(0.01)
        line.serve(None)
        assert await last == told(True, 0.585)
        assert begun_at_once(line) == 1000

    played(story)


def test_fewer_places_send_the_worst_away() -> None:
    async def story() -> None:
        line = turns(10)
        assert line.begin(1)
        waiting = [asyncio.create_task(waits(line, n, score=n)) for n in range(20)]
        await asyncio.sleep(0.01)
        line.serve(5 * UNIT)
        assert line.waiting == 10
        assert {(await one)[0] for one in waiting[10:]} == {False}

    played(story)


def test_gates_that_share_an_upstream_begin_each_their_part() -> None:
    async def story() -> None:
        gates = [1]
        line = turns(40, gates=lambda: gates[0])
        assert begun_at_once(line) == 4
        gates[0] = 4
        await asyncio.sleep(10)
        assert begun_at_once(line) == 1
        assert await waits(line, 1) == told(True, 10.1)

    played(story)


def test_how_full_it_was_is_told_on_average_since_it_was_asked_last() -> None:
    async def story() -> None:
        line = turns(10)
        assert line.mean_fill() == 0
        assert line.begin(20)
        waiting = [asyncio.create_task(waits(line, n)) for n in range(10)]
        await asyncio.sleep(1.0)
        assert line.mean_fill() == 512
        await asyncio.gather(*waiting)
        await asyncio.sleep(100)
        line.mean_fill()
        await asyncio.sleep(1)
        assert line.mean_fill() == 0

    played(story)


ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 400),  # milliseconds after the one before
        st.integers(1, 3),  # weight
        st.booleans(),  # whether its turn comes to nothing
        st.sampled_from([KNOWN, NEW]),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(arrivals=ARRIVALS, a_second=st.sampled_from([1, 7, 30]))
def test_no_more_begins_in_any_time_than_its_capacity_and_a_burst(
    arrivals: list[tuple[int, int, bool, Lane]], a_second: int
) -> None:
    assert_paced(arrivals, a_second, turns)


def assert_paced(
    arrivals: list[tuple[int, int, bool, Lane]], a_second: int, make: Callable[[float], Turns]
) -> None:
    async def story() -> tuple[list[tuple[float, int]], list[bool]]:
        line, begun, heard = make(a_second), list[tuple[float, int]](), list[bool]()

        async def comes(number: int, weight: int, lane: Lane, *, refused: bool) -> None:
            came = played_ns() / 1e9
            come = line.begin(weight) or await line.wait(number, number % 7, lane, 0, weight)
            heard.append(come)
            assert played_ns() / 1e9 - came <= SOJOURN_MS / 1000 + 0.01
            if come and refused:
                line.give_back(weight)
            elif come:
                begun.append((played_ns() / 1e9, weight))

        async with asyncio.TaskGroup() as callers:
            for number, (after_ms, weight, refused, lane) in enumerate(arrivals):
                await asyncio.sleep(after_ms / 1000)
                callers.create_task(comes(number, weight, lane, refused=refused))
        return begun, heard

    begun, heard = played(story)
    assert len(heard) == len(arrivals)
    burst, heavier = max(1.0, a_second / 10), 2
    for first, (since, _) in enumerate(begun):
        total = 0
        for at, weight in begun[first:]:
            total += weight
            assert total <= a_second * (at - since) + burst + heavier + 1e-6


class WithoutPace(Turns):
    """A wrong twin: whoever comes while nobody waits begins."""

    def _has_room(self) -> bool:
        return True


def test_the_check_of_the_pace_catches_a_line_without_one() -> None:
    arrivals = [(0, 1, False, KNOWN)] * 20
    assert_paced(arrivals, 7, turns)
    with pytest.raises(AssertionError):
        assert_paced(arrivals, 7, lambda pace: WithoutPace(round(pace * UNIT), clock=played_ns))

# SPDX-License-Identifier: Apache-2.0
"""How crowded it is: counted by each gate, shared by all, and never waited for."""

import asyncio
import json
from collections.abc import Callable, Collection
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow.pricing import UNIT, Climate
from pypow.steering import Measured, lowest_z, steer
from pypow.tariff import CALM, Tariff
from pypow_server.crowd import shared_climate
from pypow_server.crowd.conditions import Conditions, rules_of
from pypow_server.crowd.load import COUNTS, Load, measured
from pypow_server.crowd.shared_climate import FORGOTTEN_MS, HEARD_MS, SharedClimate
from pypow_server.meter import Meter, Pricing
from pypow_server.stores import Quota
from support.climates import CONSTANTS, PRICING, RULES, Played, gate, look
from support.ledger_contract import NOW_MS


def looks(climates: Played, *rounds: int, load: int = 0, gates: list[Conditions]) -> None:
    """The gates look after each of these many milliseconds; each admits so much before."""

    async def story() -> None:
        for after_ms in rounds:
            for each in gates:
                each.admitted(load, newcomer=False)
            await look(climates, gates, after_ms)

    asyncio.run(story())


def test_it_is_calm_at_first_and_one_gate_alone() -> None:
    conditions = Conditions()
    assert (conditions.climate, conditions.gates, conditions.rules) == (CALM, 1, None)
    asyncio.run(conditions.exchange())
    conditions.follow(RULES)
    asyncio.run(conditions.exchange())
    assert (conditions.climate, conditions.gates) == (CALM, 1)


def test_the_loop_is_told_of_each_second_what_was_counted_in_it() -> None:
    climates = Played()
    one = gate(climates)
    one.fill = iter((100, 200, 300)).__next__
    expected = CALM
    looks(climates, 0, gates=[one])
    for weight, newcomers, fill in ((200, 30, 200), (80, 0, 300)):
        one.admitted(weight - newcomers, newcomer=False, delay_ms=2_500, key=b"a")
        for _ in range(newcomers):
            one.admitted(1, newcomer=True)
        looks(climates, 1000, gates=[one])
        seen = Measured(1000, weight * UNIT, newcomers, (fill + 100) // 2 if newcomers else fill, 0)
        expected = steer(expected, replace(seen, delay_ms=2_999), CONSTANTS, RULES.loop)
        assert one.climate == expected
    assert one.climate.z < 0
    assert one.climate.entry_excess == pytest.approx((30 - 5 - 5) * UNIT, rel=0.01)


def test_overload_shrinks_allowances_to_their_floor_and_idleness_restores_them() -> None:
    climates = Played()
    one = gate(climates)
    looks(climates, 0, *[1000] * 30, load=200, gates=[one])
    assert one.climate.z == lowest_z(CONSTANTS)
    looks(climates, *[1000] * 200, gates=[one])
    assert one.climate == CALM


def test_constant_load_moves_nothing() -> None:
    climates = Played()
    one = gate(climates)
    seen = []
    for load in (39, 40):
        for _ in range(120):
            looks(climates, 1000, load=load, gates=[one])
            seen.append(one.climate)
    assert set(seen) == {CALM}
    # And where it is what callers are allowed that makes the load, they settle.
    for _ in range(600):
        load = round(80 * 2 ** (one.climate.z / 2**20))
        looks(climates, 1000, load=load, gates=[one])
        seen.append(one.climate)
    settled = [climate.z / 2**20 for climate in seen[-300:]]
    assert max(settled) - min(settled) < 0.05
    assert -1.1 < settled[-1] < -0.9


def test_a_gate_that_falls_silent_is_not_counted_and_counts_again() -> None:
    climates = Played()
    here, there = gate(climates), gate(climates)
    looks(climates, 0, 0, gates=[here, there])
    assert (here.gates, there.gates) == (2, 2)
    looks(climates, HEARD_MS - 1, gates=[here])
    assert here.gates == 2
    looks(climates, 1, gates=[here])
    assert here.gates == 1
    looks(climates, 1, 0, gates=[here, there])
    assert (here.gates, there.gates) == (2, 2)


def test_gates_without_a_common_store_share_the_capacity_all_the_same() -> None:
    rules = rules_of(replace(PRICING, replicas=5), 4 * 1024)
    assert rules is not None
    assert rules.loop.capacity == 10 * UNIT
    climates = Played()
    gates = [gate(climates, rules), gate(climates, rules)]
    assert {one.gates for one in gates} == {5}
    looks(climates, 0, 0, gates=gates)
    assert {one.gates for one in gates} == {10}


def test_nothing_moves_without_a_capacity() -> None:
    assert rules_of(Pricing(Quota(60, 60_000)), 4 * 1024) is None
    climates = Played(fails=True)
    one = gate(climates, None)
    looks(climates, 0, 1000, gates=[one])
    assert (one.climate, one.gates, one.learned_at_ms) == (CALM, 1, 0)


def test_a_capacity_that_is_taken_back_leaves_it_calm() -> None:
    climates = Played()
    one = gate(climates)
    looks(climates, 0, 1000, load=500, gates=[one, gate(climates)])
    assert one.climate != CALM
    one.follow(None)
    assert (one.climate, one.gates) == (CALM, 1)


def test_what_a_gate_learns_while_its_rules_change_is_dropped() -> None:
    climates = Played()
    one = gate(climates)
    looks(climates, 0, 1000, load=500, gates=[one])

    async def story() -> None:
        looking = asyncio.create_task(one.exchange())
        await asyncio.sleep(0)
        one.follow(None)
        await looking

    asyncio.run(story())
    assert (one.climate, one.gates) == (CALM, 1)


def test_a_store_that_fails_leaves_the_climate_as_it_is_and_nothing_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    climates, steady = Played(), Played()
    one, other = gate(climates), gate(steady)
    looks(climates, 0, 1000, load=200, gates=[one])
    looks(steady, 0, 1000, load=200, gates=[other])
    before = one.climate, one.learned_at_ms
    assert before[0].z < 0
    climates.fails = True
    looks(climates, *[1000] * 4, load=200, gates=[one])
    assert (one.climate, one.learned_at_ms) == before
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    climates.fails = False
    looks(climates, 1000, load=200, gates=[one])
    looks(steady, 5000, load=1000, gates=[other])
    assert one.climate == other.climate
    climates.fails = True
    looks(climates, 1000, gates=[one])
    assert len(caplog.records) == 2


def test_a_note_that_may_or_may_not_have_been_made_counts_once() -> None:
    climates, steady = Played(), Played()
    one, other = gate(climates), gate(steady)
    for number in range(12):
        climates.loses = ["replace"] if number % 3 == 1 else []
        looks(climates, 500, load=40, gates=[one])
        looks(steady, 500, load=40, gates=[other])
    assert one.climate == other.climate != CALM


_MOVES = st.tuples(
    st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),  # the gates that look
    st.integers(0, 2500),  # after so long
    st.sampled_from([(), ("look",), ("replace",)]),
    st.lists(st.integers(0, 3), max_size=5),  # who admitted newcomers before
)


@given(st.lists(_MOVES, max_size=30))
def test_every_newcomer_is_counted_once_whatever_is_lost_and_whoever_looks(
    moves: list[tuple[list[int], int, Collection[str], list[int]]],
) -> None:
    async def story() -> None:
        climates, admitted = Played(), 0
        rules = replace(RULES, loop=replace(RULES.loop, newcomers=0))  # so that none is worked off
        gates = [gate(climates, rules) for _ in range(4)]
        await look(climates, gates, 0)
        for places, after_ms, loses, newcomers in moves:
            for place in newcomers:
                gates[place].admitted(1, newcomer=True)
                admitted += 1
            climates.loses = loses
            await look(climates, [gates[place] for place in places], after_ms)
        climates.loses = ()
        await look(climates, gates, 0)
        await look(climates, gates, 1000)
        assert {one.climate.entry_excess for one in gates} == {admitted * UNIT}

    asyncio.run(story())


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    climates = Played()
    gates = [gate(climates), gate(climates)]
    looks(climates, 0, 1000, 1000, load=200, gates=gates)
    before = gates[0].climate
    looks(climates, -3_600_000, load=200, gates=gates)
    assert {one.climate for one in gates} == {before}
    looks(climates, 1000, load=200, gates=gates)
    assert gates[0].climate.z < before.z
    assert gates[0].gates == 2


def test_a_gate_that_nobody_heard_of_for_an_hour_begins_anew() -> None:
    record = SharedClimate(NOW_MS).noted("one", [7] * COUNTS, NOW_MS)
    assert set(record.load) == {0}
    late_ms = NOW_MS + FORGOTTEN_MS
    assert record.noted("two", [0] * COUNTS, late_ms - 1).notes.keys() == {"one", "two"}
    assert record.noted("two", [0] * COUNTS, late_ms).notes.keys() == {"two"}
    assert set(record.noted("one", [9] * COUNTS, late_ms).load) == {2}


def test_a_store_that_was_wiped_takes_no_gates_whole_past_for_load() -> None:
    climates = Played()
    one = gate(climates)
    looks(climates, 0, *[1000] * 60, load=40, gates=[one])
    climates.inner = Played().inner
    looks(climates, 0, 1000, load=40, gates=[one])
    assert one.climate == CALM


def test_only_the_first_coming_of_a_proof_tells_how_long_a_puzzle_takes() -> None:
    def delay_ms(*calls: Callable[[Conditions], None]) -> int:
        conditions = gate(Played())
        for each in calls:
            each(conditions)
        return measured(conditions._load.counts, 1000).delay_ms

    def sent_back(after_ms: int) -> Callable[[Conditions], None]:
        return lambda conditions: conditions.sent_back(b"a", after_ms)

    def admitted(after_ms: int | None) -> Callable[[Conditions], None]:
        return lambda one: one.admitted(1, newcomer=False, delay_ms=after_ms, key=b"a")

    assert delay_ms(admitted(None)) == 0
    assert delay_ms(admitted(400)) == 999
    assert delay_ms(admitted(1000)) == 1999
    assert delay_ms(sent_back(400), sent_back(9_000), admitted(30_000)) == 999
    # A key that was admitted is forgotten: it comes no more, or comes to nothing.
    assert delay_ms(sent_back(400), admitted(5_000), admitted(100_000)) == 127_999


def test_how_many_proofs_were_sent_back_is_kept_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pypow_server.crowd.conditions._MOST_SENT_BACK", 100)
    one = gate(Played())
    for number in range(1000):
        one.sent_back(b"%d" % number, 1)
    assert len(one._sent_back) == 100
    gate(Played(), None).sent_back(b"a", 1)


@pytest.mark.parametrize(
    ("delays_ms", "expected_ms"),
    [
        ([], 0),
        ([0], 999),
        ([999] * 95 + [60_000] * 5, 999),
        ([999] * 94 + [60_000] * 6, 63_999),
        ([7_999], 7_999),
        ([8_000], 11_999),
        ([600_000], 639_999),
        ([10**9], 639_999),
    ],
)
def test_95_of_100_proofs_came_sooner_than_the_loop_is_told(
    delays_ms: list[int], expected_ms: int
) -> None:
    load = Load()
    for delay_ms in delays_ms:
        load.presented(delay_ms)
    assert measured(load.counts, 1000).delay_ms == expected_ms


def test_a_load_beyond_all_bounds_is_told_as_far_as_the_loop_can_hear() -> None:
    told = measured([1 << 60] * COUNTS, 1000)
    assert (told.admitted, told.newcomers) == (1 << 52, 1 << 32)


_COUNTS = st.lists(st.integers(0, 1 << 53), min_size=COUNTS, max_size=COUNTS)


@given(
    st.integers(0, 1 << 45),
    st.integers(-(1 << 26), 0),
    st.integers(0, 1 << 42),
    st.dictionaries(st.text("0123456789abcdef", max_size=16), _COUNTS, max_size=5),
)
def test_a_record_reads_as_it_was_written(
    at_ms: int, z: int, excess: int, notes: dict[str, list[int]]
) -> None:
    record = SharedClimate(at_ms, Climate(z, excess))
    for name, counts in notes.items():
        record = record.noted(name, counts, at_ms)
    assert shared_climate.read(record.text(), 7) == record


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_what_is_no_record_is_a_new_one(text: bytes) -> None:
    assert shared_climate.read(text, NOW_MS) == SharedClimate(NOW_MS)


@pytest.mark.parametrize(
    "change",
    [
        {0: -1}, {0: 1.5}, {0: True}, {1: 1}, {2: -1}, {3: [0]}, {3: [-1] * COUNTS}, {3: "no"},
        {4: {"a": [1]}}, {4: {"a": []}}, {4: {"a": [-1] + [0] * COUNTS}}, {4: []}, {4: {"a": None}},
    ],
)  # fmt: skip
def test_a_record_that_is_wrong_anywhere_is_a_new_one(change: dict[int, object]) -> None:
    sound = json.loads(SharedClimate(NOW_MS).noted("a", [1] * COUNTS, NOW_MS).text())
    wrong = [change.get(place, value) for place, value in enumerate(sound)]
    assert shared_climate.read(json.dumps(wrong).encode(), 7) == SharedClimate(7)


def test_one_task_looks_once_a_period_until_it_is_closed() -> None:
    async def story() -> tuple[int, int]:
        climates, pauses = Played(), 0
        done = asyncio.Event()

        async def pause() -> None:
            nonlocal pauses
            pauses += 1
            climates.now_ms += 1000
            if pauses == 5:
                done.set()
                await asyncio.Event().wait()

        one = Conditions(climates, pause=pause)
        one.follow(RULES)
        one.start()
        one.start()
        await done.wait()
        await one.aclose()
        await one.aclose()
        one.start()
        await one.aclose()
        return pauses, one.steps

    assert asyncio.run(asyncio.wait_for(story(), 30)) == (5, 4)


def test_a_store_that_never_answers_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Played):
        async def look(self) -> tuple[bytes, int]:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr("pypow_server.crowd.conditions._TIMEOUT_S", 0.0)
    one = gate(Silent())
    asyncio.run(asyncio.wait_for(one.exchange(), 30))
    assert one.climate == CALM


def test_calls_are_charged_by_one_tariff_until_the_climate_changes() -> None:
    meter = Meter(b"all ", 1, Tariff(CONSTANTS))
    calm = meter.charge("192.0.2.7/32")
    assert calm.tariff is meter.tariff
    crowded = Climate(-(1 << 20), 0)
    charges = [meter.charge("192.0.2.7/32", climate=crowded) for _ in range(3)]
    assert {id(charge.tariff) for charge in charges} == {id(charges[0].tariff)}
    assert charges[0].tariff.rate == meter.tariff.rate // 2
    assert charges[0].tariff.constants is meter.tariff.constants
    worse = meter.charge("192.0.2.7/32", climate=Climate(-(2 << 20), 0))
    assert worse.tariff.rate == meter.tariff.rate // 4
    assert meter.charge("192.0.2.7/32").tariff is meter.tariff

# SPDX-License-Identifier: Apache-2.0
"""The two slow loops: allowances after load, and the base price after the speed of callers."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from random import Random
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypow import InvalidInputError
from pypow.pricing import (
    UNIT,
    Account,
    Climate,
    Constants,
    Principal,
    Quote,
    Tariff,
    admit,
    quote,
)
from pypow.steering import (
    Calibration,
    Loop,
    Measured,
    Sample,
    calibrate_base,
    lowest_z,
    steer,
)
from support.pricing_laws import START_MS

CONSTANTS = Constants()
LOOP = Loop()
IDLE = Measured(span_ms=1000, admitted=0, newcomers=0, queue=0, delay_ms=100)
FLOODED = Measured(span_ms=1000, admitted=200 * UNIT, newcomers=1000, queue=1024, delay_ms=100)

Steer = Callable[[Climate, Measured, Constants, Loop], Climate]


def steered(climate: Climate, measured: Measured, seconds: int, step: Steer = steer) -> Climate:
    for _ in range(seconds):
        climate = step(climate, measured, CONSTANTS, LOOP)
    return climate


def test_allowances_halve_in_four_seconds_of_overload_and_no_further_than_is_guaranteed() -> None:
    assert -1.1 * 2**20 <= steered(Climate(), FLOODED, 4).z <= -0.9 * 2**20
    worst = steered(Climate(), FLOODED, 100)
    assert worst.z == lowest_z(CONSTANTS)
    tariff = Tariff(CONSTANTS, worst)
    assert (tariff.rate, tariff.burst) == (CONSTANTS.rate_min, CONSTANTS.burst_min)


def test_allowances_recover_in_about_100_seconds_and_no_further_than_is_meant() -> None:
    worst = Climate(z=lowest_z(CONSTANTS))
    assert Tariff(CONSTANTS, steered(worst, IDLE, 120)).rate == CONSTANTS.rate_max
    assert Tariff(CONSTANTS, steered(worst, IDLE, 80)).rate < CONSTANTS.rate_max
    assert steered(worst, IDLE, 1000) == Climate()


def test_newcomers_above_their_part_make_entry_dearer_up_to_its_cap() -> None:
    many = replace(IDLE, newcomers=55)  # 5 a second may come: a tenth of the capacity
    crowded = steered(Climate(), many, 2)
    assert Tariff(CONSTANTS, crowded).entry_q in range(2040, 2056)
    worst = steered(Climate(), many, 100)
    assert Tariff(CONSTANTS, worst).entry_q == CONSTANTS.max_entry_q
    # A fifth more than the dearest, so that it stays so for a while.
    assert worst.entry_excess == 6 * 50 * UNIT * 6 // 5
    assert steered(steered(Climate(), many, 100), IDLE, 80).entry_excess == 0


def test_as_many_newcomers_as_there_is_room_for_pay_nothing_more() -> None:
    assert steered(Climate(), replace(IDLE, newcomers=4), 1000).entry_excess == 0


def hasty(climate: Climate, measured: Measured, constants: Constants, loop: Loop) -> Climate:
    """A loop that does not know how late it learns."""
    return steer(climate, replace(measured, delay_ms=0), constants, replace(loop, growing=256))


def swing_bits(delay: int, step: Steer, updates: int = 3000) -> float:
    """How far allowances swing in the end, where load follows them after so many updates."""
    climate = Climate(z=-(2 << 20))
    late = deque([climate.z] * (delay + 1), maxlen=delay + 1)
    seen = []
    for update in range(updates):
        # At full allowance twice the target would come; the loop has to find half.
        load = int(2 * 0.8 * 50 * UNIT * 2.0 ** (late[0] / 2**20))
        measured = Measured(1000, load, newcomers=0, queue=0, delay_ms=delay * 1000)
        climate = step(climate, measured, CONSTANTS, LOOP)
        late.append(climate.z)
        if update > updates * 2 // 3:
            seen.append(climate.z / 2**20)
    assert -1.2 < seen[-1] < -0.8 or step is hasty
    return max(seen) - min(seen)


@pytest.mark.parametrize("delay", range(0, 61, 5))
def test_allowances_do_not_swing_however_late_the_loop_learns(delay: int) -> None:
    assert swing_bits(delay, steer) <= 0.1


def test_a_loop_that_does_not_know_how_late_it_learns_is_seen_to_swing() -> None:
    assert swing_bits(20, hasty) > 1


@pytest.mark.parametrize("hashrate", [0.78e6, 4.1e6, 80e6, 16.3e9])
@pytest.mark.parametrize("pause_ms", [0, 400, 1000])
def test_who_calls_steadily_sees_a_steady_price(hashrate: float, pause_ms: int) -> None:
    constants, tariff = CONSTANTS, Tariff(CONSTANTS)
    principal, now_ms, seen = Principal(Account.new(constants, START_MS)), START_MS, []
    while now_ms < START_MS + 600_000:
        offered = quote(principal, 1, tariff, now_ms)
        assert isinstance(offered, Quote)
        now_ms += round(2.0 ** (offered.q / 1024) / hashrate * 1000) + pause_ms
        principal = admit(principal, 1, tariff, now_ms).principal
        if now_ms >= START_MS + 540_000:
            seen.append(offered.q)
    assert max(seen) - min(seen) <= 0.05 * 1024


@given(
    z=st.integers(lowest_z(CONSTANTS), 0),
    entry=st.integers(0, 360 * UNIT),
    span=st.integers(1, 10**7),
    admitted=st.integers(0, 1 << 52),
    newcomers=st.integers(0, 1 << 32),
    queue=st.integers(0, 1024),
    delay=st.integers(0, 10**7),
)
def test_whatever_is_measured_the_climate_stays_within_its_limits(
    z: int, entry: int, span: int, admitted: int, newcomers: int, queue: int, delay: int
) -> None:
    measured = Measured(span, admitted, newcomers, queue, delay)
    after = steer(Climate(z, entry), measured, CONSTANTS, LOOP)
    assert lowest_z(CONSTANTS) <= after.z <= 0
    assert abs(after.z - z) <= 2 * 2**20
    assert 0 <= after.entry_excess <= 360 * UNIT


ANCHOR = Calibration(anchor_q=20 * 1024)


def sample(hashrate: float, q: int = 20 * 1024) -> Sample:
    return Sample(q, max(1, round(2.0 ** (q / 1024) / hashrate * 1000)))


def settled(base_q: int, samples: list[Sample], days: int = 100) -> int:
    for _ in range(days):
        base_q = calibrate_base(base_q, samples, ANCHOR)
    return base_q


def test_the_base_settles_where_the_slow_tenth_solves_in_time() -> None:
    # 4.1 MH/s for 500 ms, of which 1.671 is to spare: 20.23 bits.
    people = [sample(4.1e6)] * 20 + [sample(80e6)] * 80
    assert abs(settled(20 * 1024, people) - 20.226 * 1024) <= 16


def test_the_base_moves_a_quarter_of_a_bit_a_day_at_most() -> None:
    fast = [sample(1e9)] * 100
    assert calibrate_base(20 * 1024, fast, ANCHOR) == 20 * 1024 + 256
    slow = [sample(1e4)] * 100
    assert calibrate_base(20 * 1024, slow, ANCHOR) == 20 * 1024 - 256


def test_too_few_principals_move_nothing() -> None:
    assert calibrate_base(20 * 1024, [sample(1e9)] * 29, ANCHOR) == 20 * 1024
    assert calibrate_base(20 * 1024, [], ANCHOR) == 20 * 1024


def test_a_base_outside_its_range_is_brought_back_whatever_the_samples_say() -> None:
    assert calibrate_base(30 * 1024, [], ANCHOR) == 22 * 1024
    assert calibrate_base(10 * 1024, [], ANCHOR) == 18 * 1024


rates = st.floats(4, 11).map(lambda power: sample(10**power))


def population(seed: int) -> list[Sample]:
    """A thousand honest callers: loops in Python, phones, laptops, native cores, machines."""
    draw = Random(seed)
    classes = [(0.78e6, 250), (4.1e6, 200), (8e6, 200), (40e6, 250), (600e6, 100)]
    return [
        sample(rate * draw.lognormvariate(0, 0.2)) for rate, many in classes for _ in range(many)
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hostile", [Sample(20 * 1024, 1), Sample(20 * 1024, 10**12)])
def test_an_eleventh_of_hostile_samples_moves_the_base_by_half_a_bit_at_most(
    seed: int, hostile: Sample
) -> None:
    wide = replace(ANCHOR, anchor_q=18 * 1024, slew_q=2048)
    honest = population(seed)
    alone = calibrate_base(18 * 1024, honest, wide)
    among = calibrate_base(18 * 1024, honest + [hostile] * 98, wide)
    assert 0 < abs(alone - 18 * 1024) < 2048
    assert abs(alone - among) <= 512


@settings(max_examples=50)
@given(st.lists(rates, min_size=30, max_size=60), st.integers(18 * 1024, 22 * 1024))
def test_even_hostile_samples_alone_move_the_base_within_its_limits(
    hostile: list[Sample], base_q: int
) -> None:
    after = calibrate_base(base_q, hostile, ANCHOR)
    assert abs(after - base_q) <= 256
    assert abs(settled(base_q, hostile, days=20) - ANCHOR.anchor_q) <= 2048


def test_a_mean_is_seen_to_move_further() -> None:
    honest = [one.rate_q for one in population(0)]
    hostile = [Sample(20 * 1024, 10**12).rate_q] * 98
    assert fmean(honest) - fmean(honest + hostile) > 512


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (LOOP, "capacity", 0),
        (LOOP, "target", 0),
        (LOOP, "shrinking", 1025),
        (LOOP, "growing", float("nan")),
        (LOOP, "newcomers", -1),
        (IDLE, "span_ms", 0),
        (IDLE, "queue", 1025),
        (IDLE, "delay_ms", -1),
        (ANCHOR, "target_ms", 5001),
        (ANCHOR, "anchor_q", 0),
        (ANCHOR, "slew_q", 4096),
        (ANCHOR, "fewest", 0),
    ],
)
def test_values_that_cannot_be_are_refused(kind: Any, field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=rf"expected {field} from \d+ to \d+, got"):
        replace(kind, **{field: value})

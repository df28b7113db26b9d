# SPDX-License-Identifier: Apache-2.0
"""The doubles of other systems do what their sources do."""

import math

import numpy as np
import pytest

from pypow.laboratory.attack import parse
from pypow.laboratory.callers import Callers
from pypow.laboratory.prices import (
    REST_BITS,
    Eip1559,
    McaptchaLevels,
    Miden,
    PrivateCaptcha,
    TokenBucket,
    TorEffort,
)
from pypow.laboratory.world import World

WORLD = World(seconds=100, callers=10)
EASY, HARD = math.log2(50e3), math.log2(3e6)
NOBODY_IN_PARTICULAR = np.zeros(1, dtype=np.intp)


def crowd(attack: str = "gpu:1,connections:1000") -> Callers:
    return Callers(WORLD, parse(attack).attack, np.random.default_rng(1))


def fetched(law: McaptchaLevels, count: int, now: float) -> list[float]:
    return [float(bits) for bits in law.bits(np.zeros(count, dtype=np.intp), now)]


def test_mcaptcha_as_coded_changes_its_level_at_every_fetch_between_two_thresholds() -> None:
    law = McaptchaLevels(as_coded=True)
    assert set(fetched(law, 300, 0.0)) == {EASY}
    assert fetched(law, 6, 1.0) == pytest.approx([HARD, EASY] * 3)


def test_mcaptcha_as_intended_keeps_its_level_until_visits_are_forgotten() -> None:
    law = McaptchaLevels(as_coded=False)
    assert set(fetched(law, 300, 0.0)) == {EASY}
    assert set(fetched(law, 1200, 1.0)) == {HARD}
    assert fetched(law, 1, 2.0) == pytest.approx([math.log2(5e6)])
    assert fetched(law, 1, 31.5) == pytest.approx([EASY])


def test_miden_prices_in_proportion_to_what_was_accepted_in_30_seconds() -> None:
    law = Miden()
    assert law.bits(NOBODY_IN_PARTICULAR, 0.0).tolist() == [16.0]
    law.served(np.zeros(1500, dtype=np.intp), 0.0)
    assert law.bits(NOBODY_IN_PARTICULAR, 29.9).tolist() == pytest.approx([16 + math.log2(151)])
    assert law.bits(NOBODY_IN_PARTICULAR, 30.0).tolist() == [16.0]


def test_private_captcha_adds_half_a_bit_for_a_doubling_of_what_a_caller_is_over() -> None:
    law = PrivateCaptcha(2, honest_per_s=1e9)
    one = np.zeros(8, dtype=np.intp)
    assert law.bits(one, 0.0).tolist() == [16.5] * 8
    assert law.bits(np.zeros(16, dtype=np.intp), 0.0).tolist() == [17.0] * 16
    assert law.bits(np.ones(1, dtype=np.intp), 0.0).tolist() == [16.125]
    assert law.bits(np.zeros(1, dtype=np.intp), 125.0).tolist() == [16.125]


def test_private_captcha_follows_the_load_of_the_site() -> None:
    law = PrivateCaptcha(1000, honest_per_s=1.0)
    who = np.arange(1000, dtype=np.intp)
    busy = law.bits(who, 0.0)[0]
    for _ in range(1000):
        law.second()
    assert busy == 16.5
    assert law.bits(who[:1], 100.0)[0] == 16.125


def test_eip_1559_moves_by_an_eighth_of_how_far_the_load_is_from_its_target() -> None:
    law = Eip1559(capacity=50)

    def after(served: int) -> float:
        law.served(np.zeros(served, dtype=np.intp), 0.0)
        law.second()
        return float(law.bits(NOBODY_IN_PARTICULAR, 0.0)[0])

    assert after(0) == REST_BITS
    assert after(50) == pytest.approx(REST_BITS + math.log2(1 + 0.25 / 8))
    assert after(40) == pytest.approx(REST_BITS + math.log2(1 + 0.25 / 8))
    assert after(0) == REST_BITS


def test_a_bucket_lets_60_pass_and_then_one_a_second() -> None:
    callers = crowd()
    bucket = TokenBucket(callers, WORLD)
    rows = np.zeros(60, dtype=np.intp)
    assert bucket.present(rows, 0.0).back.tolist() == []
    served, _ = bucket.serve(60, 0.0)
    assert len(served) == 60
    offers = bucket.ask(rows[:1], 0.25)
    assert (offers.bits.tolist(), offers.wait_s.tolist()) == ([math.inf], [0.75])
    assert bucket.present(rows[:1], 0.25).back.tolist() == [0]
    assert bucket.ask(rows[:1], 1.0).bits.tolist() == [-math.inf]


def test_tor_serves_the_highest_effort_and_loses_the_lower_half_of_a_full_queue() -> None:
    callers = crowd()
    gate = TorEffort(callers, WORLD, period_s=30)
    rows = np.arange(callers.honest, callers.honest + WORLD.room + 1)
    callers.failures[rows] = 1
    gate.ask(rows, 0.0)
    callers.failures[rows[7]] = 2
    gate.ask(rows[7:8], 0.0)
    away = gate.present(rows, 0.0).away
    assert len(away) == WORLD.room // 2 + 1
    served, _ = gate.serve(1, 0.0)
    assert served.tolist() == [rows[7]]
    assert set(gate.serve(0, 2.1)[1].away.tolist()) == {*rows.tolist()} - {rows[7]} - {*away}


def test_tor_callers_double_their_effort_until_it_is_a_lot_and_honest_ones_stop() -> None:
    callers = crowd()
    gate = TorEffort(callers, WORLD, period_s=30)
    row = np.array([0, callers.honest])
    efforts = []
    for failures in range(15):
        callers.failures[row] = failures
        efforts.append(np.exp2(gate.ask(row, 0.0).bits - 14).tolist())
    assert [one[0] for one in efforts[:9]] == pytest.approx([0, 8, 16, 32, 64, 128, 256, 512, 1024])
    assert efforts[9] == pytest.approx([1536, 1536])
    assert efforts[14][0] == pytest.approx(10_000)
    assert efforts[14][1] > 10_000


def test_tor_raises_what_it_suggests_while_callers_who_follow_have_to_go() -> None:
    callers = crowd()
    gate = TorEffort(callers, WORLD, period_s=30)
    rows = np.arange(callers.honest, callers.honest + WORLD.room + 50)
    callers.failures[rows] = 1

    def suggested() -> float:
        callers.failures[0] = 0
        return float(np.exp2(gate.ask(np.array([0]), 0.0).bits - 14)[0])

    gate.ask(rows, 0.0)
    gate.present(rows, 0.0)
    gate.serve(30, 0.0)
    gate.second(29.0)
    assert suggested() == 0
    gate.second(30.0)
    assert suggested() == pytest.approx(8 * len(rows) / 30)
    gate.serve(1000, 31.0)
    gate.second(60.0)
    gate.second(90.0)
    assert suggested() < 8 * len(rows) / 30

# SPDX-License-Identifier: Apache-2.0
"""The distribution of solve times: against printed tables, exact sums, and drawn tries."""

import math
import random
import statistics
from collections.abc import Callable
from fractions import Fraction

import pytest

from pypow import InvalidInputError, difficulty
from pypow.calibrate import MAX_P99_MS, bits_within, require_p99
from pypow.profiles import DEVICES, PROFILES, device_of, profile_of
from pypow.solve_times import PUZZLES, cumulative, plain_times, quantile, solve_times

# Chi-squared quantiles as statistical tables print them: by degrees of freedom, 0.5, 0.95, 0.99.
# With 2n degrees it is twice the sum of n exponential times.
CHI_SQUARED = {
    2: (1.386, 5.991, 9.210),
    8: (7.344, 15.507, 20.090),
    20: (19.337, 31.410, 37.566),
    32: (31.336, 46.194, 53.486),
    60: (59.335, 79.082, 88.379),
    100: (99.334, 124.342, 135.807),
}
SHARES = (0.5, 0.95, 0.99)


def off_the_tables(candidate: Callable[[float, int], float]) -> list[tuple[int, float]]:
    return [
        (degrees, share)
        for degrees, row in CHI_SQUARED.items()
        for share, printed in zip(SHARES, row, strict=True)
        if abs(candidate(share, degrees // 2) * degrees - printed) > 0.0006
    ]


def test_quantiles_are_those_of_the_tables() -> None:
    assert off_the_tables(quantile) == []


def normal(share: float, puzzles: int) -> float:
    return 1 + statistics.NormalDist().inv_cdf(share) / math.sqrt(puzzles)


def wilson_hilferty(share: float, puzzles: int) -> float:
    spread = 1 / (9 * puzzles)
    return float((1 - spread + statistics.NormalDist().inv_cdf(share) * math.sqrt(spread)) ** 3)


@pytest.mark.parametrize("approximate", [normal, wilson_hilferty])
def test_an_approximation_is_told_from_the_quantiles(
    approximate: Callable[[float, int], float],
) -> None:
    assert len(off_the_tables(approximate)) > 2


@pytest.mark.parametrize("puzzles", [1, 2, 16, 64])
def test_shares_are_exact_on_both_sides_of_the_mean(puzzles: int) -> None:
    for x in (0.125, 0.75 * puzzles, puzzles - 0.5, float(puzzles), 1.5 * puzzles, 4.0 * puzzles):
        terms = [Fraction(x) ** count / math.factorial(count) for count in range(puzzles)]
        # Few sums stay far below the mean: the exact value there is one minus nearly one.
        exact = 1 - Fraction(math.exp(-x)) * sum(terms)
        assert cumulative(x, puzzles) == pytest.approx(float(exact), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("puzzles", [1, 16, 960, 1_600_000])
def test_a_quantile_is_where_its_share_is_reached(puzzles: int) -> None:
    for share in (1e-6, 0.01, *SHARES, 0.999999):
        assert cumulative(quantile(share, puzzles) * puzzles, puzzles) == pytest.approx(
            share, rel=1e-6
        )


@pytest.mark.parametrize(("q", "calls"), [(11 * 1024, 1), (20 * 1024, 1), (16 * 1024, 5)])
def test_drawn_tries_are_distributed_as_forecast(q: int, calls: int) -> None:
    draw = random.Random(1)
    puzzles = difficulty.split(q, PUZZLES)
    chance = 2 ** -(difficulty.sub_q(q, puzzles) / 1024)

    def tries() -> int:
        return math.ceil(math.log(1 - draw.random()) / math.log1p(-chance))

    solves = 20_000 // calls
    drawn = sorted(sum(tries() for _ in range(puzzles * calls)) for _ in range(solves))
    times = solve_times(q, hashes_per_s=1, calls=calls)
    for share, forecast in zip(SHARES, (times.p50_s, times.p95_s, times.p99_s), strict=True):
        assert drawn[int(share * solves)] == pytest.approx(forecast, rel=0.04)
    assert statistics.fmean(drawn) == pytest.approx(times.mean_s, rel=0.02)


def test_a_caller_that_counts_zeros_gets_whole_digits_in_one_puzzle() -> None:
    plain = plain_times(22 * 1024, hashes_per_s=2**20)
    assert plain.mean_s == 16
    assert plain.p99_s == pytest.approx(16 * math.log(100))


@pytest.mark.parametrize("p99_ms", [0.05, 1, 20, 137, 500, 5_000, 600_000])
@pytest.mark.parametrize("rate", [0.78e6, 4.1e6, 1.21e9])
def test_a_calibrated_price_is_paid_in_time_and_a_higher_one_is_not(
    rate: float, p99_ms: float
) -> None:
    bits = bits_within(p99_ms, hashes_per_s=rate)
    assert solve_times(difficulty.from_bits(bits), hashes_per_s=rate).p99_s <= p99_ms / 999.5
    higher = min(bits + 0.02, 44)
    if higher > bits and difficulty.split(difficulty.from_bits(higher), 16) == difficulty.split(
        difficulty.from_bits(bits), 16
    ):
        assert solve_times(difficulty.from_bits(higher), hashes_per_s=rate).p99_s > p99_ms / 1000


def test_times_out_of_reach_are_refused_with_the_time_that_would_do() -> None:
    for p99_ms, rate, remedy in (
        (0.001, 1e6, "at least 0.00926 ms"),
        (6e5, 1e15, "at most 29.4 ms"),
    ):
        with pytest.raises(InvalidInputError, match=remedy):
            bits_within(p99_ms, hashes_per_s=rate)
    bits_within(0.00926, hashes_per_s=1e6)
    assert bits_within(29.4, hashes_per_s=1e15) == pytest.approx(44, abs=0.01)


@pytest.mark.parametrize("p99_ms", [0, -1, math.nan, math.inf, MAX_P99_MS + 1])
def test_a_wait_that_nobody_has_is_refused(p99_ms: float) -> None:
    with pytest.raises(InvalidInputError, match=r"at most 5 s, got .* give 5s, or --force"):
        require_p99(p99_ms)


def test_force_allows_what_a_challenge_can_live() -> None:
    assert require_p99(600_000, force=True) == 600_000
    with pytest.raises(InvalidInputError, match=r"at most 600 s, got 601 s; give 600s$"):
        require_p99(601_000, force=True)


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf, True, 1e19])
def test_a_rate_of_no_machine_is_refused(rate: float) -> None:
    with pytest.raises(InvalidInputError, match="hashrate of 1 to 1e18"):
        solve_times(16 * 1024, hashes_per_s=rate)


@pytest.mark.parametrize("calls", [0, -1, 100_001, True, 1.5])
def test_calls_that_cannot_be_are_refused(calls: int) -> None:
    with pytest.raises(InvalidInputError, match="expected 1 to 100000 calls"):
        solve_times(16 * 1024, hashes_per_s=1e6, calls=calls)


@pytest.mark.parametrize("share", [0, 1, -0.1, math.nan])
def test_a_share_of_all_or_none_is_refused(share: float) -> None:
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        quantile(share, 16)


def test_every_profile_stands_on_a_device_with_a_source_and_a_date() -> None:
    assert set(PROFILES) == {"browser", "mixed-agents", "mcp-native", "step-up", "dormant"}
    assert not PROFILES.keys() & DEVICES.keys()
    for profile in PROFILES.values():
        assert device_of(profile.name) is profile.device is DEVICES[profile.device.name]
        assert require_p99(profile.p99_ms) == profile.p99_ms
    rates = [device.hashes_per_s for device in DEVICES.values()]
    assert rates == sorted(rates)
    for device in DEVICES.values():
        assert device.source
        assert "2026-01" <= device.as_of <= "2099-12"


def test_an_unknown_name_is_told_the_nearest_right_one() -> None:
    with pytest.raises(InvalidInputError, match="got 'mixed-agent', did you mean mixed-agents"):
        profile_of("mixed-agent")
    with pytest.raises(InvalidInputError, match="got 'phones', did you mean phone"):
        device_of("phones")

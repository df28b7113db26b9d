# SPDX-License-Identifier: Apache-2.0
"""How long solves take: the distribution behind every forecast, and its exact quantiles.

A puzzle's tries are geometric, so its time is exponential; ``n`` puzzles in a row take the sum of
``n`` such times, which is Erlang distributed. What a geometric time differs by, at most one hash
for each puzzle, is left out.
"""

import functools
import math
from dataclasses import dataclass
from typing import Final

from . import difficulty
from .errors import InvalidInputError, shown

PUZZLES: Final = 16
"""Into which pypow's solvers have a challenge split; more would shorten the tail by little."""

MAX_CALLS: Final = 100_000
_MAX_SUM: Final = MAX_CALLS * PUZZLES


@dataclass(frozen=True, slots=True)
class SolveTimes:
    """How long one solve, or several in a row, take on one machine, in seconds.

    Attributes:
        mean_s: on average.
        p50_s: half of them take at most this.
        p95_s: all but one in twenty.
        p99_s: all but one in a hundred.
    """

    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float


def solve_times(q: int, *, hashes_per_s: float, calls: int = 1) -> SolveTimes:
    """The times of a caller that takes sub-puzzles, as pypow's own solvers do.

    Args:
        q: difficulty of each call, in 1/1024 bit.
        hashes_per_s: of the solver.
        calls: solved one after the other, 1 to 100,000.

    Raises:
        InvalidInputError: a value that cannot be.

    >>> round(solve_times(20 * 1024, hashes_per_s=2**20).p99_s, 3)
    1.671
    """
    if isinstance(calls, bool) or not isinstance(calls, int) or not 1 <= calls <= MAX_CALLS:
        raise InvalidInputError(f"expected 1 to {MAX_CALLS} calls, got {shown(calls)}")
    return _times(q, calls, difficulty.split(q, PUZZLES), hashes_per_s)


def plain_times(q: int, *, hashes_per_s: float) -> SolveTimes:
    """The times of a caller that only counts zeros in hex.

    The gate rounds its difficulty to four bits and gives it one puzzle, so that the tail is
    longer: see `difficulty.to_whole_hex_zeros`.
    """
    return _times(difficulty.to_whole_hex_zeros(q), 1, 1, hashes_per_s)


def _times(q: int, calls: int, puzzles: int, hashes_per_s: float) -> SolveTimes:
    mean_s = calls * difficulty.expected_hashes(q) / require_rate(hashes_per_s)
    p50, p95, p99 = (mean_s * quantile(share, calls * puzzles) for share in (0.5, 0.95, 0.99))
    return SolveTimes(mean_s, p50, p95, p99)


@functools.lru_cache(maxsize=256)
def quantile(share: float, puzzles: int) -> float:
    """What a share of the sums of so many puzzles' times stays below, in means of the sum.

    Args:
        share: more than 0 and less than 1.
        puzzles: how many exponential times are summed, 1 to 1,600,000.

    >>> round(quantile(0.99, 1), 3), round(quantile(0.99, 16), 3)
    (4.605, 1.671)
    """
    if not 0 < share < 1 or not 1 <= puzzles <= _MAX_SUM:
        raise InvalidInputError(f"expected a share between 0 and 1, got {shown(share)}")
    low, high = 0.0, float(puzzles)
    while cumulative(high, puzzles) < share:
        low, high = high, high + 10 + math.sqrt(puzzles)
    # Halving a double's 53 bits away leaves nothing between the two.
    for _ in range(64):
        middle = (low + high) / 2
        if cumulative(middle, puzzles) < share:
            low = middle
        else:
            high = middle
    return high / puzzles


def cumulative(x: float, puzzles: int) -> float:
    """The share of sums of ``puzzles`` exponential times of mean 1 that are at most ``x``.

    The regularized incomplete gamma function P(puzzles, x): its ascending series below the mean,
    its finite sum from there on. All terms are positive and nothing cancels.

    >>> round(cumulative(1.0, 1), 6)
    0.632121
    """
    if x <= 0:
        return 0.0
    below = x < puzzles
    term = total = 1.0
    step = puzzles + 1 if below else puzzles - 1
    while term > total * 1e-17:
        term *= x / step if below else step / x
        total += term
        step += 1 if below else -1
    first = puzzles if below else puzzles - 1
    density = math.exp(first * math.log(x) - x - math.lgamma(first + 1))
    return density * total if below else 1.0 - density * total


def require_rate(hashes_per_s: float) -> float:
    """Refuse a hashrate that no machine has: expected is 1 to 10**18 hashes a second."""
    if isinstance(hashes_per_s, bool) or not 1 <= hashes_per_s <= 1e18:
        raise InvalidInputError(
            f"expected a hashrate of 1 to 1e18 hashes a second, got {shown(hashes_per_s)}"
        )
    return hashes_per_s

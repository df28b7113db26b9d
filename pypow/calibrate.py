# SPDX-License-Identifier: Apache-2.0
"""From the time that a solve may take on a device to the price that takes it."""

import math
from typing import Final

from . import difficulty
from .errors import InvalidInputError
from .profiles import Device
from .solve_times import PUZZLES, quantile, require_rate, solve_times

MAX_P99_MS: Final = 5_000
"""Longer than this no caller waits gladly, and many HTTP clients not at all."""

MAX_FORCED_P99_MS: Final = 600_000
"""The longest that a challenge can be good for."""

_MAX_BITS: Final = difficulty.bits(difficulty.MAX_SUB_Q)


def bits_within(p99_ms: float, *, hashes_per_s: float) -> float:
    """The highest price that all but one in a hundred solves pay within a time.

    Args:
        p99_ms: the time, in milliseconds.
        hashes_per_s: of the solver, who does up to 16 sub-puzzles.

    Returns:
        Bits, rounded down to a hundredth.

    Raises:
        InvalidInputError: a price that no challenge could have; the text has the time that would
            do.

    >>> bits_within(500, hashes_per_s=4.1e6)
    20.22
    """
    hashes = p99_ms / 1000 * require_rate(hashes_per_s)
    # Fewer sub-puzzles have a longer tail, so that the first number that stands is the highest.
    for puzzles in (PUZZLES, 8, 4, 2, 1):
        bits = math.floor(100 * math.log2(max(hashes / quantile(0.99, puzzles), 1.0))) / 100
        if bits < 1:
            continue
        if bits > _MAX_BITS:
            most_ms = 1000 * 2**_MAX_BITS * quantile(0.99, PUZZLES) / hashes_per_s
            raise InvalidInputError(
                f"expected a p99 of at most {most_ms:.3g} ms, got {p99_ms:g} ms: "
                f"a price has at most {_MAX_BITS:.0f} bits"
            )
        if difficulty.split(difficulty.from_bits(bits), PUZZLES) == puzzles:
            return bits
    # Rounded up in its last digit, so that it would do.
    least_ms = 1.005 * 1000 * 2 * quantile(0.99, 1) / hashes_per_s
    raise InvalidInputError(
        f"expected a p99 of at least {least_ms:.3g} ms, got {p99_ms:g} ms: a price has at least "
        "1 bit"
    )


def require_p99(p99_ms: float, *, force: bool = False) -> float:
    """Refuse a time that callers would not wait.

    Args:
        p99_ms: in milliseconds.
        force: allow more than 5 seconds, up to the 10 minutes that a challenge can live.

    Raises:
        InvalidInputError: the text has the time that would do.
    """
    most_ms = MAX_FORCED_P99_MS if force else MAX_P99_MS
    if not 0 < p99_ms <= most_ms:
        way_round = "" if force else ", or --force to have it all the same"
        raise InvalidInputError(
            f"expected a p99 of more than 0 and at most {most_ms / 1000:g} s, got "
            f"{p99_ms / 1000:g} s; give {most_ms / 1000:g}s{way_round}"
        )
    return p99_ms


def require_quick(q: int, *, device: Device, most_ms: float) -> int:
    """Refuse a price that the device it is reckoned with does not pay in time.

    Args:
        q: the price, in 1/1024 bit.
        device: of the callers that the gate is for.
        most_ms: what all but one in a hundred solves may take, in milliseconds.

    Raises:
        InvalidInputError: the text has the price that would do.
    """
    p99_s = solve_times(q, hashes_per_s=device.hashes_per_s).p99_s
    if 1000 * p99_s > most_ms:
        would_do = bits_within(most_ms, hashes_per_s=device.hashes_per_s)
        raise InvalidInputError(
            f"expected a p99 of at most {most_ms / 1000:g} s on {device.name}, got {p99_s:.3g} s "
            f"for {difficulty.bits(q):.4g} bits; at most {would_do} bits would do, or allow it "
            "with max_p99 in [work] of the policy file"
        )
    return q

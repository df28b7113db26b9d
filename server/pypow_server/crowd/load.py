# SPDX-License-Identifier: Apache-2.0
"""What a gate lets through to its upstream, as counts that only grow.

Counts of several gates can be added and subtracted, number by number: `measured` makes of such a
difference what `pypow.steering` is told.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from pypow.steering import Measured
from pypow.tariff import UNIT

_DELAY_BOUNDS_S: Final = (
    1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 640,
)  # fmt: skip
"""Delays count in whole steps of the loop, of a second. No challenge is good for longer."""

_WEIGHT, _NEWCOMERS, _FILL, _LOOKS = range(4)
COUNTS: Final = 4 + len(_DELAY_BOUNDS_S)

_MOST_ADMITTED: Final = 1 << 52
_MOST_NEWCOMERS: Final = 1 << 32


class Load:
    """What one gate counted since it began.

    Attributes:
        counts: weight admitted, newcomers, how full the queue was each time it was looked at, how
            often that was, and for each span of time how many proofs took so long to come.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self.counts = [0] * COUNTS

    def admitted(self, weight: int, *, newcomer: bool) -> None:
        """Count a call that is let through.

        Args:
            weight: of the call, in units.
            newcomer: whether it is its caller's first.
        """
        self.counts[_WEIGHT] += weight
        self.counts[_NEWCOMERS] += newcomer

    def presented(self, delay_ms: int) -> None:
        """Count how long a proof took to come for the first time."""
        place = bisect_right(_DELAY_BOUNDS_S, delay_ms // 1000)
        self.counts[COUNTS - len(_DELAY_BOUNDS_S) + min(place, len(_DELAY_BOUNDS_S) - 1)] += 1

    def waited(self, fill: int) -> None:
        """Count how full the queue is now, in 1/1024."""
        self.counts[_FILL] += fill
        self.counts[_LOOKS] += 1


def measured(counts: Sequence[int], span_ms: int) -> Measured:
    """What gates counted in so many milliseconds, as the loop is told of it.

    Args:
        counts: `COUNTS` numbers, of all gates together.
        span_ms: 1 or more.
    """
    return Measured(
        span_ms=span_ms,
        admitted=min(_MOST_ADMITTED, counts[_WEIGHT] * UNIT),
        newcomers=min(_MOST_NEWCOMERS, counts[_NEWCOMERS]),
        queue=counts[_FILL] // max(1, counts[_LOOKS]),
        delay_ms=_delay_ms(counts[-len(_DELAY_BOUNDS_S) :]),
    )


def _delay_ms(delays: Sequence[int]) -> int:
    """What 95 of 100 are below of; rather too long, so that the loop does not swing."""
    most = 19 * sum(delays)
    if not most:
        return 0
    passed = accumulate(delays)
    place = next(place for place, count in enumerate(passed) if 20 * count >= most)
    return _DELAY_BOUNDS_S[place] * 1000 - 1

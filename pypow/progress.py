# SPDX-License-Identifier: Apache-2.0
"""How far a solve has come, and what can be said about the time ahead."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a solve has come.

    Attributes:
        hashes: tried so far, all threads and sub-puzzles together.
        seconds: wall time so far.
        expected_hashes: what the whole takes on average.
        puzzle: index of the sub-puzzle being ground.
        puzzles: how many there are.
        puzzle_hashes: tried so far in this sub-puzzle.
    """

    hashes: int
    seconds: float
    expected_hashes: float
    puzzle: int
    puzzles: int
    puzzle_hashes: int

    @property
    def rate(self) -> float:
        """Hashes per second so far."""
        return self.hashes / self.seconds if self.seconds > 0 else 0.0

    @property
    def share(self) -> float:
        """How much is likely done, 0 to 1.

        Tries are independent: the chance to have won within h of e expected is 1 - exp(-h/e).
        """
        likely = -math.expm1(-self.puzzle_hashes * self.puzzles / self.expected_hashes)
        return (self.puzzle + likely) / self.puzzles

    @property
    def eta_s(self) -> float:
        """Expected seconds still to go; the past does not shorten a memoryless search."""
        left = self.expected_hashes * (self.puzzles - self.puzzle) / self.puzzles
        return left / self.rate if self.rate > 0 else math.inf

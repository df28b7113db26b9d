# SPDX-License-Identifier: Apache-2.0
"""Who comes most often, out of any number, in bounded memory.

Misra and Gries, "Finding repeated elements" (1982), merged as Agarwal et al., "Mergeable
summaries" (2012): counts are never too high, and too low by at most `Frequent.missed`.
"""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Frequent(Generic[Key]):
    """Counts of the most frequent keys.

    Attributes:
        counts: at least so often each of these came.
        missed: at most so often more any key came, whether it is among them or not. With room for
            m keys, after n calls it is no more than n / (m + 1).
    """

    def __init__(self, room: int) -> None:
        """Begin with none.

        Args:
            room: for how many keys.
        """
        self._room = room
        self.counts: dict[Key, int] = {}
        self.missed = 0

    def add(self, key: Key) -> None:
        """Count one. Takes constant time on average, whatever comes."""
        counts = self.counts
        if key in counts:
            counts[key] += 1
        elif len(counts) < self._room:
            counts[key] = 1
        else:
            # The new one and one of each that is kept leave together.
            self._lower(1)

    def merge(self, other: "Frequent[Key]") -> None:
        """Count what another has counted."""
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count
        self.missed += other.missed
        if len(self.counts) > self._room:
            self._lower(sorted(self.counts.values(), reverse=True)[self._room])

    def top(self, number: int) -> Mapping[Key, int]:
        """The most frequent, first the one that came most often."""
        found = sorted(self.counts.items(), key=lambda item: item[1], reverse=True)
        return dict(found[:number])

    def _lower(self, by: int) -> None:
        self.missed += by
        self.counts = {key: count - by for key, count in self.counts.items() if count > by}

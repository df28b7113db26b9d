# SPDX-License-Identifier: Apache-2.0
"""The last spans of time, and what happened in each: old ones go as new ones come."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


class RecentSpans(Generic[Kept]):
    """Something for each of the last spans of equal width; none for those where nothing was.

    Whatever clocks do, no more than ``count`` are kept.
    """

    def __init__(self, make: Callable[[], Kept], *, width_ms: int, count: int) -> None:
        """Begin with none.

        Args:
            make: what a span begins with.
            width_ms: milliseconds of each.
            count: how many.
        """
        self._make = make
        self._width_ms = width_ms
        self._count = count
        self._spans: dict[int, Kept] = {}

    @property
    def width_ms(self) -> int:
        """Milliseconds of each span."""
        return self._width_ms

    def at(self, at_ms: int) -> Kept:
        """What is kept for a moment, in Unix milliseconds; made if there is none."""
        number = at_ms // self._width_ms
        found = self._spans.get(number)
        if found is None:
            found = self._spans[number] = self._make()
            if len(self._spans) > self._count:
                # The first that was made: by its number a clock set back would lose the newest.
                del self._spans[next(iter(self._spans))]
        return found

    def last(self, now_ms: int) -> Iterator[tuple[int, Kept | None]]:
        """The last spans up to now, oldest first: when each began, and what is kept of it."""
        newest = now_ms // self._width_ms
        for number in range(newest - self._count + 1, newest + 1):
            yield number * self._width_ms, self._spans.get(number)

# SPDX-License-Identifier: Apache-2.0
"""What every gate in the laboratory can be asked, and the queue that most of them have."""

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from .callers import Floats, Rows


def nobody() -> Rows:
    """No rows."""
    return np.zeros(0, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class Offers:
    """What rows were told when they asked.

    Attributes:
        bits: the price now; minus infinity is no work, infinity is not for work.
        wait_s: the price is lowest after so many seconds.
    """

    bits: Floats
    wait_s: Floats


@dataclass(frozen=True, slots=True)
class Turned:
    """Rows that are not in the queue, or no longer.

    Attributes:
        away: there was no room for them.
        back: what they hold is not enough now; they have to ask again.
    """

    away: Rows = field(default_factory=nobody)
    back: Rows = field(default_factory=nobody)


class Gate(Protocol):
    """A controller and its queue. Time is in seconds from the beginning of the run.

    Attributes:
        puzzles: sub-puzzles of one challenge.
        outstanding: puzzles of one principal that are worth solving side by side.
        keeps_proofs: whether a proof that found no room is as good the next time.
    """

    puzzles: int
    outstanding: int
    keeps_proofs: bool

    def ask(self, rows: Rows, now: float, /) -> Offers:
        """The price for each row."""
        ...

    def present(self, rows: Rows, now: float, /) -> Turned:
        """Rows come with what they were asked for, in this order; who stays is in the queue."""
        ...

    def serve(self, room: int, now: float, /) -> tuple[Rows, Turned]:
        """At most ``room`` rows that the server takes now, and who leaves the queue otherwise."""
        ...

    def second(self, now: float, /) -> None:
        """A second has passed."""
        ...


class Order(Protocol):
    """Who waits for the server, and who goes next."""

    def join(self, rows: Rows, now: float, /) -> Turned:
        """Rows come to wait; some find no room, or have to make room."""
        ...

    def leave(self, room: int, now: float, /) -> tuple[Rows, Turned]:
        """Who goes next, and who has waited too long."""
        ...


class Line:
    """First come, first served; who finds it full is turned away."""

    def __init__(self, room: int, longest_s: float) -> None:
        self._room, self._longest_s = room, longest_s
        self._waiting: deque[tuple[int, float]] = deque()

    def join(self, rows: Rows, now: float, /) -> Turned:
        """Take rows as long as there is room."""
        room = max(0, self._room - len(self._waiting))
        self._waiting.extend((int(row), now) for row in rows[:room])
        return Turned(away=rows[room:])

    def leave(self, room: int, now: float, /) -> tuple[Rows, Turned]:
        """The first ``room`` rows; before them go those that have waited too long."""
        late = []
        # Waiting as long as the whole line takes is not too long.
        while self._waiting and now - self._waiting[0][1] > self._longest_s + 1e-6:
            late.append(self._waiting.popleft()[0])
        first = [self._waiting.popleft()[0] for _ in range(min(room, len(self._waiting)))]
        return np.array(first, dtype=np.intp), Turned(away=np.array(late, dtype=np.intp))

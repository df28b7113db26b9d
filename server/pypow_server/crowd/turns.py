# SPDX-License-Identifier: Apache-2.0
"""Whose call begins next, where more come than the upstream serves.

Calls begin at the pace that the upstream keeps; what comes faster waits in `pypow.admission.Queue`,
the order that the laboratory plays. While there is room and nobody waits, a call begins at once.
Nothing here spends anything: whoever is sent away holds a proof as good as before.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Final

from pypow.admission import Lane, Queue, Waiting
from pypow.tariff import UNIT

from .passing import Passing

SOJOURN_MS: Final = 2_000
"""How long a call waits at most; and so many milliseconds of capacity may wait."""

_SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000

_BURST_NS: Final = 100 * _MS
"""So much of the capacity may begin at once, and one call at least."""

_WAKING_NS: Final = _MS
"""The soonest that it pays to come back; the burst makes up for what is late."""


class Turns:
    """The turns of one upstream. All of it runs in one event loop.

    A turn is taken before a call is spent and charged, and given back where that is refused. So in
    any time no more begins than the capacity of that time and one burst; and, where the last call
    of the burst is heavier than one of the default price, what it is heavier by.

    Attributes:
        capacity: weight that the upstream serves in a second, in millionths of a call of the
            default price; None where nobody has to wait.
        clock: nanoseconds; never goes back.
        passing: turns of late that no account tells of.
    """

    def __init__(
        self,
        capacity: int | None = None,
        *,
        gates: Callable[[], int] = lambda: 1,
        draw: Callable[[int], int] = secrets.randbelow,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Nobody waits yet.

        Args:
            capacity: as the attribute.
            gates: how many gates share the upstream, as of now; each begins its part.
            draw: as `pypow.admission.Queue` has it.
            clock: nanoseconds; never goes back.
        """
        self._gates = gates
        self.clock = clock
        self.passing = Passing()
        self._shared_by = 1
        self._call_ns = 0
        self._ahead_ns = 0
        self._room_at = clock() - _BURST_NS
        self._queue = Queue(1, draw, sojourn_ms=SOJOURN_MS)
        self._turns: dict[Hashable, asyncio.Future[bool]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._asked_at = self._noted_at = clock()
        self._filled = 0
        self._closed = False
        self.capacity: int | None = None
        self.serve(capacity)

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._queue)

    @property
    def places(self) -> int:
        """How many may wait at once."""
        return self._queue.places

    def mean_fill(self) -> int:
        """How full the queue was on average since this was asked last, 0 to 1024."""
        self._note_fill()
        now = self.clock()
        over, filled = now - self._asked_at, self._filled
        self._asked_at, self._filled = now, 0
        return filled // over if over else 0

    def serve(self, capacity: int | None) -> None:
        """Go on at another pace; where nobody has to wait any longer, all who do begin."""
        self.capacity = capacity
        if capacity is None:
            while (call := self._queue.take()) is not None:
                self._tell(call, turn=True)
        else:
            self._divide(capacity, self._gates())
            self._go_on()

    def begin(self, weight: int) -> bool:
        """Take a turn, if there is room and nobody waits.

        Args:
            weight: of the call, in calls of the default price.
        """
        if self.capacity is None:
            return True
        if self._queue or not self._has_room():
            return False
        self._take(weight)
        return True

    def give_back(self, weight: int) -> None:
        """A turn came to nothing: the next may have it."""
        self._room_at -= weight * self._call_ns
        self._go_on()

    async def wait(
        self, ticket: Hashable, principal: Hashable, lane: Lane, score: int, weight: int
    ) -> bool:
        """Wait for a turn, and take it.

        Args:
            ticket: names the call for `leave`; no other that waits has it.
            principal: whose call it is.
            lane: where it waits.
            score: of its principal.
            weight: of the call, in calls of the default price.

        Returns:
            Whether it has its turn; else it was sent away, left, or waits already.
        """
        if self.capacity is None:
            return True
        if self._closed or ticket in self._turns:
            return False
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._turns[ticket] = turn
        self._note_fill()
        call = Waiting(ticket, principal, lane, score, self._now_ms(), weight)
        sent = self._queue.join(call)
        if sent is not None:
            self._tell(sent, turn=False)
        if self._timer is None:
            self._go_on()
        try:
            return await turn
        except asyncio.CancelledError:
            self.leave(ticket)
            if turn.done() and not turn.cancelled() and turn.result():
                self.give_back(weight)
            raise

    def leave(self, ticket: Hashable) -> None:
        """Forget a call whose caller went away, if it waits."""
        self._note_fill()
        call = self._queue.leave(ticket)
        if call is not None:
            self._tell(call, turn=False)

    def close(self) -> None:
        """Send away whoever waits; from now on nobody does."""
        self._closed = True
        for ticket in tuple(self._turns):
            self.leave(ticket)

    def _divide(self, capacity: int, gates: int) -> None:
        call_ns = -(-_SECOND * UNIT * gates // capacity)
        if self._call_ns:  # what was taken ahead is as many calls as before
            now = self.clock()
            self._room_at = now + (self._room_at - now) * call_ns // self._call_ns
        self._shared_by = gates
        self._call_ns = call_ns
        self._ahead_ns = max(0, _BURST_NS - call_ns)
        places = SOJOURN_MS * capacity // (1000 * UNIT * gates)
        self._send_away(self._queue.resize(max(1, places)))

    def _has_room(self) -> bool:
        assert self.capacity is not None
        if self._gates() != self._shared_by:
            self._divide(self.capacity, self._gates())
        return self.clock() >= self._room_at

    def _take(self, weight: int) -> None:
        # What is left unused for longer than the burst is lost.
        earliest = self.clock() - self._ahead_ns
        self._room_at = max(self._room_at, earliest) + weight * self._call_ns

    def _go_on(self) -> None:
        """Give out what turns there are, and come back for the next."""
        self._note_fill()
        self._send_away(self._queue.expire(self._now_ms()))
        while self._queue and self._has_room():
            call = self._queue.take()
            assert call is not None
            if self._tell(call, turn=True):
                self._take(call.weight)
        self._come_back()

    def _come_back(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        late_at_ms = self._queue.late_at_ms
        if late_at_ms is not None:
            due_ns = min(self._room_at, late_at_ms * _MS) - self.clock()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(due_ns, _WAKING_NS) / _SECOND, self._go_on)

    def _send_away(self, calls: Iterable[Waiting]) -> None:
        for call in calls:
            self._tell(call, turn=False)

    def _tell(self, call: Waiting, *, turn: bool) -> bool:
        """Tell whoever waits; False where nobody does any longer."""
        told = self._turns.pop(call.ticket)
        if told.done():
            return False
        told.set_result(turn)
        return True

    def _note_fill(self) -> None:
        now = self.clock()
        self._filled += self._queue.fill * (now - self._noted_at)
        self._noted_at = now

    def _now_ms(self) -> int:
        return self.clock() // _MS

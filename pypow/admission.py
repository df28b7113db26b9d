# SPDX-License-Identifier: Apache-2.0
"""Who is served next when more wait than can be served, and who is sent away to wait elsewhere.

Callers wait in lanes. Within a lane the least served principal goes first; a part of all turns is
drawn by lot, so that nobody is forgotten. Nothing here spends anything: whoever is sent away holds
a proof that is as good as before. The same queue runs in the gate and in the laboratory; it is
deterministic but for the lots, which are drawn by whoever makes it.

    sent = queue.join(call)              # after `pypow.pricing.may_redeem`
    call = queue.take()                  # when there is room upstream
    pypow.pricing.redeem(...)            # looks again, and charges: its turn may come to nothing
"""

import enum
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from .errors import InvalidInputError, shown
from .pricing import Principal, is_known
from .tariff import MAX_WEIGHT, Constants, require_within

_WHOLE: Final = 1024
"""Shares are fractions of this; so are scores, of one call."""


class Lane(enum.IntEnum):
    """In which order callers are served."""

    PAID = 0
    KNOWN = 1
    NEW = 2


@dataclass(frozen=True, slots=True)
class Shares:
    """How turns are divided while several lanes wait, in 1/1024; unused shares flow on.

    Attributes:
        lottery: of all turns, drawn among the principals that wait.
        new: of the rest, that newcomers have for certain, and of the places.
        paid: of the rest, in which those who paid go first, and of the places.
    """

    lottery: int = 256
    new: int = 205
    paid: int = 410

    def __post_init__(self) -> None:
        require_within("lottery", self.lottery, 0, _WHOLE)
        require_within("new", self.new, 0, _WHOLE)
        require_within("paid", self.paid, 0, _WHOLE - self.new)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One call that waits.

    Attributes:
        ticket: by which the owner of the queue knows it; no two that wait have the same.
        principal: whose it is.
        lane: where it waits.
        score: of its principal (`pypow.pricing.score`); the lowest goes first.
        since_ms: when it joined, Unix ms.
        weight: what it costs, in units; shares of turns are shares of weight.
    """

    ticket: Hashable
    principal: Hashable
    lane: Lane
    score: int
    since_ms: int
    weight: int = 1

    def __post_init__(self) -> None:
        require_within("weight", self.weight, 1, MAX_WEIGHT)


def lane_of(principal: Principal, constants: Constants, now_ms: int, *, paid: bool) -> Lane:
    """Where a principal waits; ``paid`` is whether it brought money or a login that has a lane."""
    if paid:
        return Lane.PAID
    return Lane.KNOWN if is_known(principal.leaf, constants, now_ms) else Lane.NEW


@dataclass(slots=True)
class _Party:
    """What one principal has waiting in one lane: the first in the order it came."""

    key: tuple[Lane, Hashable]
    order: int
    score: int
    calls: deque[Waiting] = field(default_factory=deque)
    lot: int = 0

    @property
    def best(self) -> tuple[int, int]:
        return self.score, self.order

    @property
    def worst(self) -> tuple[int, int]:
        """Each earlier call of the same principal is one call more served."""
        return self.score + (len(self.calls) - 1) * _WHOLE, self.order


class _Ranking:
    """The parties of one lane, by the score of the first call and by that of the last."""

    __slots__ = ("_best", "_worst", "calls")

    def __init__(self) -> None:
        self._best: list[tuple[tuple[int, int], _Party]] = []
        self._worst: list[tuple[tuple[int, int], _Party]] = []
        self.calls = 0

    def add(self, party: _Party) -> None:
        insort(self._best, (party.best, party), key=_rank)
        insort(self._worst, (party.worst, party), key=_rank)
        self.calls += len(party.calls)

    def remove(self, party: _Party) -> None:
        del self._best[bisect_left(self._best, party.best, key=_rank)]
        del self._worst[bisect_left(self._worst, party.worst, key=_rank)]
        self.calls -= len(party.calls)

    def first(self) -> _Party:
        return self._best[0][1]

    def last(self) -> _Party:
        return self._worst[-1][1]


def _rank(entry: tuple[tuple[int, int], _Party]) -> tuple[int, int]:
    return entry[0]


class Queue:
    """The calls that wait for one upstream."""

    __slots__ = (
        "_by_ticket",
        "_draw",
        "_lanes",
        "_lots",
        "_order",
        "_owed",
        "_owed_lottery",
        "_parties",
        "_places",
        "_shares",
        "_sojourn_ms",
    )

    def __init__(
        self,
        places: int,
        draw: Callable[[int], int],
        *,
        shares: Shares | None = None,
        sojourn_ms: int = 2000,
    ) -> None:
        """Make an empty queue.

        Args:
            places: how many calls may wait: two seconds of capacity is a good length.
            draw: gives a number from 0 to one less than its argument; `secrets.randbelow` where
                callers must not foresee it, ``random.Random(seed).randrange`` in a laboratory.
            shares: how turns are divided.
            sojourn_ms: how long a call may wait.

        Raises:
            InvalidInputError: no such number of places, or time.
        """
        require_within("places", places, 1, 1 << 20)
        require_within("sojourn_ms", sojourn_ms, 1, 600_000)
        self._places = places
        self._draw = draw
        self._shares = shares or Shares()
        self._sojourn_ms = sojourn_ms
        self._lanes = {lane: _Ranking() for lane in Lane}
        self._parties: dict[tuple[Lane, Hashable], _Party] = {}
        self._lots: list[_Party] = []
        self._by_ticket: dict[Hashable, Waiting] = {}
        self._owed = {Lane.PAID: 0, Lane.NEW: 0}
        self._owed_lottery = 0
        self._order = 0

    def __len__(self) -> int:
        return len(self._by_ticket)

    @property
    def places(self) -> int:
        """How many calls may wait."""
        return self._places

    @property
    def fill(self) -> int:
        """How full it is, in 1/1024."""
        return len(self) * _WHOLE // self._places

    @property
    def late_at_ms(self) -> int | None:
        """When somebody will have waited too long; None when nobody waits."""
        for call in self._by_ticket.values():
            return call.since_ms + self._sojourn_ms + 1
        return None

    def join(self, call: Waiting) -> Waiting | None:
        """Let a call wait.

        Returns:
            The call that is sent away for it, which may be this very one; None while there is
            room. What is sent away was not spent.

        Raises:
            InvalidInputError: its ticket waits already.
        """
        if call.ticket in self._by_ticket:
            raise InvalidInputError(f"expected a ticket of its own, got {shown(call.ticket)} again")
        party = self._withdraw((call.lane, call.principal))
        party.score = call.score
        party.calls.append(call)
        self._by_ticket[call.ticket] = call
        self._restore(party)
        if len(self) <= self._places:
            return None
        return self._drop(self._worst())

    def resize(self, places: int) -> list[Waiting]:
        """Have another number of places from now on; who is left without one is sent away.

        Raises:
            InvalidInputError: no such number of places.
        """
        require_within("places", places, 1, 1 << 20)
        self._places = places
        return [self._drop(self._worst()) for _ in range(len(self) - places)]

    def leave(self, ticket: Hashable) -> Waiting | None:
        """Forget a call whose caller went away; None when it does not wait."""
        call = self._by_ticket.get(ticket)
        return call and self._drop(call)

    def expire(self, now_ms: int) -> list[Waiting]:
        """Send away what has waited too long. It was not spent."""
        late = []
        for call in self._by_ticket.values():
            if now_ms - call.since_ms <= self._sojourn_ms:
                break
            late.append(call)
        return [self._drop(call) for call in late]

    def take(self) -> Waiting | None:
        """Whose turn it is; None when nobody waits."""
        if not self._by_ticket:
            return None
        by_lot = self._shares.lottery > 0 and self._owed_lottery >= 0
        party = self._lots[self._draw(len(self._lots))] if by_lot else self._in_order()
        call = party.calls[0]
        self._owed_lottery += call.weight * (self._shares.lottery - _WHOLE * by_lot)
        if not by_lot:
            self._settle(call)
        self._drop(call)
        if party.calls:  # it was served once more, which its next turn has to wait for
            self._withdraw(party.key)
            party.score += call.weight * _WHOLE
            self._restore(party)
        return call

    def _in_order(self) -> _Party:
        waiting = [lane for lane in Lane if self._lanes[lane].calls]
        for lane in (Lane.NEW, Lane.PAID):
            if lane in waiting and self._owed[lane] >= 0 and self._share(lane):
                return self._lanes[lane].first()
        chosen = Lane.KNOWN if Lane.KNOWN in waiting else waiting[0]
        return self._lanes[chosen].first()

    def _settle(self, served: Waiting) -> None:
        """Nothing is owed for turns that nobody else wanted, nor to a lane where nobody waited."""
        waiting = [lane for lane in Lane if self._lanes[lane].calls]
        if len(waiting) < 2:
            return
        for lane in self._owed:
            if lane in waiting:
                due = self._share(lane) - _WHOLE * (lane is served.lane)
                self._owed[lane] += served.weight * due

    def _share(self, lane: Lane) -> int:
        return {
            Lane.PAID: self._shares.paid,
            Lane.KNOWN: _WHOLE - self._shares.paid - self._shares.new,
            Lane.NEW: self._shares.new,
        }[lane]

    def _worst(self) -> Waiting:
        """Of the last lane that has more than its share of the places: one has, of too many."""
        overfull = max(
            lane
            for lane in Lane
            if self._lanes[lane].calls * _WHOLE > self._share(lane) * self._places
        )
        return self._lanes[overfull].last().calls[-1]

    def _drop(self, call: Waiting) -> Waiting:
        party = self._withdraw((call.lane, call.principal))
        if party.calls[-1] is call:  # as who is sent away always is
            party.calls.pop()
        else:
            party.calls.remove(call)
        del self._by_ticket[call.ticket]
        if party.calls:
            self._restore(party)
        return call

    def _withdraw(self, key: tuple[Lane, Hashable]) -> _Party:
        """Take a party out of all orders, to be changed; a new one if there is none."""
        party = self._parties.pop(key, None)
        if party is None:
            self._order += 1
            return _Party(key, self._order, 0)
        self._lanes[key[0]].remove(party)
        last = self._lots.pop()
        if last is not party:
            self._lots[party.lot] = last
            last.lot = party.lot
        return party

    def _restore(self, party: _Party) -> None:
        self._parties[party.key] = party
        self._lanes[party.key[0]].add(party)
        party.lot = len(self._lots)
        self._lots.append(party)

# SPDX-License-Identifier: Apache-2.0
"""Laws of other systems that set a price, each as a small double with its source.

They stand before a queue that serves whoever came first. What no published value fixes is the
same for all: 18 bits at rest, so that a loop in Python with hashlib answers in a third of a
second.
"""

import math
from collections import deque

import numpy as np

from .callers import Callers, Floats, Rows
from .gates import Line, Offers, Order, Turned
from .world import World

REST_BITS = 18.0


class Price:
    """A law: what the next challenge costs. This one costs the same for everybody, always."""

    def __init__(self, bits: float = REST_BITS) -> None:
        self._bits = bits

    def bits(self, who: Rows, _now: float, /) -> Floats:
        """The price for each of these principals, who fetch their challenges in this order."""
        return np.full(len(who), self._bits)

    def served(self, _who: Rows, _now: float, /) -> None:
        """These principals were admitted."""

    def second(self) -> None:
        """A second has passed."""


class PricedGate:
    """A law before a plain queue."""

    puzzles = 1
    outstanding = 1_000_000
    keeps_proofs = True

    def __init__(self, callers: Callers, world: World, price: Price) -> None:
        self._callers, self._price = callers, price
        self._line = Line(world.room, world.queue_s)

    def ask(self, rows: Rows, now: float, /) -> Offers:
        """See `Gate`."""
        return Offers(self._price.bits(self._callers.who[rows], now), np.zeros(len(rows)))

    def present(self, rows: Rows, now: float, /) -> Turned:
        """See `Gate`."""
        return self._line.join(rows, now)

    def serve(self, room: int, now: float, /) -> tuple[Rows, Turned]:
        """See `Gate`."""
        served, turned = self._line.leave(room, now)
        self._price.served(self._callers.who[served], now)
        return served, turned

    def second(self, _now: float, /) -> None:
        """See `Gate`."""
        self._price.second()


class McaptchaLevels(Price):
    """mCaptcha: levels by the challenges fetched in the last 30 s.

    mCaptcha/libmcaptcha 049bdd9, ``src/mcaptcha.rs`` and ``src/defense.rs``. As coded, a fetch
    moves the level by one: up when the count is above the threshold of the level that holds now,
    else down, so that between two thresholds it changes at every fetch. As intended, the level is
    how many thresholds the count has passed. Thresholds are those of its easy mode for an average
    of 10 and a peak of 50 visits a second.
    """

    _SPAN_S = 30.0
    _LEVELS = ((300, 50e3), (1500, 3e6), (2250, 5e6))

    def __init__(self, *, as_coded: bool) -> None:
        super().__init__()
        self._as_coded = as_coded
        self._fetched: deque[float] = deque()
        self._level = 0

    def bits(self, who: Rows, now: float, /) -> Floats:
        """See `Price`."""
        while self._fetched and self._fetched[0] <= now - self._SPAN_S:
            self._fetched.popleft()
        return np.array([self._fetch(now) for _ in who])

    def _fetch(self, now: float) -> float:
        self._fetched.append(now)
        count = len(self._fetched)
        if self._as_coded:
            up = count > self._LEVELS[self._level][0]
            self._level = min(max(self._level + (1 if up else -1), 0), len(self._LEVELS) - 1)
        else:
            self._level = sum(count > threshold for threshold, _ in self._LEVELS[:-1])
        return math.log2(self._LEVELS[self._level][1])


class Miden(Price):
    """The Miden faucet: hashes in proportion to the proofs accepted in the last 30 s.

    0xMiden/faucet 08ac822, ``crates/pow/src/lib.rs``: 2^16 times the tenth part of what is
    active, rounded up.
    """

    _SPAN_S = 30.0

    def __init__(self) -> None:
        super().__init__()
        self._accepted: deque[float] = deque()

    def bits(self, who: Rows, now: float, /) -> Floats:
        """See `Price`."""
        while self._accepted and self._accepted[0] <= now - self._SPAN_S:
            self._accepted.popleft()
        times = max(1, math.ceil((len(self._accepted) + 1) * 0.1))
        return np.full(len(who), 16 + math.log2(times))

    def served(self, who: Rows, now: float, /) -> None:
        """See `Price`."""
        self._accepted.extend([now] * len(who))


class PrivateCaptcha(Price):
    """Private Captcha, hosted by oneself: leaky buckets of the site and of each caller.

    PrivateCaptcha/PrivateCaptcha 21b522b, ``pkg/difficulty/algorithm.go``: half a bit for each
    doubling of 1 + level/8 of the caller, who leaks 12 a minute, and of 1 + level/(4 * leak) of
    the site, in steps of an eighth of a bit. The site's leak is learnt; here it has learnt the
    honest load.
    """

    _BASE_BITS = 16.0
    _LEAK_PER_S = 12 / 60
    _SPAN_S = 300.0

    def __init__(self, principals: int, honest_per_s: float) -> None:
        super().__init__()
        self._level = np.zeros(principals)
        self._seen = np.zeros(principals)
        self._honest_per_s = honest_per_s
        self._site = 0.0

    def bits(self, who: Rows, now: float, /) -> Floats:
        """See `Price`."""
        leaked = (now - self._seen[who]) * self._LEAK_PER_S
        self._level[who] = np.maximum(self._level[who] - leaked, 0)
        self._seen[who] = now
        np.add.at(self._level, who, 1)
        self._site += len(who)
        caller = np.log2(1 + self._level[who] / 8)
        site = math.log2(1 + self._site / (4 * self._honest_per_s * self._SPAN_S))
        found: Floats = self._BASE_BITS + np.round(8 * (caller + site) / 2) / 8
        return found

    def second(self) -> None:
        """See `Price`."""
        self._site = max(0.0, self._site - self._honest_per_s)


class Eip1559(Price):
    """A global price as Ethereum's base fee: at most an eighth up or down, here each second.

    ethereum/EIPs, EIP-1559: proportional to how far the load is from its target; here 80 % of
    capacity, and never below the price at rest.
    """

    _TARGET = 0.8

    def __init__(self, capacity: float) -> None:
        super().__init__()
        self._capacity, self._served = capacity, 0

    def served(self, who: Rows, _now: float, /) -> None:
        """See `Price`."""
        self._served += len(who)

    def second(self) -> None:
        """See `Price`."""
        used = self._served / self._capacity
        self._served = 0
        self._bits += math.log2(1 + (used - self._TARGET) / self._TARGET / 8)
        self._bits = max(self._bits, REST_BITS)


class TokenBucket:
    """No work at all: 60 calls at once and one a second for each principal.

    The plain limit that every comparison has to beat; a token is taken when a call is served.
    """

    puzzles = 1
    outstanding = 1_000_000
    keeps_proofs = True
    burst, per_s = 60.0, 1.0

    def __init__(self, callers: Callers, world: World) -> None:
        self._callers = callers
        self._tokens = np.full(len(callers.past), self.burst)
        self._seen = np.zeros(len(callers.past))
        self._line: Order = Line(world.room, world.queue_s)

    def ask(self, rows: Rows, now: float, /) -> Offers:
        """See `Gate`."""
        missing = np.maximum(1 - self.tokens(self._callers.who[rows], now), 0)
        return Offers(np.where(missing > 0, np.inf, -np.inf), missing / self.per_s)

    def present(self, rows: Rows, now: float, /) -> Turned:
        """See `Gate`."""
        empty = self.tokens(self._callers.who[rows], now) < 1
        return Turned(self._line.join(rows[~empty], now).away, rows[empty])

    def serve(self, room: int, now: float, /) -> tuple[Rows, Turned]:
        """See `Gate`."""
        served, turned = self._line.leave(room, now)
        self.take(served, now)
        return served, turned

    def second(self, _now: float, /) -> None:
        """See `Gate`."""

    def tokens(self, who: Rows, now: float) -> Floats:
        """What these principals have left."""
        self._tokens[who] = np.minimum(
            self._tokens[who] + (now - self._seen[who]) * self.per_s, self.burst
        )
        self._seen[who] = now
        return self._tokens[who]

    def take(self, rows: Rows, now: float) -> None:
        """One token for each row that was served."""
        who = self._callers.who[rows]
        self.tokens(who, now)
        np.subtract.at(self._tokens, who, 1)


class TorEffort:
    """Tor's onion services: callers bid, the highest effort is served first.

    Proposal 327, torproject/torspec 8961bb4 ("Service AIMD conditions", "Client-side effort
    control"): the suggested effort rises to what was paid on average when callers who followed it
    had to go or wait, and falls by a third when the queue is short; a caller who fails doubles
    his own (1.5 times from 1000 on), at least 8; honest ones stop at 10,000. Proof of work there
    is Equi-X; one unit of effort counts as 2^14 hashes here.
    """

    puzzles = 1
    outstanding = 1_000_000
    keeps_proofs = False
    _UNIT_BITS = 14.0
    _HIGHEST = 10_000.0

    def __init__(self, callers: Callers, world: World, period_s: float) -> None:
        self._callers, self._world = callers, world
        self._period_s, self._due = period_s, period_s
        self._effort = np.zeros(len(callers.who))
        self._queue: Rows = np.zeros(0, dtype=np.intp)
        self._since = np.zeros(0)
        self._suggested = 0.0
        self._enqueued = self._trimmed = 0.0
        self._handled = 0
        self._had_queue = False

    def ask(self, rows: Rows, _now: float, /) -> Offers:
        """See `Gate`."""
        failed = self._callers.failures[rows]
        tried = np.where(failed > 0, self._effort[rows], 0)
        raised = np.where(tried < 1000, tried * 2, tried * 1.5)
        effort = np.where(failed > 0, np.maximum(raised, 8), 0)
        effort = np.maximum(effort, self._suggested)
        honest = rows < self._callers.honest
        effort[honest] = np.minimum(effort[honest], self._HIGHEST)
        self._effort[rows] = effort
        with np.errstate(divide="ignore"):
            return Offers(np.log2(effort) + self._UNIT_BITS, np.zeros(len(rows)))

    def present(self, rows: Rows, now: float, /) -> Turned:
        """See `Gate`."""
        self._enqueued += float(self._effort[rows].sum())
        queue = np.append(self._queue, rows)
        since = np.append(self._since, np.full(len(rows), now))
        order = np.argsort(-self._effort[queue], kind="stable")
        # An overfull queue loses its lower half.
        keep = len(order) if len(order) <= self._world.room else self._world.room // 2
        self._queue, self._since = queue[order[:keep]], since[order[:keep]]
        return Turned(away=self._trim(queue[order[keep:]]))

    def serve(self, room: int, now: float, /) -> tuple[Rows, Turned]:
        """See `Gate`."""
        late = now - self._since > self._world.queue_s
        gone = self._trim(self._queue[late])
        queue, since = self._queue[~late], self._since[~late]
        self._had_queue |= len(queue) > self._world.capacity / 4
        self._handled += min(room, len(queue))
        self._queue, self._since = queue[room:], since[room:]
        return queue[:room], Turned(away=gone)

    def _trim(self, rows: Rows) -> Rows:
        if len(rows):
            self._trimmed = max(self._trimmed, float(self._effort[rows].max()))
        return rows

    def second(self, now: float, /) -> None:
        """See `Gate`."""
        if now < self._due:
            return
        self._due += self._period_s
        waiting = len(self._queue) and self._effort[self._queue].max() >= self._suggested
        if self._trimmed > self._suggested or (self._had_queue and waiting):
            paid = self._enqueued / max(self._handled, 1)
            self._suggested = max(self._suggested + 1, paid)
        elif len(self._queue) < self._world.capacity / 4:
            self._suggested *= 2 / 3
        self._enqueued = self._trimmed = 0.0
        self._handled, self._had_queue = 0, False

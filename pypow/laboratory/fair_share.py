# SPDX-License-Identifier: Apache-2.0
"""pypow's own gate: the prices of `pypow.pricing` and the queue of `pypow.admission`.

The same code decides in a running gate. What is left out to see what it is good for: the order of
admission (first come first served instead), standing (minutes in which a caller was served do not
count in that order), escalation (overdraft raises no price).
"""

from dataclasses import dataclass, field, replace

import numpy as np

from pypow import admission, pricing, steering
from pypow.pricing import UNIT, Account, Admission, Beyond, Principal, Quote, Wait
from pypow.tariff import Climate, Constants, Tariff

from .attack import Past
from .callers import Callers, Rows
from .gates import Line, Offers, Order, Turned
from .prices import TokenBucket
from .world import STEP_S, World

_DAY_MS = 86_400_000
_BEGIN_MS = 20_000 * _DAY_MS
"""Unix ms at which every run begins."""

_USED_MINUTES = 910
"""Of the 1,440 minutes of a day those in which one who calls at random once a minute was served."""

_NO_ESCALATION = 1 << 34
"""Micro-credits to a doubling: 17,000 calls, which nobody makes in a run."""

HOARD = 8
"""Puzzles of one principal that the slack at redeeming forgives: 2 bits of 4 calls each."""


def ms(now: float) -> int:
    """A moment of a run in Unix ms."""
    return _BEGIN_MS + round(now * 1000)


class Accounts:
    """What the gate remembers of every principal, made when it first looks.

    Attributes:
        tariff: the constants under the climate of the moment.
    """

    def __init__(self, callers: Callers, constants: Constants) -> None:
        self.tariff = Tariff(constants)
        self._past = callers.past
        self._known: dict[int, Principal] = {}

    def __getitem__(self, who: int) -> Principal:
        found = self._known.get(who)
        if found is None:
            found = self._known[who] = self._first_seen(self._past[who])
        return found

    def admit(self, who: int, now: float) -> None:
        """Charge a call, whatever it was paid with."""
        self._known[who] = pricing.admit(self[who], 1, self.tariff, ms(now)).principal

    def redeem(self, who: int, overdraft: int, now: float) -> Admission | Wait:
        """Charge a call if its proof is enough now."""
        found = pricing.redeem(overdraft, self[who], 1, self.tariff, ms(now))
        if isinstance(found, Admission):
            self._known[who] = found.principal
        return found

    def _first_seen(self, past: Past) -> Principal:
        constants = self.tariff.constants
        account = Account.new(constants, _BEGIN_MS)
        match past:
            case Past.NONE:
                return Principal(account)
            case Past.AGED:
                return Principal(replace(account, first_ms=_BEGIN_MS - _DAY_MS), identified=True)
            case Past.FARMED | Past.USED:
                # A call a minute, each forgotten by half after the half-life.
                recent = round(1024 * constants.served_half_life_ms / 60_000 / np.log(2))
                used = Account(
                    credit=constants.burst,
                    assured=constants.burst_min,
                    served=recent if past is Past.USED else 0,
                    minutes=_USED_MINUTES,
                    last_minute=_BEGIN_MS // 60_000 - 1,
                    first_ms=_BEGIN_MS - _DAY_MS,
                    at_ms=_BEGIN_MS,
                )
                return Principal(used, identified=True)


class FairOrder:
    """The gate's queue: least served first, with lanes, shares and lots."""

    def __init__(
        self, callers: Callers, world: World, accounts: Accounts, *, standing: bool = True
    ) -> None:
        self._callers, self._accounts, self._standing = callers, accounts, standing
        self.queue = admission.Queue(
            world.room, callers.draw, sojourn_ms=round(world.queue_s * 1000)
        )

    def join(self, rows: Rows, now: float, /) -> Turned:
        """See `Order`."""
        away = []
        for row, who in zip(rows.tolist(), self._callers.who[rows].tolist(), strict=True):
            sent = self.queue.join(self._call(row, who, ms(now)))
            if sent is not None:
                away.append(sent.ticket)
        return Turned(away=np.array(away, dtype=np.intp))

    def _call(self, row: int, who: int, now_ms: int) -> admission.Waiting:
        principal, constants = self._accounts[who], self._accounts.tariff.constants
        leaf = principal.leaf if self._standing else replace(principal.leaf, minutes=0)
        return admission.Waiting(
            ticket=row,
            principal=who,
            lane=admission.lane_of(principal, constants, now_ms, paid=False),
            score=pricing.score(leaf, constants, now_ms),
            since_ms=now_ms,
        )

    def leave(self, room: int, now: float, /) -> tuple[Rows, Turned]:
        """See `Order`."""
        late = [call.ticket for call in self.queue.expire(ms(now))]
        taken = [self.queue.take() for _ in range(min(room, len(self.queue)))]
        served = [call.ticket for call in taken if call is not None]
        return np.array(served, dtype=np.intp), Turned(away=np.array(late, dtype=np.intp))


@dataclass(slots=True)
class _Second:
    """What the loop over the climate is told."""

    admitted: int = 0
    newcomers: int = 0
    fill: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)


class FairShareGate:
    """Prices by what each caller used, before a queue."""

    puzzles = 16
    keeps_proofs = True

    def __init__(
        self,
        callers: Callers,
        world: World,
        constants: Constants | None = None,
        *,
        ordered: bool = True,
        standing: bool = True,
        escalating: bool = True,
    ) -> None:
        constants = constants or Constants()
        if not escalating:
            constants = replace(constants, credit_per_bit=_NO_ESCALATION)
        self.outstanding = HOARD if escalating else len(callers.who)
        self._callers, self._world = callers, world
        self._accounts = Accounts(callers, constants)
        self._loop = steering.Loop(capacity=round(world.capacity * UNIT))
        self._climate = Climate()
        self._order: Order = Line(world.room, world.queue_s)
        if ordered:
            self._order = FairOrder(callers, world, self._accounts, standing=standing)
        self._waiting = 0
        self._second = _Second()

    def ask(self, rows: Rows, now: float, /) -> Offers:
        """See `Gate`."""
        bits, wait = np.zeros(len(rows)), np.zeros(len(rows))
        for place, row in enumerate(rows.tolist()):
            principal = self._accounts[int(self._callers.who[row])]
            match pricing.quote(principal, 1, self._accounts.tariff, ms(now)):
                case Quote() as quoted:
                    bits[place] = quoted.q / 1024
                    wait[place] = quoted.free_in_ms / 1000
                    self._callers.surcharge[row] = quoted.overdraft
                case Beyond(retry_after_ms=later):
                    bits[place], wait[place] = np.inf, later / 1000
        return Offers(bits, wait)

    def present(self, rows: Rows, now: float, /) -> Turned:
        """See `Gate`."""
        # Only the first time: later ones say how full it is, not how long a puzzle takes.
        first = rows[self._callers.failures[rows] == 0]
        self._second.delays.extend((now - self._callers.signed[first]).tolist())
        good = np.array([self._redeems(row, now) for row in rows.tolist()], dtype=bool)
        turned = self._order.join(rows[good], now)
        self._waiting += int(good.sum()) - len(turned.away)
        return Turned(turned.away, rows[~good])

    def _redeems(self, row: int, now: float) -> bool:
        principal = self._accounts[int(self._callers.who[row])]
        surcharge = int(self._callers.surcharge[row])
        found = pricing.may_redeem(surcharge, principal, 1, self._accounts.tariff, ms(now))
        return not isinstance(found, Wait)

    def serve(self, room: int, now: float, /) -> tuple[Rows, Turned]:
        """See `Gate`."""
        self._second.fill.append(min(self._waiting / self._world.room, 1.0))
        served: list[int] = []
        away: list[int] = []
        back: list[int] = []
        while len(served) < room:
            taken, turned = self._order.leave(room - len(served), now)
            away += turned.away.tolist()
            if not len(taken):
                break
            for row in taken.tolist():
                (served if self._charge(row, now) else back).append(row)
        self._waiting -= len(served) + len(away) + len(back)
        self._second.admitted += len(served)
        return _rows(served), Turned(_rows(away), _rows(back))

    def _charge(self, row: int, now: float) -> bool:
        """Look again when the turn comes; whether the call is admitted."""
        surcharge = int(self._callers.surcharge[row])
        found = self._accounts.redeem(int(self._callers.who[row]), surcharge, now)
        if isinstance(found, Wait):
            return False
        self._second.newcomers += found.newcomer
        return True

    def second(self, _now: float, /) -> None:
        """See `Gate`."""
        told, self._second = self._second, _Second()
        delay = float(np.quantile(told.delays, 0.95)) if told.delays else 0.0
        measured = steering.Measured(
            span_ms=1000,
            admitted=told.admitted * UNIT,
            newcomers=told.newcomers,
            queue=round(1024 * sum(told.fill) * STEP_S),
            delay_ms=round(delay * 1000),
        )
        constants = self._accounts.tariff.constants
        self._climate = steering.steer(self._climate, measured, constants, self._loop)
        self._accounts.tariff = Tariff(constants, self._climate)


def _rows(found: list[int]) -> Rows:
    return np.array(found, dtype=np.intp)


class BucketBeforeFairOrder(TokenBucket):
    """A plain limit and no work, but the gate's queue behind it: what the order alone does."""

    def __init__(self, callers: Callers, world: World) -> None:
        super().__init__(callers, world)
        self._accounts = Accounts(callers, Constants())
        self._line = FairOrder(callers, world, self._accounts)

    def take(self, rows: Rows, now: float) -> None:
        """See `TokenBucket`; what was served counts in the order too."""
        super().take(rows, now)
        for who in self._callers.who[rows].tolist():
            self._accounts.admit(who, now)

# SPDX-License-Identifier: Apache-2.0
"""The laws of pricing as random traces: each plays one seed and says by how much a law was broken.

They play any `Controller`, so that wrong ones can be shown to be caught.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from pypow import pricing
from pypow.pricing import (
    UNIT,
    Account,
    Admission,
    Beyond,
    Climate,
    Constants,
    Level,
    Offered,
    Presented,
    Principal,
    Quote,
    Redeemable,
    Tariff,
    Wait,
)
from pypow.steering import lowest_z

START_MS = 1_800_000_000_000


@dataclass(frozen=True, slots=True)
class Controller:
    """What prices and charges."""

    quote: Callable[[Principal, int, Tariff, int], Offered] = pricing.quote
    may_redeem: Callable[[int, Principal, int, Tariff, int], Presented] = pricing.may_redeem
    admit: Callable[[Principal, int, Tariff, int], Admission] = pricing.admit


RIGHT = Controller()


def standing(constants: Constants, now_ms: int, *networks: Level, minutes: int = 500) -> Principal:
    """An identity that has been served for days, as a store that it is new to knows it."""
    leaf = Account.new(constants, now_ms, minutes=minutes, first_ms=now_ms - 10**8)
    return Principal(leaf, networks, identified=True)


def any_climate(draw: Random, constants: Constants) -> Climate:
    most = 2 * constants.max_entry_q * constants.newcomers_per_bit * UNIT // 1024
    return Climate(z=-draw.randint(0, -lowest_z(constants)), entry_excess=draw.randint(0, most))


def any_constants(draw: Random) -> Constants:
    """Constants over the ranges that operators may want."""
    rate_max = int(10 ** draw.uniform(4, 7))
    burst_min = draw.randint(1, 6) * UNIT
    return Constants(
        base_q=draw.randint(10, 24) * 1024 + draw.randint(0, 1023),
        max_overdraft_q=draw.randint(4, 18) * 1024,
        slack_q=draw.randint(0, 3 * 1024),
        rate_max=rate_max,
        rate_min=max(1, rate_max // draw.randint(1, 60)),
        burst_min=burst_min,
        burst_new=draw.randint(0, burst_min // UNIT) * UNIT,
        burst=burst_min + draw.randint(0, 100) * UNIT,
        credit_per_bit=draw.randint(1, 12) * UNIT // draw.choice((1, 2, 3)),
    )


def log_bound(constants: Constants, hashrate: float, seconds: float, weight: int = 1) -> float:
    """The most units that one principal may be admitted to in so much time, by calls of a weight.

    A call that is heavier than the guaranteed burst goes into debt for the rest of it at once.
    """
    per_bit = constants.credit_per_bit / UNIT
    slack = constants.slack_q / 1024 + 1 / 8  # a challenge rounds its surcharge up to 1/8 bit
    work = hashrate * seconds * math.log(2) / (per_bit * 2 ** (constants.base_q / 1024))
    earned = constants.rate_max / UNIT * seconds + constants.burst / UNIT
    at_once = max(0, weight - constants.burst_min / UNIT)
    return earned + slack * per_bit + per_bit * math.log2(1 + work) + at_once


class Hoarder:
    """One principal that fetches, solves, keeps and redeems as it likes, with so many hashes/s.

    A solve takes just as long as it is expected to; proofs never expire, which only helps it.
    """

    def __init__(
        self, controller: Controller, constants: Constants, hashrate: float, weight: int = 1
    ) -> None:
        self._controller = controller
        self._hashrate = hashrate
        self._weight = weight
        self.tariff = Tariff(constants)
        self.principal = Principal(
            Account.new(replace(constants, burst_new=constants.burst), START_MS)
        )
        self.seconds = 0.0
        self.admitted = 0
        self.unsolved: list[Quote] = []
        self.solved: list[int] = []

    @property
    def now_ms(self) -> int:
        return START_MS + int(self.seconds * 1000)

    def fetch(self, count: int) -> int:
        """Fetch challenges at once; how long to wait when none are sold, in ms."""
        offered = self._controller.quote(self.principal, self._weight, self.tariff, self.now_ms)
        if isinstance(offered, Beyond):
            return offered.retry_after_ms
        self.unsolved += [offered] * count
        return 0

    def solve(self, until_s: float) -> None:
        """Work off what was fetched, the cheapest first."""
        self.unsolved.sort(key=lambda offered: -offered.q)
        while self.unsolved:
            took = 2.0 ** (self.unsolved[-1].q / 1024) / self._hashrate
            if self.seconds + took > until_s:
                self.seconds = until_s
                return
            self.seconds += took
            self.solved.append(self.unsolved.pop().overdraft)

    def redeem(self) -> None:
        """Redeem what is redeemable now, the cheapest first."""
        self.solved.sort(reverse=True)
        kept = []
        while self.solved:
            overdraft = self.solved.pop()
            now_ms = self.now_ms
            presented = self._controller.may_redeem(
                overdraft, self.principal, self._weight, self.tariff, now_ms
            )
            if isinstance(presented, Wait):
                kept.append(overdraft)
                continue
            done = self._controller.admit(self.principal, self._weight, self.tariff, now_ms)
            self.principal = done.principal
            self.admitted += self._weight
        self.solved = kept


def excess_over_log_bound(controller: Controller, seed: int, steps: int = 40) -> float:
    """How many units a random attacker was admitted to above the log bound; negative is lawful."""
    draw = Random(seed)
    constants = any_constants(draw)
    hashrate = 10 ** draw.uniform(4, 13)
    weight = draw.choice((1, 1, 2, 30, 3000))
    attacker = Hoarder(controller, constants, hashrate, weight)
    end_s = 10 ** draw.uniform(1, 3.5)
    batch = draw.choice((1, 1, 5, 40))
    for _ in range(steps):
        wait_ms = attacker.fetch(draw.randint(1, batch))
        until_s = min(end_s, attacker.seconds + draw.expovariate(3 / end_s))
        attacker.solve(until_s)
        if draw.random() < 0.8:
            attacker.redeem()
        if wait_ms and draw.random() < 0.5:
            attacker.seconds = min(end_s, attacker.seconds + wait_ms / 1000)
        if draw.random() < 0.1:
            attacker.seconds = min(end_s, attacker.seconds + draw.expovariate(10 / end_s))
    attacker.redeem()
    bound = log_bound(constants, hashrate, attacker.seconds, weight)
    return attacker.admitted - bound


class Fund:
    """The bucket within which a known principal shall not depend on others."""

    def __init__(self, constants: Constants) -> None:
        self._rate = constants.rate_min
        self._most = constants.burst_min * 1000
        self._level = min(constants.burst_new, constants.burst_min) * 1000

    def earn(self, elapsed_ms: int) -> None:
        self._level = min(self._most, self._level + self._rate * elapsed_ms)

    def take(self, weight: int) -> bool:
        """Whether a call fits; the controller may lose a millionth of one at each."""
        cost = (weight * UNIT + 1) * 1000
        if self._level < cost:
            return False
        self._level -= cost
        return True


def dearest_surcharge_within_guarantee(controller: Controller, seed: int, steps: int = 12) -> int:
    """What others made a principal pay that kept within its guarantee, in 1/1024 bit; 0 is lawful.

    They crowd the resource, come as newcomers, and earn the networks debt that they share with an
    identity; an address, in every other trace, has networks to itself.
    """
    draw = Random(seed)
    constants = any_constants(draw)
    now_ms = START_MS
    networks = tuple(Level(Account.new(constants, now_ms), share) for share in (1, 16, 64))
    victim = replace(standing(constants, now_ms, *networks), identified=seed % 2 == 0)
    fund = Fund(constants)
    dearest = 0
    for _ in range(steps):
        elapsed_ms = int(10 ** draw.uniform(0, 6))
        now_ms += elapsed_ms
        fund.earn(elapsed_ms)
        tariff = Tariff(constants, any_climate(draw, constants))
        hostile = Principal(Account.new(constants, now_ms), victim.networks, identified=True)
        for _ in range(draw.randint(0, 3)):
            hostile = controller.admit(
                hostile, draw.choice((1, 50, 5000)), tariff, now_ms
            ).principal
        if victim.identified:
            victim = replace(victim, networks=hostile.networks)
        weight = draw.randint(1, 3)
        if not fund.take(weight):
            continue
        offered = controller.quote(victim, weight, tariff, now_ms)
        found = offered.quote if isinstance(offered, Beyond) else offered
        dearest = max(dearest, found.overdraft_q + found.entry_q)
        presented = controller.may_redeem(0, victim, weight, tariff, now_ms)
        if isinstance(presented, Wait):
            dearest = max(dearest, 1)
        victim = controller.admit(victim, weight, tariff, now_ms).principal
    return dearest


def proofs_made_to_wait(controller: Controller, seed: int) -> int:
    """Proofs made to wait though their principal used no more than the slack; 0 is lawful.

    Between issue and redeeming the load changes, the policy does, and another replica answers whose
    clock differs. Those of the old policy are judged by its constants.
    """
    draw = Random(seed)
    constants = any_constants(draw)
    slack = constants.slack_q * constants.credit_per_bit // 1024
    skew_ms = min(1000, slack * 250 // constants.rate_max)
    now_ms = START_MS
    principal = Principal(Account.new(constants, now_ms), identified=draw.random() < 0.5)
    tariff = Tariff(constants, any_climate(draw, constants))
    for _ in range(draw.randint(0, 12)):
        now_ms += int(10 ** draw.uniform(0, 5))
        principal = controller.admit(principal, draw.choice((1, 2, 30)), tariff, now_ms).principal
        tariff = Tariff(constants, any_climate(draw, constants))
    weight = draw.choice((1, 1, 3, 20, 200))
    offered = controller.quote(principal, weight, tariff, now_ms)
    if isinstance(offered, Beyond):
        return 0
    spare = slack // 2
    for _ in range(draw.randint(0, 3)):
        now_ms += draw.randint(0, 40_000)
        other = draw.choice((constants, any_constants(draw)))
        if spare >= UNIT and other.burst_min >= constants.burst_min:
            spare -= UNIT
            here = Tariff(other, any_climate(draw, other))
            principal = controller.admit(principal, 1, here, now_ms).principal
    now_ms += draw.randint(0, 1000) - skew_ms
    here = Tariff(constants, any_climate(draw, constants))
    presented = controller.may_redeem(offered.overdraft, principal, weight, here, now_ms)
    return 0 if isinstance(presented, Redeemable) else 1

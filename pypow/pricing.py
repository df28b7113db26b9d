# SPDX-License-Identifier: Apache-2.0
"""What a call costs whom, and when: fair-share exponential pricing.

Everybody earns credit, and may go into overdraft, where each `Constants.credit_per_bit` of it
doubles the price. So hash power counts only logarithmically, and nobody's price follows from what
others do, but for what a network shares. Quoting changes nothing; only `admit` does. Pure integer
arithmetic, with the time as a value: every replica, and the same rules in Lua, find the same bits.
"""

from dataclasses import dataclass
from typing import TypeAlias

from . import powers
from .accounts import (
    Account,
    Level,
    Principal,
    earned,
    has_standing,
    is_assured,
    is_known,
    score,
    serve,
    touch,
)
from .difficulty import STEPS_PER_BIT
from .errors import InvalidInputError
from .networks import Network, networks
from .tariff import (
    MAX_WEIGHT,
    OVERDRAFT_STEP_Q,
    UNIT,
    Climate,
    Constants,
    Tariff,
    require_within,
)

__all__ = [
    "OVERDRAFT_STEP_Q",
    "UNIT",
    "Account",
    "Admission",
    "Beyond",
    "Climate",
    "Constants",
    "Level",
    "Network",
    "Offered",
    "Presented",
    "Principal",
    "Quote",
    "Redeemable",
    "Tariff",
    "Wait",
    "admit",
    "has_standing",
    "is_known",
    "may_redeem",
    "missing_credit",
    "networks",
    "offered",
    "presented",
    "quote",
    "redeem",
    "score",
    "touch",
]


@dataclass(frozen=True, slots=True)
class Quote:
    """What a call costs now.

    Attributes:
        base_q: for anybody.
        weight_q: for the weight of the call.
        overdraft_q: for what the caller, or its network, used too much.
        entry_q: for newcomers when there are many.
        level: whose overdraft it is: 0 the leaf's, n that of ``networks[n - 1]``.
        free_in_ms: how long until nothing is in overdraft, if nobody calls meanwhile.
    """

    base_q: int
    weight_q: int
    overdraft_q: int
    entry_q: int
    level: int
    free_in_ms: int

    @property
    def q(self) -> int:
        """All of it: the difficulty, in 1/1024 bit."""
        return self.base_q + self.weight_q + self.overdraft_q + self.entry_q

    @property
    def is_base(self) -> bool:
        """Whether the caller pays what everybody pays, and nothing besides."""
        return not (self.overdraft_q or self.entry_q)

    @property
    def overdraft(self) -> int:
        """The surcharge as a challenge of difficulty `q` holds it: in 1/8 bit, rounded up."""
        return self.overdraft_at(self.q)

    def overdraft_at(self, q: int) -> int:
        """The surcharge that a challenge of another difficulty may claim.

        For callers that count whole zeros ``q`` is rounded. What it was rounded down by, they
        have not paid for; up to the slack, their proofs are redeemable all the same.
        """
        surcharge = self.overdraft_q + self.entry_q - max(0, self.q - q)
        return max(0, -(-surcharge // OVERDRAFT_STEP_Q))


@dataclass(frozen=True, slots=True)
class Beyond:
    """A call that is not sold now, because the price would be above a cap.

    Attributes:
        quote: what it would have cost.
        retry_after_ms: how long until a price is quoted again, if nobody calls meanwhile.
    """

    quote: Quote
    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class Redeemable:
    """A proof that pays for the call now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A proof that stays good, but was made for less overdraft than there is now.

    Attributes:
        retry_after_ms: how long until it is redeemable, if nobody calls meanwhile.
    """

    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class Admission:
    """What `admit` makes of a principal.

    Attributes:
        principal: with its accounts after the call, to be stored.
        newcomer: whether it was the leaf's first.
    """

    principal: Principal
    newcomer: bool


Offered: TypeAlias = Quote | Beyond
Presented: TypeAlias = Redeemable | Wait


def quote(principal: Principal, weight: int, tariff: Tariff, now_ms: int) -> Offered:
    """What a call of this weight costs now. Nothing is written, and no price moves.

    Args:
        principal: who asks.
        weight: 1 to 65535 units.
        tariff: the constants under the climate of the moment.
        now_ms: Unix ms.

    Returns:
        A `Quote`, or `Beyond` when it would pass a cap; prices are never cut to fit one.

    Raises:
        InvalidInputError: no such weight, or one so heavy that nobody could ever pay for it.
    """
    missing, level = missing_credit(principal, weight, tariff, now_ms)
    known = is_known(principal.leaf, tariff.constants, now_ms)
    return offered(missing, level, weight, tariff, known=known)


def offered(missing: int, level: int, weight: int, tariff: Tariff, *, known: bool) -> Offered:
    """The quote for what was found of a principal, here or in a store.

    Args:
        missing: how much credit the call lacks most, in micro-credits.
        level: where: 0 the leaf's, n that of ``networks[n - 1]``.
        weight: of the call, 1 to 65535 units.
        tariff: the constants under the climate of the moment.
        known: whether the principal is no newcomer.

    Raises:
        InvalidInputError: as `quote`.
    """
    constants = tariff.constants
    weight_q = _weight_q(weight, constants)
    overdraft_q = _bits_of(missing, constants)
    room = constants.max_q - constants.base_q - weight_q
    entry_q = 0 if known else min(tariff.entry_q, room)
    found = Quote(
        constants.base_q, weight_q, overdraft_q, entry_q, level, _earning_ms(missing, tariff.rate)
    )
    allowed_q = min(constants.max_overdraft_q, room - entry_q)
    if overdraft_q <= allowed_q:
        return found
    return Beyond(found, _earning_ms(missing - _credit_of(allowed_q, constants), tariff.rate))


def may_redeem(
    overdraft: int, principal: Principal, weight: int, tariff: Tariff, now_ms: int
) -> Presented:
    """Whether a proof that stands may be spent now.

    Only what was *used* since the challenge was issued can make it wait: no climate, base price
    or cap does. What newcomers pay besides is not looked at again.

    Args:
        overdraft: what the challenge says its surcharge was, in 1/8 bit.
        principal: who presents it.
        weight: of the call, 1 to 65535 units.
        tariff: the constants *under which the challenge was issued*, and the climate of the
            moment: so a new policy does not make finished work wait either.
        now_ms: Unix ms.

    Raises:
        InvalidInputError: no such weight or surcharge.
    """
    require_within("overdraft", overdraft, 0, 0xFF)
    require_within("weight", weight, 1, MAX_WEIGHT)
    missing, _ = missing_credit(principal, weight, tariff, now_ms)
    return presented(missing, overdraft, tariff)


def presented(missing: int, overdraft: int, tariff: Tariff) -> Presented:
    """Whether a proof may be spent, by what was found of its principal, here or in a store.

    Args:
        missing: how much credit the call lacks most, in micro-credits.
        overdraft: what was paid for besides, in 1/8 bit.
        tariff: as `may_redeem`.
    """
    constants = tariff.constants
    allowed_q = overdraft * OVERDRAFT_STEP_Q + constants.slack_q
    if _bits_of(missing, constants) <= allowed_q:
        return Redeemable()
    return Wait(_earning_ms(missing - _credit_of(allowed_q, constants), tariff.rate))


def redeem(
    overdraft: int, principal: Principal, weight: int, tariff: Tariff, now_ms: int
) -> Admission | Wait:
    """Look whether a proof may be spent now, and charge the call if so: one step of a store's.

    Calls that wait in a queue are looked at twice: with `may_redeem` before they join, and with
    this when their turn comes. Else all that one principal has waiting would pass the first look
    before any of it is charged. Arguments and errors are those of `may_redeem`.
    """
    presented = may_redeem(overdraft, principal, weight, tariff, now_ms)
    if isinstance(presented, Wait):
        return presented
    return admit(principal, weight, tariff, now_ms)


def admit(principal: Principal, weight: int, tariff: Tariff, now_ms: int) -> Admission:
    """Charge a call that is admitted to all whom it concerns.

    Args:
        principal: who was admitted.
        weight: of the call, 1 to 65535 units.
        tariff: the constants under the climate of the moment.
        now_ms: Unix ms.

    Raises:
        InvalidInputError: no such weight.
    """
    require_within("weight", weight, 1, MAX_WEIGHT)
    constants, leaf = tariff.constants, principal.leaf
    cost = weight * UNIT * constants.replicas
    standing = has_standing(principal, constants, now_ms)
    assured = standing and is_assured(principal, cost, constants, now_ms)
    charged = principal.networks
    if charged and not assured:
        charged = tuple(
            level
            if standing and level.share == 1
            else Level(touch(level.account, tariff, now_ms, cost // level.share), level.share)
            for level in charged
        )
    after = serve(leaf, weight, tariff, now_ms, cost=cost, assured=assured)
    return Admission(Principal(after, charged, principal.identified), leaf.minutes == 0)


def missing_credit(
    principal: Principal, weight: int, tariff: Tariff, now_ms: int
) -> tuple[int, int]:
    """How much credit a call lacks most, and at which level.

    A network pays a part of the cost but must have all of it, as its last caller must: so no
    number of addresses gets a call more than the share says. What is needed is never more than
    everybody's burst: else what a heavy call costs would depend on how crowded it is, and a proof
    could come to nothing without anybody having called.
    """
    constants = tariff.constants
    cost = weight * UNIT * constants.replicas
    leaf = principal.leaf
    missing, at = max(0, _lacking(leaf, cost, tariff, now_ms)), 0
    if not principal.networks:
        return missing, at
    standing = has_standing(principal, constants, now_ms)
    if standing and is_assured(principal, cost, constants, now_ms):
        return missing, at
    for index, level in enumerate(principal.networks, start=1):
        if not (standing and level.share == 1):
            lacking = _lacking(level.account, cost, tariff, now_ms)
            if lacking > missing:
                missing, at = lacking, index
    return missing, at


def _lacking(account: Account, cost: int, tariff: Tariff, now_ms: int) -> int:
    needed = min(cost, tariff.constants.burst_min)
    if account.credit >= needed:  # which time does not change: nothing is cut below burst_min
        return 0
    elapsed_ms = max(0, now_ms - account.at_ms)
    return needed - earned(account.credit, tariff.rate, tariff.burst, elapsed_ms)


def _earning_ms(credit: int, rate: int) -> int:
    """How long it takes to earn this much; ``credit * 1000`` is below 2**52."""
    return -(-credit * 1000 // rate)


def _bits_of(missing: int, constants: Constants) -> int:
    """The surcharge for this much overdraft, rounded up; ``missing * 1024`` is below 2**52."""
    return -(-missing * STEPS_PER_BIT // constants.credit_per_bit)


def _credit_of(q: int, constants: Constants) -> int:
    """How much overdraft a surcharge pays for, rounded down; at most 2**16 * 2**34."""
    return q * constants.credit_per_bit // STEPS_PER_BIT


def _weight_q(weight: int, constants: Constants) -> int:
    require_within("weight", weight, 1, MAX_WEIGHT)
    weight_q = powers.log2_q(weight)
    if constants.base_q + weight_q > constants.max_q:
        most = 1 << (constants.max_q - constants.base_q) // STEPS_PER_BIT
        raise InvalidInputError(
            f"expected a weight that a proof below {constants.max_q / STEPS_PER_BIT:g} bits can "
            f"pay for, at most {most} here, got {weight}"
        )
    return weight_q

# SPDX-License-Identifier: Apache-2.0
"""What a call costs whom, and when: fair-share exponential pricing.

Everybody earns credit, and may go into overdraft, where each `Constants.credit_per_bit` of it
doubles the price. So hash power counts only logarithmically, and nobody's price follows from what
others do, but for what a network shares. Quoting changes nothing; only `admit` does. Pure integer
arithmetic, with the time as a value: every replica, and the same rules in Lua, find the same bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from . import powers
from .difficulty import STEPS_PER_BIT
from .errors import InvalidInputError, shown
from .networks import Network, networks
from .tariff import MAX_WEIGHT, OVERDRAFT_STEP_Q, UNIT, Climate, Constants, Tariff

__all__ = [
    "UNIT",
    "Account",
    "Admission",
    "Beyond",
    "Climate",
    "Constants",
    "Level",
    "Network",
    "Principal",
    "Quote",
    "Redeemable",
    "Tariff",
    "Wait",
    "admit",
    "has_standing",
    "is_known",
    "may_redeem",
    "networks",
    "quote",
    "score",
    "touch",
]

_MINUTE_MS: Final = 60_000
_DECAY_STEPS: Final = 64
"""Past use is decayed in so many steps to its half, each 1.1 %."""

_DECAY: Final = tuple(
    powers.falling(step * STEPS_PER_BIT // _DECAY_STEPS) for step in range(_DECAY_STEPS)
)
MAX_SERVED: Final = 1 << 32
_ALLOWED_PER_LEVEL: Final = (1, 16, 64)


@dataclass(frozen=True, slots=True)
class Account:
    """What is remembered of one principal, or of one network.

    Attributes:
        credit: micro-credits; negative in overdraft.
        assured: micro-credits of a second bucket, which others never shrink.
        served: weight served, in 1/1024 of a call, decayed; only for the order of admission.
        minutes: distinct minutes in which it was served.
        last_minute: the last of them, counted from 1970.
        first_ms: when it was first served, Unix ms.
        at_ms: when these figures held, Unix ms.
    """

    credit: int
    assured: int
    served: int
    minutes: int
    last_minute: int
    first_ms: int
    at_ms: int

    @classmethod
    def new(
        cls, constants: Constants, now_ms: int, *, minutes: int = 0, first_ms: int | None = None
    ) -> "Account":
        """An account that no store knows yet.

        Args:
            constants: with what it starts.
            now_ms: Unix ms.
            minutes: what a standing token says of its holder, who may be older than the store.
            first_ms: likewise; None for now.
        """
        return cls(
            credit=constants.burst_new,
            assured=min(constants.burst_new, constants.burst_min),
            served=0,
            minutes=minutes,
            last_minute=0,
            first_ms=now_ms if first_ms is None else first_ms,
            at_ms=now_ms,
        )


@dataclass(frozen=True, slots=True)
class Level:
    """The account of a network that a principal calls from.

    Attributes:
        account: what the network has.
        share: how many principals' allowance that is (1, 16 or 64): a call costs it so much less.
    """

    account: Account
    share: int


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a call is charged to.

    Attributes:
        leaf: its own account: of a subject or a standing token, else of the narrowest network.
        networks: those around it, narrowest first. For an identity that includes the one of
            share 1, which does not matter once the identity has standing.
        identified: whether the leaf is a subject or a standing token, not an address.
    """

    leaf: Account
    networks: tuple[Level, ...] = ()
    identified: bool = False


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
    def overdraft(self) -> int:
        """The surcharge as a challenge holds it: in 1/8 bit, rounded up.

        Whoever rounds `q` down for a caller that counts whole zeros takes as much off this.
        """
        return -(-(self.overdraft_q + self.entry_q) // OVERDRAFT_STEP_Q)


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


def touch(account: Account, tariff: Tariff, now_ms: int) -> Account:
    """An account as it is at ``now_ms``: with what it has earned since, and past use decayed.

    A clock that goes back earns nothing and takes nothing.
    """
    constants = tariff.constants
    now_ms = max(now_ms, account.at_ms)
    return replace(
        account,
        credit=_earned(account.credit, tariff.rate, tariff.burst, now_ms - account.at_ms),
        assured=_earned(
            account.assured, constants.rate_min, constants.burst_min, now_ms - account.at_ms
        ),
        served=_decayed(account.served, constants.served_half_life_ms, account.at_ms, now_ms),
        at_ms=now_ms,
    )


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
    constants = tariff.constants
    weight_q = _weight_q(weight, constants)
    overdraft_q, level, missing = 0, 0, 0
    for index, credit, needed in _charged(principal, weight, tariff, now_ms):
        if needed - credit > missing:
            level, missing = index, needed - credit
    if missing:
        overdraft_q = _bits_of(missing, constants)
    room = constants.max_q - constants.base_q - weight_q
    entry_q = 0
    if tariff.entry_q and not is_known(principal.leaf, constants, now_ms):
        entry_q = min(tariff.entry_q, room)
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
        tariff: the constants under the climate of the moment.
        now_ms: Unix ms.

    Raises:
        InvalidInputError: no such weight or surcharge.
    """
    if isinstance(overdraft, bool) or not isinstance(overdraft, int) or not 0 <= overdraft <= 0xFF:
        raise InvalidInputError(f"expected an overdraft from 0 to 255, got {shown(overdraft)}")
    _require_weight(weight)
    constants = tariff.constants
    missing = max(
        needed - credit for _, credit, needed in _charged(principal, weight, tariff, now_ms)
    )
    allowed_q = overdraft * OVERDRAFT_STEP_Q + constants.slack_q
    if missing <= 0 or _bits_of(missing, constants) <= allowed_q:
        return Redeemable()
    return Wait(_earning_ms(missing - _credit_of(allowed_q, constants), tariff.rate))


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
    _require_weight(weight)
    cost = weight * UNIT * tariff.constants.replicas
    standing = has_standing(principal, tariff.constants, now_ms)
    leaf = touch(principal.leaf, tariff, now_ms)
    assured = standing and leaf.assured >= cost
    minute = now_ms // _MINUTE_MS
    served_again = minute > leaf.last_minute
    charged = tuple(
        level
        if assured or (standing and level.share == 1)
        else replace(
            level, account=_charge(touch(level.account, tariff, now_ms), level.share, cost)
        )
        for level in principal.networks
    )
    leaf = replace(
        leaf,
        credit=leaf.credit - cost,
        assured=leaf.assured - cost if assured else leaf.assured,
        served=min(MAX_SERVED, leaf.served + weight * 1024),
        minutes=leaf.minutes + served_again,
        last_minute=max(minute, leaf.last_minute),
    )
    return Admission(replace(principal, leaf=leaf, networks=charged), principal.leaf.minutes == 0)


def is_known(account: Account, constants: Constants, now_ms: int) -> bool:
    """Whether an account is no newcomer's: served in enough minutes, and long enough ago."""
    return (
        account.minutes >= constants.known_minutes
        and now_ms - account.first_ms >= constants.known_age_ms
    )


def has_standing(principal: Principal, constants: Constants, now_ms: int) -> bool:
    """Whether a principal is an identity that was served long enough to stand for itself.

    Within its assured allowance its networks then neither price its calls nor pay for them. An
    address never has standing: there are too many of them.
    """
    leaf = principal.leaf
    return (
        principal.identified
        and leaf.minutes >= constants.standing_minutes
        and is_known(leaf, constants, now_ms)
    )


def score(account: Account, constants: Constants, now_ms: int) -> int:
    """How far back a principal stands among those who wait, in 1/1024 of a call served.

    Recent use, less two for each doubling of the minutes in which it was ever served.
    """
    served = _decayed(
        account.served, constants.served_half_life_ms, account.at_ms, max(now_ms, account.at_ms)
    )
    return served - 2 * powers.log2_q(1 + account.minutes)


def _charged(
    principal: Principal, weight: int, tariff: Tariff, now_ms: int
) -> Iterator[tuple[int, int, int]]:
    """Each account that prices a call: its level, its credit now, and what it needs.

    What is needed is never more than everybody's burst: else what a heavy call costs would depend
    on how crowded it is, and a proof could come to nothing without anybody having called.
    """
    constants = tariff.constants
    cost = weight * UNIT * constants.replicas
    leaf = principal.leaf
    yield 0, _credit_now(leaf, tariff, now_ms), min(cost, constants.burst_min)
    standing = has_standing(principal, constants, now_ms)
    if standing:
        elapsed_ms = max(0, now_ms - leaf.at_ms)
        if _earned(leaf.assured, constants.rate_min, constants.burst_min, elapsed_ms) >= cost:
            return
    for index, level in enumerate(principal.networks, start=1):
        if not (standing and level.share == 1):
            needed = min(_part(cost, level.share), constants.burst_min)
            yield index, _credit_now(level.account, tariff, now_ms), needed


def _charge(account: Account, share: int, cost: int) -> Account:
    return replace(account, credit=account.credit - _part(cost, share))


def _part(cost: int, share: int) -> int:
    """Exact: the shares divide a million."""
    if share not in _ALLOWED_PER_LEVEL:
        raise InvalidInputError(f"expected a share of 1, 16 or 64, got {shown(share)}")
    return cost // share


def _credit_now(account: Account, tariff: Tariff, now_ms: int) -> int:
    return _earned(account.credit, tariff.rate, tariff.burst, max(0, now_ms - account.at_ms))


def _earned(credit: int, rate: int, burst: int, elapsed_ms: int) -> int:
    # The product with 1000 is below 2**52 (see MAX_CREDIT); that with the rate is only made when
    # it is smaller than that plus one rate, below 2**53.
    if elapsed_ms >= -(-(burst - credit) * 1000 // rate):
        return burst
    return credit + elapsed_ms * rate // 1000


def _earning_ms(credit: int, rate: int) -> int:
    """How long it takes to earn this much; ``credit * 1000`` is below 2**52."""
    return -(-credit * 1000 // rate)


def _bits_of(missing: int, constants: Constants) -> int:
    """The surcharge for this much overdraft, rounded up; ``missing * 1024`` is below 2**52."""
    return -(-missing * STEPS_PER_BIT // constants.credit_per_bit)


def _credit_of(q: int, constants: Constants) -> int:
    """How much overdraft a surcharge pays for, rounded down; at most 2**16 * 2**34."""
    return q * constants.credit_per_bit // STEPS_PER_BIT


def _decayed(served: int, half_life_ms: int, then_ms: int, now_ms: int) -> int:
    """Past use, halved every half-life, on a grid of time that all replicas share.

    Each call rounds down by less than one unit of ``served`` (1/1024 of a call), and the grid is
    late by less than a step (1.1 %). The product is at most 2**32 * 2**20.
    """
    step_ms = half_life_ms // _DECAY_STEPS
    steps = now_ms // step_ms - then_ms // step_ms
    if steps >= 32 * _DECAY_STEPS:
        return 0
    return (served >> steps // _DECAY_STEPS) * _DECAY[steps % _DECAY_STEPS] >> powers.SCALE_BITS


def _weight_q(weight: int, constants: Constants) -> int:
    _require_weight(weight)
    weight_q = powers.log2_q(weight)
    if constants.base_q + weight_q > constants.max_q:
        most = 1 << (constants.max_q - constants.base_q) // STEPS_PER_BIT
        raise InvalidInputError(
            f"expected a weight that a proof below {constants.max_q / STEPS_PER_BIT:g} bits can "
            f"pay for, at most {most} here, got {weight}"
        )
    return weight_q


def _require_weight(weight: int) -> None:
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= MAX_WEIGHT:
        raise InvalidInputError(f"expected a weight from 1 to {MAX_WEIGHT}, got {shown(weight)}")

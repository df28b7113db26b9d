# SPDX-License-Identifier: Apache-2.0
"""What is remembered of those whom calls are charged to: how it grows, fades and ranks them."""

from dataclasses import dataclass, replace
from typing import Final

from . import powers
from .difficulty import STEPS_PER_BIT
from .tariff import Constants, Tariff

_DECAY_STEPS: Final = 64
"""Past use is decayed in so many steps to its half, each 1.1 %."""

DECAY: Final = tuple(
    powers.falling(step * STEPS_PER_BIT // _DECAY_STEPS) for step in range(_DECAY_STEPS)
)
"""What each step leaves of ``2**20``."""

MAX_SERVED: Final = 1 << 32
STEPS_PER_CALL: Final = 1024
"""`Account.served` and scores are in 1/1024 of a call."""

_MINUTE_MS: Final = 60_000


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
        cls,
        constants: Constants,
        now_ms: int,
        *,
        credit: int | None = None,
        minutes: int = 0,
        last_minute: int = 0,
        first_ms: int | None = None,
    ) -> "Account":
        """An account that no store knows yet.

        Args:
            constants: of whoever is charged.
            now_ms: Unix ms.
            credit: with what it starts; None for what newcomers start with.
            minutes: what a standing token says of its holder, who may be older than the store.
            last_minute: likewise.
            first_ms: likewise; None for now.
        """
        credit = constants.burst_new if credit is None else credit
        return cls(
            credit=credit,
            assured=min(credit, constants.burst_min),
            served=0,
            minutes=minutes,
            last_minute=last_minute,
            first_ms=now_ms if first_ms is None else first_ms,
            at_ms=now_ms,
        )


@dataclass(frozen=True, slots=True)
class Level:
    """The account of a network that a principal calls from.

    Attributes:
        account: what the network has.
        share: how many principals' allowance that is: 1, 16 or 64. A call costs so much less
            there, and nothing is rounded: these divide a million.
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


def touch(account: Account, tariff: Tariff, now_ms: int, cost: int = 0) -> Account:
    """An account as it is at ``now_ms``: with what it has earned since, and past use decayed.

    A clock that goes back earns nothing and takes nothing. ``cost`` is what it then pays.
    """
    constants, then_ms = tariff.constants, account.at_ms
    now_ms = max(now_ms, then_ms)
    return Account(
        earned(account.credit, tariff.rate, tariff.burst, now_ms - then_ms) - cost,
        earned(account.assured, constants.rate_min, constants.burst_min, now_ms - then_ms),
        decayed(account.served, constants.served_half_life_ms, then_ms, now_ms),
        account.minutes,
        account.last_minute,
        account.first_ms,
        now_ms,
    )


def serve(
    account: Account, weight: int, tariff: Tariff, now_ms: int, *, cost: int, assured: bool
) -> Account:
    """An account after a call of its own, which counts for its rank and for its standing.

    Args:
        account: whose call it was.
        weight: of the call, in units.
        tariff: the constants under the climate of the moment.
        now_ms: Unix ms.
        cost: of the call, in micro-credits.
        assured: whether the assured bucket pays as well.
    """
    constants, then_ms = tariff.constants, account.at_ms
    minute = now_ms // _MINUTE_MS
    now_ms = max(now_ms, then_ms)
    fund = earned(account.assured, constants.rate_min, constants.burst_min, now_ms - then_ms)
    served = decayed(account.served, constants.served_half_life_ms, then_ms, now_ms)
    return Account(
        earned(account.credit, tariff.rate, tariff.burst, now_ms - then_ms) - cost,
        fund - cost if assured else fund,
        min(MAX_SERVED, served + weight * STEPS_PER_CALL),
        account.minutes + (minute > account.last_minute),
        max(minute, account.last_minute),
        account.first_ms,
        now_ms,
    )


def refund(account: Account, cost: int) -> Account:
    """An account that gets back what it was charged for a call that came to nothing.

    It still counts as served. What is then above the burst is cut when the account is next used.
    """
    return replace(account, credit=account.credit + cost)


def vouched(account: Account, *, minutes: int, last_minute: int, first_ms: int) -> Account:
    """An account of whose past a token may say more than the store remembers."""
    return replace(
        account,
        minutes=max(account.minutes, minutes),
        last_minute=max(account.last_minute, last_minute),
        first_ms=min(account.first_ms, first_ms),
    )


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
    return (
        principal.identified
        and principal.leaf.minutes >= constants.standing_minutes
        and is_known(principal.leaf, constants, now_ms)
    )


def is_assured(principal: Principal, cost: int, constants: Constants, now_ms: int) -> bool:
    """Whether a call of a principal *with standing* lies within what others never shrink."""
    leaf = principal.leaf
    elapsed_ms = max(0, now_ms - leaf.at_ms)
    return earned(leaf.assured, constants.rate_min, constants.burst_min, elapsed_ms) >= cost


def owing_ms(account: Account, constants: Constants, credit: int | None = None) -> int:
    """How long a store has to keep an account from ``at_ms`` on: until a new one has no more.

    ``credit`` is with what the new one would start; None for what newcomers start with.
    """
    credit = constants.burst_new if credit is None else credit
    return max(0, -(-(credit - account.credit) * 1000 // constants.rate_min))


def score(account: Account, constants: Constants, now_ms: int) -> int:
    """How far back a principal stands among those who wait, in 1/1024 of a call served.

    Recent use, less two for each doubling of the minutes in which it was ever served.
    """
    served = decayed(
        account.served, constants.served_half_life_ms, account.at_ms, max(now_ms, account.at_ms)
    )
    return served - 2 * powers.log2_q(1 + account.minutes)


def earned(credit: int, rate: int, burst: int, elapsed_ms: int) -> int:
    """Credit after a while at a rate, up to what may be held; a part of a micro-credit is lost."""
    # The product with 1000 is below 2**52 (see MAX_CREDIT); that with the rate is only made when
    # it is smaller than that plus one rate, below 2**53.
    if elapsed_ms >= -(-(burst - credit) * 1000 // rate):
        return burst
    return credit + elapsed_ms * rate // 1000


def decayed(served: int, half_life_ms: int, then_ms: int, now_ms: int) -> int:
    """Past use, halved every half-life, on a grid of time that all replicas share.

    Each call rounds down by less than two units of ``served`` (1/1024 of a call each), and the
    grid is late by less than a step (1.1 %). The product is at most 2**32 * 2**20.
    """
    if not served:  # as of networks
        return 0
    step_ms = half_life_ms // _DECAY_STEPS
    steps = now_ms // step_ms - then_ms // step_ms
    if steps >= 32 * _DECAY_STEPS:
        return 0
    return (served >> steps // _DECAY_STEPS) * DECAY[steps % _DECAY_STEPS] >> powers.SCALE_BITS

# SPDX-License-Identifier: Apache-2.0
"""What prices are made from: constants of the operator's, and how crowded it is.

A `Tariff` is both, worked out once for all the quotes that are made until the climate changes.
Amounts are integers: credit in micro-credits (a call of weight 1 costs a million of them),
difficulty in 1/1024 bit, time in milliseconds.
"""

from dataclasses import dataclass, field
from typing import Final

from . import powers
from .difficulty import MAX_Q, MIN_Q, STEPS_PER_BIT
from .errors import InvalidInputError, shown

UNIT: Final = 1_000_000
"""Micro-credits that a call of weight 1 costs."""

MAX_WEIGHT: Final = 0xFFFF
MAX_CREDIT: Final = 1 << 41
"""No account has more credit or debt. So two of them differ by less than 2**42, which times 1024
or 1000 is below 2**53: a double, all that Lua has, holds it exactly."""

MAX_RATE: Final = 1 << 31
FINE_PER_STEP: Final = 1024
"""`Climate.z` is in 1/1024 of a step, 2**-20 bit, so that a slow loop loses nothing to rounding."""

OVERDRAFT_STEP_Q: Final = STEPS_PER_BIT // 8
"""A challenge holds its surcharge in 1/8 bit."""


def require_within(name: str, given: object, low: int, high: int) -> None:
    """Refuse what is no integer in a range, and say which would do."""
    if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
        raise InvalidInputError(f"expected {name} from {low} to {high}, got {shown(given)}")


@dataclass(frozen=True, slots=True)
class Constants:
    """What the operator decides of prices.

    Attributes:
        base_q: difficulty of a call of weight 1 by somebody within the allowance.
        max_q: nothing harder is ever issued.
        max_overdraft_q: how far overdraft may raise a price; beyond, one has to wait.
        slack_q: how much the overdraft may have grown between issue and redeeming.
        rate_max: micro-credits a second that an account earns when there is room.
        rate_min: what it earns whatever others do.
        burst: micro-credits that it holds at most.
        burst_min: what it may hold whatever others do.
        burst_new: with what it starts.
        credit_per_bit: micro-credits of overdraft that double the price.
        known_minutes: a principal is known when it was served in so many distinct minutes,
        known_age_ms: and first so long ago.
        standing_minutes: an identity served in so many distinct minutes has standing: within
            `rate_min` and `burst_min` its network no longer matters.
        served_half_life_ms: past use counts half after this time.
        max_entry_q: the most that a newcomer pays besides.
        newcomers_per_bit: so many newcomers too many raise their surcharge by a bit.
        replicas: gates that share callers and no store; each gives out its part alone.
    """

    base_q: int = 18 * STEPS_PER_BIT
    max_q: int = 40 * STEPS_PER_BIT
    max_overdraft_q: int = 18 * STEPS_PER_BIT
    slack_q: int = 2 * STEPS_PER_BIT
    rate_max: int = UNIT
    rate_min: int = UNIT // 30
    burst: int = 60 * UNIT
    burst_min: int = 4 * UNIT
    burst_new: int = 4 * UNIT
    credit_per_bit: int = 4 * UNIT
    known_minutes: int = 1
    known_age_ms: int = 60_000
    standing_minutes: int = 10
    served_half_life_ms: int = 416_000
    max_entry_q: int = 6 * STEPS_PER_BIT
    newcomers_per_bit: int = 50
    replicas: int = 1

    def __post_init__(self) -> None:
        surcharge_cap = 255 * OVERDRAFT_STEP_Q  # what one byte of a challenge holds
        for name, low, high in (
            ("base_q", MIN_Q, MAX_Q),
            ("max_entry_q", 0, surcharge_cap),
            ("max_overdraft_q", 0, surcharge_cap - self.max_entry_q),
            ("max_q", self.base_q + self.max_entry_q, MAX_Q),
            ("slack_q", 0, 8 * STEPS_PER_BIT),
            ("rate_min", 1, self.rate_max),
            ("rate_max", 1, MAX_RATE),
            ("burst", self.burst_min, MAX_CREDIT),
            ("burst_min", UNIT, MAX_CREDIT),
            ("burst_new", 0, self.burst),
            ("credit_per_bit", STEPS_PER_BIT, 1 << 34),
            ("known_minutes", 1, 1 << 20),
            ("known_age_ms", 0, 1 << 40),
            ("standing_minutes", self.known_minutes, 1 << 20),
            ("served_half_life_ms", 64, 1 << 40),
            ("newcomers_per_bit", 1, 1 << 20),
            ("replicas", 1, 16),
        ):
            require_within(name, getattr(self, name), low, high)

    @classmethod
    def of_quota(cls, calls: int, period_ms: int, base_q: int) -> "Constants":
        """What follows from a quota such as 60 calls in 60 s; the rest is as it is by default.

        A fifteenth of the quota doubles the price, is there for newcomers, and may be used at
        once whatever others do.

        Args:
            calls: how many may be made at once.
            period_ms: in what time they grow back when there is room.
            base_q: difficulty of a call of weight 1 by somebody within the quota.

        Raises:
            InvalidInputError: no such quota.
        """
        require_within("calls", calls, 1, MAX_CREDIT // UNIT)
        require_within("period_ms", period_ms, 1, 1 << 40)
        rate = max(1, calls * UNIT * 1000 // period_ms)
        part = max(UNIT, calls * UNIT // 15)
        return cls(
            base_q=base_q,
            rate_max=rate,
            rate_min=max(1, rate // 30),
            burst=calls * UNIT,
            burst_min=part,
            burst_new=part,
            credit_per_bit=part,
        )


@dataclass(frozen=True, slots=True)
class Climate:
    """How crowded a resource is: the only thing that callers share.

    Attributes:
        z: log2 of the allowance, relative to the full one, in 2**-20 bit: 0 or less.
        entry_excess: newcomers above what there is room for, in millionths of one.
    """

    z: int = 0
    entry_excess: int = 0

    def __post_init__(self) -> None:
        require_within("z", self.z, -(1 << 26), 0)
        require_within("entry_excess", self.entry_excess, 0, 1 << 42)


CALM: Final = Climate()
"""Room for everybody."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """The constants under a climate.

    Attributes:
        constants: what was decided.
        climate: how crowded it is.
        rate: micro-credits a second that an account earns now.
        burst: micro-credits that it holds at most now.
        entry_q: what a newcomer pays besides now.
    """

    constants: Constants = field(default_factory=Constants)
    climate: Climate = CALM
    rate: int = field(init=False)
    burst: int = field(init=False)
    entry_q: int = field(init=False)

    def __post_init__(self) -> None:
        constants, climate = self.constants, self.climate
        part = powers.falling(-climate.z // FINE_PER_STEP)
        rate = max(constants.rate_min, constants.rate_max * part >> powers.SCALE_BITS)
        burst = max(constants.burst_min, constants.burst * rate // constants.rate_max)
        entry = climate.entry_excess * STEPS_PER_BIT // (constants.newcomers_per_bit * UNIT)
        object.__setattr__(self, "rate", rate)
        object.__setattr__(self, "burst", burst)
        object.__setattr__(self, "entry_q", min(constants.max_entry_q, entry))

# SPDX-License-Identifier: Apache-2.0
"""What a price means for callers, for attackers, and for what a server can serve."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from . import difficulty
from .attackers import Attacker
from .errors import InvalidInputError, shown
from .profiles import DEFAULT_BITS
from .solve_times import SolveTimes, plain_times, solve_times
from .tariff import OVERDRAFT_STEP_Q, UNIT, Constants

MAX_CAPACITY: Final = 1e9


@dataclass(frozen=True, slots=True)
class CallerForecast:
    """How long one kind of caller takes.

    Attributes:
        name: of the device.
        hashes_per_s: its speed.
        times: of one call.
        burst_p99_s: all but one in a hundred bursts are solved by then.
        plain_p99_s: of one call, for callers that only count zeros in hex.
    """

    name: str
    hashes_per_s: float
    times: SolveTimes
    burst_p99_s: float
    plain_p99_s: float


@dataclass(frozen=True, slots=True)
class AttackerForecast:
    """What one rented machine does to the price.

    Attributes:
        attacker: the machine.
        usd_per_million: solves.
        solves_per_s: of one such machine.
        times_capacity: the same in capacities of the server.
        usd_per_hour_to_fill: the rent of as many as fill the capacity.
        bits_to_hold: the price at which one such machine is held to the capacity by work alone.
        calls_per_hour: the most that one such machine gets as one caller, where each caller's
            price follows its own use; see `pypow.pricing`.
    """

    attacker: Attacker
    usd_per_million: float
    solves_per_s: float
    times_capacity: float
    usd_per_hour_to_fill: float
    bits_to_hold: float
    calls_per_hour: float


@dataclass(frozen=True, slots=True)
class Advice:
    """What a price means.

    Attributes:
        q: the price, in 1/1024 bit.
        capacity_per_s: requests that the server can serve in a second.
        burst: calls that an agent makes at once, and in a minute.
        fair_calls_per_hour: what each caller may make of them at the price, use after use.
        callers: as they were given.
        attackers: as they were given.
    """

    q: int
    capacity_per_s: float
    burst: int
    fair_calls_per_hour: float
    callers: tuple[CallerForecast, ...]
    attackers: tuple[AttackerForecast, ...]

    @property
    def strongest(self) -> AttackerForecast:
        """The one that solves most."""
        return max(self.attackers, key=lambda one: one.solves_per_s)

    @property
    def cheapest(self) -> AttackerForecast:
        """The one whose solves cost least."""
        return min(self.attackers, key=lambda one: one.usd_per_million)


def advise(
    q: int,
    *,
    capacity_per_s: float,
    burst: int,
    callers: Mapping[str, float],
    attackers: Sequence[Attacker],
) -> Advice:
    """Forecast what a price does.

    Args:
        q: the price, in 1/1024 bit, up to what a challenge can have.
        capacity_per_s: requests that the server can serve in a second, more than 0.
        burst: calls that an agent makes at once, and in a minute, 1 to 100,000.
        callers: hashes a second by name.
        attackers: machines for rent, one or more.

    Raises:
        InvalidInputError: a value that cannot be.
    """
    if isinstance(capacity_per_s, bool) or not 0 < capacity_per_s <= MAX_CAPACITY:
        raise InvalidInputError(
            f"expected a capacity of more than 0 and at most {MAX_CAPACITY:g} requests a second, "
            f"got {shown(capacity_per_s)}; give what your server can serve, such as 50"
        )
    if not difficulty.MIN_Q <= q <= difficulty.MAX_SUB_Q:
        raise InvalidInputError(
            f"expected a price of {difficulty.bits(difficulty.MIN_Q):g} to "
            f"{difficulty.bits(difficulty.MAX_SUB_Q):g} bits, got {difficulty.bits(q):g}; "
            "16 is a good start"
        )
    forecasts = tuple(_caller(name, rate, q, burst) for name, rate in callers.items())
    # Only its allowance counts here, and what an overdraft costs: its base price is another's.
    constants = Constants.of_quota(burst, 60_000, difficulty.from_bits(DEFAULT_BITS))
    return Advice(
        q,
        capacity_per_s,
        burst,
        most_calls(0, q, constants, seconds=3600),
        forecasts,
        tuple(_attacker(one, q, capacity_per_s, constants) for one in attackers),
    )


def most_calls(hashes_per_s: float, q: int, constants: Constants, *, seconds: float) -> float:
    """The most that one caller is admitted to, where its price follows its own use.

    Each `Constants.credit_per_bit` of overdraft doubles the price, so that the hashes of an
    overdraft sum to a geometric series, and hash power counts by its logarithm only.

    Args:
        hashes_per_s: of the caller, all of it spent on this; 0 for what everybody may use.
        q: price of a call within the allowance, in 1/1024 bit.
        constants: the allowance, and what overdraft costs.
        seconds: how long the caller goes on.
    """
    allowance = (constants.rate_max * seconds + constants.burst) / UNIT
    if hashes_per_s == 0:
        return allowance
    doubling = constants.credit_per_bit / UNIT
    solves = hashes_per_s * seconds / difficulty.expected_hashes(q)
    # A challenge says its surcharge rounded up.
    slack = (constants.slack_q + OVERDRAFT_STEP_Q) / difficulty.STEPS_PER_BIT
    return allowance + doubling * (slack + math.log2(1 + solves * math.log(2) / doubling))


def _caller(name: str, hashes_per_s: float, q: int, burst: int) -> CallerForecast:
    return CallerForecast(
        name,
        hashes_per_s,
        solve_times(q, hashes_per_s=hashes_per_s),
        solve_times(q, hashes_per_s=hashes_per_s, calls=burst).p99_s,
        plain_times(q, hashes_per_s=hashes_per_s).p99_s,
    )


def _attacker(
    attacker: Attacker, q: int, capacity_per_s: float, constants: Constants
) -> AttackerForecast:
    usd_per_million = attacker.usd_per_million(q)
    solves_per_s = attacker.solves_per_s(q)
    return AttackerForecast(
        attacker,
        usd_per_million,
        solves_per_s,
        solves_per_s / capacity_per_s,
        usd_per_million / 1e6 * capacity_per_s * 3600,
        math.log2(attacker.hashes_per_s / capacity_per_s),
        most_calls(attacker.hashes_per_s, q, constants, seconds=3600),
    )

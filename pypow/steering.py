# SPDX-License-Identifier: Apache-2.0
"""How a resource's climate follows its load, and its base price the speed of its callers.

Both loops are slow, bounded, and outside every price that was already quoted: they move how much
everybody may use before it costs more, what newcomers pay, and over days the base.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from . import powers
from .difficulty import MAX_Q, MIN_Q, STEPS_PER_BIT
from .tariff import FINE_PER_STEP, UNIT, Climate, Constants, require_within

_ONE: Final = 1024
"""Gains, shares and errors are fractions of this."""

_STABLE_GAIN: Final = 379
"""0.37: with a delay of L updates, a gain of 0.37/(1 + L) never overshoots (the bound is
L**L/(L+1)**(L+1), which is above 1/e/(L+1))."""

_MAX_SPAN_MS: Final = 5_000
_TAIL_Q: Final = 759
"""log2(1.671) in steps: 99 of 100 solves of 16 sub-puzzles take less than 1.671 times the mean."""


@dataclass(frozen=True, slots=True)
class Loop:
    """What the operator decides of a resource's climate.

    Attributes:
        capacity: weight that the resource serves in a second, in millionths of a unit.
        target: the load to be kept, in 1/1024 of the capacity.
        shrinking: gain of the allowances a second when there is too much load, in 1/1024.
        growing: likewise when there is too little.
        newcomers: how many may come without paying more, in 1/1024 of the capacity.
    """

    capacity: int = 50 * UNIT
    target: int = 819
    shrinking: int = 256
    growing: int = 51
    newcomers: int = 102

    def __post_init__(self) -> None:
        for name, low, high in (
            ("capacity", UNIT // 1000, 1 << 42),
            ("target", 1, _ONE),
            ("shrinking", 1, _ONE),
            ("growing", 1, _ONE),
            ("newcomers", 0, _ONE),
        ):
            require_within(name, getattr(self, name), low, high)


@dataclass(frozen=True, slots=True)
class Measured:
    """What happened at a resource since the last step of the loop.

    Attributes:
        span_ms: how long ago that was.
        admitted: weight admitted, in millionths of a unit.
        newcomers: principals that were admitted for the first time.
        queue: how full the queue was on average, in 1/1024.
        delay_ms: 95th percentile of the time from issue to the first presentation. Later tries
            tell how full it is, not how long a puzzle takes, and would all but stop the loop.
    """

    span_ms: int
    admitted: int
    newcomers: int
    queue: int
    delay_ms: int

    def __post_init__(self) -> None:
        require_within("span_ms", self.span_ms, 1, 1 << 40)
        require_within("admitted", self.admitted, 0, 1 << 52)
        require_within("newcomers", self.newcomers, 0, 1 << 32)
        require_within("queue", self.queue, 0, _ONE)
        require_within("delay_ms", self.delay_ms, 0, 1 << 40)


def steer(climate: Climate, measured: Measured, constants: Constants, loop: Loop) -> Climate:
    """The climate after what was measured.

    Called about once a second by whoever keeps the climate of a resource. The longer callers take
    from issue to redeeming, the smaller the steps: so that the loop does not swing at any delay.
    """
    span_ms = min(measured.span_ms, _MAX_SPAN_MS)
    wanted = loop.capacity * loop.target * measured.span_ms  # 1/1024 and 1/1000 of a millionth
    excess = (measured.admitted * _ONE * 1000 - wanted) * _ONE // wanted
    error = max(-_ONE, min(_ONE, excess + measured.queue))
    delay = measured.delay_ms // span_ms
    speed = loop.shrinking if error > 0 else loop.growing
    gain = min(speed * span_ms // 1000, _STABLE_GAIN // (1 + delay))
    # A gain of 1 on an error of 1 is one bit, which is 2**20 of `z`.
    step = gain * error
    floor = lowest_z(constants)
    room = loop.capacity * loop.newcomers * span_ms // (_ONE * 1000)
    most = constants.max_entry_q * constants.newcomers_per_bit * UNIT * 6 // (5 * STEPS_PER_BIT)
    excess_newcomers = climate.entry_excess + measured.newcomers * UNIT - room
    return Climate(
        z=max(floor, min(0, climate.z - step)),
        entry_excess=max(0, min(most, excess_newcomers)),
    )


def lowest_z(constants: Constants) -> int:
    """The `Climate.z` at which allowances are down to `Constants.rate_min`."""
    ratio = -(-constants.rate_max // constants.rate_min)
    return -(powers.log2_q(ratio) + 1) * FINE_PER_STEP


@dataclass(frozen=True, slots=True)
class Sample:
    """One solve that the server timed: from issue to redeeming, by its own clock.

    Attributes:
        q: difficulty of the challenge.
        elapsed_ms: what it took.
    """

    q: int
    elapsed_ms: int

    @property
    def rate_q(self) -> int:
        """Hashes a second as 1024 * log2: at least, as the caller may have waited."""
        return self.q + powers.log2_q(1000) - powers.log2_q(max(1, self.elapsed_ms))


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the base price may be moved by what solves take.

    Attributes:
        anchor_q: what the operator configured.
        target_ms: 99 of 100 solves by the slow tenth of known principals shall take less.
        range_q: the base stays within so much of the anchor,
        slew_q: and moves by at most so much in one calibration, which is a day.
        fewest: principals without which nothing moves.
    """

    anchor_q: int
    target_ms: int = 500
    range_q: int = 2 * STEPS_PER_BIT
    slew_q: int = STEPS_PER_BIT // 4
    fewest: int = 30

    def __post_init__(self) -> None:
        require_within("anchor_q", self.anchor_q, MIN_Q, MAX_Q)
        require_within("target_ms", self.target_ms, 1, 5000)
        require_within("range_q", self.range_q, 0, 8 * STEPS_PER_BIT)
        require_within("slew_q", self.slew_q, 0, self.range_q)
        require_within("fewest", self.fewest, 1, 1 << 32)


def slow_tenth(samples: Sequence[Sample]) -> int:
    """Hashes a second, as 1024 * log2, that nine of ten of the samples reach or pass."""
    return sorted(sample.rate_q for sample in samples)[len(samples) // 10]


def calibrate_base(base_q: int, samples: Sequence[Sample], calibration: Calibration) -> int:
    """The base price for the next day.

    Args:
        base_q: the base price now.
        samples: one for each known principal and day: more would give some more say than others.
        calibration: target and limits.

    Returns:
        ``base_q`` moved towards what the slow tenth of the principals solves in time; within the
        limits, whatever the samples say.
    """
    wanted = base_q
    if len(samples) >= calibration.fewest:
        target_q = powers.log2_q(calibration.target_ms) - powers.log2_q(1000)
        wanted = slow_tenth(samples) + target_q - _TAIL_Q
    moved = max(base_q - calibration.slew_q, min(base_q + calibration.slew_q, wanted))
    lowest = max(MIN_Q, calibration.anchor_q - calibration.range_q)
    return max(lowest, min(calibration.anchor_q + calibration.range_q, MAX_Q, moved))

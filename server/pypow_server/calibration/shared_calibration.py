# SPDX-License-Identifier: Apache-2.0
"""What all gates of a store know of their callers' speed: one record, which each of them rewrites.

It has the samples of today and of yesterday, and for each default price that was calibrated how
far it was moved, and on which day. Whoever finds that the step of the day is due makes it, in a
writing that comes to nothing if another gate wrote meanwhile: so there is one step a day.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pypow.difficulty import MAX_Q
from pypow.errors import InvalidInputError
from pypow.steering import Calibration, Sample, calibrate_base

MOST_SAMPLES: Final = 512
"""Of one day: with so many, a tenth is known to within a fortieth."""

_FORGOTTEN_DAYS: Final = 30
_MOST_ELAPSED_MS: Final = 1 << 32
_NAME: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Step:
    """How far a default price was moved.

    Attributes:
        day: when, in days since 1970.
        offset_q: how far in all, in 1/1024 bit.
    """

    day: int
    offset_q: int


_UNMOVED: Final = Step(-1, 0)


@dataclass(frozen=True, slots=True)
class SharedCalibration:
    """What the record says.

    Attributes:
        steps: the last one of each default price, by what was said, in 1/1024 bit. A price that
            was said before goes on where it was.
        days: the samples of each day, by the networks' names of that day.
    """

    steps: Mapping[int, Step] = field(default_factory=dict)
    days: Mapping[int, Mapping[str, Sample]] = field(default_factory=dict)

    def offset_q(self, anchor_q: int) -> int:
        """How far a default price is moved now."""
        return self.steps.get(anchor_q, _UNMOVED).offset_q

    def samples(self, day: int) -> tuple[Sample, ...]:
        """Those of a day."""
        return tuple(self.days.get(day, {}).values())

    def told(self, today: int, day: int, samples: Mapping[str, Sample]) -> "SharedCalibration":
        """The record after a gate told what it found; of other days nothing is kept.

        Args:
            today: by the store's clock.
            day: which the samples are of.
            samples: by name; the lowest names are kept.
        """
        days = {one: self.days.get(one, {}) for one in (today - 1, today)}
        if day in days:
            both = {**days[day], **samples}
            days[day] = {name: both[name] for name in sorted(both)[:MOST_SAMPLES]}
        return replace(self, days={one: found for one, found in days.items() if found})

    def stepped(self, today: int, calibration: Calibration) -> "SharedCalibration":
        """The record after the step of today; this one where it was made."""
        anchor_q = calibration.anchor_q
        before = self.steps.get(anchor_q, _UNMOVED)
        if before.day == today:
            return self
        offset_q = before.offset_q
        # A step of a day to come was made before the clock was set back, and is today's.
        if before.day < today:
            samples = self.samples(today - 1)
            offset_q = calibrate_base(anchor_q + offset_q, samples, calibration) - anchor_q
        kept = {
            anchor: step
            for anchor, step in self.steps.items()
            if today - step.day < _FORGOTTEN_DAYS
        }
        return replace(self, steps={**kept, anchor_q: Step(today, offset_q)})

    def text(self) -> bytes:
        """As stores keep it."""
        steps = {anchor_q: [step.day, step.offset_q] for anchor_q, step in self.steps.items()}
        days = {
            day: {name: [one.q, one.elapsed_ms] for name, one in samples.items()}
            for day, samples in self.days.items()
        }
        return json.dumps([steps, days], separators=(",", ":")).encode()


def read(text: bytes) -> SharedCalibration:
    """The record out of what a store keeps; an empty one where there is none that can be read."""
    try:
        steps, days = json.loads(text)
        return SharedCalibration(
            {
                int(anchor_q): Step(_whole(day), _whole(offset_q, low=-MAX_Q, high=MAX_Q))
                for anchor_q, (day, offset_q) in steps.items()
            },
            {
                int(day): {_name(name): _sample(*row) for name, row in samples.items()}
                for day, samples in days.items()
            },
        )
    except (ValueError, TypeError, AttributeError, RecursionError, InvalidInputError):
        return SharedCalibration()


def _sample(q: object, elapsed_ms: object) -> Sample:
    return Sample(_whole(q, high=MAX_Q), _whole(elapsed_ms, high=_MOST_ELAPSED_MS))


def _name(given: str) -> str:
    if not _NAME.fullmatch(given):
        raise ValueError
    return given


def _whole(given: object, *, low: int = 0, high: int = 1 << 32) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
        raise ValueError
    return given

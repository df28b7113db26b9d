# SPDX-License-Identifier: Apache-2.0
"""How prices said as times follow the callers' speed: a step a day, one for all gates of a store.

No request waits for this. A gate tells what it timed, and learns how far prices are moved, once a
minute.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from pypow import difficulty
from pypow.steering import Calibration, Sample, slow_tenth
from pypow_server.stores import SharedRecord
from pypow_server.upkeep import Upkeep

from . import shared_calibration
from .samples import DAY_MS, Samples
from .shared_calibration import SharedCalibration

PERIOD_S: Final = 60.0
"""How often a gate tells and learns."""

_TIMEOUT_S: Final = 5.0
_TRIES: Final = 3
_LOG = logging.getLogger("pypow_server.calibration")


async def _pause() -> None:
    await asyncio.sleep(PERIOD_S)


class Calibrating:
    """How far the prices of a gate are moved.

    One task keeps it, for as long as its event loop runs; begun by `start`.

    Attributes:
        calibration: by what they move; None where they stay what was said.
        offset_q: how far they are moved now, in 1/1024 bit.
        sampled: how many networks were timed today, by all gates of the store.
    """

    def __init__(
        self,
        record: SharedRecord,
        samples: Samples,
        *,
        moved: Callable[[], None],
        pause: Callable[[], Awaitable[None]] = _pause,
    ) -> None:
        """Begin with prices as they were said.

        Args:
            record: the store's, for this.
            samples: what this gate times.
            moved: called when prices are to be moved.
            pause: returns when it is time to tell and learn again.
        """
        self.calibration: Calibration | None = None
        self.offset_q = 0
        self.sampled = 0
        self._moved = moved
        self._record = record
        self._samples = samples
        self._upkeep = Upkeep(self.exchange, pause=pause)

    def shown(self) -> dict[str, float] | None:
        """How far prices are moved, for operators; None where they stay what was said."""
        if self.calibration is None:
            return None
        return {
            "target_ms": self.calibration.target_ms,
            "default_bits": difficulty.bits(self.calibration.anchor_q),
            "moved_bits": difficulty.bits(self.offset_q),
            "samples": self.sampled,
        }

    def offset_by(self, calibration: Calibration | None) -> int:
        """How far prices would be moved by these: not yet, where the default price is another."""
        before = self.calibration
        if before is None or calibration is None or before.anchor_q != calibration.anchor_q:
            return 0
        return self.offset_q

    def follow(self, calibration: Calibration | None) -> None:
        """Go by these from now on."""
        self.offset_q = self.offset_by(calibration)
        self.calibration = calibration

    def start(self) -> None:
        """Begin to tell and learn in the running event loop, unless that has begun."""
        self._upkeep.start()

    async def aclose(self) -> None:
        """Tell and learn no more."""
        await self._upkeep.aclose()

    async def exchange(self) -> None:
        """Tell the store what was timed, and learn how far prices are moved.

        A fault changes nothing; what could not be told is told later.
        """
        calibration = self.calibration
        if calibration is None:
            return
        day, timed = self._samples.take()
        found = None
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                found = await self._tell(day, timed, calibration)
        except Exception:  # noqa: BLE001 - any store's fault
            _LOG.exception("the store does not tell how fast callers are; prices stay as they are")
        if found is None:
            self._samples.put_back(day, set(timed))
        elif self.calibration == calibration:
            self._learn(found, calibration.anchor_q)

    async def _tell(
        self, day: int, timed: Mapping[str, Sample], calibration: Calibration
    ) -> SharedCalibration | None:
        """The record as it is then; None where other gates were quicker each time."""
        for _ in range(_TRIES):
            before, now_ms = await self._record.look()
            today = now_ms // DAY_MS
            found = shared_calibration.read(before).told(today, day, timed)
            stepped = found.stepped(today, calibration)
            if await self._record.replace(before, stepped.text()):
                if stepped is not found:
                    _log_step(found, stepped, today, calibration)
                self.sampled = len(stepped.samples(today))
                return stepped
        return None

    def _learn(self, found: SharedCalibration, anchor_q: int) -> None:
        offset_q = found.offset_q(anchor_q)
        if offset_q != self.offset_q:
            self.offset_q = offset_q
            self._moved()


def _log_step(
    before: SharedCalibration, after: SharedCalibration, today: int, calibration: Calibration
) -> None:
    was, now = (difficulty.bits(one.offset_q(calibration.anchor_q)) for one in (before, after))
    samples = before.samples(today - 1)
    if len(samples) < calibration.fewest:
        _LOG.info(
            "prices said as times stay moved by %+.2f bits: %d known networks were timed "
            "yesterday, and fewer than %d move nothing",
            now,
            len(samples),
            calibration.fewest,
        )
        return
    _LOG.info(
        "prices said as times are moved by %+.2f bits, and were by %+.2f: of %d known networks "
        "timed yesterday the slow tenth does %.3g hashes a second or fewer",
        now,
        was,
        len(samples),
        difficulty.expected_hashes(slow_tenth(samples)),
    )

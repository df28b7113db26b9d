# SPDX-License-Identifier: Apache-2.0
"""What keeps how far the prices of a gate are moved, over a store of its own."""

from pypow.steering import Calibration
from pypow_server.calibration.calibrating import Calibrating
from pypow_server.calibration.samples import Samples
from pypow_server.stores.memory import MemoryRecord

RULES = Calibration(20 * 1024)


def calibrated() -> Calibrating:
    """One whose prices have not moved yet."""
    kept = Calibrating(MemoryRecord(), Samples(b"key"), moved=lambda: None)
    kept.follow(RULES)
    return kept

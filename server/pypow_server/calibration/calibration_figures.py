# SPDX-License-Identifier: Apache-2.0
"""How far calibration has moved prices, for Prometheus."""

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pypow import difficulty

from .calibrating import Calibrating


class CalibrationFigures(Collector):
    """Figures of one gate, as they are when they are asked for."""

    def __init__(self, calibrating: Calibrating) -> None:
        """Tell of ``calibrating``."""
        self._calibrating = calibrating

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets; nothing where no price moves."""
        if self._calibrating.calibration is None:
            return
        yield GaugeMetricFamily(
            "pypow_calibration_bits",
            "How far prices said as times are moved from what was said, in bits.",
            difficulty.bits(self._calibrating.offset_q),
        )
        yield GaugeMetricFamily(
            "pypow_calibration_samples",
            "Known networks that were timed today, by all gates of the store.",
            self._calibrating.sampled,
        )

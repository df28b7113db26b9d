# SPDX-License-Identifier: Apache-2.0
"""How crowded it is, as figures for Prometheus."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .conditions import Conditions

_GAUGES: Final = {
    "pypow_allowance_ratio": "What callers earn now, as a part of what they earn when it is calm.",
    "pypow_entry_bits": "What newcomers pay now besides the price, in bits.",
    "pypow_gates": "Gates that share the load, this one among them.",
    "pypow_climate_timestamp_seconds": "When the store last told how crowded it is, by its clock.",
}


class ClimateFigures(Collector):
    """Reads them when they are asked for. Without a capacity there is none but the replicas."""

    def __init__(self, conditions: Conditions, replicas: Callable[[], int]) -> None:
        """Read these.

        Args:
            conditions: of the gate.
            replicas: gates that share callers and no store, as of now.
        """
        self._conditions = conditions
        self._replicas = replicas

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets."""
        yield GaugeMetricFamily(
            "pypow_pricing_replicas",
            "Gates without a common store, among which allowances are divided.",
            value=self._replicas(),
        )
        conditions, crowd = self._conditions, self._conditions.crowd()
        if crowd is None:
            return
        learned_s = conditions.learned_at_ms / 1000
        values = (crowd.allowance, crowd.entry_bits, crowd.gates, learned_s)
        for (name, text), value in zip(_GAUGES.items(), values, strict=True):
            yield GaugeMetricFamily(name, text, value=value)
        yield CounterMetricFamily(
            "pypow_climate_steps",
            "Steps of the loop over the load that this gate took, for all that share its store.",
            value=conditions.steps,
        )

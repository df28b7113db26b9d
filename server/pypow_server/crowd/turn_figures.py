# SPDX-License-Identifier: Apache-2.0
"""How many wait for their turn, how long, and who is sent away, as figures for Prometheus."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pypow_server import problems
from pypow_server.decision import Decision
from pypow_server.metrics import Spread

from .turns import Turns

_LANES: Final = ("paid", "known", "new")
_WAIT_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2)
_BUSY: Final = problems.busy("").name


class TurnFigures(Collector):
    """Figures of one gate; none where no capacity is said."""

    def __init__(self, turns: Turns) -> None:
        """Nobody waited yet.

        Args:
            turns: of the upstream.
        """
        self._turns = turns
        self._waits_s = {lane: Spread(_WAIT_BUCKETS_S) for lane in _LANES}
        self._away = dict.fromkeys(_LANES, 0)

    def record(self, decision: Decision) -> None:
        """Count a call that waited. A `Recorder`."""
        if decision.lane is None:
            return
        if decision.problem == _BUSY:
            self._away[decision.lane] += 1
        else:
            self._waits_s[decision.lane].add(decision.waited_ms / 1000)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets."""
        if self._turns.capacity is None:
            return
        yield GaugeMetricFamily(
            "pypow_turns_waiting", "Calls that wait for their turn.", value=self._turns.waiting
        )
        yield GaugeMetricFamily(
            "pypow_turns_places", "Calls that may wait at once.", value=self._turns.places
        )
        waits = HistogramMetricFamily(
            "pypow_turn_wait_seconds",
            "How long calls waited that had their turn; those that did not wait are not counted.",
            labels=("lane",),
        )
        away = CounterMetricFamily(
            "pypow_sent_away",
            "Calls for which there was no turn, or whose callers left before it came.",
            labels=("lane",),
        )
        for lane in _LANES:
            waits.add_metric((lane,), self._waits_s[lane].buckets, self._waits_s[lane].sum)
            away.add_metric((lane,), self._away[lane])
        yield waits
        yield away

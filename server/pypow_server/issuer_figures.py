# SPDX-License-Identifier: Apache-2.0
"""How issuers answer, as figures for Prometheus."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class IssuerFigures(Collector):
    """Counts what is fetched of the issuers that the operator names; none where there is none."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def count(self, issuer: str, answer: str) -> None:
        """Count one read of keys, or one question about a token; only ever in the event loop.

        Args:
            issuer: as the operator wrote it.
            answer: ``read``, ``active``, ``refused`` or ``failed``.
        """
        self._counts[issuer, answer] = self._counts.get((issuer, answer), 0) + 1

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets."""
        if not self._counts:
            return
        answers = CounterMetricFamily(
            "pypow_issuer_answers",
            "Reads of issuers' keys and questions about tokens, by what came of them.",
            labels=("issuer", "answer"),
        )
        for labels, count in tuple(self._counts.items()):
            answers.add_metric(labels, count)
        yield answers

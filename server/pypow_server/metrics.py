# SPDX-License-Identifier: Apache-2.0
"""What the gate counts, for Prometheus.

Values of labels come from configuration and from this code, never from a request: no caller can
make the list longer.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from pypow import difficulty

from .decision import Decision, Outcome
from .scope import ASGIApp, Message, Receive, Scope, Send
from .stores.watched import SPEND, StoreCall, Watcher

_DECISION_BUCKETS_S: Final = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 30,
)  # fmt: skip
_SPEND_BUCKETS_S: Final = (
    0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5,
)  # fmt: skip
_SOLVE_BUCKETS_S: Final = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
)  # fmt: skip
_WORK_BUCKETS_BITS: Final = (8, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 24, 26, 28, 32, 40)
_UPSTREAM_BUCKETS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
)  # fmt: skip


class Spread:
    """How values spread over buckets; adding one costs what a list does."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds, and how many values are within each."""
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True))


class _Decisions(Collector):
    """Decisions by their labels, their time and their work."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str, str], int] = {}
        self._seconds = Spread(_DECISION_BUCKETS_S)
        self._asked, self._paid = Spread(_WORK_BUCKETS_BITS), Spread(_WORK_BUCKETS_BITS)
        self._solves_s = Spread(_SOLVE_BUCKETS_S)

    def count(self, decision: Decision) -> None:
        """Count one; only ever in the event loop."""
        labels = (
            decision.entry,
            decision.outcome.value,
            decision.rail or "",
            decision.problem or "",
        )
        self._counts[labels] = self._counts.get(labels, 0) + 1
        self._seconds.add(decision.seconds)
        if decision.q is not None:
            work = self._paid if decision.outcome is Outcome.ADMITTED else self._asked
            work.add(difficulty.bits(decision.q))
        if decision.solve_ms is not None:
            self._solves_s.add(decision.solve_ms / 1000)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets."""
        counted = CounterMetricFamily(
            "pypow_decisions",
            "What became of requests.",
            labels=("entry", "outcome", "rail", "problem"),
        )
        for labels, count in tuple(self._counts.items()):
            counted.add_metric(labels, count)
        yield counted
        yield HistogramMetricFamily(
            "pypow_decision_seconds",
            "Time from a request's headers, and body if priced by that, to its decision; no waits.",
            buckets=self._seconds.buckets,
            sum_value=self._seconds.sum,
        )
        work = HistogramMetricFamily(
            "pypow_difficulty",
            "Work that refusals asked for, and that admitted proofs paid, in bits.",
            labels=("side",),
        )
        for side, spread in (("asked", self._asked), ("paid", self._paid)):
            work.add_metric((side,), spread.buckets, spread.sum)
        yield work
        yield HistogramMetricFamily(
            "pypow_solve_seconds",
            "Time from the issue of a challenge to the redeeming of its proof.",
            buckets=self._solves_s.buckets,
            sum_value=self._solves_s.sum,
        )


class Metrics:
    """The figures of one gate, in a registry of their own."""

    def __init__(self, *, version: str, kernel: str) -> None:
        """Begin at zero.

        Args:
            version: of pypow.
            kernel: what checks proofs on this machine.
        """
        registry = CollectorRegistry()
        self._registry = registry
        self._decisions = _Decisions()
        registry.register(self._decisions)
        self._spend_seconds = Histogram(
            "pypow_spend_seconds",
            "Time that the ledger took for a spend.",
            ("store",),
            buckets=_SPEND_BUCKETS_S,
            registry=registry,
        )
        self._store_errors = Counter(
            "pypow_store_errors",
            "Operations of the store that failed, or could not tell.",
            ("store", "operation"),
            registry=registry,
        )
        self._fail_open = Counter(
            "pypow_limiter_fail_open",
            "Calls whose quota was not counted because the limiter could not tell.",
            registry=registry,
        )
        self._standing_tokens = Counter(
            "pypow_standing_tokens",
            "What became of standing tokens that callers brought, and those given out.",
            ("event",),
            registry=registry,
        )
        self._upstream_seconds = Histogram(
            "pypow_upstream_seconds",
            "Time from handing a call to the upstream to the beginning of its response.",
            buckets=_UPSTREAM_BUCKETS_S,
            registry=registry,
        )
        self._lost_audit_lines = Counter(
            "pypow_audit_lines_lost",
            "Lines that the audit log could not take.",
            registry=registry,
        )
        self._spent_entries = Gauge(
            "pypow_spent_entries",
            "Spends that the ledger keeps, until they have expired and some minutes longer.",
            ("store",),
            registry=registry,
        )
        self._reloaded = Gauge(
            "pypow_config_reload_timestamp_seconds",
            "When the configuration in use was read.",
            registry=registry,
        )
        Gauge(
            "pypow_build_info",
            "Always 1; the labels tell the version and what checks proofs.",
            ("version", "kernel"),
            registry=registry,
        ).labels(version, kernel).set(1)
        ProcessCollector(registry=registry)
        self.reloaded()

    def show(self, figures: Collector) -> None:
        """Show these figures, too."""
        self._registry.register(figures)

    def record(self, decision: Decision) -> None:
        """Count a decision. A `Recorder`."""
        self._decisions.count(decision)
        if decision.limiter_failed:
            self._fail_open.inc()

    def store_watcher(self, store: str) -> Watcher:
        """Counts what a store does.

        Args:
            store: the store's kind, such as ``sqlite``.
        """
        spend_seconds = self._spend_seconds.labels(store)

        def watch(call: StoreCall) -> None:
            if call.operation == SPEND:
                spend_seconds.observe((call.ended_ns - call.started_ns) / 1e9)
            if call.failed:
                self._store_errors.labels(store, call.operation).inc()

        return watch

    def watch_upstream(self, app: ASGIApp) -> ASGIApp:
        """The same app, with the time to each response counted."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began = time.perf_counter()

            async def send_and_count(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._upstream_seconds.observe(time.perf_counter() - began)
                await send(message)

            await app(scope, receive, send_and_count)

        return watched

    def spent_entries(self, store: str, entries: float) -> None:
        """Note how many spends a store of this kind keeps."""
        self._spent_entries.labels(store).set(entries)

    def standing_token(self, event: str) -> None:
        """Count what became of a standing token."""
        self._standing_tokens.labels(event).inc()

    def lost_audit_lines(self, lines: int) -> None:
        """Count lines that the audit log could not take."""
        self._lost_audit_lines.inc(lines)

    def reloaded(self) -> None:
        """Note that the configuration in use was read just now."""
        self._reloaded.set_to_current_time()

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All figures as text, and its media type.

        Args:
            accept: the ``Accept`` header of who asks.
        """
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

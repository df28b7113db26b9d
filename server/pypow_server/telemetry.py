# SPDX-License-Identifier: Apache-2.0
"""All that a gate tells its operators while it runs: log, metrics, audit log and traces."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from . import logs
from .audit import AuditLog
from .decision import Recorder
from .entries import SpentEntries
from .gate import wall_clock_ms
from .metrics import Metrics
from .recent import RecentDecisions
from .scope import ASGIApp
from .sold.figures import SoldFigures
from .stores import Store
from .stores.sales import SalesRead
from .stores.watched import WatchedCredits, WatchedLedger, WatchedPayments, Watcher
from .tracing import Tracing
from .view.activity import Activity

AUDIT_PURPOSE: Final = b"pypow 1 audit"
"""What the audit log's key is derived for, by HKDF."""


class Telemetry:
    """Makes one gate's recorders, and wraps what is watched.

    Attributes:
        metrics: for ``/metrics``.
        recent: for ``/decisions``.
        activity: for the live view.
        recorders: what the gate calls for each decision.
    """

    def __init__(
        self,
        *,
        version: str,
        kernel: str,
        store_url: str,
        audit_file: Path | None = None,
        audit_key: bytes = b"",
        tracing: Tracing | None = None,
        clock: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """Begin to record.

        Args:
            version: of pypow.
            kernel: what checks proofs on this machine.
            store_url: of the ledger; only its scheme is told.
            audit_file: the audit log; None for none.
            audit_key: secret, for the audit log.
            tracing: makes spans; None for none.
            clock: the gate's.

        Raises:
            InvalidInputError: the audit log cannot be opened.
        """
        self._store = store_url.partition(":")[0]
        self._tracing = tracing
        self._entries: SpentEntries | None = None
        self._sold: SoldFigures | None = None
        self._clock = clock
        self.metrics = Metrics(version=version, kernel=kernel)
        self.recent = RecentDecisions()
        self.activity = Activity(clock)
        self._audit = (
            None
            if audit_file is None
            else AuditLog(audit_file, key=audit_key, lost=self.metrics.lost_audit_lines)
        )
        recorders: list[Recorder] = [
            self.metrics.record,
            self.recent.record,
            self.activity.record,
            logs.record,
        ]
        if self._audit is not None:
            recorders.append(self._audit.record)
        if tracing is not None:
            recorders.append(tracing.record)
        self.recorders: Sequence[Recorder] = tuple(recorders)

    def store(self, inner: Store) -> Store:
        """The store, its ledger watched, with its credits."""
        if inner.entries is not None:
            tell = partial(self.metrics.spent_entries, self._store)
            self._entries = SpentEntries(inner.entries, tell)
        watchers = self._watchers()
        return replace(
            inner,
            ledger=WatchedLedger(inner.ledger, watchers),
            credits=WatchedCredits(inner.credits, watchers),
            payments=WatchedPayments(inner.payments, watchers),
        )

    def sales(self, sales: SalesRead) -> None:
        """Tell of what is sold from now on."""
        self._sold = SoldFigures(sales, clock=self._clock)
        self.metrics.show(self._sold)

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """All figures as text, and its media type.

        Args:
            accept: the ``Accept`` header of who asks.
        """
        if self._entries is not None:
            await self._entries.refresh()
        if self._sold is not None:
            await self._sold.refresh()
        return self.metrics.exposition(accept)

    def upstream(self, app: ASGIApp) -> ASGIApp:
        """The guarded app, watched."""
        watched = self.metrics.watch_upstream(app)
        return watched if self._tracing is None else self._tracing.upstream(watched)

    def gate(self, app: ASGIApp) -> ASGIApp:
        """The gate, in its callers' traces."""
        return app if self._tracing is None else self._tracing.around(app)

    def reopen(self) -> None:
        """Go on in new files where logrotate has moved the old ones away."""
        if self._audit is not None:
            self._audit.reopen()

    def close(self) -> None:
        """Write what waits to be written. Nothing may be recorded afterwards."""
        if self._audit is not None:
            self._audit.close()

    def _watchers(self) -> list[Watcher]:
        watchers = [self.metrics.store_watcher(self._store)]
        if self._tracing is not None:
            watchers.append(self._tracing.store_watcher(self._store))
        return watchers

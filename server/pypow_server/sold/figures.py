# SPDX-License-Identifier: Apache-2.0
"""What was sold while a gate runs, for Prometheus: of the whole store, read when somebody asks."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from pypow_server.stores.sales import SalesRead

from .report import pages
from .span import Span

_LOG: Final = logging.getLogger("pypow_server.sold")
BEHIND_MS: Final = 60_000
"""Sales are counted so long after they were made, and none may be written before what was counted.
They have the time at which their call began: its body may take half a minute to come in, its wallet
and its turn some seconds, and a gate's clock may be behind."""

_GOOD_FOR_MS: Final = 10_000


class SoldFigures(Collector):
    """Counts sales since it was made, at most once in ten seconds."""

    def __init__(self, sales: SalesRead, *, clock: Callable[[], int]) -> None:
        """Count nothing yet.

        Args:
            sales: what was sold.
            clock: Unix milliseconds.
        """
        self._sales = sales
        self._clock = clock
        self._counted_up_to_ms = clock() - BEHIND_MS
        self._counting = asyncio.Lock()
        self._sats: Counter[str] = Counter()
        self._payments: Counter[str] = Counter()

    async def refresh(self) -> None:
        """Count on, unless that was done just now. Never raises."""
        async with self._counting:
            until_ms = self._clock() - BEHIND_MS
            if until_ms - self._counted_up_to_ms < _GOOD_FOR_MS:
                return
            sats, payments = Counter[str](), Counter[str]()
            try:
                async for page in pages(self._sales, Span(self._counted_up_to_ms, until_ms)):
                    for sale in page:
                        sats[sale.price] += sale.sats
                        payments[sale.price] += 1
            except Exception as error:  # noqa: BLE001 - any store's fault; other figures are told
                _LOG.warning("the sales were not counted: %s", error)
                return
            # All of it or nothing: what was counted is never counted again.
            self._sats += sats
            self._payments += payments
            self._counted_up_to_ms = until_ms

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets."""
        sats = CounterMetricFamily(
            "pypow_sats", "Satoshis that calls were sold for, by all gates.", labels=("entry",)
        )
        payments = CounterMetricFamily(
            "pypow_payments", "Payments that calls were sold for, by all gates.", labels=("entry",)
        )
        for family, counts in ((sats, self._sats), (payments, self._payments)):
            for price, count in counts.items():
                family.add_metric((price,), count)
            yield family

# SPDX-License-Identifier: Apache-2.0
"""What was sold: sums by day and price, out of any number of sales, in bounded memory."""

import dataclasses
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from pypow_server.sale import Sale
from pypow_server.stores.sales import PAGE, SalesRead

from .span import Span, day_of

_LATEST: Final = 20


@dataclass(slots=True)
class Sum:
    """SalesRead, added up.

    Attributes:
        payments: how many.
        sats: what was paid.
        uses: calls that were sold by their number.
        times: payments that bought as many calls as fit in a time.
        spent: calls that were made of either.
        left: those of ``uses`` that were not made; some of them may have expired.
    """

    payments: int = 0
    sats: int = 0
    uses: int = 0
    times: int = 0
    spent: int = 0
    left: int = 0

    def add(self, sale: Sale) -> None:
        """Count one."""
        self.payments += 1
        self.sats += sale.sats
        self.uses += sale.uses
        self.times += sale.uses == 0
        self.spent += sale.spent
        self.left += left_of(sale) or 0

    def merge(self, other: "Sum") -> None:
        """Count what another has counted."""
        self.payments += other.payments
        self.sats += other.sats
        self.uses += other.uses
        self.times += other.times
        self.spent += other.spent
        self.left += other.left

    def document(self) -> dict[str, int]:
        """As JSON."""
        return dataclasses.asdict(self)


@dataclass(slots=True)
class Report:
    """What was sold in a span of time.

    Attributes:
        span: the time.
        total: all of it.
        groups: it by day and price.
        schemes: it by how payments were shown.
        latest: the last sales, the last one first.
    """

    span: Span
    total: Sum = field(default_factory=Sum)
    groups: dict[tuple[str, str], Sum] = field(default_factory=dict)
    schemes: dict[str, Sum] = field(default_factory=dict)
    latest: deque[Sale] = field(default_factory=lambda: deque(maxlen=_LATEST))

    def add(self, sale: Sale) -> None:
        """Count one; they come by time."""
        self.total.add(sale)
        self.groups.setdefault((day_of(sale.at_ms), sale.price), Sum()).add(sale)
        self.schemes.setdefault(sale.scheme, Sum()).add(sale)
        self.latest.appendleft(sale)

    def by_day(self) -> dict[str, Sum]:
        """The groups of each day together, in their order."""
        return self._by(0)

    def by_price(self) -> dict[str, Sum]:
        """The groups of each price together, by name."""
        return self._by(1)

    def _by(self, place: int) -> dict[str, Sum]:
        found: dict[str, Sum] = {}
        for key in sorted(self.groups, key=lambda key: key[place]):
            found.setdefault(key[place], Sum()).merge(self.groups[key])
        return found

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "since_ms": self.span.since_ms,
            "until_ms": self.span.until_ms,
            "total": self.total.document(),
            "groups": [
                {"day": day, "price": price, **found.document()}
                for (day, price), found in sorted(self.groups.items())
            ],
            "schemes": {scheme: found.document() for scheme, found in self.schemes.items()},
        }


def left_of(sale: Sale) -> int | None:
    """Calls that one payment bought and that were not made; None where it bought a time."""
    return max(0, sale.uses - sale.spent) if sale.uses else None


async def reported(sales: SalesRead, span: Span) -> Report:
    """Add up what was sold.

    Raises:
        StoreError: the sales cannot be read.
    """
    report = Report(span)
    async for page in pages(sales, span):
        for sale in page:
            report.add(sale)
    return report


async def pages(sales: SalesRead, span: Span) -> AsyncIterator[list[Sale]]:
    """All sales of a span, some at a time.

    Raises:
        StoreError: they cannot be read.
    """
    last: Sale | None = None
    while True:
        page = list(
            await sales.sold(since_ms=span.since_ms, until_ms=span.until_ms, after=last, most=PAGE)
        )
        if page:
            yield page
            last = page[-1]
        if len(page) < PAGE:
            return

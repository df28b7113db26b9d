# SPDX-License-Identifier: Apache-2.0
"""What was sold: sums by day and price, out of any number of sales, in bounded memory."""

import dataclasses
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from pypow_server.sale import Sale
from pypow_server.stores.sales import PAGE, SalesRead

from .span import DAY_MS, Span, day_of

_Key = TypeVar("_Key", bound=Hashable)

_LATEST: Final = 20


@dataclass(slots=True)
class Sum:
    """Sales, added up.

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


class Report:
    """What was sold in a span of time.

    Attributes:
        span: the time.
        latest: the last sales, the last one first.
    """

    def __init__(self, span: Span) -> None:
        """Begin with none."""
        self.span = span
        self.latest: deque[Sale] = deque(maxlen=_LATEST)
        self._parts: dict[tuple[int, str, str], Sum] = {}

    def add(self, sale: Sale) -> None:
        """Count one; they come by time."""
        key = (sale.at_ms // DAY_MS, sale.price, sale.scheme)
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = Sum()
        part.add(sale)
        self.latest.appendleft(sale)

    @property
    def total(self) -> Sum:
        """All of it."""
        return _together((None, part) for part in self._parts.values()).get(None, Sum())

    @property
    def groups(self) -> dict[tuple[str, str], Sum]:
        """It by day and price."""
        parts = self._parts.items()
        return _together(((day_of(DAY_MS * day), price), part) for (day, price, _), part in parts)

    @property
    def days(self) -> dict[str, Sum]:
        """It by day."""
        return _together((day, found) for (day, _), found in self.groups.items())

    @property
    def prices(self) -> dict[str, Sum]:
        """It by price."""
        return _together((price, part) for (_, price, _), part in self._parts.items())

    @property
    def schemes(self) -> dict[str, Sum]:
        """It by how payments were shown."""
        return _together((scheme, part) for (_, _, scheme), part in self._parts.items())

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "since_ms": self.span.since_ms,
            "until_ms": self.span.until_ms,
            "total": self.total.document(),
            "groups": [
                {"day": day, "price": price, **found.document()}
                for (day, price), found in self.groups.items()
            ],
            "schemes": {scheme: found.document() for scheme, found in self.schemes.items()},
        }


def _together(parts: Iterable[tuple[_Key, Sum]]) -> dict[_Key, Sum]:
    """The parts of each key together, by key."""
    found: dict[_Key, Sum] = {}
    for key, part in parts:
        found.setdefault(key, Sum()).merge(part)
    return dict(sorted(found.items(), key=lambda item: str(item[0])))


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

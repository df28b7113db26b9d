# SPDX-License-Identifier: Apache-2.0
"""What was sold for money: one record for each payment, kept long after its uses are forgotten."""

import heapq
from collections.abc import Sequence
from typing import Final, Protocol

from pypow.errors import InvalidInputError
from pypow_server.sale import Sale

PAGE: Final = 500

FORGOTTEN_AT_ONCE: Final = 1000
"""Old sales that one step of a store drops: spends wait for it."""


class SalesRead(Protocol):
    """Sales, page by page."""

    async def sold(
        self, *, since_ms: int, until_ms: int, after: Sale | None = None, most: int = PAGE
    ) -> Sequence[Sale]:
        """One page of the sales from ``since_ms`` up to, not including, ``until_ms``.

        They come by time, and at the same moment by payment hash. A page that is not full is the
        last one.

        Args:
            since_ms: Unix milliseconds.
            until_ms: Unix milliseconds.
            after: the last sale of the page before.
            most: how many there are on a page.

        Raises:
            StoreError: It cannot be read.
        """
        ...


class Sales(SalesRead, Protocol):
    """The sales of a ledger, written by its spends in the transaction that they win.

    A payment is one sale, whatever it is shown as and however often: the first spend that wins
    makes the record, and each counts one use more. What is given back is counted back. A spend
    that does not win writes nothing.
    """

    async def forget(self, *, before_ms: int) -> None:
        """Drop the sales from before a moment, in Unix milliseconds.

        Raises:
            StoreError: They may still be there.
        """
        ...


class SalesKept:
    """The sales of one process, until it ends."""

    def __init__(self) -> None:
        """Starts empty."""
        self._kept: dict[bytes, Sale] = {}

    def spend(self, key: bytes, sale: Sale) -> None:
        """Counts one use more of what this key is spent for."""
        before = self._kept.get(key, sale._replace(spent=0))
        self._kept[key] = before._replace(spent=before.spent + 1)

    def release(self, key: bytes) -> None:
        """Counts one use less, if there was a sale."""
        before = self._kept.get(key)
        if before is not None and before.spent:
            self._kept[key] = before._replace(spent=before.spent - 1)

    def page(self, since_ms: int, until_ms: int, after: Sale | None, most: int) -> list[Sale]:
        """One page; see `Sales.sold`."""
        first = (since_ms, b"") if after is None else (after.at_ms, after.payment_hash)
        found = [
            sale
            for sale in self._kept.values()
            if sale.at_ms < until_ms and (sale.at_ms, sale.payment_hash) > first
        ]
        return heapq.nsmallest(most, found, key=lambda sale: (sale.at_ms, sale.payment_hash))

    def forget(self, before_ms: int) -> None:
        """Drops old ones; see `Sales.forget`."""
        for key in [key for key, sale in self._kept.items() if sale.at_ms < before_ms]:
            del self._kept[key]


def check_page(most: int) -> None:
    """Refuses a page without a line, which would seem to be the last one.

    Raises:
        InvalidInputError: Fewer than 1.
    """
    if most < 1:
        raise InvalidInputError(f"expected a page of at least 1 sale; got {most}")

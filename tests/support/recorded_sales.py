# SPDX-License-Identifier: Apache-2.0
"""Sales as a store would tell of them, without one."""

from collections.abc import Sequence
from typing import Any, Final

from pypow_server.sale import Sale
from pypow_server.stores import StoreError
from pypow_server.stores.sales import PAGE

NOW_MS: Final = 1_800_000_000_000
"""2027-01-15, 08:00 UTC."""

HOSTILE = "=cmd|' /C calc'!A0<script>alert(1)</script>\",\n"


class Recorded:
    """Sales of a test, and how they were asked for."""

    def __init__(self, *sales: Sale) -> None:
        self.kept = sorted(sales, key=lambda sale: (sale.at_ms, sale.payment_hash))
        self.asked = 0
        self.failing_from = 1 << 30

    async def sold(
        self, *, since_ms: int, until_ms: int, after: Sale | None = None, most: int = PAGE
    ) -> Sequence[Sale]:
        self.asked += 1
        if self.asked >= self.failing_from:
            raise StoreError("the disk is gone")
        first = (since_ms, b"") if after is None else (after.at_ms, after.payment_hash)
        found = [
            sale
            for sale in self.kept
            if sale.at_ms < until_ms and (sale.at_ms, sale.payment_hash) > first
        ]
        return found[:most]

    async def forget(self, *, before_ms: int) -> None:
        raise AssertionError("who reads forgets nothing")


def sale(number: int, **changes: Any) -> Sale:
    plain = Sale(
        number.to_bytes(32, "big"), 5, "search", 1, "l402", NOW_MS - 60_000 * number, spent=1
    )
    return plain._replace(**changes)


MANY = [
    sale(
        number,
        price=f"price {number % 9}" if number % 5 else HOSTILE,
        at_ms=NOW_MS - number * 1000_000,
        scheme="payment" if number % 3 else "l402",
    )
    for number in range(2000)
]

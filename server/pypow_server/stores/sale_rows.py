# SPDX-License-Identifier: Apache-2.0
"""The rows of a ledger's file that say what was sold for money."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from pypow_server.sale import Sale
from pypow_server.stores.operations import Claim, FindSales
from pypow_server.stores.sales import FORGOTTEN_AT_ONCE

SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS sales (key BLOB PRIMARY KEY, payment_hash BLOB NOT NULL,"
    " sats INTEGER NOT NULL, price TEXT NOT NULL, uses INTEGER NOT NULL, scheme TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL, spent INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS sales_by_time ON sales (at_ms, payment_hash)",
)
_SPEND: Final = (
    "INSERT INTO sales VALUES (?, ?, ?, ?, ?, ?, ?, 1)"
    " ON CONFLICT (key) DO UPDATE SET spent = spent + 1"
)
_RELEASE: Final = "UPDATE sales SET spent = spent - 1 WHERE key = ? AND spent > 0"
_FIND: Final = (
    "SELECT payment_hash, sats, price, uses, scheme, at_ms, spent FROM sales"
    " WHERE (at_ms, payment_hash) > (?, ?) AND at_ms < ? ORDER BY at_ms, payment_hash LIMIT ?"
)
_FORGET: Final = (
    "DELETE FROM sales WHERE key IN"
    " (SELECT key FROM sales WHERE at_ms < ? ORDER BY at_ms, payment_hash LIMIT ?)"
)


class SaleRows:
    """The rows of an open file, within a transaction of the caller's."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def write(self, won: Sequence[Claim], released: Sequence[bytes]) -> None:
        """Count the uses that a batch spent, and those that it gave back."""
        for claim in won:
            if claim.sale is not None:
                self._db.execute(_SPEND, (claim.key, *claim.sale[:-1]))
        for key in released:
            self._db.execute(_RELEASE, (key,))

    def forget(self, before_ms: int) -> bool:
        """Drop some old ones; whether there may be more."""
        dropped = self._db.execute(_FORGET, (before_ms, FORGOTTEN_AT_ONCE)).rowcount
        return dropped == FORGOTTEN_AT_ONCE

    def page(self, asked: FindSales) -> list[Sale]:
        """Read one page of them."""
        after = (asked.since_ms, b"") if asked.after is None else asked.after
        rows = self._db.execute(_FIND, (*after, asked.until_ms, asked.most))
        return list(map(Sale._make, rows))

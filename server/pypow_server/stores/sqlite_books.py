# SPDX-License-Identifier: Apache-2.0
"""The sales in a ledger's file, read beside the processes that write it."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from pypow_server.sale import Sale

from . import StoreError
from .books import PAYMENTS, Counted
from .operations import FindSales
from .sale_rows import SaleRows
from .sales import PAGE
from .sqlite import file_of

_NEXT: Final = PAYMENTS[:-1] + bytes((PAYMENTS[-1] + 1,))
"""The first key behind those of payments."""

_COUNTED: Final = (
    "SELECT substr(spends.key, ?), spends.uses, sales.spent FROM spends"
    " LEFT JOIN sales USING (key) WHERE spends.key >= ? AND spends.key < ?"
    " UNION ALL SELECT payment_hash, NULL, spent FROM sales"
    " WHERE key NOT IN (SELECT key FROM spends)"
)


class SqliteBooks:
    """The books of a file. Between two pages nothing is held, and nobody waits for readers."""

    def __init__(self, rest: str) -> None:
        """Open it.

        Args:
            rest: what stands after ``sqlite:``.

        Raises:
            StoreError: there is no such file, it cannot be read, or is no ledger.
        """
        path = file_of(rest)
        if not path.exists():
            raise StoreError(f"there is no {rest}", fix="name the gates' own store with --store")
        try:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
            )
        except sqlite3.Error as error:
            raise _unreadable(error) from error
        try:
            self._has_sales = self._require_ledger(rest)
        except StoreError:
            self._db.close()
            raise
        self._rows = SaleRows(self._db)

    async def sold(
        self, *, since_ms: int, until_ms: int, after: Sale | None = None, most: int = PAGE
    ) -> Sequence[Sale]:
        """One page; see `Sales.sold`."""
        if not self._has_sales:
            return []
        last = None if after is None else (after.at_ms, after.payment_hash)
        try:
            return self._rows.page(FindSales(since_ms, until_ms, last, most))
        except sqlite3.Error as error:
            raise _unreadable(error) from error

    def counted(self) -> Iterator[Sequence[Counted]]:
        """Every payment; see `Books.counted`."""
        if not self._has_sales:
            return
        try:
            found = self._db.execute(_COUNTED, (len(PAYMENTS) + 1, PAYMENTS, _NEXT))
            while some := found.fetchmany(PAGE):
                yield list(map(Counted._make, some))
        except sqlite3.Error as error:
            raise _unreadable(error) from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _require_ledger(self, rest: str) -> bool:
        """Whether it records sales; one that no gate has opened since that is done does not."""
        try:
            tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master")}
        except sqlite3.Error as error:
            raise _unreadable(error) from error
        if not {"meta", "spends"} <= tables:
            raise StoreError(f"{rest} is no ledger", fix="name the gates' own store with --store")
        return "sales" in tables


def _unreadable(error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"it cannot be read: {error}", fix="check that this user may read it and its folder"
    )

# SPDX-License-Identifier: Apache-2.0
"""The rows of a ledger's file that say what each account has: read and written by the batch."""

import functools
import sqlite3
from collections.abc import Sequence
from typing import Final

from pypow.accounts import Account
from pypow.pricing import Constants
from pypow_server.stores.accounts import forgotten_at_ms, read, stored
from pypow_server.stores.spend_rows import ROWS_AT_MOST, filled_up

SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS accounts (key BLOB PRIMARY KEY, figures TEXT NOT NULL,"
    " forgotten_at_ms INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS accounts_by_end ON accounts (forgotten_at_ms)",
)
_WRITE: Final = (
    "INSERT INTO accounts VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE"
    " SET figures = ?2, forgotten_at_ms = ?3"
)
_DROP: Final = (
    "DELETE FROM accounts WHERE key IN (SELECT key FROM accounts WHERE forgotten_at_ms <= ?"
    " ORDER BY forgotten_at_ms LIMIT ?)"
)
_DROPS_PER_CHANGE: Final = 2


class AccountRows:
    """The rows of one batch, within a transaction of the caller's."""

    def __init__(self, db: sqlite3.Connection, keys: Sequence[bytes]) -> None:
        """Read the rows that there are of these keys."""
        self._db = db
        self._known: dict[bytes, Account] = {}
        self._changed: dict[bytes, tuple[str, int]] = {}
        for first in range(0, len(keys), ROWS_AT_MOST):
            part = filled_up(keys[first : first + ROWS_AT_MOST])
            for key, figures in db.execute(_read(len(part)), part):
                self._known[key] = read(figures)

    def find(self, key: bytes) -> Account | None:
        """What there is of a key, after what was kept."""
        return self._known.get(key)

    def keep(self, key: bytes, account: Account, constants: Constants, credit: int) -> None:
        """Put an account in the place of what there is."""
        self._known[key] = account
        self._changed[key] = (stored(account), forgotten_at_ms(account, constants, credit))

    def write(self, *, now_ms: int) -> None:
        """Write what was kept, and drop some of what may be forgotten."""
        if self._changed:
            rows = [(key, *row) for key, row in self._changed.items()]
            self._db.executemany(_WRITE, rows)
            self._db.execute(_DROP, (now_ms, _DROPS_PER_CHANGE * len(rows)))


@functools.cache
def _read(count: int) -> str:
    marks = ", ".join("?" * count)
    return f"SELECT key, figures FROM accounts WHERE key IN ({marks})"  # noqa: S608 - marks only

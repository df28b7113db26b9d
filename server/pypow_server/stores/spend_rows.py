# SPDX-License-Identifier: Apache-2.0
"""The rows that say how often each key is spent: read, written and swept many at a time.

A statement costs more than what it does: for each, Python's lock is given up, and won back from a
busy event loop. So a batch of spends is one reading and one writing. Rows lie in the order of their
keys, which is random, and a page with one changed row is written as a whole: so pages are small,
and there is no index by expiry. What has expired is found by sweeping. Each sweep goes on where the
last one ended, and so drops rows that lie side by side.
"""

import functools
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from pypow_server.stores.uses import Use

SCHEMA: Final = (
    "CREATE TABLE spends (key BLOB PRIMARY KEY, uses INTEGER NOT NULL,"
    " expires_at_ms INTEGER NOT NULL) WITHOUT ROWID"
)
_SWEEP_END: Final = (
    "SELECT max(key) FROM (SELECT key FROM spends WHERE key > ? ORDER BY key LIMIT ?)"
)
_DROP: Final = "DELETE FROM spends WHERE key > ? AND key <= ? AND expires_at_ms <= ?"

# A statement is prepared once for each number of rows, so there are few such numbers; its last row
# is repeated to fill it up, which changes nothing.
ROWS_AT_MOST: Final = 64
_ROWS_STEP: Final = 8

_T = TypeVar("_T")


class SpendRows:
    """The rows of an open file, within a transaction of the caller's."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._swept_up_to = b""

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Use]:
        """The rows that there are of these keys."""
        found: dict[bytes, Use] = {}
        for first in range(0, len(keys), ROWS_AT_MOST):
            part = filled_up(keys[first : first + ROWS_AT_MOST])
            for key, uses, expires_at_ms in self._db.execute(_read(len(part)), part):
                found[key] = Use(uses, expires_at_ms)
        return found

    def write(self, rows: Mapping[bytes, Use]) -> None:
        """Put these rows in the place of what there is of their keys."""
        values = [(key, *row) for key, row in rows.items()]
        for first in range(0, len(values), ROWS_AT_MOST):
            part = filled_up(values[first : first + ROWS_AT_MOST])
            self._db.execute(_write(len(part)), [value for row in part for value in row])

    def sweep(self, count: int, *, expired_at_ms: int) -> None:
        """Look at the next ``count`` rows, and drop those that expired by then."""
        start = self._swept_up_to
        (end,) = self._db.execute(_SWEEP_END, (start, count)).fetchone()
        if end is None:
            self._swept_up_to = b""
            return
        self._db.execute(_DROP, (start, end, expired_at_ms))
        self._swept_up_to = end


def filled_up(values: Sequence[_T]) -> list[_T]:
    """At most `ROWS_AT_MOST` values as one of the few numbers that there are statements for."""
    return [*values, *[values[-1]] * (-len(values) % _ROWS_STEP)]


@functools.cache
def _read(count: int) -> str:
    marks = ", ".join("?" * count)
    return f"SELECT key, uses, expires_at_ms FROM spends WHERE key IN ({marks})"  # noqa: S608 - marks only


@functools.cache
def _write(count: int) -> str:
    marks = ", ".join(["(?, ?, ?)"] * count)
    return (
        f"INSERT INTO spends (key, uses, expires_at_ms) VALUES {marks} ON CONFLICT (key)"  # noqa: S608 - marks only
        " DO UPDATE SET uses = excluded.uses, expires_at_ms = excluded.expires_at_ms"
    )

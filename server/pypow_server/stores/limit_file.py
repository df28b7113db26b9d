# SPDX-License-Identifier: Apache-2.0
"""The SQLite file behind `SqliteLimiter`: what each principal has used of its quota."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pypow_server.stores import Allowance
from pypow_server.stores.gcra import Level, forgotten_at_ms, take
from pypow_server.stores.operations import Take
from pypow_server.stores.sqlite_file import SqliteFile

MAX_PAGES: Final = 262_144
"""256 MiB of 1 KiB pages: some three million principals."""

# Levels dropped per transaction that are back at nothing; and, when the file is full, of those
# that will be soonest, because they have used the least.
_DROPS_PER_BATCH: Final = 64
_DROPS_PER_OPERATION: Final = 2
_DROPS_WHEN_FULL: Final = 10_000

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS levels (key BLOB PRIMARY KEY, at_ms INTEGER NOT NULL,"
    " used INTEGER NOT NULL, forgotten_at_ms INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS levels_by_end ON levels (forgotten_at_ms)",
)
_READ: Final = "SELECT at_ms, used FROM levels WHERE key = ?"
_WRITE: Final = (
    "INSERT INTO levels VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO UPDATE"
    " SET at_ms = ?2, used = ?3, forgotten_at_ms = ?4"
)
_DROP: Final = (
    "DELETE FROM levels WHERE key IN (SELECT key FROM levels WHERE forgotten_at_ms <= ?"
    " ORDER BY forgotten_at_ms LIMIT ?)"
)
_ANY_TIME: Final = 2**63 - 1


class LimitFile:
    """An open file of levels."""

    def __init__(self, path: Path, *, busy_timeout_ms: int, max_pages: int = MAX_PAGES) -> None:
        """Opens the file, creating it readable by its owner only.

        Args:
            path: An absolute path.
            busy_timeout_ms: How long to wait while another process writes.
            max_pages: How large it may grow.

        Raises:
            StoreError: It cannot be opened, or is not SQLite's.
        """
        self._file = SqliteFile(
            path, kind="limiter", synchronous="OFF", busy_timeout_ms=busy_timeout_ms
        )
        self._db = self._file.db
        try:
            with self._file.explaining():
                self._db.execute(f"PRAGMA max_page_count = {max_pages}")
                with self._file.transaction():
                    for statement in _SCHEMA:
                        self._db.execute(statement)
        except BaseException:
            self.close()
            raise

    def apply(self, operations: Sequence[Take]) -> list[Allowance]:
        """Takes from the quotas in one transaction.

        Raises:
            StoreError: The transaction failed.
        """
        with self._file.explaining():
            try:
                return self._take(operations)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                    raise
                with self._file.transaction():
                    self._db.execute(_DROP, (_ANY_TIME, _DROPS_WHEN_FULL))
                return self._take(operations)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _take(self, operations: Sequence[Take]) -> list[Allowance]:
        self._file.require_unreplaced()
        with self._file.transaction():
            latest_ms = max(operation.now_ms for operation in operations)
            drops = _DROPS_PER_BATCH + _DROPS_PER_OPERATION * len(operations)
            self._db.execute(_DROP, (latest_ms, drops))
            return [self._take_one(operation) for operation in operations]

    def _take_one(self, operation: Take) -> Allowance:
        row = self._db.execute(_READ, (operation.key,)).fetchone()
        level, allowance = take(
            None if row is None else Level(*row),
            operation.quota,
            now_ms=operation.now_ms,
            calls=operation.calls,
        )
        if allowance.allowed:
            end_ms = forgotten_at_ms(level, operation.quota)
            self._db.execute(_WRITE, (operation.key, level.at_ms, level.used, end_ms))
        return allowance

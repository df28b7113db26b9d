# SPDX-License-Identifier: Apache-2.0
"""The rows of a ledger's file that say who took the uses of payments, and which gates are alive."""

import sqlite3
from typing import Final

from pypow_server.stores.attempts import Attempt, Attempts, Return, Taken, read, stored
from pypow_server.stores.operations import End, Live

SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS attempts (key BLOB PRIMARY KEY, taken TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS lives (life BLOB PRIMARY KEY, until_ms INTEGER NOT NULL)"
    " WITHOUT ROWID",
)
_FIND: Final = "SELECT taken FROM attempts WHERE key = ?"
_KEEP: Final = "INSERT INTO attempts VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET taken = ?2"
_DROP: Final = "DELETE FROM attempts WHERE key = ?"
_SWEEP: Final = "DELETE FROM attempts WHERE key NOT IN (SELECT key FROM spends)"
_UNTIL: Final = "SELECT until_ms FROM lives WHERE life = ?"
_LIVE: Final = "INSERT INTO lives VALUES (?1, ?2) ON CONFLICT (life) DO UPDATE SET until_ms = ?2"
_BURY: Final = "DELETE FROM lives WHERE until_ms <= ?"


class AttemptRows(Attempts):
    """The rows of an open file, within a transaction of the caller's."""

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__(self._read, self._write, self._goes_on)
        self._db = db
        self._now_ms = 0

    def at(self, now_ms: int) -> "AttemptRows":
        """These, as of a moment by the clock of their file."""
        self._now_ms = now_ms
        return self

    def perform(self, asked: End | Live) -> bool | None:
        """Record how an attempt ended, or how long a life goes on."""
        if isinstance(asked, End):
            return self.end(asked.key, asked.attempt.life, asked.attempt.number, asked.ending)
        self._live(asked.life, asked.lasts_ms)
        return None

    def back(self, key: bytes, attempt: Attempt) -> Return:
        """As `Attempts.back`; and the life goes on of whoever asks."""
        self._live(attempt.life, attempt.lasts_ms)
        return super().back(key, attempt)

    def sweep(self) -> None:
        """Drop those whose spends were dropped."""
        self._db.execute(_SWEEP)

    def _live(self, life: bytes, lasts_ms: int) -> None:
        self._db.execute(_LIVE, (life, self._now_ms + lasts_ms))
        self._db.execute(_BURY, (self._now_ms,))

    def _read(self, key: bytes) -> tuple[Taken, ...]:
        row = self._db.execute(_FIND, (key,)).fetchone()
        return () if row is None else read(row[0])

    def _write(self, key: bytes, taken: tuple[Taken, ...]) -> None:
        if taken:
            self._db.execute(_KEEP, (key, stored(taken)))
        else:
            self._db.execute(_DROP, (key,))

    def _goes_on(self, life: bytes) -> bool:
        row = self._db.execute(_UNTIL, (life,)).fetchone()
        return row is not None and row[0] > self._now_ms

# SPDX-License-Identifier: Apache-2.0
"""The SQLite file behind `SqliteLedger`: its schema, its epoch and its one transaction.

Nothing here waits on an event loop or starts a thread: a `SpendFile` is used by one thread at a
time and does one thing, apply a batch of operations in one durable transaction.

The epoch. The row `meta` carries a heartbeat that every transaction refreshes, and an open ledger
makes one at least each second. Whoever opens a file whose heartbeat is not fresh cannot know
whether spends were lost with a wipe, a restore or a failover, and so begins a new epoch. What the
heartbeat cannot show is a copy younger than `FRESH_MS` put back at once.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from pypow_server.stores import SKEW_MS, Spend, StoreError

SCHEMA_VERSION: Final = 1
FRESH_MS: Final = 5_000
_WAL_RETRY_S: Final = 0.01

# Expired records dropped per transaction: more than can come in, so that the table shrinks, and
# few enough that no batch waits for a purge.
_DROPS_PER_BATCH: Final = 128
_DROPS_PER_OPERATION: Final = 2

_SCHEMA: Final = (
    "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL, heartbeat_ms INTEGER NOT NULL, high_water_ms INTEGER NOT NULL)",
    "CREATE TABLE spends (key BLOB PRIMARY KEY, uses INTEGER NOT NULL,"
    " expires_at_ms INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX spends_by_expiry ON spends (expires_at_ms)",
)
_USE: Final = (
    "INSERT INTO spends (key, uses, expires_at_ms) VALUES (?1, 1, ?2) ON CONFLICT (key) DO UPDATE"
    " SET uses = uses + 1, expires_at_ms = max(expires_at_ms, ?2) WHERE uses < ?3"
)
_RELEASE: Final = "UPDATE spends SET uses = uses - 1 WHERE key = ? AND uses > 0"
_DROP: Final = (
    "DELETE FROM spends WHERE key IN"
    " (SELECT key FROM spends WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)"
)
_BEAT: Final = "UPDATE meta SET epoch = ?, heartbeat_ms = ?, high_water_ms = ?"


@dataclass(frozen=True, slots=True)
class Claim:
    """One spend, as `Ledger.spend` describes it."""

    key: bytes
    epoch: int | None
    expires_at_ms: int
    now_ms: int
    limit: int


@dataclass(frozen=True, slots=True)
class Release:
    """One use of a key to give back."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Probe:
    """Asks only that the transaction succeeds."""


Operation: TypeAlias = Claim | Release | Probe

Outcome: TypeAlias = Spend | None
"""How a `Claim` went; None for the operations that have nothing to tell."""


class SpendFile:
    """An open ledger file. `epoch` and `high_water_ms` are those of the last transaction."""

    def __init__(self, path: Path, *, clock: Callable[[], int], busy_timeout_ms: int) -> None:
        """Opens the file, creating it readable by its owner only, and settles the epoch.

        Args:
            path: An absolute path.
            clock: Unix ms, for the heartbeat.
            busy_timeout_ms: How long to wait while another process writes.

        Raises:
            StoreError: It cannot be opened, or is not a ledger of this version.
        """
        self._path = path
        self._clock = clock
        self.epoch = 0
        self.high_water_ms = 0
        with self._explaining():
            self._db = _connect(path, busy_timeout_ms=busy_timeout_ms)
            self._identity = _identity(path)
            try:
                self._require_soundness(busy_timeout_ms=busy_timeout_ms)
                with self._transaction():
                    self._settle_epoch()
            except BaseException:
                self.close()
                raise

    def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Does all of `operations` in one durable transaction, or none of them.

        Returns:
            One outcome per operation.

        Raises:
            StoreError: The transaction failed, and what it did is unknown.
        """
        with self._explaining():
            if _identity(self._path) != self._identity:
                raise StoreError(f"the ledger {self._path} was replaced while it was open")
            with self._transaction():
                latest_ms = max((o.now_ms for o in operations if isinstance(o, Claim)), default=0)
                epoch, high_water_ms = self._beat(latest_ms)
                outcomes = [
                    self._perform(operation, epoch=epoch, high_water_ms=high_water_ms)
                    for operation in operations
                ]
                drops = _DROPS_PER_BATCH + _DROPS_PER_OPERATION * len(operations)
                self._db.execute(_DROP, (high_water_ms - SKEW_MS, drops))
            self.epoch, self.high_water_ms = epoch, high_water_ms
        return outcomes

    def close(self) -> None:
        """Closes the file; what was committed stays."""
        with suppress(sqlite3.Error):
            self._db.close()

    def _require_soundness(self, *, busy_timeout_ms: int) -> None:
        mode = self._switch_to_wal(deadline=time.monotonic() + busy_timeout_ms / 1000)
        if mode != "wal":
            raise StoreError(
                f"{self._path} is on a file system without SQLite's write-ahead log (journal mode "
                f"{mode}); put it on a local disk"
            )
        self._db.execute("PRAGMA synchronous = FULL")
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(_explain(self._path, str(verdict), sqlite3.SQLITE_CORRUPT))

    def _switch_to_wal(self, *, deadline: float) -> str:
        # SQLite's own timeout does not cover this lock, and processes that open together collide.
        while True:
            try:
                return str(self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0])
            except sqlite3.OperationalError as error:
                busy = _primary_code(error) == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
            time.sleep(_WAL_RETRY_S)

    def _settle_epoch(self) -> None:
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master")}
        now_ms = self._clock()
        if not tables:
            for statement in _SCHEMA:
                self._db.execute(statement)
            self.epoch = secrets.randbits(32)
            row = (SCHEMA_VERSION, self.epoch, now_ms)
            self._db.execute("INSERT INTO meta VALUES (1, ?, ?, ?, 0)", row)
            return
        if not {"meta", "spends"} <= tables:
            raise StoreError(
                f"{self._path} is a database of another application; name a file of its own"
            )
        version, epoch, heartbeat_ms, self.high_water_ms = self._read_meta()
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"expected a ledger of schema version {SCHEMA_VERSION} in {self._path}; got "
                f"version {version}: use the release of pypow that wrote it, or name a new file"
            )
        fresh = abs(now_ms - heartbeat_ms) <= FRESH_MS
        self.epoch = epoch if fresh else secrets.randbits(32)
        self._db.execute(_BEAT, (self.epoch, now_ms, self.high_water_ms))

    def _beat(self, latest_ms: int) -> tuple[int, int]:
        _, epoch, _, high_water_ms = self._read_meta()
        if high_water_ms < self.high_water_ms:
            # The file's clock never moves back: an older copy was put in place while this was open.
            epoch, high_water_ms = secrets.randbits(32), self.high_water_ms
        high_water_ms = max(high_water_ms, latest_ms)
        self._db.execute(_BEAT, (epoch, self._clock(), high_water_ms))
        return epoch, high_water_ms

    def _read_meta(self) -> tuple[int, int, int, int]:
        row = self._db.execute("SELECT version, epoch, heartbeat_ms, high_water_ms FROM meta")
        version, epoch, heartbeat_ms, high_water_ms = row.fetchone() or (None,) * 4
        if not (
            isinstance(version, int)
            and isinstance(epoch, int)
            and isinstance(heartbeat_ms, int)
            and isinstance(high_water_ms, int)
        ):
            raise StoreError(_explain(self._path, "no clock in it", sqlite3.SQLITE_CORRUPT))
        return version, epoch, heartbeat_ms, high_water_ms

    def _perform(self, operation: Operation, *, epoch: int, high_water_ms: int) -> Outcome:
        match operation:
            case Claim():
                if operation.epoch is not None and operation.epoch != epoch:
                    return Spend.STALE
                if operation.expires_at_ms + SKEW_MS <= high_water_ms:
                    return Spend.UNKNOWN
                values = (operation.key, operation.expires_at_ms, operation.limit)
                used = self._db.execute(_USE, values).rowcount == 1
                return Spend.WON if used else Spend.LOST
            case Release():
                self._db.execute(_RELEASE, (operation.key,))
                return None
            case Probe():
                return None
            case _:
                assert_never(operation)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some faults, and then refuses to do it again.
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            text = _explain(self._path, str(error), _primary_code(error))
            raise StoreError(text) from error
        except UnicodeDecodeError as error:
            # The message about a damaged schema quotes the damaged octets.
            text = _explain(self._path, "malformed schema", sqlite3.SQLITE_CORRUPT)
            raise StoreError(text) from error
        except OSError as error:
            text = _explain(self._path, error.strerror or str(error), sqlite3.SQLITE_CANTOPEN)
            raise StoreError(text) from error


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _connect(path: Path, *, busy_timeout_ms: int) -> sqlite3.Connection:
    # SQLite would create the file under the umask. An existing file is not touched: closing a
    # second descriptor of it would drop the locks that this process holds on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    return sqlite3.connect(
        path, timeout=busy_timeout_ms / 1000, isolation_level=None, check_same_thread=False
    )


_REMEDIES: Final = {
    sqlite3.SQLITE_CANTOPEN: "check that its folder exists and that this process may write to it",
    sqlite3.SQLITE_READONLY: "give this process write permission to the file and to its folder",
    sqlite3.SQLITE_PERM: "give this process write permission to the file and to its folder",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite file; name another, or move it away",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; move it away and a new ledger is begun",
    sqlite3.SQLITE_BUSY: "another process keeps it locked; end that process or its transaction",
    sqlite3.SQLITE_LOCKED: "another process keeps it locked; end that process or its transaction",
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_IOERR: "the disk failed or is full; make room, and check the system's log",
}


def _primary_code(error: sqlite3.Error) -> int:
    # The low octet is the primary code; the rest refines it. Some errors carry no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _explain(path: Path, what: str, code: int) -> str:
    remedy = _REMEDIES.get(code, "check that it is a ledger that pypow wrote")
    return f"cannot use the ledger {path}: {what}; {remedy}"

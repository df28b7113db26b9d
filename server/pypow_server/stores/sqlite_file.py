# SPDX-License-Identifier: Apache-2.0
"""A SQLite file in write-ahead mode: opened by its owner alone, with every fault explained."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from pypow_server.stores import StoreError

_WAL_RETRY_S: Final = 0.01

# Records are spread over the whole file, and each change writes a page: small ones. What the
# write-ahead log holds before it is copied into the file is as much as SQLite's own default.
_PAGE_OCTETS: Final = 1024
_CHECKPOINT_PAGES: Final = 4_000
_CACHE_KIB: Final = 16 * 1024

_REMEDIES: Final = {
    sqlite3.SQLITE_CANTOPEN: "check that its folder exists and that this process may write to it",
    sqlite3.SQLITE_READONLY: "give this process write permission to the file and to its folder",
    sqlite3.SQLITE_PERM: "give this process write permission to the file and to its folder",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite file; name another, or move it away",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; move it away and a new one is begun",
    sqlite3.SQLITE_BUSY: "another process keeps it locked; end that process or its transaction",
    sqlite3.SQLITE_LOCKED: "another process keeps it locked; end that process or its transaction",
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_IOERR: "the disk failed or is full; make room, and check the system's log",
    sqlite3.SQLITE_PROTOCOL: "its locks do not work; put it on a local disk, not on a network's",
}


class SqliteFile:
    """An open file, used by one thread at a time.

    Attributes:
        db: its connection, in autocommit mode.
    """

    def __init__(
        self,
        path: Path,
        *,
        kind: str,
        synchronous: Literal["FULL", "OFF"],
        busy_timeout_ms: int,
    ) -> None:
        """Opens the file, creating it readable by its owner only.

        Args:
            path: An absolute path.
            kind: What the file is, for errors.
            synchronous: Whether a commit waits for the disk.
            busy_timeout_ms: How long to wait while another process writes.

        Raises:
            StoreError: It cannot be opened, or is not a sound SQLite file.
        """
        self._path = path
        self._kind = kind
        with self.explaining():
            self.db = _connect(path, busy_timeout_ms=busy_timeout_ms)
            self._identity = _identity(path)
            try:
                self.db.execute(f"PRAGMA page_size = {_PAGE_OCTETS}")  # of a file that is new
                self._require_soundness(busy_timeout_ms=busy_timeout_ms)
                self.db.execute(f"PRAGMA synchronous = {synchronous}")
                self.db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
                self.db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            except BaseException:
                self.close()
                raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Takes the write lock at once; commits at the end, or rolls back on an exception."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some faults, and then refuses to do it again.
            with suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            raise

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turns faults of SQLite and the system into a `StoreError` that names the fix."""
        try:
            yield
        except sqlite3.Error as error:
            raise self.fault(str(error), _primary_code(error)) from error
        except UnicodeDecodeError as error:
            # The message about a damaged schema quotes the damaged octets.
            raise self.fault("malformed schema", sqlite3.SQLITE_CORRUPT) from error
        except ValueError as error:  # no path of the system's
            raise self.fault(str(error), sqlite3.SQLITE_CANTOPEN) from error
        except OSError as error:
            what = error.strerror or str(error)
            raise self.fault(what, sqlite3.SQLITE_CANTOPEN) from error

    def fault(self, what: str, code: int) -> StoreError:
        """The error for ``what`` went wrong; ``code`` is SQLite's primary result code."""
        remedy = _REMEDIES.get(code, f"check that it is a {self._kind} that pypow wrote")
        return StoreError(f"cannot use the {self._kind} {self._path}: {what}", fix=remedy)

    def require_unreplaced(self) -> None:
        """Raises when the path leads to another file than the one that is open.

        Raises:
            StoreError: It does.
            OSError: It leads nowhere.
        """
        if _identity(self._path) != self._identity:
            raise StoreError(f"the {self._kind} {self._path} was replaced while it was open")

    def close(self) -> None:
        """Closes the file; what was committed stays."""
        with suppress(sqlite3.Error):
            self.db.close()

    def _require_soundness(self, *, busy_timeout_ms: int) -> None:
        mode = self._switch_to_wal(deadline=time.monotonic() + busy_timeout_ms / 1000)
        if mode != "wal":
            raise StoreError(
                f"{self._path} is on a file system without SQLite's write-ahead log (journal mode "
                f"{mode})",
                fix="put it on a local disk",
            )
        (verdict,) = self.db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise self.fault(str(verdict), sqlite3.SQLITE_CORRUPT)

    def _switch_to_wal(self, *, deadline: float) -> str:
        # SQLite's own timeout does not cover this lock, and processes that open together collide.
        while True:
            try:
                return str(self.db.execute("PRAGMA journal_mode = WAL").fetchone()[0])
            except sqlite3.OperationalError as error:
                busy = _primary_code(error) == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
            time.sleep(_WAL_RETRY_S)


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


def _primary_code(error: sqlite3.Error) -> int:
    # The low octet is the primary code; the rest refines it. Some errors carry no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF

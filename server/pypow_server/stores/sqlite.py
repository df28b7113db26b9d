# SPDX-License-Identifier: Apache-2.0
"""A durable ledger in one SQLite file, and a limiter in another, for the processes of one machine.

A spend that won is on the disk. What the limiter counts is not flushed: losing it costs a few free
calls, and it never makes a spend wait.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from pypow_server.stores import Store, StoreError
from pypow_server.stores.batched import (
    HEARTBEAT_S,
    BatchedLedger,
    BatchedLimiter,
    store_of,
    wall_clock_ms,
)
from pypow_server.stores.limit_file import LimitFile
from pypow_server.stores.spend_file import SpendFile

_BUSY_TIMEOUT_MS: Final = 2_000


class SqliteLedger(BatchedLedger):
    """A `Ledger` in a SQLite file (WAL, ``synchronous=FULL``)."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], int] = wall_clock_ms,
        busy_timeout_ms: int = _BUSY_TIMEOUT_MS,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """Opens the file, creating it (mode 0600) if need be, and starts the writer.

        Args:
            path: The file; its folder must exist, on a local disk.
            clock: Unix ms, for the heartbeat that tells a clean restart from a lost store.
            busy_timeout_ms: How long a transaction waits for another process.
            heartbeat_s: The longest silence between two transactions.

        Raises:
            StoreError: The file cannot be opened, or is not a ledger.
        """
        absolute = Path(path).absolute()

        def reopen(high_water_ms: int) -> SpendFile:
            return SpendFile(
                absolute,
                clock=clock,
                busy_timeout_ms=busy_timeout_ms,
                high_water_ms=high_water_ms,
            )

        super().__init__(
            reopen, name=f"the ledger {absolute}", clock=clock, heartbeat_s=heartbeat_s
        )


class SqliteLimiter(BatchedLimiter):
    """A `Limiter` in a SQLite file of its own (WAL, ``synchronous=OFF``)."""

    def __init__(
        self, path: str | os.PathLike[str], *, busy_timeout_ms: int = _BUSY_TIMEOUT_MS
    ) -> None:
        """Opens the file, creating it (mode 0600) if need be.

        Args:
            path: The file; its folder must exist, on a local disk.
            busy_timeout_ms: How long a transaction waits for another process.

        Raises:
            StoreError: The file cannot be opened, or is not a limiter's.
        """
        absolute = Path(path).absolute()
        super().__init__(
            lambda: LimitFile(absolute, busy_timeout_ms=busy_timeout_ms),
            name=f"the limiter {absolute}",
        )


def file_of(rest: str) -> Path:
    """The ledger's file.

    Args:
        rest: what stands after ``sqlite:``.

    Raises:
        StoreError: ``~`` with a name that nobody has.
    """
    try:
        return Path(rest).expanduser()
    except RuntimeError:
        raise StoreError(f"expected a path, got {rest!r}: there is no such home") from None


def open_store(rest: str) -> Store:
    """Opens what ``sqlite:PATH`` names; the limiter's file lies beside it.

    Args:
        rest: the path; ``~`` stands for the home folder.

    Raises:
        StoreError: no path, or a file that cannot be used.
    """
    if not rest or rest.startswith("//"):
        raise StoreError(
            f"expected sqlite:PATH such as sqlite:/var/lib/pypow/ledger.db, got {rest!r}"
        )
    path = file_of(rest)
    limits = path.with_name(f"{path.name}.limits")
    count = partial(_count, path.absolute())
    return store_of(SqliteLedger(path), lambda: SqliteLimiter(limits), count)


def _count(path: Path) -> int:
    # Readers and the writer do not wait for each other in a write-ahead log.
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        (count,) = db.execute("SELECT count(*) FROM spends").fetchone()
    return int(count)

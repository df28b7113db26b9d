# SPDX-License-Identifier: Apache-2.0
"""The SQLite file behind `SqliteLedger`: its schema, its epoch and its one transaction.

Nothing here waits on an event loop or starts a thread: a `SpendFile` is used by one thread at a
time and does one thing, apply a batch of operations in one durable transaction.

The epoch. The row `meta` carries a heartbeat that every transaction refreshes, and an open ledger
makes one at least each second. Whoever opens a file whose heartbeat is not fresh cannot know
whether spends were lost with a wipe, a restore or a failover, and so begins a new epoch. What the
heartbeat cannot show is a copy younger than `FRESH_MS` put back at once.
"""

import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, assert_never

from pypow_server.stores import (
    SKEW_MS,
    StoreError,
    account_rows,
    attempt_rows,
    sale_rows,
    spend_rows,
)
from pypow_server.stores.account_rows import AccountRows
from pypow_server.stores.accounts import Accounts
from pypow_server.stores.attempt_rows import AttemptRows
from pypow_server.stores.operations import (
    Ask,
    Claim,
    End,
    FindRank,
    FindSales,
    ForgetSales,
    LedgerOperation,
    LedgerOutcome,
    ListRevoked,
    Live,
    Look,
    Probe,
    Release,
    Replace,
    Revoke,
)
from pypow_server.stores.sale_rows import SaleRows
from pypow_server.stores.spend_rows import SpendRows
from pypow_server.stores.sqlite_file import SqliteFile
from pypow_server.stores.uses import Use, Uses

SCHEMA_VERSION: Final = 1
FRESH_MS: Final = 5_000
_BEAT_MS: Final = 1_000

# Rows swept for each spend, so that what has expired is a quarter of the file at most; and swept at
# once, so that a sweep is rare and no batch waits for a long one. A heartbeat sweeps that many too.
_SWEPT_PER_SPEND: Final = 4
_SWEPT_AT_ONCE: Final = 512

_SCHEMA: Final = (
    "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL, heartbeat_ms INTEGER NOT NULL, high_water_ms INTEGER NOT NULL)",
    spend_rows.SCHEMA,
)
# Beside the schema's version, because a file without these tables is one that revoked nothing,
# charged nobody, sold nothing and was never crowded.
_REVOCATIONS: Final = (
    "CREATE TABLE IF NOT EXISTS revocations (identity BLOB PRIMARY KEY,"
    " expires_at_ms INTEGER NOT NULL) WITHOUT ROWID"
)
_RECORDS: Final = (
    "CREATE TABLE IF NOT EXISTS records (name TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID"
)
_BESIDE: Final = (
    _REVOCATIONS,
    _RECORDS,
    *account_rows.SCHEMA,
    *sale_rows.SCHEMA,
    *attempt_rows.SCHEMA,
)
_LOOK: Final = "SELECT record FROM records WHERE name = ?"
_REPLACE: Final = "INSERT INTO records VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET record = ?2"
_REVOKE: Final = (
    "INSERT INTO revocations VALUES (?1, ?2) ON CONFLICT (identity) DO UPDATE"
    " SET expires_at_ms = max(expires_at_ms, ?2)"
)
_UNREVOKE: Final = "DELETE FROM revocations WHERE expires_at_ms <= ?"
_REVOKED: Final = "SELECT identity FROM revocations WHERE expires_at_ms > ?"
_BEAT: Final = "UPDATE meta SET epoch = ?, heartbeat_ms = ?, high_water_ms = ?"


class SpendFile:
    """An open ledger file. `epoch` and `high_water_ms` are those of the last transaction."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], int],
        busy_timeout_ms: int,
        high_water_ms: int = 0,
    ) -> None:
        """Opens the file, creating it readable by its owner only, and settles the epoch.

        Args:
            path: An absolute path.
            clock: Unix ms, for the heartbeat.
            busy_timeout_ms: How long to wait while another process writes.
            high_water_ms: The file's clock as this process last saw it.

        Raises:
            StoreError: It cannot be opened, or is not a ledger of this version.
        """
        self._path = path
        self._clock = clock
        self.epoch = 0
        self.high_water_ms = high_water_ms
        self._beat_at_ms = 0
        self._file = SqliteFile(
            path, kind="ledger", synchronous="FULL", busy_timeout_ms=busy_timeout_ms
        )
        self._db = self._file.db
        self._rows = SpendRows(self._db)
        self._sales = SaleRows(self._db)
        self._attempts = AttemptRows(self._db)
        self._unswept = 0
        try:
            with self._file.explaining(), self._file.transaction():
                self._settle_epoch()
                for statement in _BESIDE:
                    self._db.execute(statement)
        except BaseException:
            self.close()
            raise

    def apply(self, operations: Sequence[LedgerOperation]) -> list[LedgerOutcome]:
        """Does all of `operations` in one durable transaction, or none of them.

        Returns:
            One outcome per operation.

        Raises:
            StoreError: The transaction failed, and what it did is unknown.
        """
        with self._file.explaining():
            self._file.require_unreplaced()
            if self._clock() - self._beat_at_ms < _BEAT_MS and _only_read(operations):
                _, accounts = self._accounts_of(operations)
                uses = self._uses({}, accounts, epoch=self.epoch, high_water_ms=self.high_water_ms)
                return [self._perform(each, uses, accounts) for each in operations]
            with self._file.transaction():
                claims = [each for each in operations if isinstance(each, Claim)]
                epoch, high_water_ms = self._beat(max((c.now_ms for c in claims), default=0))
                keys = [each.key for each in operations if isinstance(each, Claim | Release)]
                account_rows, accounts = self._accounts_of(operations)
                recorded = self._rows.read(keys)
                uses = self._uses(recorded, accounts, epoch=epoch, high_water_ms=high_water_ms)
                outcomes = [self._perform(each, uses, accounts) for each in operations]
                self._rows.write(uses.changed)
                self._sales.write(uses.won, uses.released)
                account_rows.write(now_ms=high_water_ms)
                self._sweep(len(claims), expired_at_ms=high_water_ms - SKEW_MS)
            self.epoch, self.high_water_ms = epoch, high_water_ms
        return outcomes

    def close(self) -> None:
        """Closes the file; what was committed stays."""
        self._file.close()

    def _settle_epoch(self) -> None:
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master")}
        now_ms = self._clock()
        if not tables:
            for statement in _SCHEMA:
                self._db.execute(statement)
            self.epoch = secrets.randbits(32)
            row = (SCHEMA_VERSION, self.epoch, now_ms, self.high_water_ms)
            self._db.execute("INSERT INTO meta VALUES (1, ?, ?, ?, ?)", row)
            return
        if not {"meta", "spends"} <= tables:
            raise StoreError(
                f"{self._path} is a database of another application",
                fix="name a file of its own",
            )
        version, epoch, heartbeat_ms, high_water_ms = self._read_meta()
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"expected a ledger of schema version {SCHEMA_VERSION} in {self._path}; got "
                f"version {version}",
                fix="use the release of pypow that wrote it, or name a new file",
            )
        fresh = abs(now_ms - heartbeat_ms) <= FRESH_MS and high_water_ms >= self.high_water_ms
        self.epoch = epoch if fresh else secrets.randbits(32)
        self.high_water_ms = max(high_water_ms, self.high_water_ms)
        self._db.execute(_BEAT, (self.epoch, now_ms, self.high_water_ms))

    def _beat(self, latest_ms: int) -> tuple[int, int]:
        _, epoch, _, high_water_ms = self._read_meta()
        if high_water_ms < self.high_water_ms:
            # The file's clock never moves back: an older copy was put in place while this was open.
            epoch, high_water_ms = secrets.randbits(32), self.high_water_ms
        high_water_ms = max(high_water_ms, latest_ms)
        self._beat_at_ms = self._clock()
        self._db.execute(_BEAT, (epoch, self._beat_at_ms, high_water_ms))
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
            raise self._file.fault("no clock in it", sqlite3.SQLITE_CORRUPT)
        return version, epoch, heartbeat_ms, high_water_ms

    def _uses(
        self, recorded: Mapping[bytes, Use], accounts: Accounts, *, epoch: int, high_water_ms: int
    ) -> Uses:
        attempts = self._attempts.at(self._beat_at_ms)
        return Uses(recorded, accounts, attempts, epoch=epoch, high_water_ms=high_water_ms)

    def _accounts_of(self, operations: Sequence[LedgerOperation]) -> tuple[AccountRows, Accounts]:
        charges = [
            each.charge for each in operations if isinstance(each, Claim | Release | Ask | FindRank)
        ]
        keys = {key for charge in charges if charge is not None for key in charge.keys}
        rows = AccountRows(self._db, list(keys))
        return rows, Accounts(rows.find, rows.keep)

    def _perform(self, operation: LedgerOperation, uses: Uses, accounts: Accounts) -> LedgerOutcome:
        match operation:
            case Claim():
                return uses.claim(operation)
            case Release():
                uses.release(operation)
                return None
            case Ask(charge, now_ms, take):
                ask = accounts.take_free if take else accounts.quote
                return ask(charge, now_ms)
            case FindRank(charge, now_ms):
                return accounts.rank(charge, now_ms)
            case Probe():
                return None
            case Revoke(identity, expires_at_ms, now_ms):
                self._db.execute(_UNREVOKE, (now_ms - SKEW_MS,))
                self._db.execute(_REVOKE, (identity, expires_at_ms))
                return None
            case ListRevoked(now_ms):
                rows = self._db.execute(_REVOKED, (now_ms - SKEW_MS,))
                return frozenset(identity for (identity,) in rows)
            case End() | Live() | FindSales() | ForgetSales():
                return self._books(operation)
            case Look(record):
                return self._look(record), self._clock()
            case Replace(record, before, after):
                if self._look(record) != before:
                    return False
                self._db.execute(_REPLACE, (record, after))
                return True
            case _:
                assert_never(operation)

    def _books(self, operation: End | Live | FindSales | ForgetSales) -> LedgerOutcome:
        if isinstance(operation, End | Live):
            return self._attempts.perform(operation)
        if isinstance(operation, ForgetSales):
            return self._sales.forget(operation.before_ms)
        return self._sales.page(operation)

    def _look(self, name: str) -> bytes:
        (record,) = self._db.execute(_LOOK, (name,)).fetchone() or (b"",)
        return bytes(record)

    def _sweep(self, claims: int, *, expired_at_ms: int) -> None:
        self._unswept += _SWEPT_PER_SPEND * claims
        if claims and self._unswept < _SWEPT_AT_ONCE:
            return
        self._rows.sweep(max(self._unswept, _SWEPT_AT_ONCE), expired_at_ms=expired_at_ms)
        self._attempts.sweep()
        self._unswept = 0


def _only_read(operations: Sequence[LedgerOperation]) -> bool:
    """Whether these are refusals alone, callers about to wait, or readers: nothing to write."""
    return bool(operations) and all(
        isinstance(each, FindRank | FindSales) or (isinstance(each, Ask) and not each.take)
        for each in operations
    )

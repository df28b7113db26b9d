# SPDX-License-Identifier: Apache-2.0
"""A durable ledger in one SQLite file, shared by any number of processes of one machine.

One thread owns the file. Spends that wait while it commits go together into the next transaction
(group commit), so that one disk flush serves many callers and durability costs little under load.
"""

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from pypow_server.stores import SKEW_MS, Spend, StoreError, check_spend
from pypow_server.stores.spend_file import Claim, Operation, Outcome, Probe, Release, SpendFile

_MAX_BATCH: Final = 512
_LOG: Final = logging.getLogger("pypow.ledger")

_Settled: TypeAlias = tuple[asyncio.Future[Outcome], Outcome | StoreError]


@dataclass(frozen=True, slots=True)
class _Job:
    operation: Operation
    future: asyncio.Future[Outcome]


def wall_clock_ms() -> int:
    """Unix time in ms."""
    return time.time_ns() // 1_000_000


class SqliteLedger:
    """A `Ledger` in a SQLite file (WAL, ``synchronous=FULL``).

    It belongs to the thread and the process that opened it: after a fork it refuses, because its
    writer exists only in the parent. A fault is answered with `UNKNOWN`; the file is then opened
    anew for every batch until that succeeds, so the ledger recovers by itself.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], int] = wall_clock_ms,
        busy_timeout_ms: int = 2_000,
        heartbeat_s: float = 1.0,
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
        self._path = Path(path).absolute()
        self._clock = clock
        self._busy_timeout_ms = busy_timeout_ms
        self._heartbeat_s = heartbeat_s
        self._file: SpendFile | None = self._open()
        self._epoch = self._file.epoch
        self._high_water_ms = self._file.high_water_ms
        self._healthy = True
        self._closed = False
        self._pid = os.getpid()
        self._inbox: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="pypow-ledger", daemon=True)
        self._writer.start()

    async def epoch(self) -> int:
        """The file's epoch as of the last transaction, at most a heartbeat ago."""
        return self._epoch

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        """Uses `key` once; see `Ledger.spend`. The writer completes it whoever still waits."""
        check_spend(key, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit)
        claim = Claim(key=key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit)
        try:
            outcome = await self._submit(claim)
        except StoreError:
            return Spend.UNKNOWN
        assert outcome is not None
        return outcome

    async def release(self, key: bytes) -> None:
        """Gives one use of `key` back.

        Raises:
            StoreError: The use could not be given back.
        """
        await self._submit(Release(key))

    async def probe(self) -> None:
        """Returns when a transaction has just succeeded and the clock is sane.

        Raises:
            StoreError: What is wrong, and the fix.
        """
        await self._submit(Probe())
        behind_ms = self._high_water_ms - self._clock()
        if behind_ms > SKEW_MS:
            raise StoreError(
                f"the clock is {behind_ms // 1000} s behind a time already recorded in the ledger "
                f"{self._path}; set the clock right, or begin a new ledger if that time was wrong"
            )

    async def aclose(self) -> None:
        """Commits what was submitted, closes the file and ends the thread."""
        if not self._closed:
            self._closed = True
            self._inbox.put(None)
        await asyncio.to_thread(self._writer.join)

    def _submit(self, operation: Operation) -> asyncio.Future[Outcome]:
        if self._closed:
            raise StoreError("the ledger is closed; open a new one")
        if os.getpid() != self._pid:
            raise StoreError("the ledger was opened before a fork; open one in each process")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._inbox.put(_Job(operation, future))
        return future

    def _open(self) -> SpendFile:
        return SpendFile(self._path, clock=self._clock, busy_timeout_ms=self._busy_timeout_ms)

    def _write(self) -> None:
        """The writer thread: one transaction per batch, and one for each heartbeat without any."""
        closing = False
        while not closing:
            batch = self._next_batch()
            closing = None in batch
            self._commit([job for job in batch if job is not None])
        if self._file is not None:
            self._file.close()

    def _next_batch(self) -> list[_Job | None]:
        batch: list[_Job | None] = []
        try:
            batch.append(self._inbox.get(timeout=self._heartbeat_s))
            while len(batch) < _MAX_BATCH:
                batch.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return batch

    def _commit(self, jobs: Sequence[_Job]) -> None:
        outcomes: Sequence[Outcome | StoreError]
        try:
            outcomes = self._apply([job.operation for job in jobs])
        except Exception as error:  # noqa: BLE001 - were this thread to end, spends would hang
            self._note_fault(error)
            fault = error if isinstance(error, StoreError) else StoreError(f"ledger: {error!r}")
            outcomes = [fault] * len(jobs)
        else:
            self._note_health()
        _deliver([(job.future, outcome) for job, outcome in zip(jobs, outcomes, strict=True)])

    def _apply(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        if self._file is None:
            self._file = self._open()
        outcomes = self._file.apply(operations)
        self._epoch = self._file.epoch
        self._high_water_ms = self._file.high_water_ms
        return outcomes

    def _note_fault(self, error: Exception) -> None:
        # A connection that failed once is not trusted again: its file may have been replaced.
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._healthy:
            self._healthy = False
            _LOG.error("refusing whatever must be spent: %s", error)

    def _note_health(self) -> None:
        if not self._healthy:
            self._healthy = True
            _LOG.warning("the ledger %s is usable again", self._path)


def _deliver(settled: Sequence[_Settled]) -> None:
    """Wakes all waiters of an event loop with one call, because a wake-up costs a system call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Settled]] = {}
    for future, outcome in settled:
        by_loop.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, of_loop in by_loop.items():
        # A loop that is closed has nobody waiting; what was committed stays committed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, of_loop)


def _settle(settled: Sequence[_Settled]) -> None:
    for future, outcome in settled:
        if future.done():  # the task that awaited it was cancelled
            continue
        if isinstance(outcome, StoreError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

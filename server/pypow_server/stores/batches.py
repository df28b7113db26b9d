# SPDX-License-Identifier: Apache-2.0
"""One thread that owns a connection to a store, and gives it all that waits in one batch.

What comes in while a batch is on its way goes together into the next (group commit): one disk
flush, or one round trip, serves many callers, so that durability costs little under load.
"""

import asyncio
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from pypow_server.stores import StoreError

_MAX_BATCH: Final = 512
_LOG: Final = logging.getLogger("pypow.store")

_OperationIn = TypeVar("_OperationIn", contravariant=True)
_OutcomeOut = TypeVar("_OutcomeOut", covariant=True)
_Operation = TypeVar("_Operation")
_Outcome = TypeVar("_Outcome")


class Connection(Protocol[_OperationIn, _OutcomeOut]):
    """An open store, used by one thread; it blocks."""

    def apply(self, operations: Sequence[_OperationIn]) -> Sequence[_OutcomeOut | StoreError]:
        """Do all of ``operations``; with none, keep the store's heartbeat fresh.

        Returns:
            One outcome per operation; a `StoreError` for one whose outcome is unknown.

        Raises:
            StoreError: the outcome of every operation is unknown.
        """
        ...

    def close(self) -> None:
        """Let go of the store; never raises."""
        ...


_Job: TypeAlias = tuple[_Operation, asyncio.Future[_Outcome]]
_Settled: TypeAlias = tuple[asyncio.Future[_Outcome], _Outcome | StoreError]


class Batches(Generic[_Operation, _Outcome]):
    """Submits operations to a store through a thread of its own.

    It belongs to the process that made it: after a fork it refuses, because its thread exists only
    in the parent. After a fault the store is opened anew for every batch until that succeeds, so
    it recovers by itself. What was submitted is carried through, whoever still waits.
    """

    def __init__(
        self,
        connection: Connection[_Operation, _Outcome],
        reopen: Callable[[], Connection[_Operation, _Outcome]],
        *,
        name: str,
        heartbeat_s: float | None,
    ) -> None:
        """Starts the thread.

        Args:
            connection: The store, open; the thread closes it.
            reopen: Opens the store again, after every fault.
            name: What the store is, for logs and errors.
            heartbeat_s: The longest silence between two batches; None for any.
        """
        self._reopen = reopen
        self._name = name
        self._heartbeat_s = heartbeat_s
        self._connection: Connection[_Operation, _Outcome] | None = connection
        self._healthy = True
        self._closed = False
        self._pid = os.getpid()
        self._inbox: deque[_Job[_Operation, _Outcome]] = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._will_ring: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="pypow-store", daemon=True)
        self._thread.start()

    def submit(self, operation: _Operation) -> asyncio.Future[_Outcome]:
        """The outcome to come; the operation completes though its future be cancelled.

        Raises:
            StoreError: The store is closed, or was opened before a fork.
        """
        if self._closed:
            raise StoreError(f"{self._name} is closed", fix="open it anew")
        if os.getpid() != self._pid:
            raise StoreError(
                f"{self._name} was opened before a fork", fix="open it in each process"
            )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Outcome] = loop.create_future()
        self._inbox.append((operation, future))
        if self._will_ring is not loop:
            # At the end of the loop's turn, when all its callers have submitted: a thread that is
            # woken by the first of them takes its time from the others, and does a batch of one.
            self._will_ring = loop
            loop.call_soon(self._ring)
        return future

    async def aclose(self) -> None:
        """Completes what was submitted, closes the store and ends the thread."""
        # Here already: what is submitted while another thread closes might never be settled.
        self._closed = True
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """The same, while no event loop runs; it blocks."""
        self._closed = True
        self._bell.put(None)
        self._thread.join()

    def _ring(self) -> None:
        self._will_ring = None
        self._bell.put(None)

    def _work(self) -> None:
        """The thread: one batch after the other, and an empty one for each heartbeat without."""
        closing = False
        while not closing:
            is_silent = not self._hears_bell()
            closing = self._closed
            while self._inbox:
                count = min(len(self._inbox), _MAX_BATCH)
                self._settle([self._inbox.popleft() for _ in range(count)])
                is_silent = False
            if is_silent and not closing:
                self._settle([])
        if self._connection is not None:
            self._connection.close()

    def _hears_bell(self) -> bool:
        try:
            self._bell.get(timeout=self._heartbeat_s)
        except queue.Empty:
            return False
        return True

    def _settle(self, jobs: Sequence[_Job[_Operation, _Outcome]]) -> None:
        outcomes = self._apply([operation for operation, _ in jobs])
        _deliver([(future, outcome) for (_, future), outcome in zip(jobs, outcomes, strict=True)])

    def _apply(self, operations: Sequence[_Operation]) -> Sequence[_Outcome | StoreError]:
        try:
            if self._connection is None:
                self._connection = self._reopen()
            outcomes = self._connection.apply(operations)
        except Exception as error:  # noqa: BLE001 - were this thread to end, spends would hang
            fault = (
                error if isinstance(error, StoreError) else StoreError(f"{self._name}: {error!r}")
            )
            self._note_fault(fault)
            return [fault] * len(operations)
        if len(outcomes) != len(operations):  # and nobody can tell which are missing
            fault = StoreError(f"{self._name} gave no outcome for each operation")
            self._note_fault(fault)
            return [fault] * len(operations)
        for outcome in outcomes:
            if isinstance(outcome, StoreError):
                self._note_fault(outcome)
                return outcomes
        self._note_health()
        return outcomes

    def _note_fault(self, fault: StoreError) -> None:
        # A connection that failed once is not trusted again: behind it may be another store now.
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._healthy:
            self._healthy = False
            _LOG.error("%s fails: %s", self._name, fault)

    def _note_health(self) -> None:
        if not self._healthy:
            self._healthy = True
            _LOG.warning("%s is usable again", self._name)


def _deliver(settled: Sequence[_Settled[_Outcome]]) -> None:
    """Wakes all waiters of an event loop with one call, because a wake-up costs a system call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Settled[_Outcome]]] = {}
    for future, outcome in settled:
        by_loop.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, of_loop in by_loop.items():
        # A loop that is closed has nobody waiting; what was committed stays committed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, of_loop)


def _settle(settled: Sequence[_Settled[_Outcome]]) -> None:
    for future, outcome in settled:
        if future.done():  # the task that awaited it was cancelled
            continue
        if isinstance(outcome, StoreError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

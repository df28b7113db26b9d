# SPDX-License-Identifier: Apache-2.0
"""Searches for event loops: on daemon threads of their own, a few at a time, in order.

The loop's default executor is left to others. A thread ends when nothing is left to do, so that
none has to be shut down; and an interpreter that exits waits for none.
"""

import asyncio
import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable

from .forks import renew_in_children
from .progress import Progress
from .search import Search
from .wire import Proof


class Background:
    """Runs searches on at most `most` threads; the others wait in order."""

    __slots__ = ("__weakref__", "_jobs", "_lock", "_most", "_threads")

    def __init__(self, most: int) -> None:
        self._most = most
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Forget what waits and what runs."""
        self._lock = threading.Lock()
        self._jobs: deque[Callable[[], None]] = deque()
        self._threads = 0

    async def solve(self, search: Search, run: Callable[[], Proof]) -> Proof:
        """Run a search without blocking the loop. Cancelling the task gives the search up.

        Progress is told on the loop's thread; an exception in there ends the search.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Proof] = loop.create_future()
        tell = search.progress

        def report(state: Progress) -> None:
            assert tell is not None
            if not answer.done():
                try:
                    tell(state)
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - handed on
                    _settle(answer, error)

        def time_is_over() -> None:
            _settle(answer, search.give_up())

        def job() -> None:
            outcome: Proof | BaseException
            try:
                outcome = run()
            except BaseException as error:  # noqa: BLE001 - it goes to who awaits the answer
                outcome = error
            # A loop that is closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, answer, outcome)

        def relay(state: Progress) -> None:
            loop.call_soon_threadsafe(report, state)

        if tell is not None:
            search.progress = relay
        self._submit(job)
        # The search looks at the clock itself, but not while it waits for its turn.
        left_s = search.seconds_left
        alarm = None if math.isinf(left_s) else loop.call_later(left_s, time_is_over)
        try:
            return await answer
        finally:
            search.abandoned = True
            if alarm is not None:
                alarm.cancel()

    def _submit(self, job: Callable[[], None]) -> None:
        with self._lock:
            if self._threads < self._most:
                threading.Thread(target=self._work, name="pypow", daemon=True).start()
                self._threads += 1
            self._jobs.append(job)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._threads -= 1
                    return
                job = self._jobs.popleft()
            job()


def _settle(answer: asyncio.Future[Proof], outcome: Proof | BaseException) -> None:
    if answer.done():
        return
    if isinstance(outcome, StopIteration):
        # The one exception that no future takes.
        stopped, outcome = outcome, RuntimeError("a progress function raised StopIteration")
        outcome.__cause__ = stopped
    if isinstance(outcome, BaseException):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)

# SPDX-License-Identifier: Apache-2.0
"""Many solves, one after another, on threads that are kept."""

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from .background import Background
from .crew import Crew
from .errors import SolverClosedError
from .forks import renew_in_children
from .kernel_choice import chosen_kernel
from .processors import usable_processors
from .progress import Progress
from .search import DEFAULT_MAX_BITS, DEFAULT_TIMEOUT_S, Search, Solvable
from .wire import Proof


class Solver:
    """Solves puzzles and challenges one after another, on threads that it keeps.

    Starting threads costs a short solve more than they save; a solver starts them once, at the
    first puzzle that is worth it, and parks them between puzzles. It may be used by several
    threads and event loops at a time: their solves take turns. A forked child may go on using
    it, with threads of its own.

    >>> from pypow import AtMost, Decimal, Puzzle
    >>> with Solver() as solver:
    ...     [solver.solve(Puzzle(b"%d:" % i, Decimal(), AtMost(2**248 - 1))).nonce for i in (1, 2)]
    [b'691', b'339']
    """

    __slots__ = (
        "__weakref__",
        "_background",
        "_closed",
        "_crew",
        "_searching",
        "_turn",
    )

    def __init__(self, *, threads: int | None = None, kernel: str | None = None) -> None:
        """Choose threads and kernel; starts nothing.

        Args:
            threads: 1 to 1024; by default as many as this process may run at once. No more than
                that are started.
            kernel: a name out of `kernels()`; by default ``PYPOW_KERNEL``, else the best.

        Raises:
            InvalidInputError: an impossible number of threads.
            KernelUnavailableError: no such kernel here.
        """
        allowed = usable_processors() if threads is None else threads
        self._crew = Crew(allowed, chosen_kernel(kernel).name)
        self._closed = False
        self._background = Background(most=1)
        self.renew()
        renew_in_children(self)

    def __repr__(self) -> str:
        closed = ", closed" if self._closed else ""
        return f"<Solver threads={self._crew.threads} kernel={self._crew.kernel!r}{closed}>"

    def renew(self) -> None:
        """Forget the threads and who uses them: in a forked child they do not exist."""
        self._turn = threading.RLock()
        self._searching: tuple[Search, ...] = ()
        self._crew = Crew(self._crew.threads, self._crew.kernel)

    def solve(
        self,
        what: Solvable,
        *,
        timeout: float | None = DEFAULT_TIMEOUT_S,
        limit: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        max_bits: float = DEFAULT_MAX_BITS,
    ) -> Proof:
        """`pypow.solve` on this solver's threads, after the solves that came before.

        ``timeout`` counts from the call, waiting included.

        Raises:
            SolverClosedError: the solver was closed before or while it searched.
            Others: as `pypow.solve`.
        """
        return self._run(
            Search(what, timeout=timeout, limit=limit, progress=progress, max_bits=max_bits)
        )

    async def asolve(
        self,
        what: Solvable,
        *,
        timeout: float | None = DEFAULT_TIMEOUT_S,  # noqa: ASYNC109 - the engine's own clock
        limit: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        max_bits: float = DEFAULT_MAX_BITS,
    ) -> Proof:
        """`solve` without blocking the event loop; cancelling the task stops the search.

        ``progress`` is called on the event loop's thread.
        """
        search = Search(what, timeout=timeout, limit=limit, progress=progress, max_bits=max_bits)
        return await self._background.solve(search, lambda: self._run(search))

    def close(self) -> None:
        """End the threads; a search that runs or waits in another thread ends first."""
        self._closed = True
        for search in self._searching:
            search.abandoned = True
        self._crew.stop()
        with self._turn:
            self._close_crew()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, search: Search) -> Proof:
        turn = self._turn
        try:
            if not turn.acquire(timeout=min(max(0, search.seconds_left), threading.TIMEOUT_MAX)):
                raise search.give_up()
            return self._search(search)
        finally:
            # Released here, for an interrupt may come right after the lock; and a lock that
            # this thread does not hold stays as it is.
            with contextlib.suppress(RuntimeError):
                turn.release()

    def _search(self, search: Search) -> Proof:
        outer = self._searching
        self._searching = (*outer, search)
        try:
            # Only now, for `close` tells the searches that it sees.
            if self._closed:
                raise SolverClosedError("this solver is closed; make another")
            if not outer:
                return search.run(self._crew)
            # The progress function of a search on this thread calls: that search has the crew.
            with Crew(self._crew.threads, self._crew.kernel) as another:
                return search.run(another)
        finally:
            self._searching = outer
            self._close_crew()

    def _close_crew(self) -> None:
        """Where the solver is closed, and nothing on this thread searches any more."""
        if self._closed and not self._searching:
            self._crew.close()

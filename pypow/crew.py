# SPDX-License-Identifier: Apache-2.0
"""A kernel and the threads to run it on; the threads are had at first need."""

from typing import Self

from ._bridge_search import Pool
from .errors import InvalidInputError, shown
from .processors import usable_processors


class Crew:
    """How many threads may grind, with which kernel; a context manager.

    Attributes:
        threads: how many are allowed, 1 to 1024.
        kernel: the name of a usable one.
    """

    __slots__ = ("_pool", "kernel", "threads")

    def __init__(self, threads: int, kernel: str) -> None:
        if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 1024:
            raise InvalidInputError(f"expected 1 to 1024 threads, got {shown(threads)}")
        self.threads = threads
        self.kernel = kernel
        self._pool: Pool | None = None

    def pool(self) -> Pool:
        """The pool, of no more threads than can run at once: one more would only take turns."""
        if self._pool is None:
            most = 1 if self.threads == 1 else usable_processors()
            self._pool = Pool(threads=min(self.threads, most), kernel=self.kernel)
        return self._pool

    def stop(self) -> None:
        """End what the pool searches; from any thread."""
        pool = self._pool
        if pool is not None:
            pool.stop()

    def close(self) -> None:
        """End the threads. A crew that is used again has new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

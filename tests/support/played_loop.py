# SPDX-License-Identifier: Apache-2.0
"""An event loop whose time is played: it jumps to the next moment at which anything is due."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _NeverWaits(selectors.DefaultSelector):
    """Looks for news at once, and has the loop's time pass instead of its own."""

    def __init__(self, passes: Callable[[float], None]) -> None:
        super().__init__()
        self._passes = passes

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits, and nothing is due"
            self._passes(timeout)
        return found


class PlayedLoop(asyncio.SelectorEventLoop):
    """An event loop in which an hour passes at once."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_NeverWaits(self._pass))

    def time(self) -> float:
        """Seconds since the loop was made; they pass while everybody waits."""
        return self._now_s

    def _pass(self, seconds: float) -> None:
        self._now_s += max(0.0, seconds)


def played(story: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """What a story comes to, that was played without waiting."""
    with asyncio.Runner(loop_factory=PlayedLoop) as runner:
        return runner.run(story())


def played_ns() -> int:
    """The time of the loop that runs, in nanoseconds."""
    return round(asyncio.get_running_loop().time() * 1e9)

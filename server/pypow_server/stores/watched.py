# SPDX-License-Identifier: Apache-2.0
"""A ledger that tells how each of its operations went: what its metrics and spans are made from."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from . import Ledger, Spend


@dataclass(frozen=True, slots=True)
class StoreCall:
    """One operation of a ledger, after it ended.

    Attributes:
        operation: ``epoch``, ``spend``, ``release`` or ``probe``.
        started_ns: Unix nanoseconds.
        ended_ns: Unix nanoseconds.
        answer: what a spend answered; None for other operations, and when it raised.
        failed: whether it raised, or could not tell.
    """

    operation: str
    started_ns: int
    ended_ns: int
    answer: Spend | None
    failed: bool


Watcher = Callable[[StoreCall], None]
"""Takes each call of a ledger; is called in the event loop: quick, and never raising."""

SPEND: Final = "spend"


class WatchedLedger:
    """A ledger, and who is told of its spends, releases and failures."""

    def __init__(self, inner: Ledger, watchers: Sequence[Watcher]) -> None:
        self._inner = inner
        self._watchers = tuple(watchers)

    async def epoch(self) -> int:
        """The inner ledger's; what it has in mind, so only its failures are told."""
        try:
            return await self._inner.epoch()
        except Exception:
            self._tell("epoch", time.time_ns(), failed=True)
            raise

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        """The inner ledger's; not told where its caller goes away and does not hear how it ends."""
        started_ns = time.time_ns()
        try:
            answer = await self._inner.spend(
                key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
            )
        except Exception:
            self._tell(SPEND, started_ns, failed=True)
            raise
        self._tell(SPEND, started_ns, answer=answer, failed=answer is Spend.UNKNOWN)
        return answer

    async def release(self, key: bytes) -> None:
        """The inner ledger's."""
        started_ns, failed = time.time_ns(), True
        try:
            await self._inner.release(key)
            failed = False
        finally:
            self._tell("release", started_ns, failed=failed)

    async def probe(self) -> None:
        """The inner ledger's."""
        started_ns, failed = time.time_ns(), True
        try:
            await self._inner.probe()
            failed = False
        finally:
            self._tell("probe", started_ns, failed=failed)

    async def aclose(self) -> None:
        """The inner ledger's; not told."""
        await self._inner.aclose()

    def _tell(
        self, operation: str, started_ns: int, *, failed: bool, answer: Spend | None = None
    ) -> None:
        call = StoreCall(operation, started_ns, time.time_ns(), answer, failed)
        for watcher in self._watchers:
            watcher(call)

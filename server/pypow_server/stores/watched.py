# SPDX-License-Identifier: Apache-2.0
"""A ledger that tells how each of its operations went: what its metrics and spans are made from."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pypow.pricing import Offered
from pypow_server.sale import Sale

from . import Charge, Charged, Credits, Early, Ledger, Rank, Spend
from .attempts import Attempt, Ending
from .payments import Payments


@dataclass(frozen=True, slots=True)
class StoreCall:
    """One operation of a ledger, after it ended.

    Attributes:
        operation: ``epoch``, ``spend``, ``release``, ``probe``, ``quote``, ``rank``, ``end`` or
            ``live``.
        started_ns: Unix nanoseconds.
        ended_ns: Unix nanoseconds.
        answer: what a spend answered; None for other operations, for a proof that came early, and
            when it raised.
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


class _Telling:
    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = tuple(watchers)

    def _tell(
        self, operation: str, started_ns: int, *, failed: bool, answer: Spend | None = None
    ) -> None:
        call = StoreCall(operation, started_ns, time.time_ns(), answer, failed)
        for watcher in self._watchers:
            watcher(call)

    async def _spending(self, spent: Awaitable[Charged | Spend | Early]) -> Charged | Spend | Early:
        """What comes of a spend, told."""
        started_ns, answer = time.time_ns(), None
        found: Charged | Spend | Early = Spend.UNKNOWN
        try:
            found = await spent
            won = Spend.WON if isinstance(found, Charged) else found
            answer = won if isinstance(won, Spend) else None
            return found
        finally:
            self._tell(SPEND, started_ns, answer=answer, failed=found is Spend.UNKNOWN)


class WatchedLedger(_Telling):
    """A ledger, and who is told of its spends, releases and failures."""

    def __init__(self, inner: Ledger, watchers: Sequence[Watcher]) -> None:
        super().__init__(watchers)
        self._inner = inner

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


class WatchedCredits(_Telling):
    """A ledger's credits, and who is told of its spends, releases and failures."""

    def __init__(self, inner: Credits, watchers: Sequence[Watcher]) -> None:
        super().__init__(watchers)
        self._inner = inner

    async def redeem(
        self,
        key: bytes,
        *,
        epoch: int | None,
        expires_at_ms: int,
        now_ms: int,
        limit: int = 1,
        charge: Charge,
    ) -> Charged | Spend | Early:
        """The inner credits'."""
        return await self._spending(
            self._inner.redeem(
                key,
                epoch=epoch,
                expires_at_ms=expires_at_ms,
                now_ms=now_ms,
                limit=limit,
                charge=charge,
            )
        )

    async def quote(self, charge: Charge, *, now_ms: int) -> Offered:
        """The inner credits'; asked for every refusal, so only its failures are told."""
        started_ns = time.time_ns()
        try:
            return await self._inner.quote(charge, now_ms=now_ms)
        except Exception:
            self._tell("quote", started_ns, failed=True)
            raise

    async def rank(self, charge: Charge, *, now_ms: int) -> Rank:
        """The inner credits'; only its failures are told."""
        started_ns = time.time_ns()
        try:
            return await self._inner.rank(charge, now_ms=now_ms)
        except Exception:
            self._tell("rank", started_ns, failed=True)
            raise

    async def take_free(self, charge: Charge, *, now_ms: int) -> Charged | Offered:
        """The inner credits'; only its failures are told."""
        started_ns = time.time_ns()
        try:
            return await self._inner.take_free(charge, now_ms=now_ms)
        except Exception:
            self._tell("quote", started_ns, failed=True)
            raise

    async def give_back(self, key: bytes, charge: Charge) -> None:
        """The inner credits'."""
        started_ns, failed = time.time_ns(), True
        try:
            await self._inner.give_back(key, charge)
            failed = False
        finally:
            self._tell("release", started_ns, failed=failed)


class WatchedPayments(_Telling):
    """A ledger's payments, and who is told of how they are spent."""

    def __init__(self, inner: Payments, watchers: Sequence[Watcher]) -> None:
        super().__init__(watchers)
        self._inner = inner

    async def take(
        self,
        key: bytes,
        *,
        expires_at_ms: int,
        now_ms: int,
        limit: int,
        sale: Sale,
        attempt: Attempt,
        charge: Charge | None,
    ) -> Charged | Spend | Early:
        """The inner ledger's."""
        return await self._spending(
            self._inner.take(
                key,
                expires_at_ms=expires_at_ms,
                now_ms=now_ms,
                limit=limit,
                sale=sale,
                attempt=attempt,
                charge=charge,
            )
        )

    async def end(self, key: bytes, attempt: Attempt, ending: Ending) -> bool:
        """The inner ledger's; only its failures are told."""
        started_ns = time.time_ns()
        try:
            return await self._inner.end(key, attempt, ending)
        except Exception:
            self._tell("end", started_ns, failed=True)
            raise

    async def give_up(self, key: bytes, attempt: Attempt, charge: Charge | None) -> None:
        """The inner ledger's."""
        started_ns, failed = time.time_ns(), True
        try:
            await self._inner.give_up(key, attempt, charge)
            failed = False
        finally:
            self._tell("release", started_ns, failed=failed)

    async def live(self, life: bytes, *, lasts_ms: int) -> None:
        """The inner ledger's; only its failures are told."""
        started_ns = time.time_ns()
        try:
            await self._inner.live(life, lasts_ms=lasts_ms)
        except Exception:
            self._tell("live", started_ns, failed=True)
            raise

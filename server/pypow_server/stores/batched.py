# SPDX-License-Identifier: Apache-2.0
"""What the durable stores have in common: ledger and limiter over a connection that blocks."""

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from pypow.pricing import Beyond, Offered, Quote
from pypow_server.sale import Sale
from pypow_server.stores import (
    SKEW_MS,
    Allowance,
    Charge,
    Charged,
    Early,
    Limiter,
    Quota,
    Rank,
    Spend,
    Store,
    StoreError,
    check_calls,
    check_spend,
)
from pypow_server.stores.attempts import Attempt, Ending
from pypow_server.stores.batches import Batches, Connection
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
    Take,
)
from pypow_server.stores.sales import PAGE, check_page

HEARTBEAT_S: Final = 1.0
CLIMATE: Final = "climate"
CALIBRATION: Final = "calibration"


class Records(Connection[LedgerOperation, LedgerOutcome], Protocol):
    """A ledger's records; `epoch` and `high_water_ms` stay readable after `close`."""

    @property
    def epoch(self) -> int:
        """The ledger's epoch as of the last batch."""
        ...

    @property
    def high_water_ms(self) -> int:
        """The ledger's clock as of the last batch: the highest time that any spend brought."""
        ...


def wall_clock_ms() -> int:
    """Unix time in ms."""
    return time.time_ns() // 1_000_000


class BatchedLedger:
    """A `Ledger`, its `Credits`, `Payments`, `Sales`, `Revocations` and `SharedRecord`.

    A fault is `UNKNOWN`.
    """

    def __init__(
        self,
        reopen: Callable[[int], Records],
        *,
        name: str,
        clock: Callable[[], int] = wall_clock_ms,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """Opens the records and starts the thread that owns them.

        Args:
            reopen: Opens the records. It is given the ledger's clock as it was last seen: records
                whose clock is behind that are older ones, put back.
            name: What the ledger is, for logs and errors.
            clock: Unix ms.
            heartbeat_s: The longest silence between two batches.

        Raises:
            StoreError: The records cannot be opened.
        """
        self._reopen = reopen
        self._name = name
        self._clock = clock
        self._records = reopen(0)
        self._batches: Batches[LedgerOperation, LedgerOutcome] = Batches(
            self._records, self._opened_again, name=name, heartbeat_s=heartbeat_s
        )

    async def epoch(self) -> int:
        """The ledger's epoch as of the last batch, at most a heartbeat ago."""
        return self._records.epoch

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        """Uses `key` once; see `Ledger.spend`. It is carried through, whoever still waits."""
        outcome = await self._claim(Claim(key, epoch, expires_at_ms, now_ms, limit))
        assert isinstance(outcome, Spend)
        return outcome

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
        """Uses `key` once and charges for it; see `Credits.redeem`."""
        return await self._claim(Claim(key, epoch, expires_at_ms, now_ms, limit, charge))

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
        """Spends a payment and records the sale; see `Payments.take`."""
        return await self._claim(
            Claim(key, None, expires_at_ms, now_ms, limit, charge, sale, attempt)
        )

    async def end(self, key: bytes, attempt: Attempt, ending: Ending) -> bool:
        """Records how an attempt ended; see `Payments.end`.

        Raises:
            StoreError: It is unknown what is recorded.
        """
        found = await self._batches.submit(End(key, attempt, ending))
        assert isinstance(found, bool)
        return found

    async def give_up(self, key: bytes, attempt: Attempt, charge: Charge | None) -> None:
        """Gives back what an attempt took; see `Payments.give_up`.

        Raises:
            StoreError: It could not be given back.
        """
        await self._batches.submit(Release(key, charge, attempt))

    async def live(self, life: bytes, *, lasts_ms: int) -> None:
        """A life goes on; see `Payments.live`.

        Raises:
            StoreError: It is unknown what is recorded.
        """
        await self._batches.submit(Live(life, lasts_ms))

    async def quote(self, charge: Charge, *, now_ms: int) -> Offered:
        """What a call costs; see `Credits.quote`.

        Raises:
            StoreError: It cannot tell.
        """
        found = await self._batches.submit(Ask(charge, now_ms, take=False))
        assert isinstance(found, Quote | Beyond)
        return found

    async def rank(self, charge: Charge, *, now_ms: int) -> Rank:
        """How a caller stands; see `Credits.rank`.

        Raises:
            StoreError: It cannot tell.
        """
        found = await self._batches.submit(FindRank(charge, now_ms))
        assert isinstance(found, Rank)
        return found

    async def take_free(self, charge: Charge, *, now_ms: int) -> Charged | Offered:
        """Charges a call that is free; see `Credits.take_free`.

        Raises:
            StoreError: It cannot tell.
        """
        found = await self._batches.submit(Ask(charge, now_ms, take=True))
        assert isinstance(found, Charged | Quote | Beyond)
        return found

    async def give_back(self, key: bytes, charge: Charge) -> None:
        """Gives one use of `key` back, and what was charged for it.

        Raises:
            StoreError: They could not be given back.
        """
        await self._batches.submit(Release(key, charge))

    async def release(self, key: bytes) -> None:
        """Gives one use of `key` back.

        Raises:
            StoreError: The use could not be given back.
        """
        await self._batches.submit(Release(key))

    async def revoke(self, identity: bytes, *, expires_at_ms: int, now_ms: int) -> None:
        """Revokes a pass; see `Revocations.revoke`.

        Raises:
            StoreError: It was not recorded.
        """
        await self._batches.submit(Revoke(identity, expires_at_ms, now_ms))

    async def revoked(self, *, now_ms: int) -> frozenset[bytes]:
        """The ids revoked; see `Revocations.revoked`.

        Raises:
            StoreError: It cannot tell.
        """
        found = await self._batches.submit(ListRevoked(now_ms))
        assert isinstance(found, frozenset)
        return found

    async def sold(
        self, *, since_ms: int, until_ms: int, after: Sale | None = None, most: int = PAGE
    ) -> Sequence[Sale]:
        """One page of what was sold; see `Sales.sold`.

        Raises:
            StoreError: It cannot be read.
        """
        check_page(most)
        last = None if after is None else (after.at_ms, after.payment_hash)
        found = await self._batches.submit(FindSales(since_ms, until_ms, last, most))
        assert isinstance(found, list)
        return found

    async def forget(self, *, before_ms: int) -> None:
        """Drops old sales; see `Sales.forget`.

        Raises:
            StoreError: They may still be there.
        """
        while await self._batches.submit(ForgetSales(before_ms)):
            pass

    async def look(self, record: str = CLIMATE) -> tuple[bytes, int]:
        """The record of this name, and the time; see `SharedRecord.look`.

        Raises:
            StoreError: It cannot be read.
        """
        found = await self._batches.submit(Look(record))
        assert isinstance(found, tuple)
        return found

    async def replace(self, before: bytes, after: bytes, record: str = CLIMATE) -> bool:
        """Records ``after`` in the place of ``before``; see `SharedRecord.replace`.

        Raises:
            StoreError: It is unknown which is recorded.
        """
        replaced = await self._batches.submit(Replace(record, before, after))
        assert isinstance(replaced, bool)
        return replaced

    async def probe(self) -> None:
        """Returns when a write has just succeeded and the clock is sane.

        Raises:
            StoreError: What is wrong, and the fix.
        """
        await self._batches.submit(Probe())
        behind_ms = self._records.high_water_ms - self._clock()
        if behind_ms > SKEW_MS:
            raise StoreError(
                f"the clock is {behind_ms // 1000} s behind a time already recorded in "
                f"{self._name}",
                fix="set the clock right, or begin a new ledger if that time was wrong",
            )

    async def aclose(self) -> None:
        """Completes what was submitted, closes the records and ends the thread."""
        await self._batches.aclose()

    def close(self) -> None:
        """The same, while no event loop runs."""
        self._batches.close()

    async def _claim(self, claim: Claim) -> Charged | Spend | Early:
        check_spend(
            claim.key, expires_at_ms=claim.expires_at_ms, now_ms=claim.now_ms, limit=claim.limit
        )
        try:
            outcome = await self._batches.submit(claim)
        except StoreError:
            return Spend.UNKNOWN
        assert isinstance(outcome, Charged | Spend | Early)
        return outcome

    def _opened_again(self) -> Records:
        self._records = self._reopen(self._records.high_water_ms)
        return self._records


class BatchedCalibrations:
    """`SharedRecord` of another name: how far prices are moved, which a ledger keeps as well."""

    def __init__(self, ledger: BatchedLedger) -> None:
        """Keep it with the ledger's records."""
        self._ledger = ledger

    async def look(self) -> tuple[bytes, int]:
        """What is recorded, and the time; see `SharedRecord.look`.

        Raises:
            StoreError: It cannot be read.
        """
        return await self._ledger.look(CALIBRATION)

    async def replace(self, before: bytes, after: bytes) -> bool:
        """Records ``after`` in the place of ``before``; see `SharedRecord.replace`.

        Raises:
            StoreError: It is unknown which is recorded.
        """
        return await self._ledger.replace(before, after, CALIBRATION)


class BatchedLimiter:
    """A `Limiter` over a connection that blocks."""

    def __init__(self, reopen: Callable[[], Connection[Take, Allowance]], *, name: str) -> None:
        """Opens the store and starts the thread that owns it.

        Args:
            reopen: Opens the store.
            name: What the limiter is, for logs and errors.

        Raises:
            StoreError: It cannot be opened.
        """
        self._batches: Batches[Take, Allowance] = Batches(
            reopen(), reopen, name=name, heartbeat_s=None
        )

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        """Takes `calls` from the quota of `key`; see `Limiter.take`.

        Raises:
            InvalidInputError: Fewer calls than 1.
            StoreError: It cannot tell.
        """
        check_calls(calls)
        return await self._batches.submit(Take(key, quota, now_ms, calls))

    async def aclose(self) -> None:
        """Completes what was submitted, closes the store and ends the thread."""
        await self._batches.aclose()


def store_of(
    ledger: BatchedLedger,
    open_limiter: Callable[[], Limiter],
    entries: Callable[[], int] | None = None,
) -> Store:
    """A store of this ledger and a limiter; where there can be none, the ledger is closed.

    Raises:
        StoreError: the limiter cannot be opened.
    """
    try:
        calibrations = BatchedCalibrations(ledger)
        return Store(
            ledger=ledger,
            credits=ledger,
            limiter=open_limiter(),
            revocations=ledger,
            climate=ledger,
            calibration=calibrations,
            payments=ledger,
            sales=ledger,
            entries=entries,
        )
    except BaseException:
        ledger.close()
        raise

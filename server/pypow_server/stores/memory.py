# SPDX-License-Identifier: Apache-2.0
"""A store for one process: exact and fast, and forgotten when the process ends.

Forgetting is safe for challenges, because the next process has another epoch; passes and payments
that outlive the process need a durable store.
"""

import heapq
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pypow.accounts import Account
from pypow.pricing import Constants, Offered
from pypow_server.sale import Sale
from pypow_server.stores import (
    SKEW_MS,
    Allowance,
    Charge,
    Charged,
    Early,
    Quota,
    Rank,
    Spend,
    Store,
    StoreError,
    check_calls,
    check_spend,
)
from pypow_server.stores.accounts import Accounts
from pypow_server.stores.attempts import Attempt, Attempts, Ending, Return, Taken
from pypow_server.stores.batched import wall_clock_ms
from pypow_server.stores.gcra import Level, take
from pypow_server.stores.sales import PAGE, SalesKept, check_page

_DROPS_PER_SPEND: Final = 64


@dataclass(slots=True)
class _Record:
    uses: int
    drop_at_ms: int


class MemoryLedger:
    """A `Ledger` with `Credits` in dictionaries.

    No method awaits, so one event loop makes each atomic.
    """

    def __init__(
        self,
        *,
        max_entries: int = 1_000_000,
        max_accounts: int = 200_000,
        clock: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """Starts empty, with a random epoch.

        Args:
            max_entries: Records kept at most, about 250 octets each. A full ledger answers
                `UNKNOWN` to new keys; it never forgets a live one to make room.
            max_accounts: Accounts kept at most, about 500 octets each. One more, and the one that
                was charged longest ago is forgotten.
            clock: Unix ms, for how long lives go on.
        """
        self._clock = clock
        self._max_accounts = max_accounts
        self._kept: OrderedDict[bytes, Account] = OrderedDict()
        self._accounts = Accounts(self._kept.get, self._keep)
        self._epoch = secrets.randbits(32)
        self._max_entries = max_entries
        self._high_water_ms = 0
        self._records: dict[bytes, _Record] = {}
        self._droppable: list[tuple[int, bytes]] = []
        self._sales = SalesKept()
        self._taken: dict[bytes, tuple[Taken, ...]] = {}
        self._lives: dict[bytes, int] = {}
        self._attempts = Attempts(self._taken_of, self._keep_taken, self._lives.__contains__)
        self._closed = False

    async def epoch(self) -> int:
        """The epoch of this process's life."""
        return self._epoch

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        """Uses `key` once; see `Ledger.spend`."""
        check_spend(key, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit)
        if self._closed:
            return Spend.UNKNOWN
        self._high_water_ms = max(self._high_water_ms, now_ms)
        self._drop_expired()
        if epoch is not None and epoch != self._epoch:
            return Spend.STALE
        drop_at_ms = expires_at_ms + SKEW_MS
        if drop_at_ms <= self._high_water_ms:
            return Spend.UNKNOWN
        return self._use(key, drop_at_ms=drop_at_ms, limit=limit)

    async def release(self, key: bytes) -> None:
        """Gives one use of `key` back."""
        self._unuse(key)

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
        spent = await self.spend(
            key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )
        if spent is not Spend.WON:
            return spent
        found = self._accounts.redeem(charge, now_ms)
        if isinstance(found, Early):
            self._unuse(key)
        return found

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
        """Takes a use of a payment; see `Payments.take`."""
        await self.live(attempt.life, lasts_ms=attempt.lasts_ms)
        back = Return.NEW
        if not self._closed:
            back = self._attempts.back(key, attempt)
        if back is Return.AGAIN:
            return Spend.WON if charge is None else Charged.AGAIN
        found: Charged | Spend | Early = await self.spend(
            key, epoch=None, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )
        if found is not Spend.WON:
            return Spend.HELD if found is Spend.LOST and back is Return.HELD else found
        beside = self._attempts.beside(key, attempt)
        if beside is None:
            found = Spend.HELD
        elif charge is not None:
            found = self._accounts.redeem(charge, now_ms)
        if beside is None or isinstance(found, Early):
            self._records[key].uses -= 1
            return found
        self._sales.spend(key, sale)
        self._attempts.add(key, attempt, beside)
        return found

    async def end(self, key: bytes, attempt: Attempt, ending: Ending) -> bool:
        """Records how an attempt ended; see `Payments.end`."""
        return self._attempts.end(key, attempt.life, attempt.number, ending)

    async def give_up(self, key: bytes, attempt: Attempt, charge: Charge | None) -> None:
        """Gives back what an attempt took; see `Payments.give_up`."""
        if await self.end(key, attempt, Ending.ANSWERED) and self._unuse(key) and charge:
            self._accounts.give_back(charge)

    async def live(self, life: bytes, *, lasts_ms: int) -> None:
        """A life goes on; see `Payments.live`."""
        now_ms = self._clock()
        self._lives[life] = now_ms + lasts_ms
        for other in [one for one, until_ms in self._lives.items() if until_ms <= now_ms]:
            del self._lives[other]

    async def quote(self, charge: Charge, *, now_ms: int) -> Offered:
        """What a call costs; see `Credits.quote`."""
        return self._accounts.quote(charge, now_ms)

    async def rank(self, charge: Charge, *, now_ms: int) -> Rank:
        """How a caller stands; see `Credits.rank`."""
        return self._accounts.rank(charge, now_ms)

    async def take_free(self, charge: Charge, *, now_ms: int) -> Charged | Offered:
        """Charges a call that is free; see `Credits.take_free`."""
        return self._accounts.take_free(charge, now_ms)

    async def give_back(self, key: bytes, charge: Charge) -> None:
        """Gives one use of `key` back, and what was charged for it."""
        if self._unuse(key):
            self._accounts.give_back(charge)

    async def sold(
        self, *, since_ms: int, until_ms: int, after: Sale | None = None, most: int = PAGE
    ) -> Sequence[Sale]:
        """One page of what was sold; see `Sales.sold`."""
        check_page(most)
        return self._sales.page(since_ms, until_ms, after, most)

    async def forget(self, *, before_ms: int) -> None:
        """Drops old sales; see `Sales.forget`."""
        self._sales.forget(before_ms)

    async def probe(self) -> None:
        """Returns when there is room for one more record.

        Raises:
            StoreError: The ledger is full or closed.
        """
        if self._closed:
            raise StoreError("the memory ledger is closed", fix="open a new one")
        if len(self._records) >= self._max_entries:
            raise StoreError(
                f"the memory ledger is full: it keeps {self._max_entries} records at most",
                fix="use a sqlite: store, or shorten the lifetime of challenges",
            )

    async def aclose(self) -> None:
        """Answers `UNKNOWN` from now on."""
        self._closed = True

    def __len__(self) -> int:
        """How many records it keeps, those among them that have expired and may be dropped."""
        return len(self._records)

    def _use(self, key: bytes, *, drop_at_ms: int, limit: int) -> Spend:
        record = self._records.get(key)
        if record is None:
            if len(self._records) >= self._max_entries:
                return Spend.UNKNOWN
            self._records[key] = _Record(uses=1, drop_at_ms=drop_at_ms)
            heapq.heappush(self._droppable, (drop_at_ms, key))
            return Spend.WON
        if record.uses >= limit:
            return Spend.LOST
        record.uses += 1
        record.drop_at_ms = max(record.drop_at_ms, drop_at_ms)
        return Spend.WON

    def _unuse(self, key: bytes) -> bool:
        record = self._records.get(key)
        if record is None or record.uses == 0:
            return False
        record.uses -= 1
        self._sales.release(key)
        return True

    def _keep(self, key: bytes, account: Account, _by: Constants, _credit: int) -> None:
        if key not in self._kept and len(self._kept) >= self._max_accounts:
            self._kept.popitem(last=False)
        self._kept[key] = account
        self._kept.move_to_end(key)

    def _taken_of(self, key: bytes) -> tuple[Taken, ...]:
        return self._taken.get(key, ())

    def _keep_taken(self, key: bytes, taken: tuple[Taken, ...]) -> None:
        if taken:
            self._taken[key] = taken
        else:
            self._taken.pop(key, None)

    def _drop_expired(self) -> None:
        # A bounded number: after a quiet hour no single caller pays for all that has expired.
        for _ in range(_DROPS_PER_SPEND):
            if not self._droppable or self._droppable[0][0] > self._high_water_ms:
                return
            _, key = heapq.heappop(self._droppable)
            drop_at_ms = self._records[key].drop_at_ms
            if drop_at_ms <= self._high_water_ms:
                del self._records[key]
                self._taken.pop(key, None)
            else:
                heapq.heappush(self._droppable, (drop_at_ms, key))


class MemoryLimiter:
    """A `Limiter` in a dictionary, kept in the order of last use."""

    def __init__(self, *, max_entries: int = 200_000) -> None:
        """Starts empty.

        Args:
            max_entries: Levels kept at most, about 400 octets each. One more, and the one that
                was used longest ago is forgotten.
        """
        self._max_entries = max_entries
        # Not a dict: finding the first key of one that is popped from is not of constant cost.
        self._levels: OrderedDict[bytes, Level] = OrderedDict()

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        """Takes `calls` from the quota of `key`; see `Limiter.take`."""
        check_calls(calls)
        level, allowance = take(self._levels.pop(key, None), quota, now_ms=now_ms, calls=calls)
        if len(self._levels) >= self._max_entries:
            self._levels.popitem(last=False)
        self._levels[key] = level
        return allowance

    async def aclose(self) -> None:
        """Forgets everything."""
        self._levels.clear()


class MemoryRevocations:
    """`Revocations` in a dictionary, until the process ends."""

    def __init__(self) -> None:
        """Starts empty."""
        self._expiries: dict[bytes, int] = {}

    async def revoke(self, identity: bytes, *, expires_at_ms: int, now_ms: int) -> None:
        """Revokes a pass; see `Revocations.revoke`."""
        for old in [key for key, end in self._expiries.items() if end + SKEW_MS <= now_ms]:
            del self._expiries[old]
        self._expiries[identity] = max(expires_at_ms, self._expiries.get(identity, 0))

    async def revoked(self, *, now_ms: int) -> frozenset[bytes]:
        """The ids revoked; see `Revocations.revoked`."""
        return frozenset(key for key, end in self._expiries.items() if end + SKEW_MS > now_ms)


class MemoryRecord:
    """`SharedRecord` of one process, until it ends."""

    def __init__(self, *, clock: Callable[[], int] = wall_clock_ms) -> None:
        """Starts empty.

        Args:
            clock: Unix ms.
        """
        self._record = b""
        self._clock = clock

    async def look(self) -> tuple[bytes, int]:
        """What is recorded, and the time; see `SharedRecord.look`."""
        return self._record, self._clock()

    async def replace(self, before: bytes, after: bytes) -> bool:
        """Records ``after`` in the place of ``before``; see `SharedRecord.replace`."""
        if self._record != before:
            return False
        self._record = after
        return True


def open_store(rest: str) -> Store:
    """Opens what ``memory:`` names.

    Raises:
        StoreError: something after the colon.
    """
    if rest:
        raise StoreError(f"expected memory: with nothing after it, got {rest!r}")
    ledger = MemoryLedger()
    return Store(
        ledger=ledger,
        credits=ledger,
        limiter=MemoryLimiter(),
        revocations=MemoryRevocations(),
        climate=MemoryRecord(),
        calibration=MemoryRecord(),
        payments=ledger,
        sales=ledger,
        entries=ledger.__len__,
    )

# SPDX-License-Identifier: Apache-2.0
"""A ledger for one process: exact and fast, and forgotten when the process ends.

Forgetting is safe for challenges, because the next process has another epoch; passes and payments
that outlive the process need a durable store.
"""

import heapq
import secrets
from dataclasses import dataclass
from typing import Final

from pypow_server.stores import SKEW_MS, Spend, StoreError, check_spend

_DROPS_PER_SPEND: Final = 64


@dataclass(slots=True)
class _Record:
    uses: int
    drop_at_ms: int


class MemoryLedger:
    """A `Ledger` in a dictionary. No method awaits, so one event loop makes each atomic."""

    def __init__(self, *, max_entries: int = 1_000_000) -> None:
        """Starts empty, with a random epoch.

        Args:
            max_entries: Records kept at most, about 250 octets each. A full ledger answers
                `UNKNOWN` to new keys; it never forgets a live one to make room.
        """
        self._epoch = secrets.randbits(32)
        self._max_entries = max_entries
        self._high_water_ms = 0
        self._records: dict[bytes, _Record] = {}
        self._droppable: list[tuple[int, bytes]] = []
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
        record = self._records.get(key)
        if record is not None and record.uses > 0:
            record.uses -= 1

    async def probe(self) -> None:
        """Returns when there is room for one more record.

        Raises:
            StoreError: The ledger is full or closed.
        """
        if self._closed:
            raise StoreError("the memory ledger is closed; open a new one")
        if len(self._records) >= self._max_entries:
            raise StoreError(
                f"the memory ledger is full: it keeps {self._max_entries} records at most; "
                "use a sqlite: store, or shorten the lifetime of challenges"
            )

    async def aclose(self) -> None:
        """Answers `UNKNOWN` from now on."""
        self._closed = True

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

    def _drop_expired(self) -> None:
        # A bounded number: after a quiet hour no single caller pays for all that has expired.
        for _ in range(_DROPS_PER_SPEND):
            if not self._droppable or self._droppable[0][0] > self._high_water_ms:
                return
            _, key = heapq.heappop(self._droppable)
            drop_at_ms = self._records[key].drop_at_ms
            if drop_at_ms <= self._high_water_ms:
                del self._records[key]
            else:
                heapq.heappush(self._droppable, (drop_at_ms, key))

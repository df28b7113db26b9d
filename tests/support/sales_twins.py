# SPDX-License-Identifier: Apache-2.0
"""Stores that keep wrong books in one way each: the contract of sales must catch them."""

from collections.abc import Sequence
from typing import Any

from pypow_server.sale import Sale
from pypow_server.stores import Charged, Early, Spend
from pypow_server.stores.memory import MemoryLedger


class RecordsEverySpend(MemoryLedger):
    """Counts a use, whether or not its spend won."""

    async def take(self, key: bytes, *, sale: Sale, **terms: Any) -> Charged | Spend | Early:
        found = await super().take(key, sale=sale, **terms)
        if found is not Spend.WON:
            self._sales.spend(key, sale)
        return found


class ForgetsToCountBack(MemoryLedger):
    """Gives uses back and leaves them in the books."""

    def _unuse(self, key: bytes) -> bool:
        kept = dict(self._sales._kept)
        done = super()._unuse(key)
        self._sales._kept = kept
        return done


class TakesTheLastWord(MemoryLedger):
    """Has each spend write the sale anew."""

    async def take(self, key: bytes, *, sale: Sale, **terms: Any) -> Charged | Spend | Early:
        found = await super().take(key, sale=sale, **terms)
        self._sales._kept[key] = sale._replace(spent=self._sales._kept[key].spent)
        return found


class PagesByTimeAlone(MemoryLedger):
    """Begins a page after the moment of the last sale, not after the sale."""

    async def sold(
        self, *, since_ms: int, after: Sale | None = None, **terms: Any
    ) -> Sequence[Sale]:
        since_ms = since_ms if after is None else after.at_ms + 1
        return await super().sold(since_ms=since_ms, **terms)


class ForgetsAll(MemoryLedger):
    """Drops more than the old ones."""

    async def forget(self, *, before_ms: int) -> None:
        await super().forget(before_ms=2**62)

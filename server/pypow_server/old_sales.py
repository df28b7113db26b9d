# SPDX-License-Identifier: Apache-2.0
"""Sales are remembered for as long as the operator says, and forgotten once an hour."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from .selling import Selling
from .stores.sales import Sales
from .upkeep import Upkeep

PERIOD_S: Final = 3600.0


async def _pause() -> None:
    await asyncio.sleep(PERIOD_S)


class OldSales:
    """Has a store drop what was sold too long ago."""

    def __init__(
        self,
        sales: Sales,
        selling: Callable[[], Selling | None],
        *,
        clock: Callable[[], int],
        pause: Callable[[], Awaitable[None]] = _pause,
    ) -> None:
        """Drop nothing yet.

        Args:
            sales: the store's.
            selling: says how long sales are kept; None where nothing is sold, and so nobody said
                when what was sold is to be forgotten.
            clock: Unix milliseconds.
            pause: returns when it is time to look again.
        """
        self._sales = sales
        self._selling = selling
        self._clock = clock
        self._upkeep = Upkeep(self._forget, pause=pause)

    def start(self) -> None:
        """Begin in the running event loop."""
        self._upkeep.start()

    async def aclose(self) -> None:
        """Drop no more."""
        await self._upkeep.aclose()

    async def _forget(self) -> None:
        selling = self._selling()
        if selling is not None:
            await self._sales.forget(before_ms=self._clock() - 1000 * selling.keep_sales_s)

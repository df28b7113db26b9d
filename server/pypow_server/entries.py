# SPDX-License-Identifier: Apache-2.0
"""How many spends a ledger keeps: a figure for operators, counted when they ask, and not often."""

import asyncio
import logging
import math
from collections.abc import Callable
from time import monotonic
from typing import Final

_LOG = logging.getLogger("pypow_server.entries")
_GOOD_FOR_S: Final = 10.0


class SpentEntries:
    """Counts at most once in ten seconds, beside the event loop."""

    def __init__(
        self,
        count: Callable[[], int],
        tell: Callable[[float], None],
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Count nothing yet.

        Args:
            count: the store's own; may take its time, and fail.
            tell: gets each count; NaN where the store failed.
            clock: in seconds; never goes back.
        """
        self._count = count
        self._tell = tell
        self._clock = clock
        self._counting = asyncio.Lock()
        self._due_at = -math.inf

    async def refresh(self) -> None:
        """Count again, unless that was done just now. Never raises."""
        async with self._counting:
            if self._clock() < self._due_at:
                return
            try:
                self._tell(await asyncio.to_thread(self._count))
            except Exception as error:  # noqa: BLE001 - any store's fault; other figures are told
                self._tell(math.nan)
                _LOG.warning("the ledger's entries were not counted: %s", error)
            self._due_at = self._clock() + _GOOD_FOR_S

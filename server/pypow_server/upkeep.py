# SPDX-License-Identifier: Apache-2.0
"""What goes on beside requests, again and again, for as long as an event loop runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

_LOG = logging.getLogger("pypow_server.gate")


class Upkeep:
    """One task that does the same after each pause. What fails is done again after the next."""

    def __init__(
        self, do: Callable[[], Awaitable[None]], *, pause: Callable[[], Awaitable[None]]
    ) -> None:
        """Nothing goes on yet.

        Args:
            do: what is done.
            pause: returns when it is time to do it again.
        """
        self._do = do
        self._pause = pause
        self._going: asyncio.Task[None] | None = None

    @property
    def goes_on(self) -> bool:
        """Whether it was begun in an event loop that still runs it."""
        return self._going is not None and not self._going.done()

    def start(self) -> None:
        """Begin in the running event loop, unless that has begun."""
        if not self.goes_on:
            self._going = asyncio.create_task(self._go_on())

    async def aclose(self) -> None:
        """Do it no more."""
        going, self._going = self._going, None
        if going is not None:
            going.cancel()
            await asyncio.wait([going])

    async def _go_on(self) -> None:
        while True:
            try:
                await self._do()
            except Exception:  # noqa: BLE001 - else nothing would do it ever again, or say so
                _LOG.exception("what goes on beside requests failed, and is tried again")
            await self._pause()

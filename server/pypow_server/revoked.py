# SPDX-License-Identifier: Apache-2.0
"""The passes that were revoked, read once a second: no request waits for a store."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from . import problems
from .problems import Problem
from .stores import Revocations
from .upkeep import Upkeep

PERIOD_S: Final = 1.0
"""How often the list is read: how long a revoked pass may live on."""

GRACE_S: Final = 30.0
"""How old the list may grow while the store cannot be read. Then no pass is admitted."""

_READ_TIMEOUT_S = 5.0
_LOG = logging.getLogger("pypow_server.gate")


async def _pause() -> None:
    await asyncio.sleep(PERIOD_S)


class RevokedPasses:
    """What the store knows of revoked passes, as of a moment ago.

    One task reads the list for as long as its event loop runs. It is begun by `start`, or by the
    first pass that comes.
    """

    def __init__(
        self,
        revocations: Revocations,
        *,
        clock: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[], Awaitable[None]] = _pause,
    ) -> None:
        """Know nothing yet.

        Args:
            revocations: the store's.
            clock: Unix milliseconds.
            monotonic: seconds, from any moment on.
            pause: returns when it is time to read again.
        """
        self._revocations = revocations
        self._clock = clock
        self._monotonic = monotonic
        self._upkeep = Upkeep(self._read, pause=pause)
        self._ids: frozenset[bytes] = frozenset()
        self._added: frozenset[bytes] = frozenset()  # since the list was last asked for
        self._read_at: float | None = None
        self._tried = asyncio.Event()

    def start(self) -> None:
        """Begin to read in the running event loop, unless that has begun."""
        if not self._upkeep.goes_on:
            self._tried = asyncio.Event()
            self._upkeep.start()

    async def aclose(self) -> None:
        """Read no more."""
        await self._upkeep.aclose()

    async def denial(self, identity: bytes) -> Problem | None:
        """Why the pass of this id is refused though it stands; None for no reason."""
        listed = await self.lists(identity)
        if listed is True:
            return problems.revoked("the pass was revoked; solve a fresh challenge")
        return None if listed is False else listed

    async def lists(self, identity: bytes) -> bool | Problem:
        """Whether this id is in the list; or why that is not known."""
        self.start()
        if not self._tried.is_set():
            await self._tried.wait()
        if self._read_at is None or self._monotonic() - self._read_at > GRACE_S:
            return problems.store_unavailable(
                "the store does not tell which passes are revoked, so none is admitted; try again"
            )
        return identity in self._ids

    @property
    def count(self) -> int:
        """How many ids are in the list."""
        return len(self._ids)

    async def add(self, identity: bytes, *, expires_at_ms: int) -> None:
        """Put an id into the list, for this gate at once and for others at their next reading.

        Raises:
            StoreError: It was not recorded.
        """
        await self._revocations.revoke(identity, expires_at_ms=expires_at_ms, now_ms=self._clock())
        self._added |= {identity}
        self._ids |= {identity}

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                self._added = frozenset()
                listed = await self._revocations.revoked(now_ms=self._clock())
            self._ids = listed | self._added
            self._read_at = self._monotonic()
        except Exception:  # noqa: BLE001 - any store's fault; the list in hand grows older
            _LOG.exception("the revoked passes cannot be read")
        self._tried.set()

# SPDX-License-Identifier: Apache-2.0
"""Fronts: ways for a gate to stand before a server that runs elsewhere."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from pypow_server.scope import ASGIApp, Receive, Send

Failure: TypeAlias = Callable[[int, str], ASGIApp]
"""Makes the answer of a front itself: status (400, 403, 413, 501, 502 or 504) and detail."""

ADDED_BY_AIOHTTP: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What aiohttp would add to a request that came without."""


async def live(
    receive: Receive, send: Send, end: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Plays ASGI's lifespan: nothing to start, and ``end`` when it is over."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    if end is not None:
        await end()
    await send({"type": "lifespan.shutdown.complete"})

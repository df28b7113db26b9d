# SPDX-License-Identifier: Apache-2.0
"""Fronts: ways for a gate to stand before a server that runs elsewhere."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import aiohttp

from pypow_server.scope import ASGIApp, Receive, Send

Failure: TypeAlias = Callable[[int, str], ASGIApp]
"""Makes the answer of a front itself: status (400, 403, 413, 501, 502 or 504) and detail."""

ADDED_BY_AIOHTTP: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What aiohttp would add to a request that came without."""


class BrokenConnectionError(aiohttp.ClientError):
    """The connection ended before the answer; what the upstream did of the request is unknown."""


async def once(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Sends a request once; a middleware of aiohttp.

    aiohttp itself repeats GET, HEAD, PUT and DELETE where the connection broke off, and the
    upstream may have done what was asked: one payment would buy it twice.
    """
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise  # nothing was sent, and aiohttp does not repeat it
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise BrokenConnectionError(str(error)) from error


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

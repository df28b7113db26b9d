# SPDX-License-Identifier: Apache-2.0
"""The lifespan of an app that is wrapped (ASGI's protocol of that name)."""

import logging
from collections.abc import Awaitable, Callable

from .scope import ASGIApp, Message, Receive, Scope, Send

_LOG = logging.getLogger("pypow_server")


async def serve_lifespan(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    start: Callable[[], None],
    stop: Callable[[], Awaitable[None]],
) -> None:
    """Serve a lifespan scope for ``app``, and what wraps it with it.

    An app that does not know the protocol raises (Django does), or returns without a word. Then
    the server is answered here, so that it still tells when to stop.

    Args:
        app: what is wrapped.
        scope: of type ``lifespan``.
        receive: ASGI's.
        send: ASGI's.
        start: called before the app starts; what it raises ends the start, and is told.
        stop: awaited once, when the app has stopped, before the server hears of it.
    """
    begun = answered = stopped = False

    async def stop_once() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            await stop()

    async def hear() -> Message:
        nonlocal begun
        message = await receive()
        begun = True
        return message

    async def tell(message: Message) -> None:
        nonlocal answered
        answered = True
        if message["type"] != "lifespan.startup.complete":
            await stop_once()
        await send(message)

    try:
        start()
    except Exception as error:
        # An error alone would count as an app without a lifespan, and the server would go on.
        await receive()
        await stop_once()
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        raise
    try:
        try:
            await app(scope, hear, tell)
        except Exception as error:
            if answered:
                raise
            _LOG.info("the app has no lifespan: %r", error)
        if not answered:
            if not begun:
                await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await tell({"type": "lifespan.shutdown.complete"})
    finally:
        await stop_once()

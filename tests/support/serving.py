# SPDX-License-Identifier: Apache-2.0
"""Serves ASGI apps with uvicorn on free loopback ports, for as long as a block lasts."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from pypow_server.scope import ASGIApp


class _Server(uvicorn.Server):
    """Tells when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()


def free_port() -> socket.socket:
    """Listens already, for an app that has to know where it is served."""
    return socket.create_server(("127.0.0.1", 0))


def _prepare(
    app: ASGIApp, *, lifespan: bool, listener: socket.socket | None = None
) -> tuple[_Server, socket.socket, str]:
    listener = listener or free_port()
    config = uvicorn.Config(
        app,
        log_level="critical",
        lifespan="on" if lifespan else "off",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    return _Server(config), listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def serving(app: ASGIApp, *, lifespan: bool = False) -> AsyncIterator[str]:
    """Serves `app` in the running event loop; yields its URL.

    Test and app share the loop, so they may share `asyncio` events.
    """
    server, listener, url = _prepare(app, lifespan=lifespan)
    with listener:  # it listens already: connections wait until the server takes them
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield url
        finally:
            server.should_exit = True
            await task


@contextmanager
def served(
    app: ASGIApp, *, lifespan: bool = False, listener: socket.socket | None = None
) -> Iterator[str]:
    """Serves `app` in a thread with its own event loop; yields its URL."""
    server, listener, url = _prepare(app, lifespan=lifespan, listener=listener)
    thread = threading.Thread(target=server.run, args=([listener],))
    with listener:
        thread.start()
        try:
            assert server.accepting.wait(timeout=10), "the app did not start"
            yield url
        finally:
            server.should_exit = True
            thread.join()

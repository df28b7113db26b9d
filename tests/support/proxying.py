# SPDX-License-Identifier: Apache-2.0
"""A proxy for a block, whose own answers are the bare detail as text."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pypow_server.fronts.proxy import Proxy
from pypow_server.scope import ASGIApp, Receive, Scope, Send


def failure(status: int, detail: str) -> ASGIApp:
    """What the proxy answers by itself."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": detail.encode()})

    return app


@asynccontextmanager
async def proxying(upstream: str, *, connect_timeout_s: float = 5.0) -> AsyncIterator[Proxy]:
    """A proxy to `upstream` that is closed after the block."""
    proxy = Proxy(upstream, failure=failure, connect_timeout_s=connect_timeout_s)
    try:
        yield proxy
    finally:
        await proxy.aclose()

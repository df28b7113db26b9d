# SPDX-License-Identifier: Apache-2.0
"""One connection to an ASGI app that a protocol class of uvicorn's serves, octet by octet."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

import uvicorn

from pypow_server.scope import ASGIApp, Receive, Scope, Send

PATIENCE_S = 20
"""Only a failing test waits this long."""


async def echo_length(scope: Scope, receive: Receive, send: Send) -> None:
    octets = 0
    more = True
    while more:
        message = await receive()
        octets += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"%d" % octets
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def connection(
    protocol: type[asyncio.Protocol],
    app: ASGIApp = echo_length,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, log_level="error")
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


def request(*headers: bytes, body: bytes = b"") -> bytes:
    length = b"content-length: %d" % len(body)
    return b"\r\n".join((b"POST / HTTP/1.1", b"host: x", length, *headers, b"", body))

# SPDX-License-Identifier: Apache-2.0
"""An upstream that answers everything alike, quickly, and notes what it was asked."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httptools

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Hit:
    """One request as it arrived; octets that are none have the method ``BROKEN``."""

    method: str
    target: bytes


@dataclass
class CountingUpstream:
    """Counts all hits, and keeps those that are worth keeping."""

    keeps: Callable[[Hit], bool] = lambda _: True
    url: str = ""
    count: int = 0
    kept: list[Hit] = field(default_factory=list)
    connections: set[asyncio.Transport] = field(default_factory=set)

    def take(self, hit: Hit) -> None:
        self.count += 1
        if self.keeps(hit):
            self.kept.append(hit)


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: CountingUpstream) -> None:
        self._upstream = upstream
        self._target = b""
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._upstream.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._transport.close()
        except httptools.HttpParserError:
            self._upstream.take(Hit("BROKEN", data[:200]))
            self._transport.close()

    def on_message_begin(self) -> None:
        self._target = b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_headers_complete(self) -> None:
        self._upstream.take(Hit(self._parser.get_method().decode(), self._target))

    def on_message_complete(self) -> None:
        bodiless = self._parser.get_method() == b"HEAD"
        self._transport.write(_ANSWER[:-2] if bodiless else _ANSWER)


@contextlib.contextmanager
def counting_upstream(keeps: Callable[[Hit], bool] = lambda _: True) -> Iterator[CountingUpstream]:
    """Serves on a free loopback port in a thread of its own."""
    upstream = CountingUpstream(keeps)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(lambda: _Connection(upstream), "127.0.0.1", 0)
    )
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield upstream
    finally:
        asyncio.run_coroutine_threadsafe(_end(server, upstream), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server, upstream: CountingUpstream) -> None:
    server.close()
    while upstream.connections:
        for transport in tuple(upstream.connections):
            transport.abort()
        await asyncio.sleep(0)

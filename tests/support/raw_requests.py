# SPDX-License-Identifier: Apache-2.0
"""Sends raw requests by the thousand, one after the other on a few kept connections."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

import httptools

UNANSWERED = 0
"""Counted for a request that the server closed upon, or still waits for the end of."""

_PATIENCE_S = 0.5
_TRIES = 5


async def send_all(
    address: str, requests: Iterator[bytes], *, connections: int = 12
) -> Counter[int]:
    """Delivers every request and counts the statuses that came back.

    Args:
        address: host and port.
        requests: none of which has a body.
        connections: how many at once.
    """
    statuses: Counter[int] = Counter()
    await asyncio.gather(*(_work(address, requests, statuses) for _ in range(connections)))
    return statuses


async def _work(address: str, requests: Iterator[bytes], statuses: Counter[int]) -> None:
    connection: _Connection | None = None
    for request in requests:
        used = connection
        connection = connection or await _Connection.open(address)
        status = await connection.exchange(request)
        if status == UNANSWERED and used is not None:
            connection.close()  # the server may have been about to close it anyway
            connection = await _Connection.open(address)
            status = await connection.exchange(request)
        statuses[status] += 1
        if not connection.reusable:
            connection.close()
            connection = None
    if connection is not None:
        connection.close()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._complete = False
        self.reusable = True

    @classmethod
    async def open(cls, address: str) -> "_Connection":
        host, _, port = address.partition(":")
        for _ in range(_TRIES):
            # A full machine leaves connections unanswered now and then.
            with contextlib.suppress(OSError):
                return cls(*await asyncio.open_connection(host, int(port)))
        raise ConnectionError(f"{address} takes no connections")

    def close(self) -> None:
        self._writer.transport.abort()

    def on_message_complete(self) -> None:
        self._complete = True

    async def exchange(self, request: bytes) -> int:
        self._complete = False
        # An answer to HEAD looks cut short, and what follows an upgrade is no HTTP any more.
        self.reusable = not request.startswith(b"HEAD") and b"Upgrade" not in request
        parser = httptools.HttpResponseParser(self)
        self._writer.write(request)
        status = UNANSWERED
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not self._complete:
                    octets = await self._reader.read(1 << 16)
                    if not octets:
                        self.reusable = False
                        break
                    parser.feed_data(octets)
                    status = parser.get_status_code()
                    if not self.reusable:
                        break
        except (TimeoutError, ConnectionError, httptools.HttpParserError):
            self.reusable = False
        self.reusable = self.reusable and bool(parser.should_keep_alive())
        return status

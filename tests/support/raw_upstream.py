# SPDX-License-Identifier: Apache-2.0
"""An upstream that answers with fixed octets and keeps the octets it was sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class RawUpstream:
    """The heads of the requests it took, as they came over the wire."""

    url: str
    heads: list[bytes] = field(default_factory=list)

    def lines(self) -> list[bytes]:
        """The lines of the only request."""
        (head,) = self.heads
        return head.removesuffix(b"\r\n\r\n").split(b"\r\n")


@asynccontextmanager
async def raw_upstream(*answers: bytes) -> AsyncIterator[RawUpstream]:
    """Answers the requests of a connection with `answers` in turn, then closes everything."""
    upstream = RawUpstream("")
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        for answer in answers:
            upstream.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
        server.close()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()
        for writer in connections:
            writer.close()

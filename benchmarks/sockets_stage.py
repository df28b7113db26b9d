# SPDX-License-Identifier: Apache-2.0
"""What is called in a run on real sockets: an upstream with a capacity, and two gates before it.

The gates are processes of `pypow gate` that share one Redis. Whoever is known has called before:
the store's own operations charge his calls of the last minutes, at the moments when he made them.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httptools

from gate import Worker
from pypow import difficulty
from pypow_server.meter import Pricing
from pypow_server.policy import Price
from pypow_server.stores.redis_store import open_store
from sockets_plays import BITS, QUOTA
from support.gate_process import gate_process
from support.redis_server import RedisServer, running

GATES = 2

_SERVED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


class Upstream:
    """A server that serves so many calls a second, first come first served, and lets few wait.

    Attributes:
        listener: where it will serve.
        served: how many calls it served.
        full: how many it had no room for.
    """

    def __init__(self, capacity: float, queue_s: float) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.served = 0
        self.full = 0
        self._call_s = 1 / capacity
        self._queue_s = queue_s
        self._free_at = 0.0
        self._connections: set[asyncio.Transport] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve for the length of a block."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Connection(self, self._connections), sock=self.listener
        )
        try:
            yield
        finally:
            server.close()
            for transport in tuple(self._connections):
                transport.abort()

    def take(self, transport: asyncio.Transport) -> None:
        """Answer a call when those before it are done."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        begins = max(now, self._free_at)
        if begins - now > self._queue_s:
            self.full += 1
            transport.write(_FULL)
            return
        self.served += 1
        self._free_at = begins + self._call_s
        loop.call_at(self._free_at, transport.write, _SERVED)


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: Upstream, connections: set[asyncio.Transport]) -> None:
        self._upstream = upstream
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        self._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._upstream.take(self._transport)


@dataclass(frozen=True, slots=True)
class Stage:
    """Gates that are up.

    Attributes:
        ports: where they listen.
        workers: their processes.
        redis: what they share.
    """

    ports: Sequence[int]
    workers: Sequence[Worker]
    redis: RedisServer

    def cpu_s(self) -> list[float]:
        """CPU seconds of each gate, and of Redis."""
        redis = Worker(self.redis.url, self.redis.process.pid)
        return [worker.cpu_s() for worker in (*self.workers, redis)]


@contextlib.contextmanager
def stage(folder: Path, upstream: str, capacity: float | None) -> Iterator[Stage]:
    """Two gates before an upstream.

    Args:
        folder: for their files.
        upstream: its URL.
        capacity: calls a second that they let through, in their order of admission; None lets
            everything through that has paid.
    """
    with running(folder / "redis") as redis, contextlib.ExitStack() as stack:
        config = folder / "pypow.toml"
        config.write_text(_config(redis.url, capacity), encoding="utf-8")
        options = ("--config", str(config))
        gates = [
            stack.enter_context(gate_process(folder, upstream, *options)) for _ in range(GATES)
        ]
        yield Stage(
            [int(gate.url.rpartition(":")[2]) for gate in gates],
            [Worker(gate.url, gate.process.pid) for gate in gates],
            redis,
        )


def _config(store: str, capacity: float | None) -> str:
    ordered = "" if capacity is None else f'capacity = "{capacity:g}/s"\n'
    return (
        f'[gate]\npublic_url = "http://127.0.0.1"\nmcp_paths = []\nhosts = ["*"]\n'
        f'[store]\nurl = "{store}"\n[default]\nbits = {BITS:g}\n[log]\nlevel = "error"\n'
        f'[pricing]\nquota = "{QUOTA.calls}/{QUOTA.period_ms // 1000}s"\n{ordered}'
    )


async def remember(redis: RedisServer, sources: Sequence[str], minutes: int) -> None:
    """Have the store remember callers who made a call a minute for so long, until now."""
    store = open_store(redis.rest)
    price = Price("default", difficulty.from_bits(BITS), pricing=Pricing(quota=QUOTA))
    assert price.meter is not None
    charges = [price.meter.charge(f"{source}/32") for source in sources]
    now_ms = time.time_ns() // 1_000_000
    try:
        for minute in range(minutes, 0, -1):
            then_ms = now_ms - minute * 60_000
            await asyncio.gather(
                *(
                    store.credits.redeem(
                        os.urandom(16), epoch=None, expires_at_ms=then_ms + 120_000,
                        now_ms=then_ms, charge=charge,
                    )
                    for charge in charges
                )
            )  # fmt: skip
    finally:
        await store.ledger.aclose()
        await store.limiter.aclose()

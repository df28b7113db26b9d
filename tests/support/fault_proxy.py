# SPDX-License-Identifier: Apache-2.0
"""A network that fails on order: a TCP proxy in a thread of its own, before any server.

It counts what it carries, in either direction, and does its worst at the nth piece.
"""

import asyncio
import enum
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar, assert_never

_T = TypeVar("_T")
_PIECE: Final = 64 * 1024
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


class Failure(enum.Enum):
    """What happens to the nth piece, and to its connection."""

    DROP = "the connection is closed instead"
    RESET = "the connection is reset instead"
    HALF_CLOSE = "the piece arrives, and nothing after it in its direction"
    BLACKHOLE = "the piece and all that follow vanish, in its direction"
    DELAY = "the piece waits for longer than anybody has patience, and comes then"
    THROTTLE = "the octets of the piece come one by one"
    TRUNCATE = "the first half of the piece arrives, and the connection is closed"


class FaultProxy:
    """Carries connections to one port of this machine.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._failure: Failure | None = None
        self._left = 0
        self._failed = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._healed = asyncio.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    async def serve(self) -> None:
        """Carry connections until cancelled."""
        async with await asyncio.start_server(self._accept, sock=self._listener):
            try:
                await asyncio.Event().wait()
            finally:
                self._cut()

    async def arm(self, failure: Failure, nth: int) -> None:
        """Fail at the nth piece from now on."""
        self._failure, self._left, self._failed = failure, nth, 0
        self._healed.clear()

    async def disarm(self) -> bool:
        """Carry everything again, on new connections; whether anything had failed."""
        self._failure = None
        self._healed.set()
        self._cut()
        return self._failed > 0

    async def retarget(self, target: int) -> None:
        """Carry new connections to another server, and end those that there are."""
        self._target = target
        self._cut()

    def _cut(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there, to_there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(to_there)
        try:
            await asyncio.gather(self._carry(reader, to_there), self._carry(there, writer))
        except (OSError, asyncio.CancelledError):
            pass  # at the end of the block too, where nobody waits for this task
        finally:
            for end in (writer, to_there):
                end.close()
                self._writers.discard(end)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            self._left -= 1
            if self._failure is not None and self._left == 0:
                self._failed += 1
                await self._fail(self._failure, piece, writer)
            else:
                writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def _fail(self, failure: Failure, piece: bytes, writer: asyncio.StreamWriter) -> None:
        match failure:
            case Failure.DROP:
                self._cut()
            case Failure.TRUNCATE:
                writer.write(piece[: len(piece) // 2])
                await writer.drain()
                self._cut()
            case Failure.RESET:
                for end in self._writers:
                    end.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, _RESET
                    )
                self._cut()
            case Failure.HALF_CLOSE:
                writer.write(piece)
                writer.write_eof()
                await self._healed.wait()
            case Failure.BLACKHOLE:
                await self._healed.wait()
            case Failure.DELAY:
                await self._healed.wait()
                writer.write(piece)  # late: nobody may take it for the answer to something else
            case Failure.THROTTLE:
                for octet in piece:
                    writer.write(bytes((octet,)))
                    await writer.drain()
            case _:
                assert_never(failure)


class ThreadedFaultProxy:
    """A `FaultProxy` in a thread of its own, for callers that block."""

    def __init__(self, proxy: FaultProxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._loop = loop
        self.port = proxy.port

    def arm(self, failure: Failure, nth: int) -> None:
        """See `FaultProxy.arm`."""
        self._call(self._proxy.arm(failure, nth))

    def disarm(self) -> bool:
        """See `FaultProxy.disarm`."""
        return self._call(self._proxy.disarm())

    def retarget(self, target: int) -> None:
        """See `FaultProxy.retarget`."""
        self._call(self._proxy.retarget(target))

    def _call(self, asked: Coroutine[None, None, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()


@contextmanager
def fault_proxy(target: int) -> Iterator[ThreadedFaultProxy]:
    """A proxy to a port of this machine, for the length of a block."""
    with asyncio.Runner() as runner:
        proxy, loop = FaultProxy(target), runner.get_loop()
        serving = loop.create_task(proxy.serve())

        async def until_cancelled() -> None:
            with suppress(asyncio.CancelledError):
                await serving

        thread = threading.Thread(target=runner.run, args=(until_cancelled(),))
        thread.start()
        try:
            yield ThreadedFaultProxy(proxy, loop)
        finally:
            loop.call_soon_threadsafe(serving.cancel)
            thread.join()

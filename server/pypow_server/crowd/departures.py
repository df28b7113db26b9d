# SPDX-License-Identifier: Apache-2.0
"""Callers that go away while their call waits: the gate has to read on to notice."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pypow_server.scope import Message, Receive

_LEAVING: Final = ("http.disconnect", "websocket.disconnect")

_MOST_AHEAD: Final = 4
"""Messages that are read ahead; a body that ended is one, and some servers say that twice."""


@contextmanager
def noticed(receive: Receive, left: Callable[[], None]) -> Iterator[Receive]:
    """While this lasts, read on for news that the caller left.

    Args:
        receive: of the connection.
        left: called once the caller has left.

    Yields:
        A ``receive`` for afterwards, that gives first what was read meanwhile. Of a body in
        several parts, only the first is: whoever sends one is missed later.
    """
    read: deque[Message] = deque()

    async def watch() -> None:
        while len(read) < _MOST_AHEAD:
            message = await receive()
            read.append(message)
            if message["type"] in _LEAVING:
                left()
                return
            if message.get("more_body", False):
                return

    watching = asyncio.create_task(watch())

    async def receive_again() -> Message:
        if not watching.done():  # it was told to end, and two must not read at once
            await asyncio.wait([watching])
        return read.popleft() if read else await receive()

    try:
        yield receive_again
    finally:
        watching.cancel()

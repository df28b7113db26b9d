# SPDX-License-Identifier: Apache-2.0
"""An MCP message, read whole under limits, and a ``receive`` that hands its body on."""

import asyncio
import functools
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from . import problems
from .call import Call
from .mcp_message import Fault, McpMessage, read_message
from .problems import Problem
from .scope import Message, Receive

_Read = TypeVar("_Read")

# RFC 8259 section 8.1 knows UTF-8 only, and SDKs decode by what this header says: what is plain
# JSON to one reader is another message in UTF-7.
_JSON = re.compile(rb'application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?', re.I)


LARGE: Final = 64 * 1024
"""Octets of a body from which on it needs room, and is parsed beside the event loop."""

ROOM: Final = 64 * 1024 * 1024
SHARE: Final = ROOM // 4


async def again(call: Call, read: Callable[[], _Read]) -> _Read:
    """What comes of reading a call's body again: a large one must not hold others up."""
    if call.mcp is None or len(call.mcp.body) < LARGE:
        return read()
    return await asyncio.to_thread(read)


class Room:
    """How many octets of large bodies are held at once: in all, and for one client's network."""

    def __init__(self, octets: int = ROOM, *, share: int = SHARE) -> None:
        self._left = octets
        self._share = share
        self._held: Counter[str] = Counter()

    def take(self, client: str, octets: int) -> bool:
        """Hold so many more for a client, if they fit."""
        if octets > self._left or self._held[client] + octets > self._share:
            return False
        self._left -= octets
        self._held[client] += octets
        return True

    def give_back(self, client: str, octets: int) -> None:
        """Hold so many less; what was never held stays out of the count."""
        self._left += octets
        self._held[client] -= octets
        if not self._held[client]:
            del self._held[client]


class MessageReader:
    """Reads MCP messages under limits: before it is read, no body has earned anything."""

    def __init__(self, *, limit: int, deadline_s: float, room: Room | None = None) -> None:
        """Start no thread yet.

        Args:
            limit: the most octets of one body; more are never held.
            deadline_s: how long the whole of it may take to come in.
            room: for all large bodies together.
        """
        self._limit = limit
        self._deadline_s = deadline_s
        self._room = room or Room()
        # One thread: large bodies wait for each other, and not the small ones for them.
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pypow-bodies")

    async def read(
        self, call: Call, receive: Receive, *, is_sold: bool = False
    ) -> McpMessage | Fault:
        """Read a body that every server reads as the octets it is, as a message.

        Args:
            call: whose body it is; says how it is written.
            receive: where it comes from.
            is_sold: whether payments are looked for in it.
        """
        types = call.values(b"content-type")
        if call.values(b"content-encoding") or not all(map(_JSON.fullmatch, types)):
            return Fault(
                problems.unsupported_media_type(
                    "expected Content-Type: application/json, in UTF-8 and without Content-Encoding"
                )
            )
        if call.content_length is not None and call.content_length > self._limit:
            return Fault(self._too_large())
        body = _Body(self._room, call.client)
        try:
            return await self._read(body, call, receive, is_sold=is_sold)
        finally:
            body.forget()

    async def _read(
        self, body: "_Body", call: Call, receive: Receive, *, is_sold: bool
    ) -> McpMessage | Fault:
        try:
            async with asyncio.timeout(self._deadline_s):
                problem = await self._collect(body, receive)
        except TimeoutError:
            problem = problems.request_timeout(
                f"expected the whole body within {self._deadline_s:g} s"
            )
        if problem is not None:
            return Fault(problem)
        octets = bytes(body.octets)
        if len(octets) < LARGE:
            return read_message(octets, call.routing, is_sold=is_sold)
        read = functools.partial(read_message, octets, call.routing, is_sold=is_sold)
        return await asyncio.get_running_loop().run_in_executor(self._beside, read)

    async def _collect(self, body: "_Body", receive: Receive) -> Problem | None:
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return problems.bad_request(
                    "the connection was closed before the body was complete"
                )
            fits = body.grow(message.get("body", b""))
            if len(body.octets) > self._limit:
                return self._too_large()
            if not fits:
                return problems.busy("too many large bodies are being read; send this one again")
            if not message.get("more_body", False):
                return None

    def _too_large(self) -> Problem:
        return problems.too_large(f"expected a body of at most {self._limit} octets; send less")


class _Body:
    """What has come of a body, and the room it takes."""

    def __init__(self, room: Room, client: str) -> None:
        self.octets = bytearray()
        self._room = room
        self._client = client
        self._held = 0

    def grow(self, chunk: bytes) -> bool:
        """Add a chunk; False where there is no room for it."""
        self.octets += chunk
        if len(self.octets) < LARGE:
            return True
        more = len(self.octets) - self._held
        if not self._room.take(self._client, more):
            return False
        self._held += more
        return True

    def forget(self) -> None:
        """Give the room back."""
        if self._held:
            self._room.give_back(self._client, self._held)
            self._held = 0


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body once, and then what the connection says next."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again


class Rewindable:
    """A ``receive`` that remembers what it gave, so that all of it can be given again."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._given: list[Message] = []

    async def __call__(self) -> Message:
        """The next message of the connection."""
        message = await self._receive()
        self._given.append(message)
        return message

    def again(self) -> Receive:
        """A ``receive`` that begins with what was given, and goes on with the connection."""
        pending = self._given[::-1]

        async def receive_again() -> Message:
            return pending.pop() if pending else await self._receive()

        return receive_again

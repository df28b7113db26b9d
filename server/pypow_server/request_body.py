# SPDX-License-Identifier: Apache-2.0
"""A JSON body, read whole under limits, and a ``receive`` that hands it on."""

import asyncio
import re

from . import problems
from .call import Call
from .problems import Problem
from .scope import Message, Receive

# RFC 8259 section 8.1 knows UTF-8 only, and SDKs decode by what this header says: what is plain
# JSON to one reader is another message in UTF-7.
_JSON = re.compile(rb'application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?', re.I)


async def read_body(
    call: Call, receive: Receive, *, limit: int, deadline_s: float
) -> bytes | Problem:
    """Read a body that every server reads as the octets it is.

    Args:
        call: whose body it is; says how it is written.
        receive: where it comes from.
        limit: the most octets; more are never held.
        deadline_s: how long the whole of it may take.
    """
    if any(name != b"content-type" or not _JSON.fullmatch(it) for name, it in call.body_format):
        return problems.unsupported_media_type(
            "expected Content-Type: application/json, in UTF-8 and without Content-Encoding"
        )
    if call.content_length is not None and call.content_length > limit:
        return _too_large(limit)
    try:
        async with asyncio.timeout(deadline_s):
            return await _read(receive, limit=limit)
    except TimeoutError:
        return problems.request_timeout(f"expected the whole body within {deadline_s:g} s")


async def _read(receive: Receive, *, limit: int) -> bytes | Problem:
    chunks = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return problems.bad_request("the connection was closed before the body was complete")
        chunks += message.get("body", b"")
        if len(chunks) > limit:
            return _too_large(limit)
        if not message.get("more_body", False):
            return bytes(chunks)


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


def _too_large(limit: int) -> Problem:
    return problems.too_large(f"expected a body of at most {limit} octets; send less")

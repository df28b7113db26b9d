# SPDX-License-Identifier: Apache-2.0
"""A request body, read whole under a limit, and a ``receive`` that hands it on."""

from . import problems
from .call import Call
from .problems import Problem
from .scope import Message, Receive


async def read_body(call: Call, receive: Receive, *, limit: int) -> bytes | Problem:
    """Read the body; at most ``limit`` octets of it are ever held."""
    if call.content_length is not None and call.content_length > limit:
        return _too_large(limit)
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


def _too_large(limit: int) -> Problem:
    return problems.too_large(f"expected a body of at most {limit} octets; send less")

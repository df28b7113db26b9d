# SPDX-License-Identifier: Apache-2.0
"""Calls an ASGI app in process, message by message, without a server or a client library."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from pypow_server.scope import ASGIApp, Message, Scope


@dataclass(frozen=True, slots=True)
class Answer:
    """What an app answered, and the scope as it left it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    scope: Scope

    def values(self, name: bytes) -> list[bytes]:
        """All values of a header field, in order."""
        return [value for field, value in self.headers if field.lower() == name.lower()]


def http_scope(
    method: str = "GET",
    target: bytes = b"/",
    *,
    headers: Sequence[tuple[bytes, bytes]] = ((b"host", b"gate.example"),),
    client: tuple[str, int] | None = ("192.0.2.7", 50000),
) -> Scope:
    """An HTTP/1.1 scope as a server would make it."""
    path, _, query = target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "client": client,
        "server": ("127.0.0.1", 8402),
    }


async def call(
    app: ASGIApp,
    method: str = "GET",
    target: bytes = b"/",
    *,
    headers: Sequence[tuple[bytes, bytes]] = ((b"host", b"gate.example"),),
    body: bytes = b"",
    client: tuple[str, int] | None = ("192.0.2.7", 50000),
) -> Answer:
    """Sends one request with a whole body and collects the answer."""
    scope = http_scope(method, target, headers=headers, client=client)
    incoming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if incoming:
            return incoming.pop()
        await asyncio.Event().wait()  # the caller stays connected
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    assert start["type"] == "http.response.start"
    assert all(message["type"] == "http.response.body" for message in rest)
    assert [bool(message.get("more_body")) for message in rest] == [True] * (len(rest) - 1) + [
        False
    ]
    content = b"".join(message.get("body", b"") for message in rest)
    return Answer(start["status"], list(start.get("headers", ())), content, scope)

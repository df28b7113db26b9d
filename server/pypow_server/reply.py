# SPDX-License-Identifier: Apache-2.0
"""A whole answer that needs no application: status, headers and body, itself an ASGI app."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass

from .scope import Receive, Scope, Send

json_text = json.JSONEncoder(separators=(",", ":")).encode

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer.

    Attributes:
        status: HTTP status code.
        headers: as they go on the wire, without ``content-length``.
        body: all of it; HEAD gets its length only.
    """

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer ``scope``; the request body is not read.

        A WebSocket handshake gets the same answer instead of being opened, where the server can
        send one (ASGI's "WebSocket Denial Response"), and otherwise its 403.
        """
        event = "http.response"
        if scope["type"] == "websocket":
            event = "websocket.http.response"
            await receive()
            if event not in (scope.get("extensions") or ()):
                await send({"type": "websocket.close", "code": 1008})
                return
        length = () if self.status == 204 else ((b"content-length", b"%d" % len(self.body)),)
        headers = [*self.headers, *length]
        await send({"type": f"{event}.start", "status": self.status, "headers": headers})
        body = b"" if scope.get("method") == "HEAD" else self.body
        await send({"type": f"{event}.body", "body": body})


def json_reply(
    status: int,
    document: object,
    *,
    media_type: str = "application/json",
    headers: Sequence[Header] = (),
) -> Reply:
    """A `Reply` with a JSON body that no cache keeps and that browsers may read.

    Refusals carry no secrets, so every origin may read them, and the challenge headers in them.

    Args:
        status: HTTP status code.
        document: what the body says; a text is JSON already.
        media_type: of the body.
        headers: besides.
    """
    text = document if isinstance(document, str) else json_text(document)
    return Reply(status, (*_common(media_type), *headers), text.encode("ascii"))


@functools.cache
def _common(media_type: str) -> tuple[Header, ...]:
    return (
        (b"content-type", media_type.encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", b"WWW-Authenticate, Retry-After"),
    )

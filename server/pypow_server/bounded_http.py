# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 with bounds on a request's head: how long it may take, and how long it may be.

uvicorn bounds neither. Both come before any ASGI app is asked, so no middleware can make up for
it: a caller that drips one octet a second would hold a connection for ever (slowloris), and one
endless header would fill the memory. Trailers are heads by another name: they are dropped.
"""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def _refusal(status: bytes, advice: bytes) -> bytes:
    return (
        b"HTTP/1.1 %b\r\n"
        b"content-type: text/plain; charset=utf-8\r\n"
        b"content-length: %d\r\n"
        b"connection: close\r\n"
        b"\r\n"
        b"%b\r\n" % (status, len(advice) + 2, advice)
    )


_TOO_LARGE = _refusal(
    b"431 Request Header Fields Too Large", b"expected a request head of at most 32768 octets"
)
_UPGRADE_WITH_BODY = _refusal(
    b"400 Bad Request", b"expected no Upgrade on a request with a body: use HTTP/1.1"
)


class RefusedHeadError(Exception):
    """Ends the parsing of a request whose head is not taken; never leaves this module."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol, with a deadline and a limit for the head of each request."""

    head_deadline_s: ClassVar[float] = 10.0
    """From the first octet of a request (or the start of the connection) to the end of its head."""

    max_head_octets: ClassVar[int] = 32 * 1024

    linger_s: ClassVar[float] = 0.5
    """How long an idle connection is kept once the server is to stop: a request may be on its way,
    and its caller could not know whether it was served."""

    _draining = False
    _deadline: asyncio.TimerHandle | None = None
    _head_octets = 0
    _refused_with: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._head_is_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless what it holds of a head or a trailer is too long already."""
        # Counted before it is fed: a head or body that begins in this chunk starts from nothing.
        self._head_octets += len(data)
        super().data_received(data)
        if self._head_octets > self.max_head_octets:
            self._refused_with = _TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        super().on_message_begin()
        self._head_octets = 0
        self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; a trailer comes when the head is complete, and is dropped."""
        if self._deadline is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the app, unless the head came whole and is not taken."""
        self._head_is_complete()
        octets = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if octets > self.max_head_octets:
            self._refused_with = _TOO_LARGE
        elif self.parser.should_upgrade() and self._has_body():
            # The parser would take the body for the other protocol, and the app get none of it.
            self._refused_with = _UPGRADE_WITH_BODY
        if self._refused_with is not None:
            raise RefusedHeadError
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body."""
        self._head_octets = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer a head that cannot be parsed, or is not taken, and close."""
        if self._refused_with is None:
            super().send_400_response(msg)
            return
        self._head_is_complete()
        self.transport.write(self._refused_with)
        self.transport.close()

    def shutdown(self) -> None:
        """Answer the request that is here or on its way, and close."""
        self._draining = True
        if self._is_idle():
            self.loop.call_later(self.linger_s, self._close_if_idle)
        elif self._has_cycle():
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _is_idle(self) -> bool:
        """Whether every request that has begun is answered."""
        if not self._has_cycle():
            return self.scope is None
        return self.cycle.response_complete and self.cycle.scope is self.scope

    def _has_cycle(self) -> bool:
        return self.cycle is not None

    def _has_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.headers
        )

    def _await_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_deadline_s, self.transport.close)

    def _head_is_complete(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 whose callers are bounded: how long a head may take and be, and how slow a body.

uvicorn bounds none of this, and no middleware can make up for it: a caller that drips one octet a
second, or reads none, would hold a connection for ever (slowloris), and one endless header would
fill the memory. Trailers are heads by another name: they are dropped.
"""

import asyncio
from typing import ClassVar
from weakref import WeakKeyDictionary

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from . import proxy_protocol
from .connection_limits import Attendance, ConnectionLimits, Pace, Uncounted, this_machine


def _refusal(status: bytes, advice: bytes, *fields: bytes) -> bytes:
    head = (
        b"HTTP/1.1 %b" % status,
        b"content-type: text/plain; charset=utf-8",
        b"content-length: %d" % len(advice),
        b"connection: close",
        *fields,
    )
    return b"\r\n".join((*head, b"", advice))


_TOO_SLOW = _refusal(b"408 Request Timeout", b"expected the body of the request to come faster")
_TOO_MANY = _refusal(
    b"503 Service Unavailable", b"too many connections: close some, or come back", b"retry-after: 1"
)
_UPGRADE_WITH_BODY = _refusal(
    b"400 Bad Request", b"expected no Upgrade on a request with a body: use HTTP/1.1"
)
_PROXY_PROTOCOL = _refusal(
    b"400 Bad Request", b"expected HTTP, got the PROXY protocol: have the balancer set a header"
)


class RefusedHeadError(Exception):
    """Ends the parsing of a request whose head is not taken; never leaves this module."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol within `limits`; a subclass may have others."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()
    uncounted: ClassVar[Uncounted] = staticmethod(this_machine)

    _complaint: ClassVar[proxy_protocol.Complaint] = proxy_protocol.Complaint()
    _attendances: ClassVar[WeakKeyDictionary[ServerState, Attendance]] = WeakKeyDictionary()

    _attendance: Attendance
    _body_pace: Pace
    _answer_pace: Pace
    _head_began: float | None = None
    _body_is_open = False
    _body_octets = 0
    linger_s: ClassVar[float] = 0.5
    """How long an idle connection is kept once the server is to stop: a request may be on its way,
    and its caller could not know whether it was served."""

    _draining = False
    _answered: RequestResponseCycle | None = None
    """The request that is being answered; `cycle` is the last that came."""

    _head_octets = 0
    _requests = 0
    _is_upgraded = False
    _refused_with: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first head, unless there are connections enough."""
        self._attendance = self._attendances.setdefault(
            self.server_state, Attendance(self.limits, type(self).uncounted)
        )
        peer = transport.get_extra_info("peername")
        super().connection_made(transport)
        if not self._attendance.admits(self, peer[0] if isinstance(peer, tuple) else None):
            self.transport.write(_TOO_MANY)
            self.transport.close()
            return
        self._body_pace, self._answer_pace = Pace(self.limits), Pace(self.limits)
        self._head_began = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another, and tell the app, which uvicorn does for the last request only."""
        self._attendance.leave(self)
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def look_after(self, now: float) -> None:
        """End the connection if its caller is overdue with a head, a body, or taking an answer."""
        if self._is_upgraded:
            return  # it has pings of its own
        if self.transport.is_closing() or self.flow.write_paused:
            # No more is written meanwhile, so that what is left tells what was taken.
            left = self.transport.get_write_buffer_size()
            if self._answer_pace.is_too_slow(-left, now=now):
                self.transport.abort()
            return
        self._answer_pace.rest()
        if self._head_began is not None:
            if self.flow.read_paused:
                self._head_began = now
            elif now - self._head_began > self.limits.head_s:
                self.transport.close()
        elif self._body_is_open:
            self._look_after_body(now)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless what it holds of a head or a trailer is too long already."""
        if self._is_new() and proxy_protocol.begins(data):
            host, _ = self.client or ("a Unix socket", 0)
            self._complaint.tell(host, now=self.loop.time())
            self.transport.write(_PROXY_PROTOCOL)
            self.transport.close()
            return
        # Counted before it is fed: a head or body that begins in this chunk starts from nothing.
        self._head_octets += len(data)
        # Empty lines before a head are part of it: the parser skips them, and says nothing.
        if self._head_began is None and self._is_idle():
            self._head_began = self.loop.time()
        super().data_received(data)
        if self._head_octets > self.limits.head_octets:
            self._refused_with = self._too_large()
            self.send_400_response("")

    def resume_writing(self) -> None:
        """The caller has taken most of what was written."""
        self._answer_pace.rest()
        super().resume_writing()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head, unless the connection ends before it."""
        if self._ends_with_cycle():
            raise RefusedHeadError
        super().on_message_begin()
        self._head_octets = 0
        if self._head_began is None:
            self._head_began = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; a trailer comes when the head is complete, and is dropped."""
        if self._head_began is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the app, unless the head came whole and is not taken."""
        self._head_began = None
        if self.parser.should_upgrade() and self._is_answering():
            # The other protocol would write into the answer, whose app would hear of no end.
            self.cycle.keep_alive = False
            raise RefusedHeadError
        octets = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if octets > self.limits.head_octets:
            self._refused_with = self._too_large()
        elif self.parser.should_upgrade() and self._has_body():
            # The parser would take the body for the other protocol, and the app get none of it.
            self._refused_with = _UPGRADE_WITH_BODY
        if self._refused_with is not None:
            raise RefusedHeadError
        super().on_headers_complete()
        if self.parser.should_upgrade() and self._should_upgrade():
            return
        self._body_is_open = True
        self._body_pace.rest()
        self._requests += 1
        full = len(self.pipeline) >= self.limits.pipelined
        if full or self._draining or self._requests >= self.limits.requests:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body."""
        self._head_octets = 0
        self._body_octets += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._body_is_open = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to another protocol, and count it until it ends."""
        super().handle_websocket_upgrade()
        self._is_upgraded = True
        protocol = self.transport.get_protocol()
        lost = protocol.connection_lost

        def connection_lost(exc: Exception | None) -> None:
            self._attendance.leave(self)
            lost(exc)

        protocol.connection_lost = connection_lost  # type: ignore[method-assign]

    def send_400_response(self, msg: str) -> None:
        """Answer a head that cannot be parsed, or is not taken, and close."""
        if self._ends_with_cycle():
            return  # what comes after the last request is nobody's to answer
        if self._refused_with is None:
            super().send_400_response(msg)
            return
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
            return self._is_new()
        return self.cycle.response_complete and self.cycle.scope is self.scope

    def _is_new(self) -> bool:
        """Whether no request has begun on the connection."""
        return self.scope is None

    def _has_cycle(self) -> bool:
        return self.cycle is not None

    def _ends_with_cycle(self) -> bool:
        """Whether the last request of the connection has come, and is to be answered yet."""
        return self._is_answering() and not self.cycle.keep_alive and not self._body_is_open

    def _is_answering(self) -> bool:
        return self._has_cycle() and not self.cycle.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _look_after_body(self, now: float) -> None:
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._body_pace.rest()
        elif self._body_pace.is_too_slow(self._body_octets, now=now):
            if self.cycle.response_started:
                self.transport.abort()
                return
            self.transport.write(_TOO_SLOW)
            # Whatever the app answers now comes too late.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.close()

    def _too_large(self) -> bytes:
        advice = b"expected a request head of at most %d octets" % self.limits.head_octets
        return _refusal(b"431 Request Header Fields Too Large", advice)

    def _has_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.headers
        )


def bounded(limits: ConnectionLimits, uncounted: Uncounted = this_machine) -> type[BoundedHttp]:
    """The protocol within these limits, for uvicorn's option ``http``."""
    own = {
        "limits": limits,
        "uncounted": staticmethod(uncounted),
        "_complaint": proxy_protocol.Complaint(),
    }
    return type("BoundedHttp", (BoundedHttp,), own)

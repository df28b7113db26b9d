# SPDX-License-Identifier: Apache-2.0
"""Two listeners in one event loop: callers come in at one, operators at the other.

Sockets are bound before anything else happens, so that a port that is taken ends the start with
one line, and so that "any free port" is known by number when URLs are printed.
"""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import uvicorn
import uvloop

from pypow import InvalidInputError

from .address import Address
from .bounded_http import BoundedHttp, bounded
from .connection_limits import ConnectionLimits, Uncounted, this_machine, within_open_files
from .last_connections import last_connections
from .scope import ASGIApp

_ADMIN_DRAIN_S = 1
_ADMIN_CONNECTIONS = 64
DEFAULT_LIMITS = ConnectionLimits()

_SWITCH_INTERVAL_S = 0.0005
"""How long a busy thread keeps Python's lock from another. Python's own 5 ms are many times what a
spend takes: a store's thread that comes back from the disk would wait that long to say so."""

_KEEP_ALIVE_S = 20
_BACKLOG = 2048


class ListenError(InvalidInputError):
    """A listener cannot be bound; the text says which, why, and which option moves it."""


def bind(address: Address, *, option: str) -> socket.socket:
    """A listening socket; connections wait in its backlog until somebody serves them.

    Args:
        address: where; port 0 is any free port.
        option: the command-line option that would move it, for the error.

    Raises:
        ListenError: the host is unknown or not this machine's, or the port is taken or reserved.
    """
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, where = found[0]
        return socket.create_server(where[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            advice = f"the port is taken; stop what listens there, or choose another with {option}"
        else:
            advice = f"{error.strerror}; choose another address with {option}"
        raise ListenError(f"cannot listen on {address}: {advice}") from None


def bound_address(listener: socket.socket) -> Address:
    """Where a socket really listens."""
    host, port = listener.getsockname()[:2]
    return Address(host, port)


def run(
    public: tuple[socket.socket, ASGIApp],
    admin: tuple[socket.socket, ASGIApp],
    *,
    ready: Callable[[], None],
    draining: Callable[[], None],
    drain_s: int,
    hangup: Callable[[], None] = lambda: None,
    limits: ConnectionLimits = DEFAULT_LIMITS,
    uncounted: Uncounted = this_machine,
) -> None:
    """Serve until SIGINT or SIGTERM; then let calls in flight end, and return.

    A second signal does not wait for them.

    Args:
        public: the socket and the app of callers; its lifespan is run.
        admin: the socket and the app of operators.
        ready: called once both are being served.
        draining: called when the first signal came.
        drain_s: how long calls in flight may take to end, in seconds.
        hangup: called in the event loop for each SIGHUP.
        limits: of callers; no more connections than the process may have files open. Operators
            have the same, with fewer connections.
        uncounted: networks that callers behind proxies come from, as of now.
    """
    connections = within_open_files(limits, others=_ADMIN_CONNECTIONS)
    limits = replace(limits, connections=connections)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            _serve(
                public,
                admin,
                limits,
                uncounted,
                ready=ready,
                draining=draining,
                drain_s=drain_s,
                hangup=hangup,
            )
        )


def _is_news(record: logging.LogRecord) -> bool:
    # A second signal waits for nothing, and cancels what waits for the end.
    if record.exc_info is not None and record.exc_info[0] is asyncio.CancelledError:
        return False
    # uvicorn has this to say of each handshake that was answered by a response, as ASGI allows:
    # any caller could fill the log with it.
    return record.msg != "ASGI callable returned without completing handshake."


async def _serve(
    public: tuple[socket.socket, ASGIApp],
    admin: tuple[socket.socket, ASGIApp],
    limits: ConnectionLimits,
    uncounted: Uncounted,
    *,
    ready: Callable[[], None],
    draining: Callable[[], None],
    drain_s: int,
    hangup: Callable[[], None],
) -> None:
    callers = _Server(
        _config(public[1], bounded(limits, uncounted), drain_s=drain_s, lifespan=True)
    )
    few = bounded(replace(limits, connections=_ADMIN_CONNECTIONS))
    operators = _Server(_config(admin[1], few, drain_s=_ADMIN_DRAIN_S))

    def stop() -> None:
        draining()
        callers.force_exit = callers.should_exit
        callers.should_exit = True

    async def serve_callers() -> None:
        await callers.serve(sockets=[public[0]])
        # Until here, readiness has told that no new calls are taken.
        operators.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, hangup)
    async with asyncio.TaskGroup() as group:
        group.create_task(serve_callers())
        group.create_task(operators.serve(sockets=[admin[0]]))
        await asyncio.gather(callers.up.wait(), operators.up.wait())
        ready()


class _Server(uvicorn.Server):
    """A uvicorn server that says when it is up, and leaves signals to `_serve`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and serve whoever had connected by then."""
        waiting = await last_connections(sockets or ())
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        loop = asyncio.get_running_loop()
        for accepted in waiting:
            await loop.connect_accepted_socket(self._protocol, accepted)
        await super().shutdown()

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # uvicorn's own protocols
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(
    app: ASGIApp, http: type[BoundedHttp], *, drain_s: int, lifespan: bool = False
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=http,
        ws="websockets-sansio",
        ws_max_size=4 * 1024 * 1024,
        ws_per_message_deflate=False,
        lifespan="on" if lifespan else "off",
        log_config=None,
        # Malformed requests are logged as warnings, as many as anybody cares to send.
        log_level="error",
        access_log=False,
        server_header=False,
        # X-Forwarded-* from a caller is worth nothing; nothing here reads it.
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=drain_s,
    )

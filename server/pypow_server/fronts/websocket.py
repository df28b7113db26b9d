# SPDX-License-Identifier: Apache-2.0
"""A WebSocket through the proxy: a second one to the upstream, and messages carried between.

Messages cross whole, as they come, and each side waits for the other to take them. Subprotocols,
close codes and reasons cross as well; pings and compression belong to each connection.
"""

import asyncio
import logging
from typing import Final

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType
from yarl import URL

from pypow_server.scope import UPSTREAM_REACHED, Message, Receive, Scope, Send

from . import ADDED_BY_AIOHTTP, Failure, once

MAX_MESSAGE_OCTETS: Final = 4 * 1024 * 1024
"""Of a message from the upstream; the server that the proxy runs in bounds the caller's."""

_PING_S: Final = 30.0
_CLOSE_S: Final = 5.0
_NORMAL, _GOING_AWAY, _BAD_GATEWAY = 1000, 1001, 1014
# RFC 6455 section 7.4.1: these say what was seen and are never sent.
_UNSENDABLE: Final = frozenset({1005, 1006, 1015})
# The handshake belongs to each connection (RFC 6455 section 4.1); aiohttp writes the upstream's.
_HANDSHAKE: Final = "sec-websocket-"
_LOG: Final = logging.getLogger("pypow.proxy")


async def relay(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    url: URL,
    fields: list[tuple[str, str]],
    failure: Failure,
    connect_timeout_s: float,
    silence_s: float,
) -> None:
    """Opens a WebSocket at the upstream and, once it is open, the caller's; then carries messages.

    Args:
        scope: of the caller's handshake.
        receive: from the caller.
        send: to the caller.
        url: the upstream's.
        fields: header fields for the upstream.
        failure: makes the answer to a handshake that the upstream does not take.
        connect_timeout_s: for name lookup, TCP and TLS together.
        silence_s: the longest that the upstream may take to answer the handshake.
    """
    handshake = await receive()

    async def refuse(status: int, detail: str) -> None:
        await failure(status, detail)(scope, _once(handshake), send)

    # A connection of its own: one that was kept and had closed might have taken the handshake.
    scope[UPSTREAM_REACHED] = True
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_timeout_s),
        skip_auto_headers=ADDED_BY_AIOHTTP,
        middlewares=(once,),
    ) as session:
        opening = session.ws_connect(
            url,
            headers=[pair for pair in fields if not pair[0].lower().startswith(_HANDSHAKE)],
            protocols=scope.get("subprotocols", ()),
            heartbeat=_PING_S,
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
            max_msg_size=MAX_MESSAGE_OCTETS,
        )
        try:
            upstream = await _opened(asyncio.ensure_future(opening), receive, silence_s)
        except aiohttp.ClientConnectorError:
            scope[UPSTREAM_REACHED] = False
            await refuse(502, "the upstream takes no connections")
        except aiohttp.ConnectionTimeoutError:
            scope[UPSTREAM_REACHED] = False
            await refuse(504, "the upstream did not take the connection in time")
        except aiohttp.ClientError as error:
            _LOG.warning("no WebSocket at the upstream %s: %s", url.origin(), type(error).__name__)
            await refuse(502, "the upstream did not take the WebSocket")
        except TimeoutError:
            await refuse(504, "the upstream took the handshake and did not answer in time")
        else:
            if upstream is not None:
                await send({"type": "websocket.accept", "subprotocol": upstream.protocol})
                await _carry(receive, send, upstream)


async def _opened(
    opening: asyncio.Future[ClientWebSocketResponse], receive: Receive, silence_s: float
) -> ClientWebSocketResponse | None:
    """The upstream's WebSocket; None when the caller left before it was open.

    Raises:
        TimeoutError: The upstream said nothing.
        aiohttp.ClientError: It did not take the handshake.
    """
    # All that a caller can do before its handshake is answered.
    departure = asyncio.ensure_future(receive())
    try:
        async with asyncio.timeout(silence_s):
            await asyncio.wait((opening, departure), return_when=asyncio.FIRST_COMPLETED)
        return None if departure.done() else opening.result()
    finally:
        opening.cancel()
        departure.cancel()
        await asyncio.gather(opening, departure, return_exceptions=True)


def _once(message: Message) -> Receive:
    async def receive() -> Message:
        return message

    return receive


async def _carry(receive: Receive, send: Send, upstream: ClientWebSocketResponse) -> None:
    leaving = asyncio.create_task(_to_upstream(receive, upstream))
    arriving = asyncio.create_task(_to_caller(upstream, send))
    code, reason = _GOING_AWAY, ""
    try:
        await asyncio.wait((leaving, arriving), return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            code, reason = leaving.result()
        else:
            arriving.result()
    finally:
        leaving.cancel()
        arriving.cancel()
        await asyncio.gather(leaving, arriving, return_exceptions=True)
        await upstream.close(code=code, message=reason.encode())


async def _to_upstream(receive: Receive, upstream: ClientWebSocketResponse) -> tuple[int, str]:
    """Carries until the caller leaves; returns how the upstream is told."""
    while (message := await receive())["type"] == "websocket.receive":
        try:
            if (text := message.get("text")) is not None:
                await upstream.send_str(text)
            else:
                await upstream.send_bytes(message["bytes"])
        except ConnectionError:
            # It is closing; what it said last is still to be carried to the caller.
            await asyncio.Event().wait()
    code = message.get("code", _GOING_AWAY)
    return _GOING_AWAY if code in _UNSENDABLE else code, message.get("reason") or ""


async def _to_caller(upstream: ClientWebSocketResponse, send: Send) -> None:
    """Carries until the upstream closes, and closes the caller's as it did."""
    while True:
        message = await upstream.receive()
        if message.type is WSMsgType.TEXT:
            await send({"type": "websocket.send", "text": message.data})
        elif message.type is WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": message.data})
        else:
            break
    code, reason = _BAD_GATEWAY, ""
    if message.type is WSMsgType.CLOSE:
        code, reason = message.data, message.extra or ""
    await send(
        {
            "type": "websocket.close",
            "code": _NORMAL if code in _UNSENDABLE else code,
            "reason": reason,
        }
    )

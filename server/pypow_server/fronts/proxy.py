# SPDX-License-Identifier: Apache-2.0
"""A streaming reverse proxy as an ASGI app: the way to an upstream behind a URL.

Octets pass in both directions as they come; nothing is buffered whole, decoded, decompressed,
redirected or kept. The request target is forwarded exactly as it was received.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from pypow.errors import InvalidInputError, PowError
from pypow_server.scope import (
    UPSTREAM_FAILED,
    UPSTREAM_REACHED,
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
)

from . import ADDED_BY_AIOHTTP, Failure, live, once, websocket
from .fields import request_fields, response_fields

# Shorter than the 5 s after which uvicorn and Node close an idle connection: were they the first
# to close, a request that must not be repeated would now and then meet a closed connection.
_IDLE_CONNECTION_S: Final = 4.0
SILENCE_S: Final = 900.0
"""Fifteen minutes: tools that think for long are why there are gates before them."""

_MAX_FIELD_OCTETS: Final = 64 * 1024
# Visible ASCII without the delimiters that would end the path or the query early.
_PATH: Final = re.compile(rb"/[!\"$->@-~]*")
_QUERY: Final = re.compile(rb"[!\"$-~]*")
_STATUSES: Final = range(200, 600)
_LOG: Final = logging.getLogger("pypow.proxy")


class BrokenOffError(PowError):
    """The upstream failed within its answer; the caller's connection must break off as well."""


class Proxy:
    """Forwards requests to one upstream.

    While it handles a request it sets ``scope[UPSTREAM_REACHED]``: False until the request is
    handed to a connection to the upstream, and True from then on.

    Answers have no time limit as a whole. An upstream that says nothing for `SILENCE_S` is given
    up, unless it streams events: the next one may be an hour away. The upstream's request ends as
    soon as its caller is seen to disconnect, which is always but while the upstream leaves the
    caller's body unread. A WebSocket becomes one to the upstream.
    """

    def __init__(
        self,
        upstream: str,
        *,
        failure: Failure,
        connect_timeout_s: float = 5.0,
        silence_s: float = SILENCE_S,
    ) -> None:
        """Connects to nothing yet.

        Args:
            upstream: An http or https URL; a path in it is put before every request's path.
            failure: Makes the answers of the proxy itself.
            connect_timeout_s: For name lookup, TCP and TLS together.
            silence_s: The longest that an upstream may take to begin its answer, once it has the
                whole request, and between two parts of it.

        Raises:
            InvalidInputError: The URL is not one of an upstream.
        """
        self._upstream = _parse_upstream(upstream)
        self._failure = failure
        self._connect_timeout_s = connect_timeout_s
        self._silence_s = silence_s
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_timeout_s, sock_read=silence_s
        )
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one ASGI conversation.

        Raises:
            BrokenOffError: The upstream failed after its answer had begun.
        """
        match scope["type"]:
            case "http":
                await self._serve(scope, receive, send)
            case "websocket":
                await self._carry(scope, receive, send)
            case "lifespan":
                await live(receive, send, self.aclose)
            case other:
                raise InvalidInputError(
                    f"expected an http, websocket or lifespan scope; got {other}"
                )

    async def aclose(self) -> None:
        """Closes the connections to the upstream."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[UPSTREAM_REACHED] = False
        if scope["method"] == "CONNECT":
            await self._failure(501, "no tunnels are opened here")(scope, receive, send)
            return
        try:
            url = self._url(scope)
            fields = request_fields(scope)
        except InvalidInputError as error:
            await self._failure(400, str(error))(scope, receive, send)
            return
        first = await receive()
        if first["type"] == "http.disconnect":
            return
        caller = _Caller(first, receive)
        exchange = asyncio.create_task(self._exchange(scope, url, fields, caller, send))
        departure = asyncio.create_task(caller.departure())
        try:
            await asyncio.wait((exchange, departure), return_when=asyncio.FIRST_COMPLETED)
            if not departure.done():
                exchange.result()
        finally:
            exchange.cancel()
            departure.cancel()
            await asyncio.gather(exchange, departure, return_exceptions=True)

    async def _carry(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[UPSTREAM_REACHED] = False
        try:
            url = self._url(scope)
            fields = request_fields(scope)
        except InvalidInputError as error:
            await self._failure(400, str(error))(scope, receive, send)
            return
        await websocket.relay(
            scope,
            receive,
            send,
            url=url,
            fields=fields,
            failure=self._failure,
            connect_timeout_s=self._connect_timeout_s,
            silence_s=self._silence_s,
        )

    async def _exchange(
        self, scope: Scope, url: URL, fields: list[tuple[str, str]], caller: "_Caller", send: Send
    ) -> None:
        try:
            response = await self._connections().request(
                scope["method"],
                url,
                headers=fields,
                data=caller.body(),
                allow_redirects=False,
                trace_request_ctx=scope,
            )
        except aiohttp.ClientError as error:
            reason = " ".join(str(error).split())  # a parser's message has several lines
            _LOG.warning("no answer from the upstream %s: %s", self._upstream.origin(), reason)
            scope[UPSTREAM_FAILED] = True
            await self._explain(error, scope)(scope, caller.receive, send)
            return
        try:
            if response.status in _STATUSES:
                await self._relay(response, send)
            else:
                detail = f"the upstream answered with status {response.status}"
                await self._failure(502, detail)(scope, caller.receive, send)
        finally:
            # Where the answer was not read to its end, this closes the connection at once.
            response.close()

    async def _relay(self, response: aiohttp.ClientResponse, send: Send) -> None:
        fields = response_fields(
            response.status, response.raw_headers, upstream=str(self._upstream)
        )
        if response.content_type == "text/event-stream" and response.connection is not None:
            protocol = response.connection.protocol
            assert protocol is not None
            protocol.read_timeout = None
            protocol.start_timeout()
        await send({"type": "http.response.start", "status": response.status, "headers": fields})
        try:
            async for chunk in response.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except aiohttp.ClientError as error:
            raise BrokenOffError("the upstream broke off within its answer") from error
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _explain(self, error: aiohttp.ClientError, scope: Scope) -> ASGIApp:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return self._failure(504, "the upstream did not take the connection in time")
        if isinstance(error, aiohttp.SocketTimeoutError):
            return self._failure(504, "the upstream took the request and did not answer in time")
        if scope[UPSTREAM_REACHED]:
            return self._failure(502, "the upstream broke off before it answered")
        return self._failure(502, "the upstream takes no connections; nothing was sent to it")

    def _connections(self) -> aiohttp.ClientSession:
        # Made by the first request, because a session belongs to the event loop that runs it.
        if self._session is None:
            reached = aiohttp.TraceConfig()
            reached.on_request_headers_sent.append(_mark_reached)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_CONNECTION_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=self._timeout,
                skip_auto_headers=ADDED_BY_AIOHTTP,
                max_line_size=_MAX_FIELD_OCTETS,
                max_field_size=_MAX_FIELD_OCTETS,
                trace_configs=[reached],
                middlewares=(once,),
            )
        return self._session

    def _url(self, scope: Scope) -> URL:
        path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
        query: bytes = scope["query_string"]
        if not (_PATH.fullmatch(path) and _QUERY.fullmatch(query)):
            raise InvalidInputError(
                "expected a target that begins with / and holds visible ASCII without #; got "
                f"{path + b'?' + query!r}: percent-encode it"
            )
        return URL.build(
            scheme=self._upstream.scheme,
            authority=self._upstream.raw_authority,
            path=self._upstream.raw_path.rstrip("/") + path.decode(),
            query_string=query.decode(),
            encoded=True,
        )


class _Caller:
    """The caller's end of an exchange: its body, read once, and then the news that it left."""

    def __init__(self, first: Message, receive: Receive) -> None:
        self.receive = receive
        self._first = first
        self._left = False
        self._body_over = asyncio.Event()

    def body(self) -> AsyncIterator[bytes] | None:
        """The chunks of the body as they come; None if there is no body."""
        if self._first.get("body") or self._first.get("more_body"):
            return self._chunks()
        self._body_over.set()
        return None

    async def departure(self) -> None:
        """Returns when the caller has disconnected."""
        await self._body_over.wait()
        while not self._left:
            message = await self.receive()
            self._left = message["type"] == "http.disconnect"

    async def _chunks(self) -> AsyncIterator[bytes]:
        message = self._first
        while message["type"] == "http.request":
            chunk: bytes = message.get("body", b"")
            if chunk:
                yield chunk
            if not message.get("more_body", False):
                self._body_over.set()
                return
            message = await self.receive()
        self._left = True
        self._body_over.set()
        # An end without an error would make a whole request of half a body.
        raise ConnectionResetError("the caller left before the end of its request")


async def _mark_reached(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    context.trace_request_ctx[UPSTREAM_REACHED] = True


def _parse_upstream(text: str) -> URL:
    try:
        url = URL(text)
        sound = (
            url.scheme in ("http", "https")
            and url.host is not None
            and url.user is None
            and url.password is None
            and not url.query_string
            and not url.fragment
        )
    except ValueError:
        sound = False
    if not sound:
        # A credential in the URL would be written out: what came is shown only without one.
        came = "a URL with credentials" if "@" in text else repr(text)
        raise InvalidInputError(
            "expected the upstream as an http or https URL without credentials, query or "
            f"fragment; got {came}: write it like http://127.0.0.1:8000"
        )
    return url

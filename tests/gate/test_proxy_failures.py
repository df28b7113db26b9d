# SPDX-License-Identifier: Apache-2.0
"""What the proxy answers when the upstream gave no answer, or half of one."""

import asyncio
import contextlib
import socket

import pytest

from pypow_server.fronts.proxy import BrokenOffError, Proxy
from pypow_server.scope import UPSTREAM_REACHED, ASGIApp, Receive, Scope, Send
from support.asgi_client import Answer, call
from support.proxying import failure, proxying
from support.raw_upstream import raw_upstream
from support.serving import serving

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _answer_through(answer: bytes, method: str = "GET") -> Answer:
    async def story() -> Answer:
        async with raw_upstream(answer) as upstream, proxying(upstream.url) as proxy:
            return await call(proxy, method)

    return asyncio.run(story())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_an_upstream_that_speaks_no_http_is_a_bad_gateway(answer: bytes) -> None:
    got = _answer_through(answer, "POST")
    assert got.status == 502
    assert got.scope[UPSTREAM_REACHED] is True


def test_a_refused_connection_is_a_bad_gateway_that_was_not_reached() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as closing:
            url = f"http://127.0.0.1:{closing.getsockname()[1]}"
        async with proxying(url) as proxy:
            answer = await call(proxy, "POST", body=b"x")
        assert answer.status == 502
        assert answer.scope[UPSTREAM_REACHED] is False

    asyncio.run(story())


def test_a_connection_that_is_never_taken_is_a_timeout_that_was_not_reached() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            address = full.getsockname()
            with socket.create_connection(address):  # it fills the queue: others stay unanswered
                async with proxying(f"http://127.0.0.1:{address[1]}", connect_timeout_s=0.1) as p:
                    answer = await call(p)
        assert answer.status == 504
        assert answer.scope[UPSTREAM_REACHED] is False

    asyncio.run(story())


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("kept", [False, True])
def test_a_request_that_the_upstream_took_is_never_sent_again(method: str, kept: bool) -> None:
    async def story() -> None:
        heads: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if kept and not heads:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(_OK)
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with proxying(url) as proxy:
                if kept:
                    assert (await call(proxy, "GET")).status == 200
                answer = await call(proxy, method)
        assert answer.status == 502
        assert answer.scope[UPSTREAM_REACHED] is True
        assert len(heads) == 1 + kept

    asyncio.run(story())


def test_an_upstream_that_was_reached_once_stays_reached() -> None:
    async def story() -> None:
        async with raw_upstream(_OK, b"") as upstream, proxying(upstream.url) as proxy:
            assert (await call(proxy)).status == 200
            # The kept connection takes this request and closes; repeated, it is refused.
            answer = await call(proxy)
            assert len(upstream.heads) == 2
        assert answer.status == 502
        assert answer.scope[UPSTREAM_REACHED] is True

    asyncio.run(story())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_never_completed(answer: bytes) -> None:
    with pytest.raises(BrokenOffError):
        _answer_through(answer)


async def _until_it_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _through(upstream: ASGIApp) -> Answer:
    """One request to an upstream that may be silent for 50 ms."""
    async with serving(upstream) as url:
        proxy = Proxy(url, failure=failure, silence_s=0.05)
        try:
            return await call(proxy, "POST", body=b"x")
        finally:
            await proxy.aclose()


def test_an_upstream_that_takes_a_request_and_says_nothing_is_a_timeout() -> None:
    async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
        await _until_it_leaves(receive)

    answer = asyncio.run(_through(upstream))
    assert answer.status == 504
    assert answer.scope[UPSTREAM_REACHED] is True


@pytest.mark.parametrize(
    ("media_type", "whole"), [("text/event-stream", True), ("text/plain", False)]
)
def test_an_answer_may_fall_silent_only_where_it_streams_events(
    media_type: str, whole: bool
) -> None:
    async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", media_type.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):  # six times what the proxy bears
                await _until_it_leaves(receive)
        await send({"type": "http.response.body", "body": b"two"})

    if whole:
        assert asyncio.run(_through(upstream)).body == b"one two"
    else:
        with pytest.raises(BrokenOffError):
            asyncio.run(_through(upstream))

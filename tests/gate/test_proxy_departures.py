# SPDX-License-Identifier: Apache-2.0
"""When one end of an exchange goes away, the other hears of it at once."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pypow_server.scope import Message, Receive, Scope, Send
from support.asgi_client import http_scope
from support.proxying import proxying
from support.serving import serving

_PATIENCE_S = 10
_START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def _part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.parametrize("answering", [True, False], ids=["within the answer", "before it"])
def test_a_caller_that_leaves_ends_the_upstreams_request(*, answering: bool) -> None:
    async def story() -> None:
        working, ended = asyncio.Event(), asyncio.Event()

        async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            if answering:
                await send(_START)
                await send(_part(b"data: 1\n\n"))
            working.set()
            await _until_disconnect(receive)
            ended.set()

        async with (
            asyncio.timeout(_PATIENCE_S),
            serving(upstream) as url,
            proxying(url) as proxy,
            serving(proxy) as gate,
            aiohttp.ClientSession() as session,
        ):
            request = asyncio.create_task(session.post(gate, data=b"{}").__aenter__())
            await working.wait()
            if answering:
                (await request).close()
            else:
                request.cancel()
            await ended.wait()

    asyncio.run(story())


def test_half_a_body_never_becomes_a_whole_request() -> None:
    async def story() -> None:
        begun = asyncio.Event()
        messages: list[Message] = []
        ended = asyncio.Event()

        async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
            while not messages or messages[-1]["type"] == "http.request":
                messages.append(await receive())
                begun.set()
            ended.set()

        async def half() -> AsyncIterator[bytes]:
            yield b"half"
            await asyncio.Event().wait()

        async with (
            asyncio.timeout(_PATIENCE_S),
            serving(upstream) as url,
            proxying(url) as proxy,
            serving(proxy) as gate,
            aiohttp.ClientSession() as session,
        ):
            request = asyncio.create_task(session.post(gate, data=half()).__aenter__())
            await begun.wait()
            request.cancel()
            await ended.wait()
        assert [m.get("more_body") for m in messages] == [True, None]
        assert messages[-1]["type"] == "http.disconnect"

    asyncio.run(story())


def test_a_caller_that_left_before_its_body_reaches_nobody() -> None:
    async def story() -> None:
        reached = False

        async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal reached
            reached = True

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            raise AssertionError(message)

        async with serving(upstream) as url, proxying(url) as proxy:
            await proxy(http_scope("POST"), receive, send)
        assert not reached

    asyncio.run(story())


def test_an_answer_that_breaks_off_breaks_off_at_the_caller() -> None:
    async def story() -> None:
        async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
            await send(_START)
            await send(_part(b"half"))  # and returns: the server breaks off

        async with (
            serving(upstream) as url,
            proxying(url) as proxy,
            serving(proxy) as gate,
            aiohttp.ClientSession() as session,
            session.get(gate) as response,
        ):
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()

    asyncio.run(story())

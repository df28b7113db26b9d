# SPDX-License-Identifier: Apache-2.0
"""The proxy passes octets as they come, in both directions."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pypow_server.fronts.proxy import Proxy
from pypow_server.scope import ASGIApp, Message, Receive, Scope, Send
from support.asgi_client import http_scope
from support.proxying import failure, proxying
from support.serving import served, serving

_PATIENCE_S = 10
_CHUNK = bytes(64 * 1024)
_CHUNKS = 512  # 32 MiB; what sockets and queues hold on the way is far below half of it
_START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def _part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def test_an_event_arrives_before_the_next_one_is_sent() -> None:
    async def story() -> list[bytes]:
        arrived = asyncio.Event()

        async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
            await send({**_START, "headers": [(b"content-type", b"text/event-stream")]})
            for event in (b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"):
                await send(_part(event))
                await arrived.wait()
                arrived.clear()
            await send(_part(b"", more=False))

        events = []
        async with (
            asyncio.timeout(_PATIENCE_S),
            serving(upstream) as url,
            proxying(url) as proxy,
            serving(proxy) as gate,
            aiohttp.ClientSession() as session,
            session.get(gate) as response,
        ):
            async for chunk in response.content.iter_any():
                events.append(chunk)
                arrived.set()
        return events

    assert asyncio.run(story()) == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]


def test_an_upstream_may_answer_while_the_body_still_comes() -> None:
    async def story() -> bytes:
        echoed = asyncio.Event()

        async def echo(scope: Scope, receive: Receive, send: Send) -> None:
            await send(_START)
            more = True
            while more:
                message = await receive()
                more = message["more_body"]
                await send(_part(message["body"], more=more))

        async def words() -> AsyncIterator[bytes]:
            for word in (b"one ", b"two ", b"three"):
                yield word
                await echoed.wait()
                echoed.clear()

        answer = b""
        async with (
            asyncio.timeout(_PATIENCE_S),
            serving(echo) as url,
            proxying(url) as proxy,
            serving(proxy) as gate,
            aiohttp.ClientSession() as session,
            session.post(gate, data=words()) as response,
        ):
            async for chunk in response.content.iter_any():
                answer += chunk
                echoed.set()
        return answer

    assert asyncio.run(story()) == b"one two three"


def _holding_everything(app: ASGIApp) -> ASGIApp:
    """A wrong twin: the same proxy behind whole messages."""

    async def twin(scope: Scope, receive: Receive, send: Send) -> None:
        whole = await _read_body(receive)
        held: list[Message] = []
        given = False

        async def receive_whole() -> Message:
            nonlocal given
            if given:
                await asyncio.Event().wait()
            given = True
            return {"type": "http.request", "body": whole, "more_body": False}

        async def hold(message: Message) -> None:
            held.append(message)

        await app(scope, receive_whole, hold)
        for message in held:
            await send(message)

    return twin


async def _most_octets_on_the_way(*, twin: bool, upload: bool) -> int:
    """Sends 32 MiB through the proxy; the largest lead that the sender ever had."""
    sent = received = lead = 0

    async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent, received, lead
        more = upload
        while more:
            message = await receive()
            received += len(message["body"])
            more = message["more_body"]
        await send(_START)
        for _ in range(0 if upload else _CHUNKS):
            sent += len(_CHUNK)
            lead = max(lead, sent - received)
            await send(_part(_CHUNK))
        await send(_part(b"", more=False))

    async def receive() -> Message:
        nonlocal sent, lead
        if not upload or sent == _CHUNKS * len(_CHUNK):
            await asyncio.Event().wait()
        sent += len(_CHUNK)
        lead = max(lead, sent - received)
        return {"type": "http.request", "body": _CHUNK, "more_body": sent < _CHUNKS * len(_CHUNK)}

    async def receive_nothing() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal received
        if not upload:
            received += len(message.get("body", b""))

    async with asyncio.timeout(60), serving(upstream) as url, proxying(url) as proxy:
        app = _holding_everything(proxy) if twin else proxy
        method, source = ("POST", receive) if upload else ("GET", _once(receive_nothing))
        await app(http_scope(method), source, send)
    assert sent == received == _CHUNKS * len(_CHUNK)
    return lead


def _once(first: Receive) -> Receive:
    pending = [first]

    async def receive() -> Message:
        if pending:
            return await pending.pop()()
        await asyncio.Event().wait()
        raise AssertionError

    return receive


@pytest.mark.parametrize("upload", [True, False], ids=["upload", "download"])
def test_a_large_body_is_never_held_whole(*, upload: bool) -> None:
    total = _CHUNKS * len(_CHUNK)
    assert asyncio.run(_most_octets_on_the_way(twin=False, upload=upload)) < total // 2
    assert asyncio.run(_most_octets_on_the_way(twin=True, upload=upload)) == total


def test_a_caller_that_asks_before_it_sends_its_body_is_answered() -> None:
    async def story() -> tuple[bytes, bytes]:
        async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
            assert b"expect" not in [name for name, _ in scope["headers"]]
            await send({**_START, "headers": [(b"content-length", b"3")]})
            await send(_part(await _read_body(receive), more=False))

        async with (
            asyncio.timeout(_PATIENCE_S),
            serving(upstream) as url,
            proxying(url) as proxy,
            serving(proxy) as gate,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(gate.split(":")[-1]))
            writer.write(
                b"POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
            )
            interim = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"abc")
            final = await reader.readuntil(b"abc")
            writer.close()
        return interim, final

    interim, final = asyncio.run(story())
    assert interim.startswith(b"HTTP/1.1 100 ")
    assert final.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204), ("GET", 200)]
)
def test_a_server_accepts_what_the_proxy_makes_of_a_bodiless_answer(
    method: str, status: int
) -> None:
    async def story() -> tuple[int, bytes]:
        async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
            length = b"0" if method == "GET" else b"5"
            await send({**_START, "status": status, "headers": [(b"content-length", length)]})
            await send(_part(b"", more=False))

        async with (
            serving(upstream) as url,
            proxying(url) as proxy,
            serving(proxy) as gate,
            aiohttp.ClientSession() as session,
        ):
            async with session.request(method, gate) as response:
                first = response.status, await response.read()
            async with session.request(method, gate) as response:  # on the same connection
                assert (response.status, await response.read()) == first
        return first

    assert asyncio.run(story()) == (status, b"")


def test_the_proxy_can_be_served_by_itself() -> None:
    async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**_START, "headers": [(b"content-length", b"2")]})
        await send(_part(b"ok", more=False))

    async def ask(gate: str) -> bytes:
        async with aiohttp.ClientSession() as session, session.get(gate) as response:
            return await response.read()

    with (
        served(upstream) as url,
        served(Proxy(url, failure=failure), lifespan=True) as gate,
    ):
        assert asyncio.run(ask(gate)) == b"ok"

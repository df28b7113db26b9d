# SPDX-License-Identifier: Apache-2.0
"""Bodies are held within bounds, and large ones are parsed beside the event loop."""

import asyncio
import json
import threading
from collections.abc import Sequence

import pytest

from pypow_server import request_body
from pypow_server.call import Call, read_call
from pypow_server.mcp_message import Fault, McpMessage, RoutingHeaders, read_message
from pypow_server.request_body import LARGE, MessageReader, Room
from pypow_server.scope import Message, Receive
from support.asgi_client import http_scope


def caller(address: str = "192.0.2.7") -> Call:
    call = read_call(http_scope("POST", b"/mcp", client=(address, 1)))
    assert isinstance(call, Call)
    return call


def ping(octets: int) -> bytes:
    """A message of so many octets."""
    empty = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": ""}}
    missing = octets - len(json.dumps(empty))
    return json.dumps(empty | {"params": {"x": "a" * missing}}).encode()


def in_chunks(chunks: Sequence[bytes], *, whole: bool = True) -> Receive:
    """A ``receive`` that gives these, and then no more or the end of the connection."""
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    if whole:
        messages[-1]["more_body"] = False
    messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    return receive


def reader(room: Room | None = None) -> MessageReader:
    return MessageReader(limit=4 * LARGE, deadline_s=20, room=room)


@pytest.mark.parametrize(("octets", "beside"), [(LARGE - 1, False), (LARGE, True)])
def test_only_a_large_body_is_parsed_in_another_thread(
    octets: int, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def noting(body: bytes, headers: RoutingHeaders, *, is_sold: bool) -> McpMessage | Fault:
        threads.append(threading.current_thread())
        return read_message(body, headers, is_sold=is_sold)

    monkeypatch.setattr(request_body, "read_message", noting)
    read = asyncio.run(reader().read(caller(), in_chunks([ping(octets)])))
    assert isinstance(read, McpMessage)
    assert len(read.body) == octets
    assert (threads != [threading.main_thread()]) is beside


def test_small_calls_are_read_while_a_large_body_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_was_read = threading.Event()

    def waiting(body: bytes, headers: RoutingHeaders, *, is_sold: bool) -> McpMessage | Fault:
        if len(body) >= LARGE:
            assert small_was_read.wait(timeout=20)
        return read_message(body, headers, is_sold=is_sold)

    async def test() -> None:
        reading = reader()
        large = asyncio.create_task(reading.read(caller(), in_chunks([ping(LARGE)])))
        await asyncio.sleep(0)
        assert isinstance(await reading.read(caller(), in_chunks([ping(100)])), McpMessage)
        small_was_read.set()
        assert isinstance(await large, McpMessage)

    monkeypatch.setattr(request_body, "read_message", waiting)
    asyncio.run(test())


def test_what_does_not_fit_the_room_is_refused_as_busy_and_small_bodies_never_are() -> None:
    async def test() -> None:
        never = asyncio.Event()

        async def half() -> Message:
            if not begun.is_set():
                begun.set()
                return {"type": "http.request", "body": ping(LARGE), "more_body": True}
            await never.wait()
            raise AssertionError

        begun = asyncio.Event()
        reading = reader(Room(2 * LARGE - 1, share=2 * LARGE))
        holding = asyncio.create_task(reading.read(caller(), half))
        await begun.wait()
        busy = await reading.read(caller("192.0.2.8"), in_chunks([ping(LARGE)]))
        assert isinstance(busy, Fault)
        assert (busy.problem.name, busy.problem.status) == ("busy", 503)
        assert isinstance(await reading.read(caller(), in_chunks([ping(100)])), McpMessage)
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        again = await reading.read(caller("192.0.2.8"), in_chunks([ping(LARGE)]))
        assert isinstance(again, McpMessage), "the room was not given back"

    asyncio.run(test())


def test_one_network_cannot_take_all_the_room() -> None:
    room = Room(100, share=40)
    assert room.take("a", 40)
    assert not room.take("a", 1)
    assert room.take("b", 40)
    assert not room.take("c", 21)
    room.give_back("a", 40)
    assert room.take("a", 40)


@pytest.mark.parametrize(
    ("receive", "name"),
    [
        (in_chunks([ping(LARGE)] * 5), "too-large"),
        (in_chunks([ping(LARGE)], whole=False), "bad-request"),
        (in_chunks([b"\xff" * LARGE]), "malformed-mcp"),
    ],
)
def test_however_reading_ends_the_room_is_given_back(receive: Receive, name: str) -> None:
    async def test() -> None:
        reading = reader(Room(5 * LARGE, share=5 * LARGE))
        failed = await reading.read(caller(), receive)
        assert isinstance(failed, Fault)
        assert failed.problem.name == name
        for _ in range(3):
            assert isinstance(
                await reading.read(caller(), in_chunks([ping(2 * LARGE)])), McpMessage
            )

    asyncio.run(test())


def test_chunks_are_put_together_in_order() -> None:
    body = ping(3 * LARGE)
    chunks = [body[at : at + 50_000] for at in range(0, len(body), 50_000)]
    read = asyncio.run(reader().read(caller(), in_chunks(chunks)))
    assert isinstance(read, McpMessage)
    assert read.body == body

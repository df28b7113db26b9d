# SPDX-License-Identifier: Apache-2.0
"""The head of a request is bounded in time and in length, before any app is asked."""

import asyncio
import contextlib

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pypow_server.bounded_http import BoundedHttp, bounded
from pypow_server.connection_limits import ConnectionLimits
from pypow_server.proxy_protocol import Complaint
from pypow_server.scope import Receive, Scope, Send
from support.one_connection import connection, echo_length, request, run

Impatient = bounded(ConnectionLimits(head_s=0.05))


async def _status_and_end(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    status = await reader.readline()
    await reader.read()
    return status, reader.at_eof()


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n", b"GET / HTTP/1.1\r\nx: "])
def test_a_head_that_does_not_end_in_time_ends_the_connection(begun: bytes) -> None:
    async def test() -> None:
        async with connection(Impatient) as (reader, writer):
            writer.write(begun)
            assert await reader.read() == b""

    run(test)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 443\r\n",
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12),
    ],
)
def test_the_proxy_protocol_is_refused_and_told_once_a_minute(
    header: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    protocol = bounded(ConnectionLimits())

    async def test() -> None:
        async with connection(protocol) as first:
            address = first[1].get_extra_info("peername")
            second = await asyncio.open_connection(*address)
            for reader, writer in (first, second):
                writer.write(header + request(body=b"abc"))
                answer = await reader.read()
                assert answer.startswith(b"HTTP/1.1 400 ")
                assert b"PROXY protocol" in answer
                writer.close()

    run(test)
    (told,) = [record for record in caplog.records if "PROXY protocol" in record.getMessage()]
    assert told.levelname == "WARNING"
    assert told.getMessage().startswith("127.0.0.1 speaks")


def test_another_is_told_of_after_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    complaint = Complaint()
    for now in (5.0, 64.9, 65.0, 65.1):
        complaint.tell(f"at {now}", now=now)
    assert [record.getMessage().partition(" speaks")[0] for record in caplog.records] == [
        "at 5.0", "at 65.0",
    ]  # fmt: skip


def test_a_head_that_names_the_protocol_within_is_taken() -> None:
    async def test() -> None:
        async with connection(Impatient) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nx: ")
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(b"PROXY y\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")

    run(test)


def test_a_second_request_on_a_connection_has_the_same_deadline() -> None:
    async def test() -> None:
        async with connection(Impatient) as (reader, writer):
            writer.write(request(body=b"abc"))
            await reader.readuntil(b"\r\n\r\n3")
            writer.write(b"GET / HTTP/1.1\r\n")
            assert await reader.read() == b""

    run(test)


def test_an_empty_line_after_an_answer_begins_a_head() -> None:
    async def test() -> None:
        async with connection(Impatient) as (reader, writer):
            writer.write(request(body=b"abc"))
            await reader.readuntil(b"\r\n\r\n3")
            writer.write(b"\r\n")
            assert await reader.read() == b""

    run(test)


def test_a_body_may_take_longer_than_a_head() -> None:
    async def test() -> None:
        async with connection(Impatient) as (reader, writer):
            writer.write(request(body=b"abcd")[:-2])
            # A neighbour that says nothing is let go once a deadline has passed.
            address = writer.get_extra_info("peername")
            idle, neighbour = await asyncio.open_connection(*address)
            assert await idle.read() == b""
            neighbour.close()
            writer.write(b"cd")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    run(test)


TOO_LONG = {
    "one header": request(b"x: " + b"a" * 40_000),
    "many headers": request(*(b"x-%d: a" % i for i in range(5_000))),
    "a path": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "a header that never ends": b"GET / HTTP/1.1\r\nx: " + b"a" * 900_000,
}


@pytest.mark.parametrize("name", TOO_LONG)
@pytest.mark.parametrize("piece", [1_000, 1_000_000])
def test_a_head_that_is_too_long_is_answered_431_and_the_connection_closed(
    name: str, piece: int
) -> None:
    async def test() -> None:
        async with connection(BoundedHttp) as (reader, writer):
            with contextlib.suppress(ConnectionError):
                for start in range(0, len(TOO_LONG[name]), piece):
                    writer.write(TOO_LONG[name][start : start + piece])
                    await writer.drain()
            try:
                status = await reader.readline()
            except ConnectionResetError:
                status = b"reset"
            # What is still on its way when the server closes may cut its answer off.
            assert status.startswith(b"HTTP/1.1 431") or (piece < 40_000 and status == b"reset")

    run(test)


def test_what_plain_uvicorn_accepts_shows_that_the_bound_is_ours() -> None:
    async def test() -> None:
        async with connection(HttpToolsProtocol) as (reader, writer):
            writer.write(TOO_LONG["one header"])
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    run(test)


def test_long_bodies_and_pipelined_requests_are_not_mistaken_for_a_long_head() -> None:
    async def test() -> None:
        async with connection(BoundedHttp) as (reader, writer):
            big = request(body=b"a" * 200_000)
            writer.write(big + big + request(body=b"b") + request()[:20])
            for octets in (b"200000", b"200000", b"1"):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(len(octets)) == octets
            writer.write(request()[20:])
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    run(test)


async def answers(reader: asyncio.StreamReader) -> int:
    """How many come before the connection ends."""
    return (await reader.read()).count(b"HTTP/1.1 200")


def test_requests_that_nobody_waits_for_do_not_pile_up() -> None:
    async def test() -> None:
        few = bounded(ConnectionLimits(pipelined=3))
        async with connection(few) as (reader, writer):
            writer.write(request() * 10_000)
            assert await answers(reader) == 4

    run(test)


def test_what_follows_the_last_request_is_not_answered_in_its_place() -> None:
    async def test() -> None:
        async with connection(BoundedHttp) as (reader, writer):
            writer.write(request(b"connection: close") + b"GET nonsense\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200")

    run(test)


def test_an_app_hears_that_its_caller_is_gone_though_another_request_waits() -> None:
    async def test() -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            asked.set()
            assert (await receive())["type"] == "http.disconnect"
            gone.set()

        async with connection(BoundedHttp, app) as (_, writer):
            writer.write(request() + request())
            await asked.wait()
            writer.close()
            await gone.wait()

    run(test)


UPGRADE = b"connection: upgrade", b"upgrade: websocket"
WEBSOCKET = b"sec-websocket-version: 13", b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="


def test_a_websocket_does_not_begin_in_the_middle_of_an_answer() -> None:
    async def test() -> None:
        answer = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            assert scope["type"] == "http"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            await answer.wait()
            await send({"type": "http.response.body", "body": b"ended"})

        async with connection(BoundedHttp, app) as (reader, writer):
            upgrade = b"\r\n".join((b"GET / HTTP/1.1", b"host: x", *UPGRADE, *WEBSOCKET, b"", b""))
            writer.write(request() + upgrade)
            await reader.readuntil(b"begun\r\n")
            answer.set()
            assert await reader.read() == b"5\r\nended\r\n0\r\n\r\n"

    run(test)


def test_a_head_that_cannot_come_yet_is_not_late() -> None:
    async def test() -> None:
        answer = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await answer.wait()
            await echo_length(scope, receive, send)

        async with connection(Impatient, app) as (reader, writer):
            writer.write(request() + request() + request()[:-2])
            # A neighbour that says nothing is let go once a deadline has passed.
            idle, neighbour = await asyncio.open_connection(*writer.get_extra_info("peername"))
            assert await idle.read() == b""
            neighbour.close()
            answer.set()
            assert await answers(reader) == 2

    run(test)


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"


def test_trailers_are_no_headers() -> None:
    seen: list[list[tuple[bytes, bytes]]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await echo_length(scope, receive, send)
        seen.append(scope["headers"])

    async def test() -> None:
        async with connection(BoundedHttp, app) as (reader, writer):
            writer.write(CHUNKED + b"x-trailer: late\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n3")

    run(test)
    assert seen == [[(b"host", b"x"), (b"transfer-encoding", b"chunked")]]


@pytest.mark.parametrize("endless", [b"x: a\r\n", b"aaaa"])
def test_trailers_that_never_end_end_the_connection(endless: bytes) -> None:
    async def test() -> None:
        async with connection(BoundedHttp) as (reader, writer):
            with contextlib.suppress(ConnectionError):
                writer.write(CHUNKED + b"x: ")
                for _ in range(100):
                    writer.write(endless * 1_000)
                    await writer.drain()
            with contextlib.suppress(ConnectionResetError):
                await reader.read()

    run(test)


@pytest.mark.parametrize("body", [b"abc", b""])
def test_an_upgrade_is_ignored_and_with_a_body_refused_since_the_body_would_be_lost(
    body: bytes,
) -> None:
    async def test() -> None:
        async with connection(BoundedHttp) as (reader, writer):
            writer.write(request(b"connection: upgrade", b"upgrade: h2c", body=body))
            status = await reader.readline()
            assert status.startswith(b"HTTP/1.1 400" if body else b"HTTP/1.1 200")

    run(test)


def test_a_head_that_cannot_be_parsed_is_answered_400() -> None:
    async def test() -> None:
        async with connection(BoundedHttp) as (reader, writer):
            writer.write(b"nonsense\r\n\r\n")
            status, ended = await _status_and_end(reader)
            assert status.startswith(b"HTTP/1.1 400")
            assert ended

    run(test)

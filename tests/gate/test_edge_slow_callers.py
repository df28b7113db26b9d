# SPDX-License-Identifier: Apache-2.0
"""Callers that send or read next to nothing are let go; those whose app is slow are not."""

import asyncio
import contextlib
import ipaddress

import pytest

from pypow_server.bounded_http import bounded
from pypow_server.connection_limits import ConnectionLimits
from pypow_server.scope import Receive, Scope, Send
from support.one_connection import connection, echo_length, request, run

HASTY = bounded(ConnectionLimits(grace_s=0.05, octets_s=1_000_000))
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"


async def _neighbour_is_let_go(writer: asyncio.StreamWriter) -> None:
    """Returns when a connection that says nothing has been ended: rounds have been made."""
    idle, neighbour = await asyncio.open_connection(*writer.get_extra_info("peername"))
    assert await idle.read() == b""
    neighbour.close()


@pytest.mark.parametrize("begun", [request(body=b"a" * 1000)[:-1], CHUNKED])
def test_a_body_that_comes_too_slowly_is_answered_408_and_its_app_told(begun: bytes) -> None:
    told = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async def test() -> None:
        async with connection(HASTY, app) as (reader, writer):
            writer.write(begun)
            assert (await reader.readline()).startswith(b"HTTP/1.1 408")
            await reader.read()
            await told.wait()

    run(test)


def test_a_slow_body_whose_answer_has_begun_breaks_the_connection_off() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async def test() -> None:
        async with connection(HASTY, app) as (reader, writer):
            writer.write(CHUNKED)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await reader.readuntil(b"0\r\n\r\n")

    run(test)


def test_a_body_that_nobody_reads_is_not_the_callers_fault() -> None:
    patient = bounded(ConnectionLimits(head_s=0.2, grace_s=0.02, octets_s=10_000_000))
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        assert (await receive())["type"] == "http.request"
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def test() -> None:
        async with connection(patient, app) as (reader, writer):
            # More than the server holds before it stops reading: the rest stays with the caller.
            writer.write(request(body=b"a" * 20_000_000)[:-1])
            await _neighbour_is_let_go(writer)
            go_on.set()
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    run(test)


def test_a_caller_that_waits_to_be_asked_for_its_body_is_not_slow() -> None:
    patient = bounded(ConnectionLimits(head_s=0.5, grace_s=0.1, octets_s=10_000_000))
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await echo_length(scope, receive, send)

    async def test() -> None:
        async with connection(patient, app) as (reader, writer):
            writer.write(request(b"expect: 100-continue", body=b"abc")[:-3])
            await _neighbour_is_let_go(writer)
            go_on.set()
            assert (await reader.readline()).startswith(b"HTTP/1.1 100")
            writer.write(b"abc")
            await reader.readline()
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    run(test)


def test_a_stream_that_has_nothing_to_say_is_left_alone() -> None:
    patient = bounded(ConnectionLimits(head_s=0.2, grace_s=0.02, octets_s=10_000_000))
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"later"})

    async def test() -> None:
        async with connection(patient, app) as (reader, writer):
            writer.write(request())
            await reader.readuntil(b"first")
            await _neighbour_is_let_go(writer)
            go_on.set()
            await reader.readuntil(b"later")

    run(test)


@pytest.mark.parametrize("field", [b"connection: keep-alive", b"connection: close"])
def test_a_caller_that_does_not_read_its_answer_is_let_go(field: bytes) -> None:
    ended = asyncio.Event()
    body = bytes(50_000_000)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    class Watched(HASTY):  # type: ignore[misc, valid-type]  # a class made at run time
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            ended.set()

    async def test() -> None:
        async with connection(Watched, app) as (_, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a read transport
            writer.write(request(field))
            await ended.wait()

    run(test)


def test_a_caller_that_reads_slowly_but_steadily_gets_all_of_its_answer() -> None:
    steady = bounded(ConnectionLimits(grace_s=0.2, octets_s=1))
    body = bytes(12_000_000)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for start in range(0, len(body), 100_000):
            await send(
                {
                    "type": "http.response.body",
                    "body": body[start : start + 100_000],
                    "more_body": start + 100_000 < len(body),
                }
            )

    async def test() -> None:
        async with connection(steady, app) as (reader, writer):
            writer.write(request())
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(12):
                await reader.readexactly(1_000_000)

    run(test)


def test_connections_beyond_the_limit_are_answered_503_until_one_ends() -> None:
    crowded = bounded(ConnectionLimits(connections=2))

    async def test() -> None:
        async with connection(crowded) as (reader, writer):
            address = writer.get_extra_info("peername")
            writer.write(request())
            await reader.readuntil(b"\r\n\r\n0")
            _, second = await asyncio.open_connection(*address)
            refused, third = await asyncio.open_connection(*address)
            assert (await refused.readline()).startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1\r\n" in await refused.read()
            second.close()
            with contextlib.suppress(ConnectionError):
                while True:  # the server hears of the departure in its own time
                    again, fourth = await asyncio.open_connection(*address)
                    fourth.write(request())
                    status = await again.readline()
                    fourth.close()
                    if status.startswith(b"HTTP/1.1 200"):
                        break
            third.close()

    run(test)


def test_one_address_takes_no_more_than_its_share() -> None:
    shared = bounded(
        ConnectionLimits(per_network=1), lambda: [ipaddress.IPv4Network("127.0.0.3/32")]
    )

    async def status(address: tuple[str, int], source: str) -> bytes:
        reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0))
        with contextlib.suppress(ConnectionError):
            writer.write(request(b"connection: close"))
        try:
            return (await reader.readline()).split(b" ")[1]
        finally:
            writer.close()

    async def test() -> None:
        async with connection(shared) as (reader, writer):
            address = writer.get_extra_info("peername")
            writer.write(request())
            await reader.readuntil(b"\r\n\r\n0")  # 127.0.0.1 has its one connection
            assert await status(address, "127.0.0.1") == b"503"
            assert await status(address, "127.0.0.2") == b"200"
            _, held = await asyncio.open_connection(*address, local_addr=("127.0.0.3", 0))
            assert await status(address, "127.0.0.3") == b"200"
            held.close()

    run(test)


def test_a_connection_is_closed_after_its_last_request() -> None:
    twice = bounded(ConnectionLimits(requests=2))

    async def test() -> None:
        async with connection(twice) as (reader, writer):
            writer.write(request())
            assert b"connection: close" not in await reader.readuntil(b"\r\n\r\n0")
            writer.write(request())
            assert b"connection: close" in await reader.read()

    run(test)


HANDSHAKE = request(
    b"connection: upgrade",
    b"upgrade: websocket",
    b"sec-websocket-version: 13",
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
).replace(b"POST", b"GET")


def test_a_websocket_counts_as_a_connection_until_it_ends_and_others_are_looked_after() -> None:
    alone = bounded(ConnectionLimits(head_s=0.05, grace_s=0.05, connections=2))
    end = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await echo_length(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await end.wait()
        await send({"type": "websocket.close"})

    async def test() -> None:
        async with connection(alone, app) as (reader, writer):
            address = writer.get_extra_info("peername")
            writer.write(HANDSHAKE)
            assert (await reader.readline()).startswith(b"HTTP/1.1 101")
            await _neighbour_is_let_go(writer)
            await _neighbour_is_let_go(writer)
            _, second = await asyncio.open_connection(*address)
            refused, third = await asyncio.open_connection(*address)
            assert (await refused.readline()).startswith(b"HTTP/1.1 503")
            end.set()
            writer.write(b"\x88\x80\0\0\0\0")  # a close frame, masked
            await reader.read()
            while True:  # the server hears of the departures in its own time
                again, fourth = await asyncio.open_connection(*address)
                with contextlib.suppress(ConnectionError):
                    fourth.write(request())
                status = await again.readline()
                fourth.close()
                if status.startswith(b"HTTP/1.1 200"):
                    break
            second.close()
            third.close()

    run(test)

# SPDX-License-Identifier: Apache-2.0
"""Servers that stall, flood, redirect or break off, over real connections."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pypow.lightning import Reason, WalletError
from pypow.lightning.exchange import MAX_BODY, Exchange
from pypow.lightning.lnd import LndWallet
from support.lightning_servers import listening
from support.played_loop import played
from support.waiting import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def asked(handler: Handler) -> str:
    """Why a look-up failed at a server that handles everything so."""
    async with listening(web.route("*", "/{path:.*}", handler)) as host:
        return await reason_at(f"http://{host}")


async def reason_at(url: str, ca_file: Path | None = None) -> str:
    exchange = Exchange(url, headers={"Grpc-Metadata-macaroon": "00"}, ca_file=ca_file)
    try:
        with pytest.raises(WalletError) as caught:
            await LndWallet(exchange).state(bytes(32))
        return caught.value.reason
    finally:
        await exchange.aclose()


def test_an_answer_without_end_is_cut_off() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" " * 65536)
                sent += 65536
        return response

    assert asyncio.run(asked(endless)) == Reason.TOO_MUCH
    assert sent < 64 * MAX_BODY


def test_a_packed_answer_is_not_unpacked() -> None:
    async def packed(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "identity"
        body = gzip.compress(b'{"state": "OPEN"}' + b" " * 10_000_000)
        assert len(body) < MAX_BODY
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    assert asyncio.run(asked(packed)) == Reason.MALFORMED


def test_nobody_is_sent_elsewhere_with_a_credential() -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        assert request.path.startswith("/v1/invoice/")
        raise web.HTTPFound("/another")

    assert asyncio.run(asked(elsewhere)) == Reason.FAILED


def test_a_stranger_that_an_answer_names_is_not_told_the_credential() -> None:
    told: list[bool] = []

    async def there(request: web.Request) -> web.StreamResponse:
        told.append("Grpc-Metadata-macaroon" in request.headers)
        return web.json_response({})

    async def story() -> None:
        async with listening(web.route("*", "/{path:.*}", there)) as host:
            exchange = Exchange(f"http://{host}", headers={"Grpc-Metadata-macaroon": "00"})
            await exchange.ask("GET", "/path")
            await exchange.ask("GET", f"http://{host}/whole")
            await exchange.aclose()

    asyncio.run(story())
    assert told == [True, False]


def test_an_answer_that_breaks_off_is_none() -> None:
    async def breaks_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.abort()
        return response

    assert asyncio.run(asked(breaks_off)) == Reason.BROKEN_OFF


async def reason_beside(said: bytes) -> str:
    """Why a look-up failed at a server that says this as soon as anybody calls, and no more."""
    is_over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        is_over.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        reason = await reason_at("http://127.0.0.1:{1}".format(*server.sockets[0].getsockname()))
        await is_over.wait()
        return reason


def test_a_server_that_never_answers_is_left() -> None:
    assert played(lambda: reason_beside(b"")) == Reason.TIMED_OUT


def test_nonsense_instead_of_http_is_refused() -> None:
    assert asyncio.run(reason_beside(b"220 mail.example ESMTP\r\n")) == Reason.BROKEN_OFF


def test_a_server_that_is_not_there_cannot_be_reached() -> None:
    assert asyncio.run(reason_at(f"http://127.0.0.1:{free_port()}")) == Reason.UNREACHABLE


def test_a_name_of_a_stranger_does_not_lead_into_our_own_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def there(request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=404)

    async def story() -> list[str]:
        async with listening(web.route("*", "/{path:.*}", there)) as host:
            port = int(host.rpartition(":")[2])

            async def rebound(*_: object, **__: object) -> list[tuple[Any, ...]]:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebound)
            reasons = []
            for only_public in (True, False):
                url = f"http://rebound.example:{port}"
                exchange = Exchange(url, only_public=only_public)
                with pytest.raises(WalletError) as caught:
                    await LndWallet(exchange).state(bytes(32))
                await exchange.aclose()
                reasons.append(caught.value.reason)
            return reasons

    assert asyncio.run(story()) == [Reason.UNREACHABLE, Reason.UNKNOWN_INVOICE]


def test_only_the_certificate_that_was_named_is_trusted(tmp_path: Path) -> None:
    def certificate(name: str) -> tuple[Path, Path]:
        key, certificate = tmp_path / f"{name}.key", tmp_path / f"{name}.cert"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/O=lnd autogenerated"),
                *("-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
        )
        return key, certificate

    async def lnd(request: web.Request) -> web.StreamResponse:
        return web.json_response({"code": 5, "message": "unable to locate invoice"}, status=404)

    async def story() -> list[str]:
        key, tls_cert = certificate("lnd")
        _, other = certificate("other")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls_cert, key)
        async with listening(web.route("*", "/{path:.*}", lnd), tls=context) as host:
            url = f"https://{host}"
            return [await reason_at(url, trusted) for trusted in (tls_cert, other, None)]

    assert asyncio.run(story()) == [
        Reason.UNKNOWN_INVOICE,
        Reason.UNREACHABLE,
        Reason.UNREACHABLE,
    ]

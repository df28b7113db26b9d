# SPDX-License-Identifier: Apache-2.0
"""WebSockets through a gate and its proxy, with real clients and servers at both ends."""

import asyncio
import contextlib
import json
import queue
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from pypow_server.fronts.proxy import Proxy
from pypow_server.scope import UPSTREAM_REACHED, Message, Receive, Scope, Send
from support.asgi_client import http_scope
from support.gate_process import GateProcess, gate_process
from support.plain_http import ask, solution
from support.proxying import failure
from support.serving import served

_T = TypeVar("_T")
_PATIENCE_S = 20
_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
_farewells: "queue.Queue[tuple[int, str | None]]" = queue.Queue()


async def _upstream(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes; a text that names a command is obeyed instead."""
    if scope["type"] != "websocket":
        return
    await receive()
    if scope["path"] == "/declined":
        await send({"type": "websocket.close"})
        return
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[-1] if offered else None})
    while (message := await receive())["type"] == "websocket.receive":
        match message.get("text"):
            case "headers":
                fields = [[name.decode(), value.decode()] for name, value in scope["headers"]]
                await send({"type": "websocket.send", "text": json.dumps(fields)})
            case "close":
                await send({"type": "websocket.close", "code": 4321, "reason": "as told"})
                return
            case _:
                await send({**message, "type": "websocket.send"})
    _farewells.put((message["code"], message.get("reason")))


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    with (
        served(_upstream) as url,
        gate_process(
            tmp_path_factory.mktemp("home"), url, "--bits", "4", "--store", "memory:"
        ) as it,
    ):
        yield it


def _forget_farewells() -> None:
    while not _farewells.empty():
        _farewells.get()


def _proof(gate: GateProcess, path: str) -> dict[str, str]:
    return solution(ask(f"{gate.url}/api/challenge?resource=GET%20{path}").json)


@contextlib.asynccontextmanager
async def _opened(
    gate: GateProcess, path: str = "/ws", protocols: tuple[str, ...] = ()
) -> AsyncIterator[ClientWebSocketResponse]:
    async with (
        asyncio.timeout(_PATIENCE_S),
        aiohttp.ClientSession() as session,
        session.ws_connect(
            gate.url + path, headers=_proof(gate, path), protocols=protocols
        ) as websocket,
    ):
        yield websocket


def _over_websocket(
    gate: GateProcess,
    story: Callable[[ClientWebSocketResponse], Awaitable[_T]],
    **options: Any,
) -> _T:
    async def whole() -> _T:
        async with _opened(gate, **options) as websocket:
            return await story(websocket)

    return asyncio.run(whole())


def test_a_handshake_without_a_proof_is_told_the_price_and_opens_nothing(gate: GateProcess) -> None:
    refusal = ask(f"{gate.url}/ws", headers=_UPGRADE)
    assert refusal.status == 402
    assert refusal.headers["WWW-Authenticate"].startswith("PoW ")
    paid = solution(refusal.json["offers"][0])
    assert _status(gate, paid) == 101
    assert _status(gate, paid) == 402


def test_a_handshake_that_is_refused_is_no_error_of_the_server(
    tmp_path: Path,
) -> None:
    options = ("--store", "memory:", "--log-level", "error")
    with gate_process(tmp_path, "http://127.0.0.1:9", *options) as quiet:
        assert ask(f"{quiet.url}/ws", headers=_UPGRADE).status == 402
        assert quiet.stop() == (0, "")


def _status(gate: GateProcess, headers: dict[str, str], path: str = "/ws") -> int:
    async def story() -> int:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.ws_connect(gate.url + path, headers=headers):
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    return asyncio.run(story())


def test_messages_cross_both_ways_as_they_are(gate: GateProcess) -> None:
    sent: list[str | bytes] = ["", "caf\u00e9", b"", bytes(range(256)), b"x" * 3_000_000]

    async def story(websocket: ClientWebSocketResponse) -> list[str | bytes]:
        got: list[str | bytes] = []
        for one in sent:
            await (websocket.send_str(one) if isinstance(one, str) else websocket.send_bytes(one))
            got.append((await websocket.receive()).data)
        return got

    assert _over_websocket(gate, story) == sent


def test_the_upstream_chooses_the_subprotocol(gate: GateProcess) -> None:
    async def story(websocket: ClientWebSocketResponse) -> str | None:
        return websocket.protocol

    assert _over_websocket(gate, story, protocols=("mcp", "chat")) == "chat"
    assert _over_websocket(gate, story) is None


def test_the_upstream_gets_one_handshake_and_none_of_our_credentials(gate: GateProcess) -> None:
    async def story(websocket: ClientWebSocketResponse) -> list[tuple[str, str]]:
        await websocket.send_str("headers")
        return [
            (name.lower(), value) for name, value in json.loads((await websocket.receive()).data)
        ]

    fields = _over_websocket(gate, story)
    names = [name for name, _ in fields]
    assert names.count("sec-websocket-key") == names.count("upgrade") == names.count("host") == 1
    assert "x-pow-solution" not in names
    assert ("x-forwarded-for", "127.0.0.1") in fields


def test_the_upstreams_close_reaches_the_caller(gate: GateProcess) -> None:
    async def story(websocket: ClientWebSocketResponse) -> tuple[WSMsgType, int | None, object]:
        await websocket.send_str("close")
        message = await websocket.receive()
        return message.type, websocket.close_code, message.extra

    assert _over_websocket(gate, story) == (WSMsgType.CLOSE, 4321, "as told")


def test_the_callers_close_reaches_the_upstream(gate: GateProcess) -> None:
    async def story(websocket: ClientWebSocketResponse) -> None:
        await websocket.close(code=4000, message=b"enough")

    _forget_farewells()
    _over_websocket(gate, story)
    assert _farewells.get(timeout=_PATIENCE_S) == (4000, "enough")


def test_a_caller_that_vanishes_closes_the_upstreams_side(gate: GateProcess) -> None:
    async def story(websocket: ClientWebSocketResponse) -> None:
        await websocket.send_str("hello")
        await websocket.receive()
        websocket._response.close()

    _forget_farewells()
    _over_websocket(gate, story)
    assert _farewells.get(timeout=_PATIENCE_S)[0] == 1001


def test_a_message_above_the_limit_ends_the_connection(gate: GateProcess) -> None:
    async def story(websocket: ClientWebSocketResponse) -> WSMsgType:
        with contextlib.suppress(ConnectionError):
            await websocket.send_bytes(bytes(4 * 1024 * 1024 + 1))
        return (await websocket.receive()).type

    _forget_farewells()
    assert _over_websocket(gate, story) is not WSMsgType.BINARY
    _farewells.get(timeout=_PATIENCE_S)


def test_an_upstream_that_declines_is_a_bad_gateway(gate: GateProcess) -> None:
    assert _status(gate, _proof(gate, "/declined"), "/declined") == 502


@contextlib.contextmanager
def _mute() -> Iterator[socket.socket]:
    """An upstream that takes connections, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_PATIENCE_S)
        yield listener


def _url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_caller_that_leaves_within_its_handshake_is_not_waited_for_at_the_upstream(
    tmp_path: Path,
) -> None:
    with (
        _mute() as listener,
        gate_process(tmp_path, _url(listener), "--bits", "4", "--store", "memory:") as lonely,
    ):
        fields = {**_UPGRADE, **_proof(lonely, "/ws"), "Host": urlsplit(lonely.url).netloc}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        port = urlsplit(lonely.url).port
        with socket.create_connection(("127.0.0.1", port or 80)) as caller:
            caller.sendall(f"GET /ws HTTP/1.1\r\n{head}\r\n".encode())
            behind, _ = listener.accept()
            behind.settimeout(_PATIENCE_S)
            assert behind.recv(65536).startswith(b"GET /ws ")
        with behind:
            assert behind.recv(65536) == b""


def test_an_upstream_that_does_not_answer_a_handshake_is_given_up() -> None:
    came: list[Message] = []

    async def connected() -> Message:
        if came:
            await asyncio.Event().wait()
        came.append({"type": "websocket.connect"})
        return came[0]

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def story(url: str) -> Scope:
        scope = {**http_scope(), "type": "websocket", "extensions": {"websocket.http.response": {}}}
        async with asyncio.timeout(_PATIENCE_S):
            await Proxy(url, failure=failure, silence_s=0.05)(scope, connected, send)
        return scope

    with _mute() as listener:
        scope = asyncio.run(story(_url(listener)))
    assert (sent[0]["status"], scope[UPSTREAM_REACHED]) == (504, True)


def test_a_handshake_that_the_upstream_took_is_never_sent_again() -> None:
    async def story() -> None:
        heads: list[bytes] = []
        sent: list[Message] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.close()

        handshake = [{"type": "websocket.connect"}]

        async def receive() -> Message:
            return handshake.pop() if handshake else await asyncio.Future()

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {**http_scope(), "type": "websocket", "extensions": {"websocket.http.response": {}}}
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await Proxy(url, failure=failure)(scope, receive, send)
        assert (sent[0]["status"], len(heads)) == (502, 1)

    asyncio.run(story())


def test_an_upstream_that_is_down_costs_the_caller_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("home")
    with gate_process(home, "http://127.0.0.1:1", "--bits", "4", "--store", "memory:") as lonely:
        paid = _proof(lonely, "/ws")
        assert [_status(lonely, paid), _status(lonely, paid)] == [502, 502]

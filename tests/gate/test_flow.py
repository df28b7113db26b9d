# SPDX-License-Identifier: Apache-2.0
"""The whole story: refused, solved, admitted, and refused on replay, with stock clients."""

import asyncio
import http.client
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import mcp
import pytest
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, RequestParamsMeta

import pypow
from pypow_server import Gate
from pypow_server.mcp_message import PROOF_META
from pypow_server.policy import Policy
from pypow_server.rails.work import WorkRail
from pypow_server.stores.memory import MemoryLedger
from support.challenges import KEYRING
from support.gated import EASY, HOST, Bench, RecordingApp, offers, solution, solved
from support.serving import served, serving

Mode = Literal["auto", "legacy", "2026-07-28"]
MODES: Sequence[Mode] = ("auto", "2026-07-28", "legacy")


def gated(app: Any) -> Gate:
    """The gate as an operator would set it up, at an easy price and with the real clock."""
    return Gate(
        app,
        rails=[WorkRail(KEYRING, public_host=HOST)],
        ledger=MemoryLedger(),
        policy=Policy(default=EASY),
    )


def tool_server() -> MCPServer:
    server = MCPServer("adder")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    return server


def post(url: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """What curl does: one POST, no library of ours."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("POST", "/tools/call", body=b'{"q":1}', headers=headers)
    response = connection.getresponse()
    answer = (response.status, dict(response.getheaders()), response.read())
    connection.close()
    return answer


def test_a_plain_http_client_pays_with_a_hash_loop_and_is_admitted_once() -> None:
    app = RecordingApp()
    with served(gated(app)) as url:
        status, headers, body = post(url, {})
        assert status == 402
        assert headers["www-authenticate"].startswith("PoW challenge=")
        proof = solved(json.loads(body)["offers"][0])
        assert post(url, {"X-PoW-Solution": proof})[0] == 200
        replayed = post(url, {"X-PoW-Solution": proof})
    assert replayed[0] == 402
    assert json.loads(replayed[2])["type"] == "urn:pypow:error:already-spent"
    assert app.bodies == [b'{"q":1}']


def test_the_engine_solves_what_the_gate_offers() -> None:
    bench = Bench()
    offer = offers(bench.send("GET", headers=[(b"x-pow-accept", b"puzzles=16")]))[0]
    proof = pypow.solve(offer["challenge"])
    assert bench.send("GET", headers=solution(proof.header())).status == 200


def carrying(proof: str) -> RequestParamsMeta:
    """The `_meta` of a call that pays; the SDK's type names only the specification's own keys."""
    return cast("RequestParamsMeta", {PROOF_META: proof})


def refusal_of(result: CallToolResult) -> dict[str, Any]:
    """What a tool result tells programs, when it is a refusal of the gate."""
    assert result.meta is not None
    refusal: dict[str, Any] = result.meta["io.pypow/refusal"]
    return refusal


async def converse(url: str, mode: Mode) -> list[str]:
    """A stock client's whole life; returns what the four calls answered."""
    answers = []
    async with mcp.Client(f"{url}/mcp", mode=mode) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == ["add"]
        unpaid = await client.call_tool("add", {"a": 1, "b": 2})
        assert unpaid.is_error
        answers.append(refusal_of(unpaid)["type"])
        paid = carrying(solved(refusal_of(unpaid)["offers"][0]))
        admitted = await client.call_tool("add", {"a": 1, "b": 2}, meta=paid)
        assert not admitted.is_error
        answers.append(str(admitted.structured_content))
        replayed = await client.call_tool("add", {"a": 1, "b": 2}, meta=paid)
        assert replayed.is_error
        answers.append(refusal_of(replayed)["type"])
        again = carrying(solved(refusal_of(replayed)["offers"][0]))
        final = await client.call_tool("add", {"a": 2, "b": 2}, meta=again)
        answers.append(str(final.structured_content))
    return answers


@pytest.mark.parametrize("mode", MODES)
def test_a_stock_mcp_client_keeps_its_session_through_refusal_payment_and_replay(
    mode: Mode,
) -> None:
    async def story() -> list[str]:
        async with AsyncExitStack() as stack:
            gate = gated(tool_server().streamable_http_app())
            url = await stack.enter_async_context(serving(gate, lifespan=True))
            return await converse(url, mode)

    assert asyncio.run(story()) == [
        "urn:pypow:error:work-required",
        "{'result': 3}",
        "urn:pypow:error:already-spent",
        "{'result': 4}",
    ]

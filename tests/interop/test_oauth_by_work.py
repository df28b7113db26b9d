# SPDX-License-Identifier: Apache-2.0
"""The published MCP clients for TypeScript get in with work alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.server.mcpserver import MCPServer

from pypow_server.app import create_app
from pypow_server.policy import PassTerms
from pypow_server.policy_rows import Rows
from pypow_server.scope import ASGIApp, Receive, Scope, Send
from pypow_server.settings import Settings
from pypow_server.token_sales import TokenSales
from support.issuing import issuing_process
from support.plain_http import ask, solution
from support.serving import free_port, served
from support.typescript_client import calls_a_tool

SUMS = [{"isError": False, "text": "3"}] * 3


def adder() -> ASGIApp:
    server = MCPServer("adder")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    app: ASGIApp = server.streamable_http_app()
    return app


def sums(home: Path, url: str, *, line: int, **ways: object) -> list[dict[str, Any]]:
    """What comes of three calls by a client with a minted secret."""
    secret = solution(ask(f"{url}/api/challenge").json)["X-PoW-Solution"]
    return calls_a_tool(
        home,
        f"{url}/mcp",
        signed_in_as={"clientId": "agent", "clientSecret": secret, "expectedIssuer": url, **ways},
        tool={"name": "add", "arguments": {"a": 1, "b": 2}},
        line=line,
        times=3,
    )


@pytest.mark.parametrize("line", [1, 2])
def test_client_credentials_of_a_minted_secret_call_tools(tmp_path: Path, line: int) -> None:
    with (
        served(adder(), lifespan=True) as upstream,
        issuing_process(tmp_path, upstream) as gate,
    ):
        assert sums(tmp_path, gate.url, line=line) == SUMS


@dataclass
class Watched:
    """A gate that gives out tokens, and what a thief on the way saw of each call to it."""

    url: str = ""
    seen: list[dict[str, str]] = field(default_factory=list)

    def stolen(self, **credentials: str) -> int:
        """What comes of a thief's call."""
        kept = {"accept": "application/json, text/event-stream", **credentials}
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "add", "arguments": {"a": 1, "b": 2}},
        }
        return httpx2.post(f"{self.url}/mcp", json=message, headers=kept, timeout=20).status_code


@contextmanager
def watched(home: Path, bound_passes: str) -> Iterator[Watched]:
    listener = free_port()
    found = Watched(f"http://127.0.0.1:{listener.getsockname()[1]}")
    settings = Settings(
        state_dir=home,
        store="memory:",
        bits=8.0,
        public_url=found.url,
        bound_passes=bound_passes,
        rows=Rows(default_sells=PassTerms(9, 300), token_sales=TokenSales(asks_first=True)),
    )
    gate = create_app(settings, around=adder())

    async def on_the_way(scope: Scope, receive: Receive, send: Send) -> None:
        fields = {name.decode(): value.decode() for name, value in scope.get("headers", ())}
        if "authorization" in fields and scope["path"] == "/mcp":
            found.seen.append(fields)
        await gate(scope, receive, send)

    with served(on_the_way, lifespan=True, listener=listener):
        yield found


@pytest.mark.parametrize("bound_passes", ["off", "nonces"])
def test_a_client_that_proves_a_key_gets_in_and_a_thief_of_its_token_does_not(
    tmp_path: Path, bound_passes: str
) -> None:
    with watched(tmp_path, bound_passes) as gate:
        assert sums(tmp_path, gate.url, line=2, dpop=True) == SUMS
        authorization, used = gate.seen[-1]["authorization"], gate.seen[-1]["dpop"]
        scheme, _, token = authorization.partition(" ")
        assert scheme == "DPoP"
        assert gate.stolen(authorization=f"Bearer {token}") == 401
        assert gate.stolen(authorization=authorization) == 401
        assert gate.stolen(authorization=authorization, dpop=used) == 401

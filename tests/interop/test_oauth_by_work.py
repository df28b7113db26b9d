# SPDX-License-Identifier: Apache-2.0
"""The published MCP clients for TypeScript get in with work alone."""

from pathlib import Path

import pytest
from mcp.server.mcpserver import MCPServer

from support.issuing import issuing_process
from support.plain_http import ask, solution
from support.serving import served
from support.typescript_client import calls_a_tool


@pytest.mark.parametrize("line", [1, 2])
def test_client_credentials_of_a_minted_secret_call_tools(tmp_path: Path, line: int) -> None:
    server = MCPServer("adder")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    with (
        served(server.streamable_http_app(), lifespan=True) as upstream,
        issuing_process(tmp_path, upstream) as gate,
    ):
        secret = solution(ask(f"{gate.url}/api/challenge").json)["X-PoW-Solution"]
        results = calls_a_tool(
            tmp_path,
            f"{gate.url}/mcp",
            signed_in_as={"clientId": "agent", "clientSecret": secret, "expectedIssuer": gate.url},
            tool={"name": "add", "arguments": {"a": 1, "b": 2}},
            line=line,
            times=3,
        )
    assert results == [{"isError": False, "text": "3"}] * 3

# SPDX-License-Identifier: Apache-2.0
"""The Python SDK's own OAuth providers, as they are, get in with work alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import mcp
import pytest
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl

from pypow_server.app import create_app
from pypow_server.policy import PassTerms
from pypow_server.policy_rows import Rows
from pypow_server.scope import ASGIApp, Receive, Scope, Send
from pypow_server.settings import Settings
from pypow_server.token_sales import TokenSales
from support.gated import solved
from support.serving import serving

HERE = "http://127.0.0.1:3030/callback"


@dataclass
class Memory(TokenStorage):
    """Keeps what a provider wants kept."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    got: list[OAuthToken] = field(default_factory=list)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens
        self.got.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def adder() -> ASGIApp:
    server = MCPServer("adder")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    app: ASGIApp = server.streamable_http_app()
    return app


@asynccontextmanager
async def gate(state_dir: Path) -> AsyncIterator[str]:
    """A real gate before a real MCP server: its own URL is its issuer."""
    held: list[ASGIApp] = []

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await held[0](scope, receive, send)

    async with serving(adder(), lifespan=True) as upstream, serving(late) as url:
        rows = Rows(default_sells=PassTerms(3, 300), token_sales=TokenSales(asks_first=True))
        app = create_app(
            Settings(
                state_dir=state_dir,
                store="memory:",
                bits=8.0,
                upstream=upstream,
                public_url=url,
                rows=rows,
            )
        )
        held.append(app)
        app.start()
        try:
            yield url
        finally:
            await app.stop()


async def sums(url: str, provider: httpx2.Auth) -> list[str]:
    """What a stock client gets for three calls, and how the fourth ends."""
    async with (
        httpx2.AsyncClient(auth=provider, timeout=20) as http,
        mcp.Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
    ):
        found = [await client.call_tool("add", {"a": n, "b": 1}) for n in range(3)]
        return [str(one.structured_content) for one in found]


SUMS = ["{'result': 1}", "{'result': 2}", "{'result': 3}"]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_sdks_client_credentials_get_in_with_a_minted_secret(
    tmp_path: Path, method: str
) -> None:
    async def story() -> None:
        storage = Memory()
        async with gate(tmp_path) as url:
            async with httpx2.AsyncClient() as http:
                secret = solved((await http.get(f"{url}/api/challenge")).json())
            provider = ClientCredentialsOAuthProvider(
                server_url=f"{url}/mcp",
                storage=storage,
                client_id="any agent",
                client_secret=secret,
                token_endpoint_auth_method="client_secret_basic"
                if method == "client_secret_basic"
                else "client_secret_post",
                issuer=url,
            )
            assert await sums(url, provider) == SUMS
        (token,) = storage.got
        assert (token.token_type, token.scope) == ("Bearer", "work calls:3")

    asyncio.run(story())


def test_the_sdks_authorization_code_gets_in_with_work_where_a_browser_would_be(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        storage, came = Memory(), asyncio.Queue[dict[str, list[str]]]()

        async def redirected(target: str) -> None:
            async with httpx2.AsyncClient() as http:
                offered = (await http.get(target)).json()
                proof = solved(offered["work"])
                sent = {
                    "request": offered["request"],
                    "challenge": offered["work"]["challenge"],
                    "nonce": proof.rpartition("=")[2],
                }
                told = (await http.post(offered["post"], data=sent)).json()
            assert told["redirect_to"].startswith(HERE)
            came.put_nowait(parse_qs(urlsplit(told["redirect_to"]).query))

        async def called_back() -> AuthorizationCodeResult:
            said = await came.get()
            return AuthorizationCodeResult(
                code=said["code"][0], state=said["state"][0], iss=said["iss"][0]
            )

        async with gate(tmp_path) as url:
            provider = OAuthClientProvider(
                server_url=f"{url}/mcp",
                client_metadata=OAuthClientMetadata(
                    redirect_uris=[AnyUrl(HERE)], client_name="stock client"
                ),
                storage=storage,
                redirect_handler=redirected,
                callback_handler=called_back,
            )
            assert await sums(url, provider) == SUMS
            assert storage.client is not None
            assert storage.client.issuer == url
        (token,) = storage.got
        assert token.scope == "work calls:3"

    asyncio.run(story())

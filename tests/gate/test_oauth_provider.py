# SPDX-License-Identifier: Apache-2.0
"""A gate before an MCP server trusts a certified OpenID provider; stock clients sign in there."""

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import mcp
import pytest
from joserfc.jwk import ECKey
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from pypow_server.app import create_app
from pypow_server.settings import Settings
from support.oidc_provider import SECRET, OidcProvider, oidc_provider
from support.serving import free_port, served
from support.typescript_client import calls_a_tool

KEY = ECKey.generate_key("P-256", parameters={"kid": "client", "alg": "ES256", "use": "sig"})

CALLERS = 4


def public_key() -> dict[str, str]:
    return {name: str(value) for name, value in KEY.as_dict(private=False).items()}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with oidc_provider(tmp_path_factory.mktemp("provider"), client_key=public_key()) as one:
        yield one


@dataclass(frozen=True)
class Gated:
    """A gate before an MCP server that adds numbers."""

    url: str
    audit: Path

    @property
    def rails(self) -> list[str | None]:
        """By which rail each call was let in, and None for each that was refused."""
        return [json.loads(line)["rail"] for line in self.audit.read_text().splitlines()]


def adder() -> MCPServer:
    server = MCPServer("adder")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    return server


@contextmanager
def gate(
    folder: Path, provider: OidcProvider, *, issuer: str = "", row: str = 'scope = "tools:read"'
) -> Iterator[Gated]:
    listener = free_port()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config, audit = folder / "pypow.toml", folder / "audit"
    config.write_text(
        f'[gate]\npublic_url = "{url}"\n[log]\naudit = "{audit}"\n'
        f'[[oauth.issuer]]\nissuer = "{provider.issuer}"\n{issuer}\n'
        f'[[price]]\nmatch = "tools/call *"\n{row}\n'
    )
    said = {"PYPOW_CONFIG": str(config), "PYPOW_STATE_DIR": str(folder), "HOME": str(folder)}
    app = create_app(Settings.from_env(said), around=adder().streamable_http_app())
    with served(app, lifespan=True, listener=listener):
        yield Gated(url, audit)


class Kept:
    """The storage of a client that forgets nothing while it lives."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def with_secret(url: str, provider: OidcProvider, scope: str | None) -> OAuthClientProvider:
    return ClientCredentialsOAuthProvider(
        f"{url}/mcp", Kept(), "machine-with-secret", SECRET, scope=scope, issuer=provider.issuer
    )


def with_key(url: str, provider: OidcProvider, scope: str | None) -> OAuthClientProvider:
    key = KEY.as_pem(private=True).decode()
    signs = SignedJWTParameters(
        issuer="machine-with-key",
        subject="machine-with-key",
        signing_algorithm="ES256",
        signing_key=key,
    )
    return PrivateKeyJWTOAuthProvider(
        f"{url}/mcp",
        Kept(),
        "machine-with-key",
        signs.create_assertion_provider(),
        scope=scope,
        issuer=provider.issuer,
    )


async def added(
    url: str, auth: OAuthClientProvider, *, times: int = 1
) -> list[tuple[bool | None, object]]:
    """What a stock Python client gets that is asked to add numbers."""
    async with httpx2.AsyncClient(auth=auth, timeout=20) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with mcp.Client(transport) as client:
            await client.list_tools()
            results = [await client.call_tool("add", {"a": 1, "b": n}) for n in range(times)]
    return [(result.is_error, result.structured_content) for result in results]


@pytest.mark.parametrize(
    ("signs_in", "scope"), [(with_secret, "tools:read"), (with_secret, None), (with_key, None)]
)
def test_a_stock_python_client_signs_in_at_its_first_call(
    signs_in: Any, scope: str | None, provider: OidcProvider, tmp_path: Path
) -> None:
    with gate(tmp_path, provider) as gated:
        found = asyncio.run(added(gated.url, signs_in(gated.url, provider, scope), times=3))
    assert found == [(False, {"result": 1 + n}) for n in range(3)]
    assert gated.rails == [None, "oauth", "oauth", "oauth"]


def as_jwk() -> dict[str, object]:
    return dict(KEY.as_dict(private=True))


WITH_SECRET = {"clientId": "machine-with-secret", "clientSecret": SECRET}
WITH_KEY = {"clientId": "machine-with-key", "privateKey": as_jwk(), "algorithm": "ES256"}
WITH_DPOP = {**WITH_KEY, "clientId": "machine-with-dpop", "dpop": True}


def signed_in_by_typescript(
    folder: Path, provider: OidcProvider, ways: Mapping[str, object], *, line: int = 2
) -> None:
    """A stock TypeScript client signs in, and calls a tool twice."""
    with gate(folder, provider) as gated:
        found = calls_a_tool(
            folder,
            f"{gated.url}/mcp",
            signed_in_as={**ways, "expectedIssuer": provider.issuer, "scope": "tools:read"},
            tool={"name": "add", "arguments": {"a": 1, "b": 2}},
            line=line,
            times=2,
        )
    assert [one["isError"] for one in found] == [False, False]
    assert [rail for rail in gated.rails if rail] == ["oauth", "oauth"]


@pytest.mark.parametrize(
    ("ways", "line"),
    [
        pytest.param(WITH_SECRET, 1, id="a secret, line 1"),
        pytest.param(WITH_DPOP, 2, id="DPoP, line 2"),
        pytest.param(WITH_SECRET, 2, id="a secret, line 2", marks=pytest.mark.deep),
        pytest.param(WITH_KEY, 1, id="a key, line 1", marks=pytest.mark.deep),
        pytest.param(WITH_KEY, 2, id="a key, line 2", marks=pytest.mark.deep),
    ],
)
def test_a_stock_typescript_client_signs_in(
    ways: Mapping[str, object], line: int, provider: OidcProvider, tmp_path: Path
) -> None:
    signed_in_by_typescript(tmp_path, provider, ways, line=line)


@pytest.mark.deep
def test_a_client_whose_provider_wants_nonces_signs_in_with_tokens_of_its_key(
    tmp_path: Path,
) -> None:
    (tmp_path / "provider").mkdir()
    with oidc_provider(tmp_path / "provider", client_key=public_key(), require_nonce=True) as one:
        signed_in_by_typescript(tmp_path, one, WITH_DPOP)


def ask(url: str, token: str) -> httpx2.Response:
    """One call of the tool, by no library of MCP."""
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "add", "arguments": {"a": 1, "b": 2}},
    }
    return httpx2.post(
        f"{url}/mcp",
        json=message,
        headers={
            "accept": "application/json, text/event-stream",
            "authorization": f"Bearer {token}",
            "mcp-protocol-version": "2025-11-25",
        },
        timeout=20,
    )


def was_judged_good(answer: httpx2.Response) -> bool:
    """Whether the call reached the MCP server, which may ask for a session."""
    return answer.status_code in (200, 400) and "urn:pypow:error" not in answer.text


def test_a_token_for_another_resource_or_with_fewer_scopes_is_refused(
    provider: OidcProvider, tmp_path: Path
) -> None:
    with gate(tmp_path, provider) as gated:
        good = provider.token(f"{gated.url}/mcp")
        assert was_judged_good(ask(gated.url, good))
        other = ask(gated.url, provider.token("https://other.example/mcp"))
        narrow = ask(gated.url, provider.token(f"{gated.url}/mcp", scopes=["tools:write"]))
        changed = ask(gated.url, good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"))
    assert [one.status_code for one in (other, narrow, changed)] == [401, 403, 401]
    assert 'error="insufficient_scope"' in narrow.headers["www-authenticate"]


def test_tokens_that_are_no_jwts_are_asked_about(
    provider: OidcProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTROSPECTS", SECRET)
    asks = (
        'kind = "introspection"\nclient_id = "resource-server"\nclient_secret_env = "INTROSPECTS"'
    )
    resource = "https://gate.example/opaque"
    with gate(tmp_path, provider, issuer=f'{asks}\naudience = "{resource}"') as gated:
        good = provider.token(resource)
        assert good.count(".") != 2
        assert was_judged_good(ask(gated.url, good))
        refused = ask(gated.url, good[:-1] + ("A" if good[-1] != "A" else "B"))
    assert refused.status_code == 401


def test_the_providers_keys_turn_under_load_without_one_refused_token(
    provider: OidcProvider, tmp_path: Path
) -> None:
    with gate(tmp_path, provider) as gated, ThreadPoolExecutor(CALLERS) as threads:
        resource = f"{gated.url}/mcp"
        tokens, turned = [provider.token(resource)], threading.Event()

        def calls() -> list[bool]:
            judged = []
            while not turned.is_set():
                judged += [was_judged_good(ask(gated.url, token)) for token in reversed(tokens)]
            return judged

        callers = [threads.submit(calls) for _ in range(CALLERS)]
        try:
            for _ in range(3):
                provider.rotate()
                tokens.append(provider.token(resource))
                assert was_judged_good(ask(gated.url, tokens[-1]))
        finally:
            turned.set()
        answers = [caller.result() for caller in callers]
    assert all(answers)
    assert all(itertools.chain(*answers))


def test_a_login_may_be_needed_beside_work(provider: OidcProvider, tmp_path: Path) -> None:
    row = 'bits = 8\nscope = "tools:read"\nrequire = ["oauth"]\nfree = "1/60s"'
    with gate(tmp_path, provider, row=row) as gated:
        auth = with_secret(gated.url, provider, "tools:read")
        first, second = asyncio.run(added(gated.url, auth, times=2))
    assert first == (False, {"result": 1})
    assert second[0] is True

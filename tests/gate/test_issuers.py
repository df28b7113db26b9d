# SPDX-License-Identifier: Apache-2.0
"""Issuers as operators write them: what cannot be trusted is refused with the fix."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from pypow_server.identity.fetching import Fetcher, FetchError, Reach
from pypow_server.identity.issuers import Issuer, IssuerError, discover, metadata_urls, reach
from support.token_issuer import TokenIssuer, issuing

URL = "https://login.example/tenant"
GOOD: dict[str, Any] = {"url": URL, "audiences": frozenset(("https://mcp.example.com",))}


@pytest.mark.parametrize(
    ("change", "found", "fix"),
    [
        ({"url": "http://login.example"}, "not asked over https", "use https"),
        ({"url": "http://10.0.0.1:8080"}, "not asked over https", "use https"),
        ({"url": "login.example"}, "an issuer: expected a", "write it whole"),
        ({"url": "https://a@login.example"}, "expected a", "write it whole"),
        ({"url": "\nhttps://login.example"}, "expected a", "write it whole"),
        ({"url": "https://login.example\t"}, "expected a", "write it whole"),
        ({"url": "https://127.1"}, "expected a", "write it whole"),
        ({"url": URL + "#x"}, "expected a", "write it whole"),
        ({"url": URL + "?x=y"}, "has a query", "metadata document"),
        ({"url": URL + "?"}, "has a query", "metadata document"),
        ({"url": "https://login.example:x"}, "expected a", "write it whole"),
        ({"jwks_uri": "http://login.example/keys"}, "jwks_uri, http", "use https"),
        ({"jwks_uri": "keys"}, "jwks_uri: expected a", "write it whole"),
        ({"audiences": frozenset()}, "no audience", "set audience"),
        ({"audiences": frozenset(("",))}, "no audience", "set audience"),
        ({"algorithms": frozenset(("HS256",))}, "may not sign by HS256", "shared secret"),
        ({"algorithms": frozenset(("ES256", "none"))}, "may not sign by none", "or none proves"),
        ({"algorithms": frozenset(("RS1",))}, "may not sign by RS1", "choose algorithms of"),
        ({"algorithms": frozenset()}, "may not sign by nothing", "choose algorithms"),
        ({"skew_s": -1}, "skew of -1", "from 0 to 300"),
        ({"skew_s": 301}, "skew of 301", "from 0 to 300"),
    ],
)
def test_an_issuer_that_cannot_be_trusted_so_is_refused_with_the_fix(
    change: dict[str, Any], found: str, fix: str
) -> None:
    with pytest.raises(IssuerError) as caught:
        Issuer(**{**GOOD, **change})
    assert found in caught.value.found
    assert fix in caught.value.fix


def test_this_machine_is_near_where_the_operator_wrote_it_and_others_where_he_said_so() -> None:
    assert Issuer(**GOOD).near_hosts() == frozenset()
    here = Issuer(**{**GOOD, "url": "http://127.0.0.1:8080"})
    assert reach(here).near_hosts == {"127.0.0.1"}
    inside = Issuer(**{**GOOD, "url": "https://sso.corp", "jwks_uri": "https://keys.corp/k"})
    assert inside.near_hosts() == frozenset()
    near = Issuer(**{**GOOD, "url": "https://SSO.corp", "near": True})
    assert reach(near, Reach(frozenset(("a",)))).near_hosts == {"a", "sso.corp"}


def test_what_is_missing_is_named_with_the_command_that_gets_it() -> None:
    program = "import sys; sys.modules['joserfc'] = None; import pypow_server.identity.trust"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "tokens need the joserfc package; pip install 'pypow-engine[oauth]'" in ran.stderr


def test_metadata_is_looked_for_where_clients_look() -> None:
    assert metadata_urls("https://a.example") == [
        "https://a.example/.well-known/oauth-authorization-server",
        "https://a.example/.well-known/openid-configuration",
    ]
    assert metadata_urls("https://a.example/b/") == [
        "https://a.example/.well-known/oauth-authorization-server/b",
        "https://a.example/.well-known/openid-configuration/b",
        "https://a.example/b/.well-known/openid-configuration",
    ]


def _played(play: Callable[[TokenIssuer, Fetcher], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20), issuing() as issuer:
            fetcher = Fetcher(Reach(frozenset(("127.0.0.1",))))
            await play(issuer, fetcher)
            await fetcher.aclose()

    asyncio.run(bounded())


def test_an_issuer_says_where_its_keys_are() -> None:
    async def play(issuer: TokenIssuer, fetcher: Fetcher) -> None:
        found = await discover(issuer.url, fetcher)
        assert found.jwks_uri == f"{issuer.url}/keys"
        assert found.introspection_endpoint == f"{issuer.url}/introspect"

    _played(play)


def test_openid_metadata_behind_the_path_does() -> None:
    async def play(issuer: TokenIssuer, fetcher: Fetcher) -> None:
        tenant = f"{issuer.url}/tenant"

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return web.json_response({"issuer": tenant, "jwks_uri": "https://keys.example/"})

        issuer.instead["/tenant/.well-known/openid-configuration"] = answer
        found = await discover(tenant, fetcher)
        assert (found.jwks_uri, found.introspection_endpoint) == ("https://keys.example/", None)

    _played(play)


@pytest.mark.parametrize("change", ["/", "X", "upper", None])
def test_metadata_of_another_issuer_is_not_believed(change: str | None) -> None:
    async def play(issuer: TokenIssuer, fetcher: Fetcher) -> None:
        said = {"/": issuer.url + "/", "X": "https://evil.example", "upper": issuer.url.upper()}

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return web.json_response({**issuer.metadata(), "issuer": said.get(str(change))})

        issuer.instead["/.well-known/oauth-authorization-server"] = answer
        with pytest.raises(FetchError, match="must be the same text"):
            await discover(issuer.url, fetcher)

    _played(play)


def test_an_issuer_without_metadata_or_keys_is_one_sentence() -> None:
    async def play(issuer: TokenIssuer, fetcher: Fetcher) -> None:
        path = "/.well-known/oauth-authorization-server"

        async def no_keys(request: web.BaseRequest) -> web.StreamResponse:
            return web.json_response({"issuer": issuer.url})

        async def fault(request: web.BaseRequest) -> web.StreamResponse:
            return web.json_response({}, status=503)

        async def absent(request: web.BaseRequest) -> web.StreamResponse:
            return web.json_response({}, status=404)

        for answer, said in ((no_keys, "jwks_uri"), (fault, "503"), (absent, "no metadata")):
            issuer.instead[path] = answer
            with pytest.raises(FetchError, match=said):
                await discover(issuer.url, fetcher)

    _played(play)

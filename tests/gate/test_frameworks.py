# SPDX-License-Identifier: Apache-2.0
"""The same line guards apps of every framework, served for real with their own lifespans."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import django
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from fastapi import FastAPI, Request
from fastmcp import Client, FastMCP
from fastmcp.exceptions import ToolError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from pypow_server import guard
from pypow_server.scope import ASGIApp
from support.plain_http import ask, solution
from support.serving import served, serving

PRICES = {"GET /hello": 4, "GET /health": None}


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYPOW_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PYPOW_STORE", "memory:")
    monkeypatch.setenv("PYPOW_BITS", "4")


happened: list[str] = []


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    happened.append("started")
    yield
    happened.append("stopped")


def fastapi_wrapped() -> ASGIApp:
    return guard(_fastapi(), prices=PRICES)


def fastapi_with_middleware() -> ASGIApp:
    app = _fastapi()
    app.add_middleware(guard, prices=PRICES)
    return app


def _fastapi() -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    @app.get("/hello")
    async def hello(request: Request) -> dict[str, str]:
        return {"charged": request.scope["pypow.principal"]}

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {}

    return app


def starlette_with_middleware() -> ASGIApp:
    async def hello(request: StarletteRequest) -> JSONResponse:
        return JSONResponse({"charged": request.scope["pypow.principal"]})

    async def health(request: StarletteRequest) -> JSONResponse:
        return JSONResponse({})

    return Starlette(
        routes=[Route("/hello", hello), Route("/health", health)],
        middleware=[Middleware(guard, prices=PRICES)],
        lifespan=lifespan,
    )


def _hello(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"charged": request.scope["pypow.principal"]})


def _health(request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


urlpatterns = [path("hello", _hello), path("health", _health)]


def django_wrapped() -> ASGIApp:
    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test-only")
        django.setup()
    return guard(get_asgi_application(), prices=PRICES)


@pytest.mark.parametrize(
    ("make", "has_lifespan"),
    [
        (fastapi_wrapped, True),
        (fastapi_with_middleware, True),
        (starlette_with_middleware, True),
        (django_wrapped, False),
    ],
)
def test_an_app_is_guarded_by_one_line(make: Callable[[], ASGIApp], has_lifespan: bool) -> None:
    happened.clear()
    with served(make(), lifespan=True) as url:
        healthy = ask(f"{url}/health")
        refused = ask(f"{url}/hello")
        proof = solution(refused.json["offers"][0])
        admitted = ask(f"{url}/hello", headers=proof)
        again = ask(f"{url}/hello", headers=proof)
        published = ask(f"{url}/api/challenge")
    assert [healthy.status, refused.status, admitted.status, again.status] == [200, 402, 200, 402]
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert admitted.json == {"charged": "127.0.0.1/32"}
    assert published.status == 200
    assert happened == (["started", "stopped"] if has_lifespan else [])


def test_a_fastmcp_server_is_guarded_and_keeps_its_clients_sessions() -> None:
    server: FastMCP[None] = FastMCP("almanac")

    @server.tool
    def search_moon(query: str) -> str:
        return f"found {query}"

    @server.tool
    def about() -> str:
        return "an almanac"

    async def story() -> None:
        guarded = guard(
            server.http_app(), prices={"tools/call search_*": 4, "tools/call about": None}
        )
        async with serving(guarded, lifespan=True) as url, Client(f"{url}/mcp") as client:
            assert len(await client.list_tools()) == 2
            assert (await client.call_tool("about")).data == "an almanac"
            with pytest.raises(ToolError, match="Proof of work is required"):
                await client.call_tool("search_moon", {"query": "x"})
            refused = await client.call_tool_mcp("search_moon", {"query": "x"})
            offer = (refused.meta or {})["io.pypow/refusal"]["offers"][0]
            proof = solution(offer)["X-PoW-Solution"]
            paid = await client.call_tool_mcp(
                "search_moon", {"query": "x"}, meta={"io.pypow/proof": proof}
            )
            assert not paid.is_error
            again = await client.call_tool_mcp(
                "search_moon", {"query": "x"}, meta={"io.pypow/proof": proof}
            )
            assert again.is_error

    asyncio.run(story())

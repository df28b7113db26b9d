# SPDX-License-Identifier: Apache-2.0
"""What operators see, on a listener of their own: health, figures, configuration, documentation.

None of it is on the callers' side: a health route there would be a way around the gate, and
documentation a map for whoever looks for one.
"""

import asyncio
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, PlainTextResponse

from .host_name import hostname, is_ip
from .scope import ASGIApp, Receive, Scope, Send
from .stores import Ledger, StoreError
from .telemetry import Telemetry
from .view.routes import view_routes


class Readiness:
    """Whether callers should be sent here; they should not once the gate is to stop.

    The ledger is asked by a write, so its word holds for a while: whoever asks without end does
    not fill the disk's time.
    """

    def __init__(
        self, ledger: Ledger, *, good_for_s: float = 1.0, clock: Callable[[], float] = monotonic
    ) -> None:
        """Know nothing yet.

        Args:
            ledger: asked whether it takes spends.
            good_for_s: how long its answer holds.
            clock: in seconds; never goes back.
        """
        self._ledger = ledger
        self._good_for_s = good_for_s
        self._clock = clock
        self._asking = asyncio.Lock()
        self._found: str | None = None
        self._ask_again_at = -math.inf
        self._draining = False

    def drain(self) -> None:
        """From now on, and for good: not ready."""
        self._draining = True

    async def hindrance(self) -> str | None:
        """Why callers should not be sent here; None when they should."""
        if self._draining:
            return "draining: calls in flight end, and no new ones are taken"
        async with self._asking:
            if self._clock() >= self._ask_again_at:
                self._found = await self._probe()
                self._ask_again_at = self._clock() + self._good_for_s
            return self._found

    async def _probe(self) -> str | None:
        try:
            await self._ledger.probe()
        except StoreError as error:
            return str(error)
        return None


class OwnNames:
    """Refuses requests under names that are not the operators' side's own (a middleware).

    A page of another site, whose name was made to point here, could otherwise have an operator's
    browser read the configuration (DNS rebinding). No page can be made to send an address, and a
    request without a name comes from no browser.
    """

    def __init__(self, app: ASGIApp, *, names: Callable[[], Collection[str] | None]) -> None:
        """Stand before ``app``.

        Args:
            app: what operators ask.
            names: its own, in lower case, as of now; None for any.
        """
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if self._is_named(scope):
            await self._app(scope, receive, send)
            return
        advice = "expected an address, localhost or a name of gate.admin_hosts as Host\n"
        await PlainTextResponse(advice, status_code=421)(scope, receive, send)

    def _is_named(self, scope: Scope) -> bool:
        names = self._names()
        if scope["type"] == "lifespan" or names is None:
            return True
        hosts = [hostname(value) for name, value in scope["headers"] if name == b"host"]
        return all(name in names or is_ip(name) for name in hosts)


def create_admin(
    *,
    api: FastAPI,
    readiness: Readiness,
    telemetry: Telemetry,
    configuration: Callable[[], Mapping[str, object]],
    names: Callable[[], Collection[str] | None],
    beside: Sequence[APIRouter] = (),
    remark: Callable[[], str | None] = lambda: None,
) -> FastAPI:
    """The operators' app.

    Args:
        api: the callers' API, documented here.
        readiness: what ``/readyz`` answers.
        telemetry: what ``/metrics``, ``/decisions`` and the live view answer.
        configuration: what is in effect now, without its secrets.
        names: by which operators may call, as of now; None for any.
        beside: routes of others.
        remark: what ``/readyz`` says besides and callers are sent here in spite of; None for none.
    """
    admin = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    admin.add_middleware(OwnNames, names=names)
    for routes in (view_routes(telemetry.activity), *beside):
        admin.include_router(routes)

    @admin.get("/livez")
    async def livez() -> PlainTextResponse:
        return PlainTextResponse("alive\n")

    @admin.get("/readyz")
    async def readyz() -> PlainTextResponse:
        hindrance = await readiness.hindrance()
        said = [hindrance or "ready", *filter(None, (remark(),))]
        status = 200 if hindrance is None else 503
        return PlainTextResponse("\n".join([*said, ""]), status_code=status)

    @admin.get("/metrics")
    async def metrics(request: Request) -> Response:
        text, media_type = await telemetry.exposition(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": media_type})

    @admin.get("/config")
    async def config() -> dict[str, object]:
        return dict(configuration())

    @admin.get("/decisions/{decision_id}", response_model=None)
    async def decision(decision_id: str) -> dict[str, object] | Response:
        found = telemetry.recent.find(decision_id)
        if found is None:
            return PlainTextResponse("none of the last refusals has this id\n", status_code=404)
        return dataclasses.asdict(found) | {
            "outcome": found.outcome.value,
            "overdrawn": found.overdrawn,
        }

    @admin.get("/openapi.json")
    async def openapi() -> dict[str, Any]:
        return api.openapi()

    @admin.get("/docs")
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(openapi_url="/openapi.json", title=api.title)

    return admin

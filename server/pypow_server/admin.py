# SPDX-License-Identifier: Apache-2.0
"""What operators see, on a listener of their own: health, and the documentation of the API.

None of it is on the callers' side: a health route there would be a way around the gate, and
documentation a map for whoever looks for one.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, PlainTextResponse

from .stores import Ledger, StoreError


def create_admin(*, api: FastAPI, ledger: Ledger) -> FastAPI:
    """The operators' app.

    Args:
        api: the callers' API, documented here.
        ledger: asked whether it takes spends.
    """
    admin = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @admin.get("/livez")
    async def livez() -> PlainTextResponse:
        return PlainTextResponse("alive\n")

    @admin.get("/readyz")
    async def readyz() -> PlainTextResponse:
        try:
            await ledger.probe()
        except StoreError as error:
            return PlainTextResponse(f"{error}\n", status_code=503)
        return PlainTextResponse("ready\n")

    @admin.get("/openapi.json")
    async def openapi() -> dict[str, Any]:
        return api.openapi()

    @admin.get("/docs")
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(openapi_url="/openapi.json", title=api.title)

    return admin

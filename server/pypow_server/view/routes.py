# SPDX-License-Identifier: Apache-2.0
"""Where operators find the live view. Nothing in it is loaded from elsewhere, or kept."""

from importlib import resources
from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, Response

from .activity import Activity
from .page import page

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; connect-src 'self'; img-src data:; script-src 'self'; "
        "style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def view_routes(activity: Activity) -> APIRouter:
    """The page, its script and style sheet, and the same as JSON.

    Args:
        activity: what is shown; it begins to count.
    """
    activity.watch()
    router = APIRouter()
    files = resources.files(__package__)
    script, style = (files.joinpath(name).read_bytes() for name in ("view.js", "view.css"))

    @router.get("/")
    async def view() -> HTMLResponse:
        return HTMLResponse(page(activity.snapshot()), headers=HEADERS)

    @router.get("/view.js")
    async def view_script() -> Response:
        return Response(script, media_type="text/javascript", headers=HEADERS)

    @router.get("/view.css")
    async def view_style() -> Response:
        return Response(style, media_type="text/css", headers=HEADERS)

    @router.get("/activity")
    async def activity_document() -> JSONResponse:
        return JSONResponse(activity.snapshot().document(), headers=HEADERS)

    return router

# SPDX-License-Identifier: Apache-2.0
"""Where operators find what was sold: a page, the same as JSON, and every sale as CSV."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from fastapi import APIRouter
from fastapi.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)

from pypow.errors import InvalidInputError
from pypow_server.sale import Sale
from pypow_server.stores import StoreError
from pypow_server.stores.sales import SalesRead
from pypow_server.view.routes import HEADERS

from . import table
from .page import page
from .report import Report, pages, reported
from .span import read_span

_SINCE: Final = "30d"
_CSV: Final = {"content-disposition": 'attachment; filename="sales.csv"', **HEADERS}


def sold_routes(sales: SalesRead, *, clock: Callable[[], int]) -> APIRouter:
    """The page, its JSON and its CSV.

    Args:
        sales: what was sold.
        clock: Unix milliseconds.
    """
    router = APIRouter()
    reading = asyncio.Lock()

    async def answer(
        since: str, until: str | None, render: Callable[[Report], Response]
    ) -> Response:
        # One at a time: whoever asks again and again must not keep the ledger from its spends.
        async with reading:
            try:
                span = read_span(since, until, now_ms=clock())
                return render(await reported(sales, span))
            except (InvalidInputError, StoreError) as error:
                return _failure(error)

    @router.get("/sales")
    async def sales_page(since: str = _SINCE, until: str | None = None) -> Response:
        return await answer(
            since,
            until,
            lambda found: HTMLResponse(page(found, since=since, until=until), headers=HEADERS),
        )

    @router.get("/sales.json")
    async def sales_document(since: str = _SINCE, until: str | None = None) -> Response:
        return await answer(
            since, until, lambda found: JSONResponse(found.document(), headers=HEADERS)
        )

    @router.get("/sales.csv")
    async def sales_table(since: str = _SINCE, until: str | None = None) -> Response:
        try:
            found = pages(sales, read_span(since, until, now_ms=clock()))
            # Read before the answer begins, so that a store that fails can still be told.
            first: list[Sale] = await anext(found, [])
        except (InvalidInputError, StoreError) as error:
            return _failure(error)
        return StreamingResponse(_lines(first, found), media_type="text/csv", headers=_CSV)

    return router


async def _lines(first: list[Sale], others: AsyncIterator[list[Sale]]) -> AsyncIterator[str]:
    yield table.head() + table.lines(first)
    async for some in others:
        yield table.lines(some)


def _failure(error: InvalidInputError | StoreError) -> PlainTextResponse:
    status = 400 if isinstance(error, InvalidInputError) else 503
    return PlainTextResponse(f"{error}\n", status_code=status, headers=HEADERS)

# SPDX-License-Identifier: Apache-2.0
"""`pypow l402 ledger`: what was sold for sats, and when."""

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from pypow.errors import InvalidInputError

from .figures import columns
from .operators_side import plain
from .options import AsJson, PolicyFile, StateDir, StoreUrl

if TYPE_CHECKING:
    from pypow_server.sold.recount import Recount
    from pypow_server.sold.report import Report, Sum
    from pypow_server.sold.span import Span
    from pypow_server.stores.books import Books

EPILOG = """
Examples:

\b
  pypow l402 ledger --config /etc/pypow/pypow.toml --since 7d
  pypow l402 ledger --store redis://127.0.0.1:6379 --since 2026-11-01 --until 2026-12-01
  pypow l402 ledger --csv > sales.csv
  pypow l402 ledger --check

Reads beside running gates and changes nothing. Days are those of UTC.

Exit codes: 0 done, 1 the store broke off or --check found a difference, 2 wrong use, or a
store that cannot be opened.
"""

_HEAD = ("day", "price", "payments", "sats", "calls sold", "times sold", "made", "left")


def ledger(
    *,
    config: PolicyFile = None,
    store: StoreUrl = None,
    state_dir: StateDir = None,
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="7d ago, the day 2026-11-20, or all.")
    ] = "all",
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Likewise, up to that moment; now.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every sale, a line each.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Recount the calls made for all payments.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what was sold for sats: payments, sats and calls, by day and price."""
    from pypow_server.settings import Settings
    from pypow_server.sold.recount import recounted
    from pypow_server.sold.report import reported
    from pypow_server.sold.span import read_span
    from pypow_server.stores.books import open_books

    if as_csv and (as_json or check):
        raise InvalidInputError("expected --csv alone; leave --json and --check out")
    span = read_span(since, until, now_ms=time.time_ns() // 1_000_000)
    settings = Settings.from_env(
        os.environ, {"config": config, "store": store, "state_dir": state_dir}
    )
    books = open_books(settings.store_url)
    try:
        if as_csv:
            asyncio.run(_print_lines(books, span))
            return
        report = asyncio.run(reported(books, span))
        recount = recounted(books.counted()) if check else None
    finally:
        books.close()
    typer.echo(_document(report, recount) if as_json else _told(report, recount))
    if recount is not None and recount.wrong:
        raise typer.Exit(1)


async def _print_lines(books: "Books", span: "Span") -> None:
    from pypow_server.sold import table
    from pypow_server.sold.report import pages

    typer.echo(table.head(), nl=False)
    async for sales in pages(books, span):
        typer.echo(table.lines(sales), nl=False)


def _document(report: "Report", recount: "Recount | None") -> str:
    check = None if recount is None else recount.document()
    return json.dumps({**report.document(), "check": check})


def _told(report: "Report", recount: "Recount | None") -> str:
    lines = []
    groups = report.groups
    if groups:
        days = [_row(day, price, found) for (day, price), found in groups.items()]
        lines.append(columns([_HEAD, *days, _row("total", "", report.total)], left=2))
    else:
        lines.append("nothing was sold")
    if recount is not None:
        lines += ["", *_told_recount(recount)]
    return "\n".join(lines)


def _row(day: str, price: str, found: "Sum") -> tuple[str, ...]:
    figures = (found.payments, found.sats, found.uses, found.times, found.spent, found.left)
    return day, plain(price), *(f"{figure:,}" for figure in figures)


def _told_recount(recount: "Recount") -> list[str]:
    lines = [
        f"check  {recount.payments:,} payments made {recount.calls:,} calls by their sales and "
        f"{recount.spends:,} by their spends; of {recount.forgotten:,} more the spends have expired"
    ]
    for found in recount.examples:
        sold = "no sale" if found.sold is None else f"{found.sold} by its sale"
        lines.append(f"  {found.payment_hash.hex()}  {sold}, {found.ledger} by its spends")
    lines.append(
        f"differs: {recount.wrong:,} payments; see docs/l402.md, What was sold"
        if recount.wrong
        else "equal"
    )
    return lines

# SPDX-License-Identifier: Apache-2.0
"""The page about what was sold. It needs no script, and every chart has a table beside it."""

from collections.abc import Sequence
from datetime import date
from html import escape
from typing import Final
from urllib.parse import urlencode

from pypow import moments
from pypow_server.view.chart import Series, stacked

from .report import Report, Sum
from .span import ALL

SPANS: Final = ("1d", "7d", "30d", ALL)
_STYLES: Final = 7
_MOST_ROWS: Final = 31
_MOST_DAYS: Final = 400
_COLUMNS: Final = ("sats", "payments", "calls sold", "made", "left")


def page(report: Report, *, since: str, until: str | None) -> str:
    """The page, as HTML.

    Args:
        report: what was sold.
        since: the beginning of its span, as whoever asked said it.
        until: its end, likewise; None for now.
    """
    said = {"since": since} if until is None else {"since": since, "until": until}
    styles = {price: f"kind-{place % _STYLES}" for place, price in enumerate(report.prices)}
    sections = (_prices(report, styles), _days(report), _latest(report))
    return _PAGE.format(
        spans=_spans(since),
        asked=escape(urlencode(said)),
        tiles=_tiles(report),
        sections="\n".join(sections),
    )


def _spans(since: str) -> str:
    return " ".join(
        f'<a href="sales?since={span}"{" aria-current=page" * (span == since)}>{span}</a>'
        for span in SPANS
    )


def _tiles(report: Report) -> str:
    total = report.total
    cells = [
        *zip(map(str.capitalize, _COLUMNS), _cells(total), strict=True),
        ("Times sold", f"{total.times:,}"),
    ]
    shown = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cells)
    since_ms, until_ms = report.span.since_ms, report.span.until_ms
    since = f"From <time>{moments.text_of(since_ms)}</time> up" if since_ms else "Up"
    return (
        f"<p>{since} to <time>{moments.text_of(until_ms)}</time>. Days are those of UTC.</p>"
        f"<dl>{shown}</dl>"
    )


def _prices(report: Report, styles: dict[str, str]) -> str:
    rows = [
        _row(f'<span class="key {styles[price]}"></span>{escape(price)}', _cells(found))
        for price, found in report.prices.items()
    ]
    return _section("prices", "Sats a day, by price", _chart(report, styles), "price", rows)


def _days(report: Report) -> str:
    days = [_row(day, _cells(found)) for day, found in reversed(report.days.items())]
    left_out = len(days) - _MOST_ROWS
    note = f"<p>{left_out} days before these are left out.</p>" if left_out > 0 else ""
    return _section("days", "By day", "", "day", days[:_MOST_ROWS], note=note)


def _latest(report: Report) -> str:
    rows = []
    for sale in report.latest:
        sold = f"{sale.uses:,}" if sale.uses else "time"
        cells = (f"{sale.sats:,}", escape(sale.scheme), sold, f"{sale.spent:,}")
        rows.append(_row(f"{moments.text_of(sale.at_ms)} {escape(sale.price)}", cells))
    columns = ("sats", "shown as", "sold", "made")
    return _section("latest", "Latest payments", "", "first shown, and price", rows, columns)


def _chart(report: Report, styles: dict[str, str]) -> str:
    """Sats of each day, from the one before the first that sold something."""
    groups = report.groups
    sold = [date.fromisoformat(day).toordinal() for day, _ in groups]
    if not sold:
        return ""
    first = max(min(sold) - 1, max(sold) - _MOST_DAYS)
    days = [f"{date.fromordinal(day)}" for day in range(first, max(sold) + 1)]
    nothing = Sum()
    series = [
        Series(style, [groups.get((day, price), nothing).sats for day in days])
        for price, style in styles.items()
    ]
    figure = stacked("Sats a day by price; the table has the figures", series, show="{:g}".format)
    ends = f"<span>{days[0]}</span><span>{days[-1]}</span>"
    return f'{figure}<div class="times" aria-hidden="true">{ends}</div>'


def _cells(found: Sum) -> tuple[str, ...]:
    figures = (found.sats, found.payments, found.uses, found.spent, found.left)
    return tuple(f"{figure:,}" for figure in figures)


def _row(name: str, cells: Sequence[str]) -> str:
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _section(
    name: str,
    title: str,
    figure: str,
    first: str,
    rows: Sequence[str],
    columns: Sequence[str] = _COLUMNS,
    *,
    note: str = "",
) -> str:
    head = "".join(f'<th scope="col">{column}</th>' for column in (first, *columns))
    body = "".join(rows) or f'<tr><td colspan="{1 + len(columns)}">nothing was sold</td></tr>'
    return (
        f'<section id="{name}" class="sales" aria-labelledby="{name}-title">'
        f'<h2 id="{name}-title">{title}</h2>{figure}<table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{note}</section>"
    )


_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pypow gate: sales</title>
<link rel="stylesheet" href="view.css">
<link rel="icon" href="data:,">
</head>
<body>
<a class="skip" href="#now">Skip to the figures</a>
<header>
<h1>Sales</h1>
<nav aria-label="Span">{spans}</nav>
<nav aria-label="Operators"><a href="./">Live view</a>
<a href="sales.csv?{asked}">Every sale as CSV</a>
<a href="sales.json?{asked}">This page as JSON</a></nav>
</header>
<main>
<div id="now" tabindex="-1">{tiles}</div>
{sections}
</main>
</body>
</html>
"""

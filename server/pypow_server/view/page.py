# SPDX-License-Identifier: Apache-2.0
"""The page of the live view, whole: it needs no script, which only fetches it again.

Parts marked ``data-live`` are what the script puts in place of the old ones. Every chart has a
table beside it that says the same in numbers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final, TypeAlias

from .activity import BIN_MS, WINDOW_S, Snapshot
from .chart import Series, lines, stacked
from .tally import Tally, Work

_MINUTE_BINS: Final = 60_000 // BIN_MS
_PROBLEMS_SHOWN: Final = 6
_STYLES: Final = 7
_NOBODY: Final = "nothing yet"

Counts: TypeAlias = Callable[[Tally], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class _Spans:
    """What is shown: bins that are over, the last minute of them, and the whole window."""

    bins: Sequence[Tally]
    minute: Tally
    whole: Tally


def page(snapshot: Snapshot) -> str:
    """The page, as HTML."""
    spans = _spans(snapshot)
    sections = (
        _calls(spans),
        _rails(spans),
        _problems(spans),
        _difficulty(spans),
        _solve_times(spans),
        _callers(snapshot),
    )
    return _PAGE.format(now=_now(snapshot, spans.minute), sections="\n".join(sections))


def _spans(snapshot: Snapshot) -> _Spans:
    # The last bin is not over: its rate is not known yet.
    over = [tally for _, tally in snapshot.bins[:-1]]
    minute = Tally()
    for tally in over[-_MINUTE_BINS:]:
        minute.merge(tally)
    return _Spans(over, minute, snapshot.whole)


def _calls(spans: _Spans) -> str:
    styles = {name: f"outcome-{name}" for name in ("free", "admitted", "observed", "refused")}
    return _counted("calls", "Calls", styles, lambda tally: tally.outcomes, spans)


def _rails(spans: _Spans) -> str:
    styles = _styled(sorted(spans.whole.rails))
    return _counted("rails", "Admitted by rail", styles, lambda tally: tally.rails, spans)


def _problems(spans: _Spans) -> str:
    shown = _most(spans.whole.problems)
    return _counted(
        "problems",
        "Refused by problem",
        _styled(shown),
        lambda tally: _with_others(tally.problems, shown),
        spans,
    )


def _now(snapshot: Snapshot, minute: Tally) -> str:
    as_of = datetime.fromtimestamp(snapshot.now_ms / 1000, UTC).strftime("%H:%M:%S UTC")
    outcomes = minute.outcomes
    tiles = [
        ("Calls", _rate(minute.total), "a second"),
        ("Admitted", _rate(outcomes.get("admitted", 0)), "a second"),
        ("Refused", _rate(outcomes.get("refused", 0)), "a second"),
        ("Asked", _bits(minute.asked.mean_bits), "bits, mean"),
        ("Solved in", _ms(minute.solves.percentile_ms(50)), "median"),
    ]
    if snapshot.crowd is not None:
        tiles.append(("Allowance", f"{snapshot.crowd.allowance:.0%}", "of the quota"))
        tiles.append(("Entry", _bits(snapshot.crowd.entry_bits), "bits more"))
    shown = "".join(
        f"<div><dt>{name}</dt><dd>{value} <small>{unit}</small></dd></div>"
        for name, value, unit in tiles
    )
    return f"<p>The last minute, as of <time>{as_of}</time>.</p><dl>{shown}</dl>"


def _counted(
    name: str,
    title: str,
    styles: Mapping[str, str],
    counts: Counts,
    spans: _Spans,
) -> str:
    """A section about kinds of calls: how many of each a second."""
    curves = [counts(tally) for tally in spans.bins]
    series = [
        Series(style, [counted.get(kind, 0) * 1000 / BIN_MS for counted in curves])
        for kind, style in styles.items()
    ]
    in_minute, in_all = counts(spans.minute), counts(spans.whole)
    rows = [
        (style, kind, (_rate(in_minute.get(kind, 0)), f"{in_all.get(kind, 0):,}"))
        for kind, style in styles.items()
    ]
    figure = stacked(_says(f"{title}, calls a second"), series, show=lambda rate: f"{rate:g}/s")
    return _section(name, title, figure, ("a second, last minute", "in 15 minutes"), rows)


def _difficulty(spans: _Spans) -> str:
    sides: tuple[tuple[str, Callable[[Tally], Work]], ...] = (
        ("paid", lambda tally: tally.paid),
        ("asked", lambda tally: tally.asked),
    )
    series = [
        Series(f"side-{name}", [work(tally).mean_bits or None for tally in spans.bins])
        for name, work in sides
    ]
    rows = []
    for name, work in sides:
        found = work(spans.whole)
        limits = f"{found.least_q / 1024:.4g} to {found.most_q / 1024:.4g}" if found.count else "-"
        cells = (_bits(work(spans.minute).mean_bits), _bits(found.mean_bits), limits)
        rows.append((f"side-{name}", name, cells))
    means = [value for one in series for value in one.values if value is not None] or [16.0]
    axis = float(math.floor(min(means)) - 1), float(math.ceil(max(means)) + 1)
    figure = lines(
        _says("Difficulty in bits, mean"), series, show=lambda bits: f"{bits:g}", axis=axis
    )
    columns = ("bits, last minute", "bits, 15 minutes", "least to most")
    return _section("difficulty", "Difficulty", figure, columns, rows)


def _solve_times(spans: _Spans) -> str:
    minute, whole = spans.minute.solves, spans.whole.solves
    shown = (50, 95, 99)
    series = [
        Series(
            f"percentile-{percent}", [tally.solves.percentile_ms(percent) for tally in spans.bins]
        )
        for percent in shown
    ]
    rows = [
        (
            f"percentile-{percent}",
            f"{percent} % within",
            (_ms(minute.percentile_ms(percent)), _ms(whole.percentile_ms(percent))),
        )
        for percent in shown
    ]
    figure = lines(_says("Time from challenge to proof"), series, show=lambda ms: _ms(round(ms)))
    return _section("solves", "Challenge to proof", figure, ("last minute", "15 minutes"), rows)


def _callers(snapshot: Snapshot) -> str:
    most = max((one.calls for one in snapshot.callers), default=1)
    rows = "".join(
        f'<tr><th scope="row">{escape(one.who)}</th><td>{escape(one.outcome)}</td>'
        f'<td>{one.calls:,}</td><td class="bar"><svg aria-hidden="true" viewBox="0 0 100 8" '
        f'preserveAspectRatio="none"><rect class="outcome-{escape(one.outcome)}" height="8" '
        f'width="{100 * one.calls / most:.3g}"/></svg></td></tr>'
        for one in snapshot.callers
    )
    slack = f" Each made at most {snapshot.missed:,} more." if snapshot.missed else ""
    return (
        '<section aria-labelledby="callers-title" class="callers"><h2 id="callers-title">'
        'Who calls most</h2><div id="callers" data-live><table><thead><tr>'
        '<th scope="col">caller</th><th scope="col">outcome</th>'
        '<th scope="col">in 15 minutes</th><td></td></tr></thead>'
        f"<tbody>{rows or _empty(4)}</tbody></table>"
        f"<p>Whoever paid, or the network that was free or refused.{slack}</p></div></section>"
    )


def _section(
    name: str,
    title: str,
    figure: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, str, Sequence[str]]],
) -> str:
    """A chart, and its table: a row is its style, its name and its cells."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row"><span class="key {style}"></span>{escape(kind)}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
        for style, kind, cells in rows
    )
    return (
        f'<section aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>'
        f'<div id="{name}" data-live>{figure}<div class="times" aria-hidden="true">'
        "<span>-15 min</span><span>-10</span><span>-5</span><span>now</span></div>"
        f"<table><thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{body or _empty(1 + len(columns))}</tbody></table></div></section>"
    )


def _empty(columns: int) -> str:
    return f'<tr><td colspan="{columns}">{_NOBODY}</td></tr>'


def _says(title: str) -> str:
    return f"{title}, over the last {WINDOW_S // 60} minutes; the table has the figures"


def _styled(kinds: Sequence[str]) -> dict[str, str]:
    return {kind: f"kind-{place % _STYLES}" for place, kind in enumerate(kinds)}


def _most(problems: Mapping[str, int]) -> list[str]:
    """The problems that get a curve of their own, by name, so that colours stay; and the rest."""
    by_count = sorted(problems, key=lambda name: -problems[name])
    shown = sorted(by_count[:_PROBLEMS_SHOWN])
    return [*shown, "others"] if len(by_count) > _PROBLEMS_SHOWN else shown


def _with_others(problems: Mapping[str, int], shown: Sequence[str]) -> Mapping[str, int]:
    others = sum(count for name, count in problems.items() if name not in shown)
    return {**problems, "others": others}


def _rate(calls: int) -> str:
    """Calls of a minute, as calls a second."""
    rate = calls / 60
    return f"{rate:.3g}" if rate >= 1 else f"{rate:.2g}"


def _bits(bits: float) -> str:
    return f"{bits:.4g}" if bits else "-"


def _ms(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.3g} s"


_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pypow gate</title>
<noscript><meta http-equiv="refresh" content="5"></noscript>
<link rel="stylesheet" href="view.css">
<link rel="icon" href="data:,">
<script src="view.js" defer></script>
</head>
<body>
<a class="skip" href="#now">Skip to the figures</a>
<header>
<h1>pypow gate</h1>
<nav aria-label="Operators"><a href="metrics">Metrics</a> <a href="config">Configuration</a>
<a href="docs">API</a> <a href="sales">Sales</a>
<a href="activity">This page as JSON</a></nav>
<p id="state" role="status"></p>
<button id="pause" type="button" aria-pressed="false" hidden>Pause</button>
</header>
<main>
<div id="now" data-live tabindex="-1">{now}</div>
{sections}
</main>
</body>
</html>
"""

# SPDX-License-Identifier: Apache-2.0
"""The pictures of docs/difficulty.md."""

from collections.abc import Iterator
from typing import Final

from cells import ATTACKED, FARMED, Cells
from pypow.cli.svg import STYLE, line, picture, text
from pypow.laboratory.attack import SCENARIOS, parse
from pypow.laboratory.lineup import OURS

_WIDTH: Final = 760
_LEFT: Final = 250
_RIGHT: Final = 40
_TOP: Final = 84
_ROW: Final = 30
_PANEL: Final = 200
_HIGH: Final = 56

_PRICES: Final = (
    "fixed-18",
    "fixed-22",
    "mcaptcha-coded",
    "mcaptcha-intended",
    "miden",
    "private-captcha",
    "eip-1559",
)
_KINDS: Final = {
    "price": ("a price alone", _PRICES),
    "bid": ("bids (Tor)", ("tor-300", "tor-30")),
    "limit": ("60 a minute, no work", ("bucket",)),
    "new": ("pypow, new callers", (OURS,)),
    "ours": ("pypow, known callers", (OURS,)),
}

_LOOK: Final = (
    STYLE
    + """    circle { stroke-width: 1.5; }
    .price { fill: #8c959f; stroke: none; fill-opacity: .7; }
    .bid { fill: none; stroke: #9a6700; }
    .limit { fill: none; stroke: #cf222e; }
    .new { fill: none; stroke: #1f6feb; }
    .ours { fill: #1f6feb; stroke: none; }
    polyline { fill: none; stroke: #1f6feb; stroke-width: 2; }
    @media (prefers-color-scheme: dark) {
      .new { stroke: #4493f8; }
      .ours { fill: #4493f8; }
      polyline { stroke: #4493f8; }
    }
"""
)


def attacks(cells: Cells) -> str:
    """Who is served in each scenario, a mark for each gate."""
    bottom = _TOP + _ROW * len(ATTACKED[1:])
    return picture(
        "Honest calls served during the attack, in percent",
        [*_legend(), *_scale(bottom), *_marks(cells)],
        width=_WIDTH,
        height=bottom + 30,
        style=_LOOK,
    )


def _x(share: float) -> float:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * share, 1)


def _legend() -> Iterator[str]:
    for place, (kind, (says, _)) in enumerate(_KINDS.items()):
        x = 8 + 150 * place
        yield _mark(kind, x, 42)
        yield text(x + 12, 46, says, kind="axis")


def _scale(bottom: float) -> Iterator[str]:
    for share in (0, 0.25, 0.5, 0.75, 1):
        yield line(_x(share), _TOP - 18, _x(share), bottom - 8)
        yield text(_x(share), bottom + 12, f"{share:.0%}", kind="axis", anchor="middle")


def _marks(cells: Cells) -> Iterator[str]:
    for row, scenario in enumerate(ATTACKED[1:]):
        y = _TOP + _ROW * row
        says = f"{scenario}: {SCENARIOS[scenario].says}"
        yield text(_LEFT - 12, y + 4, says, anchor="end")
        for kind, (_, gates) in _KINDS.items():
            for gate in gates:
                cell = cells.get((gate, scenario))
                if cell is None:
                    continue
                found = cell.outcome
                group = {"ours": found.known, "new": found.fresh}.get(kind, found.all)
                yield _mark(kind, _x(group.served or 0), y)


def _mark(kind: str, x: float, y: float) -> str:
    return f'  <circle class="{kind}" cx="{x}" cy="{y}" r="5"/>'


def farmed(cells: Cells) -> str:
    """The share of known callers' calls served, by how many identities were farmed."""
    found = [
        (parse(scenario).attack.identities, cells[OURS, scenario].outcome.known.served or 0.0)
        for scenario in FARMED
        if (OURS, scenario) in cells
    ]
    step = (_WIDTH - 140) / max(len(found) - 1, 1)

    def y_of(share: float) -> float:
        return round(_HIGH + _PANEL * (1 - share), 1)

    parts = []
    for share in (0, 0.5, 1):
        parts += [
            line(70, y_of(share), _WIDTH - 40, y_of(share)),
            text(60, y_of(share) + 4, f"{share:.0%}", kind="axis", anchor="end"),
        ]
    points = [(round(70 + step * place, 1), share) for place, (_, share) in enumerate(found)]
    drawn = " ".join(f"{x},{y_of(share)}" for x, share in points)
    parts.append(f'  <polyline points="{drawn}"/>')
    for (x, share), (identities, _) in zip(points, found, strict=True):
        parts += [
            _mark("ours", x, y_of(share)),
            text(x, y_of(share) - 10, f"{share:.0%}", kind="axis", anchor="middle"),
            text(x, _HIGH + _PANEL + 20, f"{identities:,}", kind="axis", anchor="middle"),
        ]
    title = "Known callers served, by farmed identities of one attacker with an H100"
    return picture(title, parts, width=_WIDTH, height=_HIGH + _PANEL + 40, style=_LOOK)

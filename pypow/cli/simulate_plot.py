# SPDX-License-Identifier: Apache-2.0
"""The picture of `pypow simulate`: runs over time, a line for each gate."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pypow.laboratory.run import Diary
from pypow.laboratory.timeline import known_served, taken
from pypow.laboratory.world import World

from .svg import STYLE, line, picture, text

_WIDTH: Final = 800
_LEFT: Final = 60
_RIGHT: Final = 200
_PANEL: Final = 170
_GAP: Final = 60
_BIN_S: Final = 10.0
_COLOURS: Final = ("#1f6feb", "#cf222e", "#9a6700", "#1a7f37", "#8250df", "#59636e")

_LOOK: Final = (
    STYLE
    + """    .attack { fill: #cf222e; fill-opacity: .08; }
    polyline { fill: none; stroke-width: 1.8; }
"""
    + "".join(f"    .of{i} {{ stroke: {colour}; }}\n" for i, colour in enumerate(_COLOURS))
)


def svg(world: World, says: str, runs: Mapping[str, Sequence[Diary]]) -> str:
    """The picture as a document of its own.

    Args:
        world: where the runs were played.
        says: what the attack is.
        runs: those of each gate, by its title.
    """
    upper, lower = 64, 64 + _PANEL + _GAP
    return picture(
        says,
        [
            *_panel(world, upper, "Calls of known callers that were served, by when they began"),
            *_panel(world, lower, "Calls of the attacker that were served, of all that could be"),
            *_lines(world, runs, upper, lower),
        ],
        width=_WIDTH,
        height=lower + _PANEL + 40,
        style=_LOOK,
    )


def _x(world: World, seconds: float) -> float:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / world.seconds, 1)


def _y(top: float, share: float) -> float:
    return round(top + _PANEL * (1 - share), 1)


def _panel(world: World, top: float, says: str) -> Iterator[str]:
    """Axes from 0 to 100 %, with the time of the attack shaded."""
    begins, ends = _x(world, world.attack_from), _x(world, world.attack_until)
    yield text(_LEFT, top - 12, says, kind="axis")
    yield (
        f'  <rect class="attack" x="{begins}" y="{top}" width="{ends - begins:.1f}" '
        f'height="{_PANEL}"/>'
    )
    for share in (0, 0.5, 1):
        yield line(_LEFT, _y(top, share), _WIDTH - _RIGHT, _y(top, share))
        yield text(_LEFT - 8, _y(top, share) + 4, f"{share:.0%}", kind="axis", anchor="end")
    for fifth in range(6):
        seconds = world.seconds * fifth / 5
        shown = f"{seconds:g} s"
        yield text(_x(world, seconds), top + _PANEL + 16, shown, kind="axis", anchor="middle")


def _lines(
    world: World, runs: Mapping[str, Sequence[Diary]], upper: float, lower: float
) -> Iterator[str]:
    """Both lines of each gate, and its name."""
    bins = max(1, round(world.seconds / _BIN_S))
    for place, (title, diaries) in enumerate(runs.items()):
        of = f"of{place % len(_COLOURS)}"
        for top, shares in (
            (upper, known_served(world, diaries, bins)),
            (lower, taken(world, diaries, bins)),
        ):
            points = " ".join(
                f"{_x(world, (number + 0.5) * world.seconds / bins)},{_y(top, share)}"
                for number, share in enumerate(shares)
                if share is not None
            )
            yield f'  <polyline class="{of}" points="{points}"/>'
        y = upper + 8 + 20 * place
        yield line(_WIDTH - _RIGHT + 12, y, _WIDTH - _RIGHT + 32, y, kind=of)
        yield text(_WIDTH - _RIGHT + 38, y + 4, title)

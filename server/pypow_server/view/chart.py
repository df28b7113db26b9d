# SPDX-License-Identifier: Apache-2.0
"""Charts over time as SVG inside HTML: curves scale with the page, and their labels do not."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_HEIGHT: Final = 1000


@dataclass(frozen=True, slots=True)
class Series:
    """One curve.

    Attributes:
        style: its class in the style sheet.
        values: one for each moment, 0 or more; None where there is none.
    """

    style: str
    values: Sequence[float | None]


def stacked(says: str, series: Sequence[Series], *, show: Callable[[float], str]) -> str:
    """Areas on top of each other, the first at the bottom.

    Args:
        says: what screen readers say of the chart.
        series: all of one length; None counts as 0.
        show: a value as text, for the axis.
    """
    length = len(series[0].values) if series else 0
    below = [0.0] * length
    layers = []
    for one in series:
        above = [low + (value or 0.0) for low, value in zip(below, one.values, strict=True)]
        layers.append((one.style, below, above))
        below = above
    axis = 0.0, ceiling(max(below, default=0.0))
    shapes = [
        f'<path class="area {style}" d="M{_points(above, axis)}L{_points(low, axis, back=True)}Z"/>'
        for style, low, above in layers
        if above != low
    ]
    return _framed(says, shapes, axis=axis, length=length, show=show)


def lines(
    says: str,
    series: Sequence[Series],
    *,
    show: Callable[[float], str],
    axis: tuple[float, float] | None = None,
) -> str:
    """A curve for each series, with gaps where there is no value.

    Args:
        says: what screen readers say of the chart.
        series: all of one length.
        show: a value as text, for the axis.
        axis: where it begins and ends; None for from zero to a round number above all.
    """
    length = len(series[0].values) if series else 0
    if axis is None:
        most = max((value for one in series for value in one.values if value), default=0.0)
        axis = 0.0, ceiling(most)
    shapes = [
        f'<path class="line {one.style}" d="{_strokes(one.values, axis)}"/>'
        for one in series
        if any(value is not None for value in one.values)
    ]
    return _framed(says, shapes, axis=axis, length=length, show=show)


def ceiling(value: float) -> float:
    """The round number at or above a value, whose half is round too.

    >>> ceiling(0), ceiling(0.03), ceiling(5), ceiling(1234)
    (1.0, 0.04, 6.0, 2000.0)
    """
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)


def _framed(
    says: str,
    shapes: Sequence[str],
    *,
    axis: tuple[float, float],
    length: int,
    show: Callable[[float], str],
) -> str:
    width = max(1, length - 1)
    grid = "".join(f'<path class="grid" d="M0 {y}H{width}"/>' for y in (0, _HEIGHT // 2, _HEIGHT))
    low, top = axis
    scale = "".join(f"<span>{escape(show(at))}</span>" for at in (top, (low + top) / 2, low))
    return (
        f'<div class="chart"><div class="scale" aria-hidden="true">{scale}</div>'
        f'<svg role="img" aria-label="{escape(says)}" viewBox="0 0 {width} {_HEIGHT}" '
        f'preserveAspectRatio="none">{grid}{"".join(shapes)}</svg></div>'
    )


def _y(value: float, axis: tuple[float, float]) -> int:
    low, top = axis
    return round(_HEIGHT * (top - value) / (top - low))


def _points(values: Sequence[float], axis: tuple[float, float], *, back: bool = False) -> str:
    found = [f"{x} {_y(value, axis)}" for x, value in enumerate(values)]
    return "L".join(reversed(found) if back else found)


def _strokes(values: Sequence[float | None], axis: tuple[float, float]) -> str:
    drawn, down = [], False
    for x, value in enumerate(values):
        if value is not None:
            # A point alone is a line of no length, whose round ends are seen.
            drawn.append(f"{'L' if down else 'M'}{x} {_y(value, axis)}{'' if down else 'h0'}")
        down = value is not None
    return "".join(drawn)

# SPDX-License-Identifier: Apache-2.0
"""A bar chart on a logarithmic scale as SVG, readable on light and on dark pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pypow.cli.svg import line, picture, text

_WIDTH = 760
_LEFT = 262  # where bars begin; labels end just before
_RIGHT = 90  # room for the figure behind the longest bar
_TOP = 44
_ROW = 24
_BAR = 15


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        label: at its left.
        value: its length, 1 or more.
        shown: the figure at its end.
    """

    label: str
    value: float
    shown: str


def svg(title: str, bars: Sequence[Bar]) -> str:
    """The chart as a document of its own; the scale runs from 1 to the next power of ten."""
    decades = max(1, math.ceil(math.log10(max(bar.value for bar in bars))))
    bottom = _TOP + _ROW * len(bars)
    parts = []
    for decade in range(decades + 1):
        x = _LEFT + round(_length(10.0**decade, decades))
        parts += [
            line(x, _TOP - 8, x, bottom),
            text(x, bottom + 18, f"{10**decade:,}x", kind="axis", anchor="middle"),
        ]
    for row, bar in enumerate(bars):
        y = _TOP + _ROW * row
        length = round(_length(bar.value, decades), 1)
        parts += [
            text(_LEFT - 8, y + 12, bar.label, anchor="end"),
            f'  <rect x="{_LEFT}" y="{y}" width="{length}" height="{_BAR}" rx="2"/>',
            text(_LEFT + length + 6, y + 12, bar.shown),
        ]
    return picture(title, parts, width=_WIDTH, height=bottom + 26)


def _length(value: float, decades: int) -> float:
    return (_WIDTH - _LEFT - _RIGHT) * math.log10(max(value, 1.0)) / decades

# SPDX-License-Identifier: Apache-2.0
"""A bar chart on a logarithmic scale as SVG, readable on light and on dark pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH = 760
_LEFT = 262  # where bars begin; labels end just before
_RIGHT = 90  # room for the figure behind the longest bar
_TOP = 44
_ROW = 24
_BAR = 15

_STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1f2328; }
    .title { font-weight: 600; font-size: 14px; }
    .axis { font-size: 11px; fill: #59636e; }
    line { stroke: #d1d9e0; }
    rect { fill: #1f6feb; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .axis { fill: #9198a1; }
      line { stroke: #3d444d; }
      rect { fill: #4493f8; }
    }
"""


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
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 26}" '
        f'role="img" aria-label="{escape(title)}">',
        f"  <style>{_STYLE}  </style>",
        f'  <text class="title" x="0" y="18">{escape(title)}</text>',
    ]
    for decade in range(decades + 1):
        x = _LEFT + round(_length(10.0**decade, decades))
        lines += [
            f'  <line x1="{x}" y1="{_TOP - 8}" x2="{x}" y2="{bottom}"/>',
            f'  <text class="axis" x="{x}" y="{bottom + 18}" text-anchor="middle">'
            f"{10**decade:,}x</text>",
        ]
    for row, bar in enumerate(bars):
        y = _TOP + _ROW * row
        length = round(_length(bar.value, decades), 1)
        lines += [
            f'  <text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(bar.label)}</text>',
            f'  <rect x="{_LEFT}" y="{y}" width="{length}" height="{_BAR}" rx="2"/>',
            f'  <text x="{_LEFT + length + 6}" y="{y + 12}">{escape(bar.shown)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def _length(value: float, decades: int) -> float:
    return (_WIDTH - _LEFT - _RIGHT) * math.log10(max(value, 1.0)) / decades

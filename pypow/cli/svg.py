# SPDX-License-Identifier: Apache-2.0
"""What every picture shares: an SVG document that is readable on light and on dark pages."""

from collections.abc import Iterable
from html import escape

STYLE = """
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


def picture(
    title: str, parts: Iterable[str], *, width: int, height: int, style: str = STYLE
) -> str:
    """A document of elements, with a title at its top that screen readers say too."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'role="img" aria-label="{escape(title)}">',
            f"  <style>{style}  </style>",
            text(0, 18, title, kind="title"),
            *parts,
            "</svg>",
            "",
        ]
    )


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "") -> str:
    """Words that begin at a point, or are anchored there by their ``middle`` or ``end``."""
    marks = f' class="{kind}"' if kind else ""
    place = f' x="{x}" y="{y}"' + (f' text-anchor="{anchor}"' if anchor else "")
    return f"  <text{marks}{place}>{escape(words)}</text>"


def line(x1: float, y1: float, x2: float, y2: float, *, kind: str = "") -> str:
    """A straight line."""
    marks = f' class="{kind}"' if kind else ""
    return f'  <line{marks} x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'

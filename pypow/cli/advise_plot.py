# SPDX-License-Identifier: Apache-2.0
"""The picture of `pypow advise`: how long callers take, and what attackers pay."""

import math
from collections.abc import Iterator
from typing import Final

from pypow import difficulty
from pypow.advise import Advice, CallerForecast
from pypow.solve_times import PUZZLES

from .figures import duration, money
from .svg import STYLE, line, picture, text
from .verdict import TOO_LONG_S

_WIDTH: Final = 800
_LEFT: Final = 120
_RIGHT: Final = 230
_RIDGE: Final = 34  # from one caller to the next
_TOP: Final = 60
_COSTS: Final = 230  # height of the lower part

_LOOK: Final = (
    STYLE
    + """    .ridge { fill: #1f6feb; fill-opacity: .55; stroke: #1f6feb; }
    .tail { fill: none; stroke: #59636e; stroke-dasharray: 3 3; }
    .cost { stroke: #1f6feb; stroke-width: 1.5; }
    .limit { stroke: #cf222e; }
    circle { fill: #1f6feb; }
    @media (prefers-color-scheme: dark) {
      .ridge { fill: #4493f8; stroke: #4493f8; }
      .tail { stroke: #9198a1; }
      .cost { stroke: #4493f8; }
      .limit { stroke: #f85149; }
      circle { fill: #4493f8; }
    }
"""
)


def svg(advice: Advice) -> str:
    """The picture as a document of its own."""
    bits = difficulty.bits(advice.q)
    below = _TOP + _RIDGE * len(advice.callers) + 76
    return picture(
        f"{bits:.4g} bits: how long callers take, and what attackers pay",
        [*_ridges(advice), *_costs(advice, top=below)],
        width=_WIDTH,
        height=below + _COSTS + 40,
        style=_LOOK,
    )


def _ridges(advice: Advice) -> Iterator[str]:
    """One row for each kind of caller: the density of its times on a logarithmic scale."""
    low = math.floor(math.log10(min(one.times.p50_s for one in advice.callers) / 5))
    high = math.ceil(math.log10(max(one.plain_p99_s for one in advice.callers)))
    bottom = _TOP + _RIDGE * len(advice.callers)

    def x_of(seconds: float) -> float:
        share = (math.log10(seconds) - low) / (high - low)
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * share, 1)

    puzzles = difficulty.split(advice.q, PUZZLES)
    ways = f"Time of a call in {puzzles} sub-puzzles; dashed, in one, for callers that count zeros"
    yield text(0, 40, ways, kind="axis")
    yield text(_WIDTH - _RIGHT + 12, 40, "p99; counting zeros", kind="axis")
    for decade in range(low, high + 1):
        yield line(x_of(10**decade), _TOP, x_of(10**decade), bottom)
        shown = f"{10**decade:g} s" if decade >= 0 else f"{10 ** (decade + 3):g} ms"
        yield text(x_of(10**decade), bottom + 16, shown, kind="axis", anchor="middle")
    if x_of(TOO_LONG_S) < _WIDTH - _RIGHT:
        yield line(x_of(TOO_LONG_S), _TOP, x_of(TOO_LONG_S), bottom, kind="limit")
        shown = f"{TOO_LONG_S:g} s"
        yield text(x_of(TOO_LONG_S), _TOP - 4, shown, kind="axis", anchor="middle")
    plain_q = difficulty.to_whole_hex_zeros(advice.q)
    for row, one in enumerate(advice.callers):
        y = _TOP + _RIDGE * (row + 1)
        plain_s = difficulty.expected_hashes(plain_q) / one.hashes_per_s
        for mean_s, count, kind in ((one.times.mean_s, puzzles, "ridge"), (plain_s, 1, "tail")):
            points = [(x_of(t), y - _RIDGE * d) for t, d in _density(mean_s, count) if t > 10**low]
            yield _ridge(points, kind)
        yield text(_LEFT - 10, y - 4, one.name, anchor="end")
        yield text(_WIDTH - _RIGHT + 12, y - 4, _waits(one))


def _density(mean_s: float, puzzles: int) -> Iterator[tuple[float, float]]:
    """Times, and how dense solves lie there on a logarithmic scale: each its own height."""
    for step in range(-120, 121):
        in_means = math.exp(step / 40)
        x = in_means * puzzles
        weight = math.exp(puzzles * math.log(x) - x - math.lgamma(puzzles))
        if weight > 0.002:
            # At its highest the weight is sqrt(n / 2 pi): half a row high.
            yield in_means * mean_s, 1.25 * weight / math.sqrt(puzzles)


def _ridge(points: list[tuple[float, float]], kind: str) -> str:
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'  <polyline class="{kind}" points="{drawn}"/>'


def _waits(one: CallerForecast) -> str:
    return f"{duration(one.times.p99_s)}; {duration(one.plain_p99_s)}"


def _costs(advice: Advice, *, top: float) -> Iterator[str]:
    """What a million solves cost over the price in bits, a line for each machine."""
    bits = difficulty.bits(advice.q)
    from_bits, to_bits = max(1.0, bits - 6), min(44.0, bits + 6)
    paid = [one for one in advice.attackers if one.usd_per_million > 0]
    if not paid:
        return
    low = math.floor(math.log10(min(one.usd_per_million for one in paid) / 2 ** (bits - from_bits)))
    high = math.ceil(math.log10(max(one.usd_per_million for one in paid) * 2 ** (to_bits - bits)))
    bottom = top + _COSTS

    def x_of(at: float) -> float:
        share = (at - from_bits) / (to_bits - from_bits)
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * share, 1)

    def y_of(usd: float) -> float:
        return round(bottom - _COSTS * (math.log10(usd) - low) / (high - low), 1)

    yield text(0, top - 20, "Rent for a million solves over the price in bits", kind="axis")
    for decade in range(low, high + 1):
        yield line(_LEFT, y_of(10**decade), _WIDTH - _RIGHT, y_of(10**decade))
        shown = f"${10.0**decade:,.{max(0, -decade)}f}"
        yield text(_LEFT - 10, y_of(10**decade) + 4, shown, kind="axis", anchor="end")
    for at in range(math.ceil(from_bits), math.floor(to_bits) + 1):
        yield text(x_of(at), bottom + 16, str(at), kind="axis", anchor="middle")
    yield line(x_of(bits), top, x_of(bits), bottom, kind="limit")
    yield text(_WIDTH - _RIGHT + 12, top - 20, f"at {bits:.4g} bits", kind="axis")
    label = bottom + 20.0
    for one in sorted(paid, key=lambda one: one.usd_per_million):
        ends = [one.usd_per_million * 2 ** (at - bits) for at in (from_bits, to_bits)]
        yield line(_LEFT, y_of(ends[0]), _WIDTH - _RIGHT, y_of(ends[1]), kind="cost")
        yield f'  <circle cx="{x_of(bits)}" cy="{y_of(one.usd_per_million)}" r="3"/>'
        # Labels that would lie on each other move up.
        label = min(y_of(ends[1]) + 4, label - 16)
        yield text(_WIDTH - _RIGHT + 12, label, f"{one.attacker.name} {money(one.usd_per_million)}")

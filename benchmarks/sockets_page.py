# SPDX-License-Identifier: Apache-2.0
"""docs/evidence/sockets.md, from what is kept of runs on real sockets."""

from pathlib import Path

from pypow.laboratory.outcome import Group
from sockets_plays import FLOODS, Play, Plays

PAGE = Path(__file__).parents[1] / "docs" / "evidence" / "sockets.md"


def page(kept: Plays) -> str:
    return "".join(f"{line(play)}\n" for play in kept.plays)


def line(play: Play) -> str:
    """A row of the table."""
    found = play.outcome
    bits = "" if found.bits_per_call is None else f", 2^{found.bits_per_call:.1f}"
    cells = (
        FLOODS[play.flood].says,
        "admission" if play.ordered else "first come",
        _group(found.known),
        _group(found.fresh),
        f"{found.attacker_per_s:.1f}{bits}" if found.attacker_per_s else "-",
        f"{play.upstream_per_s:.1f}",
        f"{play.gate_cpu:.0%}",
        f"{play.redis_cpu:.0%}",
    )
    return f"| {' | '.join(cells)} |"


def _group(group: Group) -> str:
    if group.served is None:
        return "-"
    if group.p50_s is None or group.p99_s is None:
        return f"{group.served:.1%} of {group.calls}"
    return f"{group.served:.1%} of {group.calls}, {group.p50_s:.2f} s, {group.p99_s:.2f} s"

# SPDX-License-Identifier: Apache-2.0
"""docs/evidence/sockets.md, from what is kept of runs on real sockets."""

from pathlib import Path

from pypow.laboratory.outcome import Group
from sockets_plays import BITS, FLOODS, HISTORY_MIN, QUOTA, WORLD, Play, Plays

PAGE = Path(__file__).parents[1] / "docs" / "evidence" / "sockets.md"
SERVED_GOAL = 0.99
P99_GOAL_S = 1.5

HEAD = f"""\
# Known callers on real sockets

What [the laboratory](../difficulty.md) plays without sockets, played with them: two processes of \
`pypow gate` before one upstream, one Redis that they share, callers bound to addresses of their \
own in 127.0.0.0/8, and every proof solved by pypow's native solver. `make sockets` plays it \
again and renders this page from [what it kept](../../benchmarks/results/sockets.json). Edit \
`benchmarks/sockets_page.py`, not this page.

| | |
| --- | --- |
| upstream | serves {WORLD.capacity:g} calls a second, first come first served; who would wait \
for more than {WORLD.queue_s:g} s is told 503 |
| price | {BITS:g} bits; `[pricing] quota = "{QUOTA.calls}/{QUOTA.period_ms // 1000}s"` |
| order of admission | with `[pricing] capacity = "{WORLD.capacity:g}/s"`: the gates keep those \
waiting whom the upstream has no room for, and allowances follow the load. \"First come\" is \
without: the gates let through who has paid, and a proof is spent on a full upstream too |
| honest callers | {WORLD.callers}, each of a /24 of its own, {WORLD.calls_per_min:g} call a \
minute; a 503 or 429 is tried again after its Retry-After, with the same proof where the gate \
says so; after {WORLD.patience_s:g} s they give up |
| known | {1 - WORLD.fresh:.0%} of them, who made a call a minute for {HISTORY_MIN // 60} hours \
before; the others are new, and come during the attack only |
| hardware | the laboratory's mix; who has slower hardware than this waits for what it would \
have taken |
| attackers | call again 0.4 to 1.2 s after each refusal, from the address that they used \
longest ago |
| counted | calls that began during the attack, {WORLD.patience_s:g} s or more before its end; \
latency from the first request to the answer, of calls that were served |

The attack is scaled to the machine: a fast attacker solves up to nineteen times what the upstream \
serves. Capacity is so low on purpose: gates, Redis, callers and attackers share the processors \
of one machine, and what is shown is who is served, not how fast a gate is \
([performance.md](../performance.md) has that). The goal: known callers are served in \
{SERVED_GOAL:.0%} of their calls, 99 of 100 within {P99_GOAL_S:g} s.

"""
SEEN = """\
- First come, first served, who calls most often is served most often, and known callers wait as \
long as anybody.
- In order of admission known callers wait nearly as if there were no attack. New callers cannot \
be told from the attacker's addresses, and share a fifth of the turns with them, and a lottery: \
the more addresses, the worse for them.
- Against one address the price is enough; against one network nearly.
- An attacker with many addresses gets what nobody else wants, for as long as he can pay: prices \
rise with what his addresses used and with how crowded it is. With 1,000 of them that was over \
after about a minute, in a run that was watched for it; from then on the upstream was not full.

"""
COLUMNS = (
    "attack",
    "who goes first",
    "known: served, p50, p99",
    "goal",
    "new: served, p50, p99",
    "attacker: proofs he came with, calls served, a second; work for one",
    "upstream, calls a second",
    "CPU of a gate, of Redis",
)


def page(kept: Plays) -> str:
    """The whole page."""
    dates = sorted(play.date[:10] for play in kept.plays)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    commits = ", ".join(f"`{one}`" for one in dict.fromkeys(play.commit for play in kept.plays))
    machine = kept.machine
    known, fresh = kept.plays[0].outcome.known.calls, kept.plays[0].outcome.fresh.calls
    return (
        HEAD
        + f"| {' | '.join(COLUMNS)} |\n| {' | '.join('---' for _ in COLUMNS)} |\n"
        + "".join(f"{line(play, kept.seconds)}\n" for play in kept.plays)
        + f"\n{SEEN}Each line is one run of {kept.seconds:g} s, of which the attack has the middle "
        f"three fifths; some {known} calls of known and {fresh} of new callers count in each. "
        f"Played {when}, commit {commits}, on {machine.cpu}, {machine.threads} threads, "
        f"{machine.system}, {machine.python}, beside other work.\n"
    )


def line(play: Play, seconds: float) -> str:
    """A row of the table, of a run of so many seconds."""
    found = play.outcome
    cells = (
        FLOODS[play.flood].says,
        "order of admission" if play.ordered else "first come",
        _group(found.known),
        "holds" if holds(found.known) else "**missed**",
        _group(found.fresh),
        _attacker(play, seconds),
        f"{play.upstream_per_s:.1f}",
        f"{play.gate_cpu:.0%}, {play.redis_cpu:.0%}",
    )
    return f"| {' | '.join(cells)} |"


def holds(known: Group) -> bool:
    """Whether known callers were served as the goal has it."""
    if known.served is None or known.p99_s is None:
        return False
    return known.served >= SERVED_GOAL and known.p99_s <= P99_GOAL_S


def _group(group: Group) -> str:
    if group.served is None:
        return "-"
    if group.p50_s is None or group.p99_s is None:
        return f"{group.served:.1%}"
    return f"{group.served:.1%}, {group.p50_s:.2f} s, {group.p99_s:.2f} s"


def _attacker(play: Play, seconds: float) -> str:
    if not FLOODS[play.flood].connections:
        return "-"
    found = play.outcome
    work = "" if found.bits_per_call is None else f"; 2^{found.bits_per_call:.1f}"
    return f"{play.proofs_per_s(seconds):.0f}, {found.attacker_per_s:.1f}{work}"

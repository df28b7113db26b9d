# SPDX-License-Identifier: Apache-2.0
"""What is played on real sockets, and what came of it, as it is kept."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pypow.cli.machine import Machine
from pypow.laboratory.outcome import Group, Outcome
from pypow.laboratory.world import World
from pypow_server.stores import Quota

WORLD = World(seconds=180, capacity=20, callers=240, calls_per_min=1)
BITS = 18.0
QUOTA = Quota(60, 60_000)
HISTORY_MIN = 240
"""For so long known callers have called once a minute when a run begins."""

KEPT = Path(__file__).parent / "results" / "sockets.json"
FAST = 100e6
"""Hashes a second of an attacker's fast machine: what one core of this kind does and more."""

SLOW = 2e6
"""Likewise of each of a botnet's."""


@dataclass(frozen=True, slots=True)
class Flood:
    """An attack.

    Attributes:
        name: short, as options have it.
        says: what it is.
        machines: of the attacker's.
        hashes_per_s: of each.
        addresses: from which he calls, in turn; each machine has its part of them.
        connections: calls that he has under way at once.
        one_network: whether all addresses are of one /24; else each is of its own.
    """

    name: str
    says: str
    machines: int = 0
    hashes_per_s: float = FAST
    addresses: int = 0
    connections: int = 0
    one_network: bool = False

    def sources(self) -> list[str]:
        """The addresses."""
        if self.one_network:
            return [f"127.128.0.{number}" for number in range(self.addresses)]
        return [f"127.{128 + number // 256}.{number % 256}.9" for number in range(self.addresses)]


FLOODS: Mapping[str, Flood] = {
    flood.name: flood
    for flood in (
        Flood("quiet", "no attack"),
        Flood("one-1", "one fast machine, 1 address", 1, FAST, 1, 400),
        Flood("one-256", "one fast machine, 256 addresses", 1, FAST, 256, 400),
        Flood(
            "one-256-near",
            "one fast machine, 256 addresses of one /24",
            1,
            FAST,
            256,
            400,
            one_network=True,
        ),
        Flood("one-1000", "one fast machine, 1,000 addresses", 1, FAST, 1000, 600),
        Flood("botnet", "250 slow machines, an address each", 250, SLOW, 250, 600),
    )
}


@dataclass(frozen=True, slots=True)
class Play:
    """One run.

    Attributes:
        flood: name of the attack.
        ordered: whether the gates let calls through in their order of admission.
        date: when it was played, ISO 8601 in UTC.
        commit: of what was played.
        outcome: what came of it.
        upstream_per_s: calls that the upstream served, each second of the run.
        told: answers to honest callers, by status and problem.
        attackers_told: answers to the attacker.
        gate_cpu: processors' time that the busier gate used.
        redis_cpu: likewise of Redis.
    """

    flood: str
    ordered: bool
    date: str
    commit: str
    outcome: Outcome
    upstream_per_s: float
    told: Mapping[str, int]
    attackers_told: Mapping[str, int]
    gate_cpu: float
    redis_cpu: float

    def proofs_per_s(self, seconds: float) -> float:
        """With how many proofs the attacker came, each second of the attack."""
        without = self.attackers_told.get("402 work-required", 0)
        return (sum(self.attackers_told.values()) - without) / (seconds * 0.6)


@dataclass(frozen=True, slots=True)
class Plays:
    """All that is kept.

    Attributes:
        machine: on which it was played.
        seconds: how long each run was; the attack has the middle three fifths of it.
        plays: in the order of `FLOODS`, without the order of admission first.
    """

    machine: Machine
    seconds: float
    plays: Sequence[Play]


def load(path: Path = KEPT) -> Plays | None:
    """What is kept; None if there is no file."""
    if not path.exists():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    plays = [_play(row) for row in kept["plays"]]
    return Plays(Machine(**kept["machine"]), kept["seconds"], plays)


def _play(row: dict[str, Any]) -> Play:
    found = row.pop("outcome")
    groups = {name: Group(**found[name]) for name in ("all", "known", "fresh", "bursts")}
    return Play(outcome=Outcome(**found | groups), **row)


def with_play(kept: Plays | None, play: Play, machine: Machine, seconds: float) -> Plays:
    """What is kept, and a play in the place of the one like it."""
    if kept is not None and (kept.machine, kept.seconds) != (machine, seconds):
        kept = None
    before = () if kept is None else kept.plays
    others = [one for one in before if (one.flood, one.ordered) != (play.flood, play.ordered)]
    order = list(FLOODS)
    plays = sorted([*others, play], key=lambda one: (order.index(one.flood), one.ordered))
    return Plays(machine, seconds, plays)


def save(kept: Plays, path: Path = KEPT) -> None:
    path.write_text(json.dumps(dataclasses.asdict(kept), indent=1) + "\n", encoding="utf-8")


def keep(play: Play, machine: Machine, seconds: float, path: Path = KEPT) -> None:
    """Keep a play beside those that are kept."""
    save(with_play(load(path), play, machine, seconds), path)

# SPDX-License-Identifier: Apache-2.0
"""What a run, or several with other seeds, came to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .callers import Kind
from .run import Diary
from .world import World


@dataclass(frozen=True, slots=True)
class Group:
    """How one kind of honest callers fared, of calls that the attack outlasted.

    Attributes:
        calls: how many.
        served: share of them, 0 to 1; None where there were none.
        p50_s: of those that were served, from asking to the answer; None where none was.
        p95_s: likewise.
        p99_s: likewise.
    """

    calls: int
    served: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What tables show of a scenario under one gate.

    Attributes:
        all: honest callers, but for those in bursts.
        known: those used for a day.
        fresh: those never seen before.
        bursts: agents that make many calls at once.
        attacker_per_s: his calls served, each second of the attack.
        bits_per_call: log2 of the hashes that he did for one of them; None where there were none.
        spread: half the distance between the best and the worst seed, of the share served.
    """

    all: Group
    known: Group
    fresh: Group
    bursts: Group
    attacker_per_s: float
    bits_per_call: float | None
    spread: float


def outcome(world: World, diaries: Sequence[Diary]) -> Outcome:
    """Put runs of one scenario and gate, with other seeds, together."""
    ended = [
        np.array([row for row in diary.ended if _during(world, row[1])]).reshape(-1, 3)
        for diary in diaries
    ]
    plain = [one[one[:, 0] != Kind.BURST] for one in ended]
    shares = [_group(one).served or 0.0 for one in plain]
    everything = np.concatenate(ended)
    admitted = sum(sum(diary.admitted) for diary in diaries)
    hashes = sum(diary.hashes for diary in diaries)
    attack_s = (world.attack_until - world.attack_from) * len(diaries)

    def of(kind: Kind) -> Group:
        return _group(everything[everything[:, 0] == kind])

    return Outcome(
        all=_group(np.concatenate(plain)),
        known=of(Kind.KNOWN),
        fresh=of(Kind.FRESH),
        bursts=of(Kind.BURST),
        attacker_per_s=admitted / attack_s,
        bits_per_call=math.log2(hashes / admitted) if admitted and hashes else None,
        spread=(max(shares) - min(shares)) / 2,
    )


def _during(world: World, began: float) -> bool:
    return world.attack_from <= began < world.attack_until - world.patience_s


def _group(ended: NDArray[np.float64]) -> Group:
    took = ended[:, 2]
    served = took[np.isfinite(took)]
    if not len(served):
        return Group(len(took), 0.0 if len(took) else None, None, None, None)
    p50, p95, p99 = (float(one) for one in np.quantile(served, [0.5, 0.95, 0.99]))
    return Group(len(took), len(served) / len(took), p50, p95, p99)

# SPDX-License-Identifier: Apache-2.0
"""Everybody who calls in a run, as columns of numbers: one row for each call under way."""

from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .attack import Attack, Past
from .world import World

Rows: TypeAlias = NDArray[np.intp]
"""Numbers of rows."""
Floats: TypeAlias = NDArray[np.float64]


class Phase(IntEnum):
    """Where a call is. `Callers.due` says when it goes on, but for the last two."""

    AWAY = 0
    ASKING = 1
    HOLDING = 2
    """Has a proof and will present it."""
    SOLVING = 3
    QUEUED = 4


class Kind(IntEnum):
    """Who a principal is; the gate does not know."""

    KNOWN = 0
    FRESH = 1
    BURST = 2
    ATTACKER = 3


class Callers:
    """The columns. Rows of honest callers come first, each of one principal.

    Attributes:
        kind: `Kind` of each row.
        who: the principal that the row speaks for now.
        machine: which one solves for it; `hashes_per_s` has the speeds.
        phase: `Phase`.
        due: when it goes on, in seconds.
        began: when the call began.
        bits: the price of the puzzle in hand; minus infinity is none.
        signed: when its challenge was issued.
        surcharge: what of its bits was for overdraft, in the controller's own unit.
        work: hashes left to do.
        spent: hashes done for this call.
        failures: how often this call was turned away.
        past: of each principal.
        draw: gives a number from 0 to one less than its argument.
    """

    def __init__(self, world: World, attack: Attack, random: np.random.Generator) -> None:
        fresh = round(world.callers * world.fresh)
        known = world.callers - fresh
        agents = world.bursts * world.burst_calls
        sizes = [known, fresh, agents, attack.connections if attack.nodes else 0]
        rows = sum(sizes)
        honest = world.callers + agents
        principals = world.callers + world.bursts
        self.kind = np.repeat(np.array([*Kind], dtype=np.int8), sizes)
        self.who = np.arange(rows, dtype=np.intp)
        self.who[world.callers : honest] = world.callers + np.arange(agents) // world.burst_calls
        self.machine = self.who.copy()
        self.hashes_per_s = np.append(
            _hardware(world, random), np.full(max(attack.nodes, 1), attack.hashes_per_s)
        )
        self.machine[honest:] = principals + np.arange(rows - honest) % max(attack.nodes, 1)
        self.who[honest:] = -1
        self.past: Sequence[Past] = [
            *[Past.USED] * known,
            *[Past.NONE] * fresh,
            *[Past.USED] * world.bursts,
            *[attack.past] * attack.identities,
        ]
        self.phase = np.zeros(rows, dtype=np.int8)
        self.due = random.exponential(60 / world.calls_per_min, rows)
        self.due[self.kind == Kind.FRESH] += world.attack_from
        self.due[self.kind == Kind.BURST] = np.repeat(
            random.uniform(0, 60, world.bursts), world.burst_calls
        )
        self.due[honest:] = world.attack_from + random.uniform(0, world.retry_s, rows - honest)
        self.began = np.zeros(rows)
        self.bits = np.full(rows, -np.inf)
        self.signed = np.zeros(rows)
        self.surcharge = np.zeros(rows, dtype=np.int64)
        self.work = np.zeros(rows)
        self.spent = np.zeros(rows)
        self.failures = np.zeros(rows, dtype=np.int64)
        self.draw: Callable[[int], int] = lambda choices: int(random.integers(choices))
        self.honest = honest
        self.principals = principals

    def speed(self, rows: Rows) -> Floats:
        """Hashes per second that a row has now, where machines share their time equally."""
        machines = self.machine[rows]
        active = np.bincount(machines, minlength=len(self.hashes_per_s))
        found: Floats = self.hashes_per_s[machines] / active[machines]
        return found


class Identities:
    """An attacker's identities, each machine's own, taken in turn.

    The one used longest ago has the most credit, so turns are what a greedy attacker takes.
    """

    def __init__(self, callers: Callers, attack: Attack, outstanding: int) -> None:
        """Hand each machine its part.

        Args:
            callers: whose rows will speak for them.
            attack: how many there are.
            outstanding: puzzles that are worth having at once for one identity.
        """
        nodes, first = max(attack.nodes, 1), callers.principals
        self._first_machine = callers.principals
        connections = -(-attack.connections // nodes)
        self._free: list[deque[int]] = []
        for node in range(nodes):
            own = range(first + node % max(attack.identities, 1), first + attack.identities, nodes)
            turns = min(outstanding, -(-connections // max(len(own), 1)))
            self._free.append(deque([*own] * turns))
        self._callers = callers

    def take(self, row: int) -> bool:
        """Let a row speak for the next identity of its machine; False where none is free."""
        free = self._free[self._callers.machine[row] - self._first_machine]
        if not free:
            return False
        self._callers.who[row] = free.popleft()
        return True

    def give_back(self, row: int) -> None:
        """The row is done with its identity."""
        free = self._free[self._callers.machine[row] - self._first_machine]
        free.append(int(self._callers.who[row]))


def _hardware(world: World, random: np.random.Generator) -> Floats:
    """The speed of each honest principal's machine, in the shares of the mix."""
    speeds = np.array([machine.hashes_per_s for machine in world.mix])
    upto = np.cumsum([machine.share for machine in world.mix])
    principals = world.callers + world.bursts
    # Even places shuffled, so that small runs have the mix too.
    places = random.permutation((np.arange(principals) + 0.5) / principals)
    found: Floats = speeds[np.minimum(np.searchsorted(upto, places), len(speeds) - 1)]
    return found

# SPDX-License-Identifier: Apache-2.0
"""One run: a world, an attacker and a gate, step by step."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from .attack import Scenario
from .callers import Callers, Floats, Identities, Kind, Phase, Rows
from .gates import Gate, Turned
from .world import STEP_S, World

LIFETIME_S = 120.0
"""How long a challenge is good for."""

EAGERNESS = 0.8
"""Attackers try again after this share of the time that honest callers wait."""

STEPS_PER_S = round(1 / STEP_S)

MakeGate: TypeAlias = Callable[[Callers, World], Gate]


@dataclass(slots=True)
class Diary:
    """What happened in a run, in the order in which it did.

    Attributes:
        ended: of honest calls: kind, when it began, and how long it took; infinity is given up.
        admitted: of the attacker, each second of the run.
        hashes: that the attacker did, in all.
    """

    ended: list[tuple[int, float, float]] = field(default_factory=list)
    admitted: list[int] = field(default_factory=list)
    hashes: float = 0.0


class Run:
    """A run in progress; `play` plays it to its end."""

    def __init__(self, world: World, scenario: Scenario, make_gate: MakeGate, seed: int) -> None:
        self._world, self._attack = world, scenario.attack
        self._random = np.random.default_rng(seed)
        self.callers = Callers(world, scenario.attack, self._random)
        self.gate = make_gate(self.callers, world)
        self._identities = Identities(self.callers, scenario.attack, self.gate.outstanding)
        self._room = 0.0
        self.diary = Diary()

    def step(self, number: int) -> None:
        """Everything that happens in one step."""
        now = number * STEP_S
        under_attack = self._world.attack_from <= now < self._world.attack_until
        attacking = under_attack and self._in_pulse(now)
        if number % STEPS_PER_S == 0:
            self.diary.admitted.append(0)
            self.gate.second(now)
        self._begin(now, attacking=attacking)
        self._ask(now, attacking=attacking)
        self._solve(now)
        # Between pulses an attacker begins nothing, but brings what he has.
        self._present(now, under_attack=under_attack)
        self._serve(now)
        self._give_up(now)

    def _in_pulse(self, now: float) -> bool:
        pulse = self._attack.pulse_s
        return not pulse or (now - self._world.attack_from) % (2 * pulse) < pulse

    def _ready(self, phase: Phase, now: float, *, attacking: bool) -> Rows:
        """Rows of a phase whose moment has come, in random order."""
        callers = self.callers
        ready = (callers.phase == phase) & (callers.due <= now)
        if not attacking:
            ready[callers.honest :] = False
        rows: Rows = np.flatnonzero(ready)
        self._random.shuffle(rows)
        return rows

    def _begin(self, now: float, *, attacking: bool) -> None:
        callers, world = self.callers, self._world
        rows = self._ready(Phase.AWAY, now, attacking=attacking)
        fresh = callers.kind[rows] == Kind.FRESH
        rows = rows[~fresh | (callers.due[rows] < world.attack_until)]
        hostile = rows >= callers.honest
        rows = np.append(
            rows[~hostile],
            np.array([row for row in rows[hostile] if self._identities.take(row)], dtype=np.intp),
        )
        callers.began[rows] = callers.due[rows]
        callers.spent[rows] = 0.0
        callers.failures[rows] = 0
        callers.phase[rows] = Phase.ASKING

    def _ask(self, now: float, *, attacking: bool) -> None:
        callers = self.callers
        rows = self._ready(Phase.ASKING, now, attacking=attacking)
        if not len(rows):
            return
        offers = self.gate.ask(rows, now)
        work = np.exp2(offers.bits)
        # Whichever is earlier: solving now, or the moment when it is cheapest.
        solves = (offers.wait_s <= 0) | (work / callers.speed(rows) <= offers.wait_s)
        hostile = rows >= callers.honest
        solves |= hostile & np.isfinite(work)
        self._wait(rows[~solves], offers.wait_s[~solves], now)
        rows, work = rows[solves], work[solves]
        callers.bits[rows] = offers.bits[solves]
        callers.signed[rows] = now
        puzzles = self.gate.puzzles
        callers.work[rows] = work * self._random.gamma(puzzles, 1 / puzzles, len(rows))
        callers.phase[rows] = Phase.SOLVING

    def _wait(self, rows: Rows, seconds: Floats, now: float) -> None:
        """Honest callers come back when it is cheapest; attackers try another identity."""
        hostile = rows >= self.callers.honest
        self.callers.due[rows] = now + np.maximum(seconds, STEP_S)
        self._drop(rows[hostile], now + self._jitter(rows[hostile]))

    def _solve(self, now: float) -> None:
        callers = self.callers
        rows = np.flatnonzero(callers.phase == Phase.SOLVING)
        if not len(rows):
            return
        done = np.minimum(callers.work[rows], callers.speed(rows) * STEP_S)
        callers.work[rows] -= done
        callers.spent[rows] += done
        self.diary.hashes += float(done[rows >= callers.honest].sum())
        finished = rows[callers.work[rows] <= 0]
        callers.phase[finished] = Phase.HOLDING
        # What took no work at all is presented in the same step.
        callers.due[finished] = now + STEP_S * (callers.spent[finished] > 0)

    def _present(self, now: float, *, under_attack: bool) -> None:
        callers = self.callers
        rows = self._ready(Phase.HOLDING, now, attacking=under_attack)
        if not len(rows):
            return
        expired = now - callers.signed[rows] > LIFETIME_S
        self._turn(Turned(back=rows[expired]), now)
        rows = rows[~expired]
        callers.phase[rows] = Phase.QUEUED
        self._turn(self.gate.present(rows, now), now)

    def _turn(self, turned: Turned, now: float) -> None:
        callers = self.callers
        callers.phase[turned.away] = Phase.HOLDING if self.gate.keeps_proofs else Phase.ASKING
        callers.due[turned.away] = now + self._jitter(turned.away)
        callers.failures[turned.away] += 1
        hostile = turned.back >= callers.honest
        callers.phase[turned.back] = Phase.ASKING
        callers.due[turned.back] = now
        callers.failures[turned.back] += 1
        self._drop(turned.back[hostile], np.full(int(hostile.sum()), now))

    def _drop(self, rows: Rows, due: Floats) -> None:
        """Attackers leave what has become too dear, and go on with another identity."""
        for row in rows:
            self._identities.give_back(int(row))
        self.callers.phase[rows] = Phase.AWAY
        self.callers.due[rows] = due

    def _serve(self, now: float) -> None:
        callers = self.callers
        self._room = min(self._room + self._world.capacity * STEP_S, self._world.capacity)
        room = int(self._room)
        served, turned = self.gate.serve(room, now)
        self._turn(turned, now)
        # What nobody takes is lost, but for the fraction of a call.
        self._room -= room
        honest = served[served < callers.honest]
        hostile = served[served >= callers.honest]
        self.diary.admitted[-1] += len(hostile)
        self._drop(hostile, np.full(len(hostile), now))
        took = now + STEP_S - callers.began[honest]
        # An answer that comes too late finds nobody.
        self._end(honest, np.where(took <= self._world.patience_s, took, np.inf))

    def _give_up(self, now: float) -> None:
        callers = self.callers
        honest = slice(0, callers.honest)
        under_way = (callers.phase[honest] != Phase.AWAY) & (callers.phase[honest] != Phase.QUEUED)
        late = now - callers.began[honest] > self._world.patience_s
        rows = np.flatnonzero(under_way & late)
        self._end(rows, np.full(len(rows), np.inf))

    def _end(self, rows: Rows, took: Floats) -> None:
        """Honest calls are over; the next one comes when it would have come anyway."""
        callers, world = self.callers, self._world
        began = callers.began[rows]
        kinds = callers.kind[rows]
        self.diary.ended.extend(zip(kinds.tolist(), began.tolist(), took.tolist(), strict=True))
        pause = self._random.exponential(60 / world.calls_per_min, len(rows))
        pause[kinds == Kind.BURST] = 60.0
        ends = began + np.where(np.isfinite(took), took, world.patience_s)
        callers.phase[rows] = Phase.AWAY
        callers.due[rows] = np.maximum(began + pause, ends)

    def _jitter(self, rows: Rows) -> Floats:
        """How long rows wait before the next try; attackers are more eager."""
        retry = self._world.retry_s * np.where(rows < self.callers.honest, 1, EAGERNESS)
        found: Floats = retry * self._random.uniform(0.5, 1.5, len(rows))
        return found


def play(
    world: World,
    scenario: Scenario,
    make_gate: MakeGate,
    *,
    seed: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Diary:
    """Play one run to its end.

    Args:
        world: the server and its honest callers.
        scenario: the attack.
        make_gate: what stands before the server.
        seed: the same gives the same run.
        progress: called each second of the run, with the share that is done.
    """
    run = Run(world, scenario, make_gate, seed)
    for number in range(world.steps):
        if progress is not None and number % STEPS_PER_S == 0:
            progress(number / world.steps)
        run.step(number)
    return run.diary

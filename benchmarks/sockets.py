# SPDX-License-Identifier: Apache-2.0
"""The laboratory on real sockets: two gates, one Redis, real solves, a thousand addresses.

    PYTHONPATH=tests python benchmarks/sockets.py --save      # all of the page, half an hour
    PYTHONPATH=tests python benchmarks/sockets.py --floods one-1000 --order none --seconds 100

Honest callers live in this process and attackers in another, which has the processors that the
others leave. Needs redis-server. `sockets_page.py` renders docs/evidence/sockets.md.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import document
import pypow
import sockets_page
import sockets_plays
from pypow.cli.machine import this_machine
from pypow.laboratory.callers import Kind
from pypow.laboratory.outcome import outcome
from pypow.laboratory.run import Diary
from pypow.laboratory.world import World
from sockets_callers import Attackers, Honest, Machine
from sockets_plays import FLOODS, HISTORY_MIN, WORLD, Flood, Play
from sockets_stage import Upstream, remember, stage

NICENESS = 5
BEGINS_IN_S = 2.0
"""The attackers' process has to start."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What one side of a run noted."""

    diary: Diary
    told: Counter[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--floods", default=",".join(FLOODS), help="names, joined by commas")
    parser.add_argument("--seconds", type=float, default=WORLD.seconds, help="of each run")
    parser.add_argument("--order", choices=("both", "none", "admission"), default="both")
    parser.add_argument("--save", action="store_true", help="keep the runs, and render the page")
    parser.add_argument("--render", action="store_true", help="play nothing; render the page")
    given = parser.parse_args()
    if unknown := set(given.floods.split(",")) - set(FLOODS):
        parser.error(f"expected floods out of {', '.join(FLOODS)}; got {', '.join(unknown)}")
    world = replace(WORLD, seconds=given.seconds)
    orders = {"both": (False, True), "none": (False,), "admission": (True,)}[given.order]
    for name in () if given.render else given.floods.split(","):
        for ordered in orders:
            with tempfile.TemporaryDirectory() as folder:
                play = played(FLOODS[name], world, Path(folder), ordered=ordered)
            print(sockets_page.line(play, world.seconds), flush=True)
            print(play.told, play.attackers_told, flush=True)
            if given.save:
                sockets_plays.keep(play, this_machine(), world.seconds)
    kept = sockets_plays.load()
    if kept is not None and (given.save or given.render):
        sockets_page.PAGE.write_text(sockets_page.page(kept), encoding="utf-8")


def played(
    flood: Flood, world: World, folder: Path, *, ordered: bool, history_min: int = HISTORY_MIN
) -> Play:
    """One run, from empty stores to its end."""
    upstream = Upstream(world.capacity, world.queue_s)
    capacity = world.capacity if ordered else None
    spawning = multiprocessing.get_context("spawn")
    with (
        stage(folder, upstream.url, capacity) as gates,
        ProcessPoolExecutor(1, mp_context=spawning) as elsewhere,
    ):
        known = world.callers - round(world.callers * world.fresh)
        asyncio.run(remember(gates.redis, [source(one) for one in range(known)], history_min))
        used_s, began = gates.cpu_s(), time.monotonic() + BEGINS_IN_S
        attack = elsewhere.submit(attacked, flood, world, gates.ports, began)
        honest = Honest(gates.ports, began, random.Random(0))
        asyncio.run(live(world, honest, upstream))
        attackers = attack.result()
        cpus = [(after - before) / world.seconds
                for before, after in zip(used_s, gates.cpu_s(), strict=True)]  # fmt: skip
    diary = Diary(honest.diary.ended, attackers.diary.admitted, attackers.diary.hashes)
    return Play(
        flood.name,
        ordered,
        datetime.now(UTC).isoformat(timespec="seconds"),
        document.commit(),
        outcome(world, [diary]),
        upstream.served / world.seconds,
        dict(sorted(honest.told.items())),
        dict(sorted(attackers.told.items())),
        gate_cpu=max(cpus[:-1]),
        redis_cpu=cpus[-1],
    )


def attacked(flood: Flood, world: World, ports: Sequence[int], began: float) -> Noted:
    """The attackers of one run, in a process of their own."""
    os.nice(NICENESS)
    attackers = Attackers(ports, began, random.Random(1))
    asyncio.run(_attack(flood, world, attackers))
    return Noted(attackers.diary, attackers.told)


async def _attack(flood: Flood, world: World, attackers: Attackers) -> None:
    sources, count = flood.sources(), flood.machines
    with pypow.Solver(threads=1) as solver:
        machines = [Machine(solver, flood.hashes_per_s) for _ in range(count)]
        await attackers.until(world.attack_from)
        with contextlib.suppress(TimeoutError):
            async with (
                asyncio.timeout(world.attack_until - attackers.now),
                asyncio.TaskGroup() as raids,
            ):
                for number in range(flood.connections):
                    turn = number % count
                    own = sources[turn::count]
                    raids.create_task(attackers.raid(own, machines[turn], world))
        attackers.diary.hashes = sum(machine.hashes for machine in machines)


async def live(world: World, honest: Honest, upstream: Upstream) -> None:
    """The honest callers of one run."""
    fresh = round(world.callers * world.fresh)
    kinds = [Kind.KNOWN] * (world.callers - fresh) + [Kind.FRESH] * fresh
    rates = speeds(world)
    with pypow.Solver(threads=1) as solver:
        async with upstream.serving(), asyncio.TaskGroup() as tasks:
            for number, kind in enumerate(kinds):
                first = honest.draw.expovariate(world.calls_per_min / 60)
                first += world.attack_from if kind is Kind.FRESH else 0
                machine = Machine(solver, rates[number])
                tasks.create_task(honest.live(kind, source(number), machine, world, first))


def source(number: int) -> str:
    """The address of an honest caller: each is of a /24 of its own."""
    return f"127.{16 + number // 256}.{number % 256}.7"


def speeds(world: World) -> list[float]:
    """The speed of each honest caller, in the shares of the mix, shuffled."""
    upto = np.cumsum([machine.share for machine in world.mix])
    places = (np.arange(world.callers) + 0.5) / world.callers
    found = [
        world.mix[min(int(at), len(upto) - 1)].hashes_per_s for at in np.searchsorted(upto, places)
    ]
    random.Random(2).shuffle(found)
    return found


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Whether the advisor's forecast comes true: real solves over the times that it names.

    python benchmarks/forecast.py --save benchmarks/results

Both are CPU time of one thread. Before each block of solves the machine's speed is measured on a
search that cannot end, and each solve is held against the forecast for the speed of its block:
the clocks of shared machines change, and a forecast is for a speed.
"""

import argparse
import contextlib
import math
import os
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import pypow
from document import Row, measured, save, summary, table
from pypow import AtMost, Hex, Key, Puzzle, difficulty
from pypow.solve_times import SolveTimes, solve_times

BITS = 22.5
SUB_PUZZLES = 16
BLOCK = 50
SPEED_HASHES = 1 << 21
KEY = Key(id=1, secret=bytes(32))
FIGURES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def cpu_seconds(solver: pypow.Solver, challenge: pypow.Challenge) -> float:
    started = time.process_time()
    solver.solve(challenge)
    return time.process_time() - started


def hashrate(solver: pypow.Solver) -> float:
    """Hashes per second of CPU time, of a search shaped like a challenge's."""
    hopeless = Puzzle(os.urandom(53).hex().encode(), Hex(width=13), AtMost(0))
    started = time.process_time()
    with contextlib.suppress(pypow.NoSolutionError):
        solver.solve(hopeless, limit=SPEED_HASHES, max_bits=math.inf)
    return SPEED_HASHES / (time.process_time() - started)


def challenge(q: int) -> pypow.Challenge:
    return pypow.issue(
        KEY, q=q, now_ms=0, epoch=0, identity=os.urandom(16), puzzles=SUB_PUZZLES
    )  # fmt: skip


def in_means(q: int, solves: int) -> tuple[list[float], list[float]]:
    """The times of solves, each in means of the forecast for its block, and the blocks' speeds."""
    times: list[float] = []
    speeds = []
    with pypow.Solver(threads=1) as solver:
        while len(times) < solves:
            before = hashrate(solver)
            block = [cpu_seconds(solver, challenge(q)) for _ in range(BLOCK)]
            speed = statistics.fmean([before, hashrate(solver)])
            speeds.append(speed)
            mean_s = solve_times(q, hashes_per_s=speed).mean_s
            times += [taken / mean_s for taken in block]
    return times, speeds


def share_of(times: Sequence[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)]


def row(name: str, times: Sequence[float], forecast: SolveTimes) -> Row:
    """A quantile of the solves over the forecast one, with quartiles of resampled runs."""
    share = FIGURES[name]
    named = getattr(forecast, f"{name}_s") / forecast.mean_s
    draw = random.Random(0)
    again = [share_of(draw.choices(times, k=len(times)), share) / named for _ in range(101)]
    spread = summary(name, again, "x")
    note = f"forecast {named:.3f} times the mean"
    return Row(
        f"{name} of solves / forecast", share_of(times, share) / named, "x", spread.p25,
        spread.p75, note,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--solves", type=int, default=2000)
    parser.add_argument("--bits", type=float, default=BITS)
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    if given.solves < 100:
        parser.error(f"expected 100 or more solves, got {given.solves}")
    q = difficulty.from_bits(given.bits)
    times, speeds = in_means(q, given.solves)
    forecast = solve_times(q, hashes_per_s=statistics.median(speeds))
    mean = statistics.fmean(times)
    rows = [
        Row("mean of solves / forecast", mean, "x", mean, mean,
            f"{len(times)} solves of {given.bits:g} bits in {SUB_PUZZLES} sub-puzzles"),
        *(row(name, times, forecast) for name in FIGURES),
        summary("speed", [speed / 1e6 for speed in speeds], "MH/s", "of the blocks"),
    ]  # fmt: skip
    document = measured("forecast", rows, versions={"kernel": pypow.chosen_kernel().name})
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""What a solve costs besides hashing: easy puzzles, sub-puzzles, and the engine over its kernel.

    python benchmarks/small.py --save benchmarks/results

Every puzzle is a fresh one. Easy puzzles are solved by `pypow.solve` and by the bare search in C,
in turns; p99 over mean is of the times of whole solves, with quartiles of resampled runs.
"""

import argparse
import functools
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pool_costs
import pypow
from document import Row, measured, save, summary, table
from pypow import AtMost, Hex, Key, Puzzle
from pypow._bridge import NativePuzzle

EASY_BITS = 12
SUB_PUZZLES = 16
SPREAD_BITS = 16
KEY = Key(id=1, secret=bytes(32))


def microseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - started) / 1000


def resampled(name: str, samples: Sequence[float], figure: Callable[[Sequence[float]], float],
              unit: str, note: str = "") -> Row:  # fmt: skip
    """A figure of all samples, with the quartiles of it over resampled runs of the same size."""
    draw = random.Random(0)
    again = [figure(draw.choices(samples, k=len(samples))) for _ in range(101)]
    spread = summary(name, again, unit)
    return Row(name, figure(samples), unit, spread.p25, spread.p75, note)


def easy_rows(count: int) -> list[Row]:
    rule = AtMost(2 ** (256 - EASY_BITS) - 1)
    whole, bare = [], []
    for number in range(count):
        puzzle = Puzzle(os.urandom(53).hex().encode(), Hex(width=13), rule)
        native = NativePuzzle(puzzle.prefix, puzzle.nonce_spec, b"", puzzle.rule_spec)
        in_c = functools.partial(native.search, 0, 2**52)
        if number % 2:
            bare.append(microseconds(in_c))
        whole.append(microseconds(functools.partial(pypow.solve, puzzle)))
        if number % 2 == 0:
            bare.append(microseconds(in_c))
    added = [solve - search for solve, search in zip(whole, bare, strict=True)]
    return [
        resampled("2^12 puzzle", whole, statistics.fmean, "us", "mean of pypow.solve"),
        resampled("2^12 puzzle in C", bare, statistics.fmean, "us", "mean of the bare search"),
        summary("what Python adds", added, "us", "median of the differences"),
    ]


def p99_over_mean(times: Sequence[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)] / statistics.fmean(times)


def spread_row(count: int, threads: int, name: str) -> Row:
    times = []
    with pypow.Solver(threads=threads) as solver:
        for _ in range(count):
            challenge = pypow.issue(
                KEY,
                q=SPREAD_BITS * 1024,
                now_ms=0,
                epoch=0,
                identity=os.urandom(16),
                puzzles=SUB_PUZZLES,
            )
            times.append(microseconds(functools.partial(solver.solve, challenge)))
    mean = statistics.fmean(times)
    note = f"{threads} thread{'s' if threads > 1 else ''}, {count} solves, mean {mean:.0f} us"
    return resampled(name, times, p99_over_mean, "x", note)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--solves", type=int, default=4000, help="for each row")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    if given.solves < 100:
        parser.error(f"expected 100 or more solves, got {given.solves}")
    name = f"{SUB_PUZZLES} sub-puzzles p99 / mean"
    engine = [engine / kernel for engine, kernel in pool_costs.run("engine", 10, 301)]
    rows = [
        *easy_rows(given.solves),
        spread_row(given.solves, 2, name),
        spread_row(given.solves, 1, f"{name}, 1 thread"),
        summary("engine / kernel", engine, "x", "searches of 2^20 nonces, one thread"),
    ]
    document = measured("small", rows)
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""How far the times of solves spread: the slowest hundredth over the mean, by number of threads.

    python benchmarks/spread.py --save benchmarks/results

All threads share each sub-puzzle, so their number must not change the spread. CPU time of the
process is what all of its threads spent, held against the speed of the same threads just before
and after the solve: shared machines change their clocks, and a spread is of a speed. By the clock
is what a caller waits, with whatever else the machine does meanwhile. A solver starts no more
threads than can run; here as many are started as a row names, however few processors there are.
"""

import argparse
import contextlib
import math
import os
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pypow
from document import Row, measured, save, table
from pypow import AtMost, Hex, Puzzle, difficulty
from pypow._bridge_search import Pool
from pypow.crew import Crew
from pypow.processors import usable_processors
from pypow.search import Search, Solvable
from pypow.solve_times import quantile
from small import KEY, p99_over_mean, resampled

BITS = 22.5
THREADS = (1, 4, 16)
SUB_PUZZLES = 16
SPEED_HASHES = 1 << 20


class Crowd(Crew):
    """As many threads as are named, also where they have to take turns."""

    def pool(self) -> Pool:
        if self._pool is None:
            self._pool = Pool(threads=self.threads, kernel=self.kernel)
        return self._pool


@dataclass(frozen=True, slots=True)
class Contest:
    """One way to solve, and what its solves took.

    Attributes:
        puzzles: into how many a challenge is split.
        crew: who solves.
        cpu_s: CPU seconds of the process, of each solve.
        clock_s: seconds by the clock.
        steady: CPU seconds times the speed of the moment.
    """

    puzzles: int
    crew: Crew
    cpu_s: list[float] = field(default_factory=list)
    clock_s: list[float] = field(default_factory=list)
    steady: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Puzzles and threads."""
        return f"{_counted(self.puzzles, 'puzzle')}, {_counted(self.crew.threads, 'thread')}"

    def solve(self, q: int) -> None:
        challenge = pypow.issue(
            KEY, q=q, now_ms=0, epoch=0, identity=os.urandom(16), puzzles=self.puzzles
        )  # fmt: skip
        before = self._hopeless_s()
        cpu_s, clock_s = self._run(challenge)
        self.cpu_s.append(cpu_s)
        self.clock_s.append(clock_s)
        self.steady.append(cpu_s / (before + self._hopeless_s()))

    def _hopeless_s(self) -> float:
        """CPU seconds of a search that cannot end before its limit."""
        hopeless = Puzzle(os.urandom(53).hex().encode(), Hex(width=13), AtMost(0))
        return self._run(hopeless, limit=SPEED_HASHES)[0]

    def _run(self, what: Solvable, limit: int | None = None) -> tuple[float, float]:
        search = Search(what, timeout=None, limit=limit, progress=None, max_bits=math.inf)
        cpu, clock = time.process_time(), time.perf_counter()
        with contextlib.suppress(pypow.NoSolutionError):
            search.run(self.crew)
        return time.process_time() - cpu, time.perf_counter() - clock

    def rows(self) -> list[Row]:
        count, cpu_s = len(self.cpu_s), statistics.fmean(self.cpu_s)
        clock_s = statistics.fmean(self.clock_s)
        return [
            resampled(f"{self.name}, p99 / mean", self.steady, p99_over_mean, "x",
                      f"CPU time; {count} solves, mean {cpu_s * 1000:.1f} ms"),
            resampled(f"{self.name}, p99 / mean by the clock", self.clock_s, p99_over_mean, "x",
                      f"mean {clock_s * 1000:.1f} ms"),
        ]  # fmt: skip


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}"


def law(puzzles: int) -> Row:
    """What the sum of so many exponential times has, on any machine."""
    exact = quantile(0.99, puzzles)
    note = f"p99 of the sum of {puzzles} exponential times" if puzzles > 1 else "one such time"
    return Row(f"{_counted(puzzles, 'puzzle')}, the law", exact, "x", exact, exact, note)


def measure(solves: int, q: int) -> list[Row]:
    """Solve in turns, so that all see the machine in the same moods."""
    kernel = pypow.chosen_kernel().name
    ways = [*((SUB_PUZZLES, threads) for threads in THREADS), (1, 1)]
    with ExitStack() as stack:
        contests = [
            Contest(puzzles, stack.enter_context(Crowd(threads, kernel)))
            for puzzles, threads in ways
        ]
        for _ in range(solves):
            for contest in contests:
                contest.solve(q)
    return [law(SUB_PUZZLES), law(1), *(row for contest in contests for row in contest.rows())]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--solves", type=int, default=2000, help="for each row")
    parser.add_argument("--bits", type=float, default=BITS)
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    if given.solves < 100:
        parser.error(f"expected 100 or more solves, got {given.solves}")
    rows = measure(given.solves, difficulty.from_bits(given.bits))
    versions = {
        "kernel": pypow.chosen_kernel().name,
        "processors": str(usable_processors()),
        "bits": f"{given.bits:g}",
    }
    document = measured("spread", rows, versions=versions)
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

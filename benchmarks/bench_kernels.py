# SPDX-License-Identifier: Apache-2.0
"""Every usable kernel and a hashlib loop over the same ranges of nonces, on one thread.

One call covers a million nonces, so that the way into C drowns. For ratios use compare.py,
which interleaves.
"""

import hashlib

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import pypow
from pypow import AtMost, Decimal, Hex, NoSolutionError, Puzzle

NONCES = 1 << 20
LOOP_NONCES = 1 << 14

PUZZLES = {
    "native challenge": Puzzle(bytes(106), Hex(width=13), AtMost(0)),
    "short text": Puzzle(b"abc123", Decimal(), AtMost(0)),
    "nonce in the middle": Puzzle(bytes(20), Hex(width=16), AtMost(0), suffix=bytes(100)),
}
KERNELS = [kernel.name for kernel in pypow.kernels() if kernel.usable]

each_puzzle = pytest.mark.parametrize("puzzle", PUZZLES.values(), ids=PUZZLES)


def note_rate(benchmark: BenchmarkFixture, hashes: int) -> None:
    """Put hashes per second, by the median call, into the saved run."""
    if benchmark.stats is not None:
        benchmark.extra_info["hashes_per_s"] = round(hashes / benchmark.stats.stats.median)


@each_puzzle
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernel(benchmark: BenchmarkFixture, puzzle: Puzzle, kernel: str) -> None:
    benchmark.group = "a range of nonces"

    def grind() -> None:
        with pytest.raises(NoSolutionError):
            pypow.solve(puzzle, limit=NONCES, threads=1, kernel=kernel, max_bits=256)

    benchmark(grind)
    note_rate(benchmark, NONCES)


@each_puzzle
def test_hashlib_loop(benchmark: BenchmarkFixture, puzzle: Puzzle) -> None:
    benchmark.group = "a range of nonces"
    prefix, suffix, out_of_reach = puzzle.prefix, puzzle.suffix, bytes(32)

    def grind() -> None:
        for nonce in range(LOOP_NONCES):
            digest = hashlib.sha256(prefix + b"%013x" % nonce + suffix).digest()
            assert digest > out_of_reach

    benchmark(grind)
    note_rate(benchmark, LOOP_NONCES)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads(benchmark: BenchmarkFixture, threads: int) -> None:
    benchmark.group = "threads"

    def grind() -> None:
        with pytest.raises(NoSolutionError):
            pypow.solve(
                PUZZLES["native challenge"], limit=8 * NONCES, threads=threads, max_bits=256
            )

    benchmark(grind)
    note_rate(benchmark, 8 * NONCES)

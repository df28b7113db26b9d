# SPDX-License-Identifier: Apache-2.0
"""`pypow bench`: the speed of every kernel that can run here, and of a hashlib loop beside it."""

import dataclasses
import hashlib
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from pypow import engine
from pypow.errors import InvalidInputError

from .figures import rate
from .machine import this_machine
from .options import AsJson, KernelName

EPILOG = """
Examples:

\b
  pypow bench
  pypow bench --seconds 5 --threads 4 --json

Exit codes: 0 done, 2 wrong use, 130 interrupted.
"""

HASHLIB = "hashlib"
ROUNDS = 9
"""Odd, so that a median is one of the measurements."""


@dataclass(frozen=True, slots=True)
class Row:
    """The speed of one way to search.

    Attributes:
        name: a kernel, or ``hashlib`` for the loop in Python.
        threads: how many it ran on.
        hashes_per_s: median over the rounds.
        ratio: times the hashlib loop of the same round, median over the rounds.
        bits_per_s: difficulty that takes one second on average.
    """

    name: str
    threads: int
    hashes_per_s: float
    ratio: float
    bits_per_s: float


def bench(
    *,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="How long to measure each row, 0.01 to 3600.")
    ] = 1.0,
    threads: Annotated[
        int, typer.Option(metavar="N", help="Threads for the kernels, 1 to 1024.")
    ] = 1,
    kernel: KernelName = None,
    as_json: AsJson = False,
) -> None:
    """Measure each usable kernel beside a hashlib loop.

    The loop is the obvious one in Python, on one thread. Rounds are interleaved, so that a
    machine that slows down slows all rows; medians are shown.
    """
    if not 0.01 <= seconds <= 3600:
        raise InvalidInputError(f"expected 0.01 to 3600 seconds, got {seconds}")
    names = [known.name for known in engine.kernels() if known.usable]
    if kernel is not None:
        names = [engine.chosen_kernel(kernel).name]
    rows = measure(names, threads=threads, slice_s=seconds / ROUNDS)
    if as_json:
        document = {
            "machine": dataclasses.asdict(this_machine()),
            "rounds": ROUNDS,
            "seconds": seconds,
            "rows": [dataclasses.asdict(row) for row in rows],
        }
        typer.echo(json.dumps(document))
    else:
        print_table(rows)


def measure(
    kernels: Sequence[str], *, threads: int, slice_s: float, rounds: int = ROUNDS
) -> tuple[Row, ...]:
    """Measure kernels and the hashlib loop in interleaved slices.

    Args:
        kernels: names of usable kernels.
        threads: for the kernels; the loop holds the GIL and runs on one.
        slice_s: seconds for each row in each round.
        rounds: how many slices each row gets.
    """

    def ground_by(name: str) -> Callable[[], float]:
        return lambda: engine.hashrate(name, threads=threads, seconds=slice_s)

    ways = {name: ground_by(name) for name in kernels}
    ways[HASHLIB] = lambda: hashlib_rate(slice_s)
    slices = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    return tuple(_row(name, slices, 1 if name == HASHLIB else threads) for name in ways)


def hashlib_rate(seconds: float) -> float:
    """Hashes per second of the obvious loop: hex digits, one digest, one comparison."""
    prefix = bytes(104)
    out_of_reach = bytes(32)
    hashes = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or hashes == 0:
        for nonce in range(hashes, hashes + 1000):
            if hashlib.sha256(prefix + b"%015x" % nonce).digest() <= out_of_reach:
                raise AssertionError("a digest of zeros")
        hashes += 1000
    return hashes / elapsed


def print_table(rows: Sequence[Row]) -> None:
    """Show the rows, widest ratio as measured, on standard output."""
    # rich takes 100 ms to import, which only this table may cost.
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("kernel")
    for heading in ("threads", "speed", "x hashlib", "bits in 1 s"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            str(row.threads),
            rate(row.hashes_per_s),
            f"{row.ratio:.1f}",
            f"{row.bits_per_s:.1f}",
        )
    Console().print(table)


def _row(name: str, slices: Sequence[Mapping[str, float]], threads: int) -> Row:
    speed = statistics.median(one[name] for one in slices)
    return Row(
        name=name,
        threads=threads,
        hashes_per_s=speed,
        ratio=statistics.median(one[name] / one[HASHLIB] for one in slices),
        bits_per_s=math.log2(speed),
    )

# SPDX-License-Identifier: Apache-2.0
"""`pypow bench`: the speed of every kernel that can run here, and of a hashlib loop beside it."""

import dataclasses
import hashlib
import json
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pypow import engine
from pypow.errors import InvalidInputError
from pypow.processors import usable_processors

from .bench_history import (
    HASHLIB,
    LEAST,
    Compared,
    Row,
    Run,
    compare,
    history_file,
    keep,
    load,
)
from .figures import rate
from .info import version
from .machine import this_machine
from .options import AsJson, KernelName

EPILOG = """
Examples:

\b
  pypow bench
  pypow bench --seconds 5 --threads 1,4,8 --json

Exit codes: 0 done, 2 wrong use, 130 interrupted.
"""

ROUNDS = 9
"""Odd, so that a median is one of the measurements."""


def bench(
    *,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="How long to measure each row, 0.01 to 3600.")
    ] = 1.0,
    threads: Annotated[
        str | None,
        typer.Option(
            metavar="N,...",
            help="Threads for the kernels, each 1 to 1024. [1 and all that can run]",
        ),
    ] = None,
    kernel: KernelName = None,
    history: Annotated[
        bool, typer.Option(help="Keep the run, and compare it with earlier ones.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Measure each usable kernel beside a hashlib loop.

    The loop is the obvious one in Python, on one thread. Rounds are interleaved, so that a
    machine that slows down slows all rows; medians are shown. Runs are kept, and one that is
    more than noise away from the earlier runs of this machine says so.
    """
    if not 0.01 <= seconds <= 3600:
        raise InvalidInputError(f"expected 0.01 to 3600 seconds, got {seconds}")
    names = [known.name for known in engine.kernels() if known.usable]
    if kernel is not None:
        names = [engine.chosen_kernel(kernel).name]
    counts = _counts(threads)
    path = history_file(os.environ) if history else None
    run = Run(
        datetime.now(UTC).isoformat(timespec="seconds"),
        version(),
        this_machine(),
        measure(names, threads=counts, slice_s=seconds / ROUNDS),
    )
    earlier, compared = _remembered(path, run)
    if as_json:
        document = dataclasses.asdict(run) | {
            "rounds": ROUNDS,
            "seconds": seconds,
            "history": None if path is None else str(path),
            "compared": [dataclasses.asdict(one) for one in compared],
        }
        typer.echo(json.dumps(document))
        return
    print_table(run.rows)
    if path is not None:
        typer.echo(_told(earlier, compared, path))


def _counts(text: str | None) -> tuple[int, ...]:
    """The numbers of threads, as they were given or as the machine has them."""
    if text is None:
        return tuple(sorted({1, usable_processors()}))
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and 1 <= int(part[:5]) <= 1024 for part in parts):
        raise InvalidInputError(
            f"expected 1 to 1024 threads, or several such as 1,2,4; got {text!r}"
        )
    return tuple(dict.fromkeys(int(part) for part in parts))


def _remembered(path: Path | None, run: Run) -> tuple[int, tuple[Compared, ...]]:
    """How many earlier runs can be compared with this one, and what comes of it; keeps the run."""
    if path is None:
        return 0, ()
    try:
        earlier = load(path)
        keep(path, [*earlier, run])
    except OSError as error:
        typer.echo(f"pypow: this run was not kept: {path}: {error.strerror}", err=True)
        return 0, ()
    return sum(one.is_like(run) for one in earlier), compare(run, earlier)


def _told(earlier: int, compared: Sequence[Compared], path: Path) -> str:
    """What the history has to say, in words."""
    if not compared:
        return f"\nearlier runs like this one: {earlier}; {LEAST} tell what is noise ({path})"
    lines = []
    for one in compared:
        if one.away:
            pace = "faster" if one.change > 0 else "slower"
            cause = "; so is hashlib, it is the machine" if one.machine else ""
            lines.append(
                f"{one.name}, {one.threads} thread{'s' if one.threads > 1 else ''}: "
                f"{100 * abs(one.change):.1f} % {pace} than {one.runs} earlier runs "
                f"(noise {100 * one.noise:.1f} %){cause}"
            )
    if not lines:
        widest = max(one.noise for one in compared)
        lines = [f"as in {earlier} earlier runs here, within a noise of {100 * widest:.1f} %"]
    return "\n" + "\n".join(lines)


def measure(
    kernels: Sequence[str], *, threads: Sequence[int], slice_s: float, rounds: int = ROUNDS
) -> tuple[Row, ...]:
    """Measure kernels and the hashlib loop in interleaved slices.

    Args:
        kernels: names of usable kernels.
        threads: for the kernels, each number in turn; the loop holds the GIL and runs on one.
        slice_s: seconds for each row in each round.
        rounds: how many slices each row gets.
    """

    def ground_by(name: str, count: int) -> Callable[[], float]:
        return lambda: engine.hashrate(name, threads=count, seconds=slice_s)

    ways = {(name, count): ground_by(name, count) for count in threads for name in kernels}
    ways[HASHLIB, 1] = lambda: hashlib_rate(slice_s)
    slices = [{way: speed() for way, speed in ways.items()} for _ in range(rounds)]
    return tuple(_row(way, slices) for way in ways)


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


def _row(way: tuple[str, int], slices: Sequence[Mapping[tuple[str, int], float]]) -> Row:
    speed = statistics.median(one[way] for one in slices)
    return Row(
        name=way[0],
        threads=way[1],
        hashes_per_s=speed,
        ratio=statistics.median(one[way] / one[HASHLIB, 1] for one in slices),
        bits_per_s=math.log2(speed),
    )

# SPDX-License-Identifier: Apache-2.0
"""Median ratios of every usable kernel to a hashlib loop, interleaved; optionally saved.

    python benchmarks/compare.py --seconds 5 --save benchmarks/results

Slices of all kernels and of the loop take turns, so that a machine that slows down for a while
slows all of them; the ratio is taken within each turn.
"""

import argparse
import functools
import math
from collections.abc import Callable
from pathlib import Path

import pypow
from document import measured, save, summary, table
from pypow.cli.bench import hashlib_rate

ROUNDS = 21


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="for each row, all rounds")
    parser.add_argument("--threads", type=int, default=1, help="for the kernels")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    if not (math.isfinite(given.seconds) and given.seconds > 0):
        parser.error(f"expected --seconds above 0, got {given.seconds}")
    if not 1 <= given.threads <= 1024:
        parser.error(f"expected 1 to 1024 threads, got {given.threads}")
    return given


def main() -> None:
    given = arguments()
    slice_s = given.seconds / ROUNDS
    kernels: dict[str, Callable[[], float]] = {
        kernel.name: functools.partial(
            pypow.hashrate, kernel.name, threads=given.threads, seconds=slice_s
        )
        for kernel in pypow.kernels()
        if kernel.usable
    }
    ratios: dict[str, list[float]] = {name: [] for name in kernels}
    for _ in range(ROUNDS):
        loop = hashlib_rate(slice_s)
        for name, hashrate in kernels.items():
            ratios[name].append(hashrate() / loop)
    note = f"threads: {given.threads}"
    rows = [summary(name, found, "x", note) for name, found in ratios.items()]
    document = measured("kernels", rows)
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

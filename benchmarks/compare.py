# SPDX-License-Identifier: Apache-2.0
"""Median ratios of every usable kernel to a hashlib loop, interleaved; optionally saved.

    python benchmarks/compare.py --seconds 5 --save benchmarks/results

Slices of all kernels and of the loop take turns, so that a machine that slows down for a while
slows all of them; the ratio is taken within each turn.
"""

import argparse
import dataclasses
import json
import math
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pypow
from pypow.cli.bench import HASHLIB, measure, print_table
from pypow.cli.info import version
from pypow.cli.machine import this_machine

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


def commit() -> str:
    """The commit that is measured, marked where the tree has changes; or "unknown"."""
    ran = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout.strip() or "unknown"


def main() -> None:
    given = arguments()
    kernels = [kernel.name for kernel in pypow.kernels() if kernel.usable]
    rows = measure(kernels, threads=given.threads, slice_s=given.seconds / ROUNDS, rounds=ROUNDS)
    print_table(rows)
    if given.save is None:
        return
    moment = datetime.now(UTC)
    document = {
        "date": moment.isoformat(timespec="seconds"),
        "version": version(),
        "commit": commit(),
        "machine": dataclasses.asdict(this_machine()),
        "rounds": ROUNDS,
        "seconds": given.seconds,
        "baseline": HASHLIB,
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    given.save.mkdir(parents=True, exist_ok=True)
    path = given.save / f"kernels-{moment:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()

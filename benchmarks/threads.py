# SPDX-License-Identifier: Apache-2.0
"""The engine's threads over as many bare kernels, each pinned to a processor of its own.

    python benchmarks/threads.py --threads 1,2,4,8,16 --save benchmarks/results

Both take turns in slices of 50 ms. A slice of the engine's is a whole search, from its beginning
to the moment when the last thread has stopped.
"""

import argparse
from pathlib import Path

import pool_costs
from document import Row, measured, save, summary, table
from pypow.processors import usable_processors

SLICE_MS = 50
ROUNDS = 61


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", default="2", metavar="N,...", help="one table row for each")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    try:
        given.counts = [int(count) for count in given.threads.split(",")]
    except ValueError:
        parser.error(f"expected --threads like 1,2,4, got {given.threads!r}")
    if not all(1 <= count <= 1024 for count in given.counts):
        parser.error(f"expected 1 to 1024 threads, got {given.threads}")
    return given


def main() -> None:
    given = arguments()
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    for count in given.counts:
        name = f"{count} threads / {count} bare kernels" if count > 1 else "1 thread / bare kernel"
        if count > usable_processors():
            skipped[name] = f"only {usable_processors()} processors may be used here"
            continue
        rounds = pool_costs.run("threads", count, SLICE_MS, ROUNDS)
        rate = sorted(pooled for pooled, _ in rounds)[ROUNDS // 2]
        note = f"{rate / 1e6:,.0f} MH/s"
        rows.append(summary(name, [pooled / bare for pooled, bare in rounds], "x", note))
    kind = "threads" if len(given.counts) == 1 else "scaling"
    document = measured(kind, rows, skipped=skipped)
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

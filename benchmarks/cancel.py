# SPDX-License-Identifier: Apache-2.0
"""From the call that stops a search to the return of the search, in C.

    python benchmarks/cancel.py --save benchmarks/results

The stop comes from one more thread. Where all processors grind, it first has to be given one of
them; that is before the clock starts.
"""

import argparse
from pathlib import Path

import pool_costs
from document import measured, save, summary, table
from pypow.processors import usable_processors

ROUNDS = 501


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    rows = []
    for threads in sorted({1, usable_processors()}):
        rounds = pool_costs.run("cancel", threads, ROUNDS)
        name = "cancel" if threads == 1 else "cancel, all processors"
        note = f"{threads} thread{'s' if threads > 1 else ''}"
        rows.append(summary(name, [us for (us,) in rounds], "us", note))
    document = measured("cancel", rows)
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

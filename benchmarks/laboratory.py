# SPDX-License-Identifier: Apache-2.0
"""Play every gate of the laboratory in every scenario, and keep what came of it.

    python benchmarks/laboratory.py                        # what is not kept yet; an hour or two
    python benchmarks/laboratory.py --again --gates fair-share --scenarios S2,S5
    python benchmarks/laboratory.py --render               # docs/difficulty.md from what is kept

The same seed gives the same figures on every machine, so a cell that is kept is not played again
unless one asks for it. `difficulty_page.py` renders the page.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

import difficulty_page
from cells import ATTACKED, FARMED, KEPT, VARIANTS, Cell, load, save
from pypow.laboratory.attack import parse
from pypow.laboratory.lineup import LINEUP, OURS, contender
from pypow.laboratory.outcome import outcome
from pypow.laboratory.run import play
from pypow.laboratory.world import World

SHOWN = (
    *((OURS, scenario) for scenario in ATTACKED),
    *((gate, scenario) for gate in LINEUP if gate not in VARIANTS for scenario in ATTACKED),
    *((OURS, scenario) for scenario in ("S1", "S4a", "S4b", *FARMED)),
    *((gate, "S1") for gate in ("bucket", "fixed-18", "mcaptcha-coded", "miden")),
    *((gate, scenario) for gate in VARIANTS for scenario in ATTACKED),
    *((gate, scenario) for gate in ("fifo", "no-standing") for scenario in ("S4c", "S4d")),
)
"""What the page shows; first what matters most."""
SEEDS = (1, 2, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gates", default="", help="names, joined by commas")
    parser.add_argument("--scenarios", default="", help="likewise")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--again", action="store_true", help="play what is kept too")
    parser.add_argument("--render", action="store_true", help="play nothing")
    asked = parser.parse_args()
    cells = dict(load(KEPT))
    if not asked.render:
        wanted = list(cells_of(asked.gates, asked.scenarios))
        missing = [one for one in wanted if asked.again or one not in cells]
        for cell in played(missing, asked.jobs):
            cells[cell.gate, cell.scenario] = cell
            save(cells, KEPT)
    for path, text in difficulty_page.rendered(cells).items():
        path.write_text(text, encoding="utf-8")
        print(path)


def cells_of(gates: str, scenarios: str) -> Iterator[tuple[str, str]]:
    """What the page shows, of the gates and scenarios that were named, or of all."""
    for gate, scenario in dict.fromkeys(SHOWN):
        if gate in (gates.split(",") if gates else LINEUP) and (
            not scenarios or scenario in scenarios.split(",")
        ):
            yield gate, scenario


def played(missing: Sequence[tuple[str, str]], jobs: int) -> Iterator[Cell]:
    """Cells as they are done; progress on standard error."""
    with ProcessPoolExecutor(jobs) as pool:
        todo = [pool.submit(cell_of, gate, scenario) for gate, scenario in missing]
        for number, done in enumerate(as_completed(todo), start=1):
            cell = done.result()
            served = f"{cell.outcome.all.served:6.1%} of honest calls served"
            print(
                f"{number}/{len(todo)} {cell.gate} {cell.scenario}: {served}",
                file=sys.stderr,
                flush=True,
            )
            yield cell


def cell_of(gate: str, scenario: str) -> Cell:
    """Play one cell."""
    # The queue is slow to play; what no goal is about is played once.
    seeds = SEEDS[:1] if gate in VARIANTS or scenario not in ATTACKED else SEEDS
    attack = parse(scenario)
    world = World(bursts=attack.bursts)
    diaries = [play(world, attack, contender(gate).make, seed=seed) for seed in seeds]
    return Cell(gate, scenario, len(seeds), outcome(world, diaries))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""What the laboratory found, as it is kept: one cell for each gate and scenario."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pypow.laboratory.lineup import LINEUP
from pypow.laboratory.outcome import Group, Outcome

KEPT = Path(__file__).parent / "results" / "laboratory.json"
ATTACKED = ("S0", "S2", "S3a", "S3b", "S3c", "S3d", "S5")
FARMED = ("farmed:128", "farmed:256", "farmed:512", "S4c", "S4d")
VARIANTS = ("fifo", "no-standing", "no-escalation", "bucket-queue")


@dataclass(frozen=True, slots=True)
class Cell:
    """One gate in one scenario.

    Attributes:
        gate: its name in the lineup.
        scenario: its name, or an attack as it is written on a command line.
        seeds: how many runs this is the sum of.
        outcome: what came of it.
    """

    gate: str
    scenario: str
    seeds: int
    outcome: Outcome


Cells = Mapping[tuple[str, str], Cell]


def load(path: Path) -> Cells:
    """What is kept; nothing if there is no file."""
    if not path.exists():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {(row["gate"], row["scenario"]): _cell(row) for row in rows}


def _cell(row: Mapping[str, Any]) -> Cell:
    found = row["outcome"]
    groups = {name: Group(**found[name]) for name in ("all", "known", "fresh", "bursts")}
    return Cell(row["gate"], row["scenario"], row["seeds"], Outcome(**found | groups))


def save(cells: Cells, path: Path) -> None:
    """Keep cells, in the order of the lineup, a line each."""
    order = {name: place for place, name in enumerate(LINEUP)}
    rows = sorted(cells.values(), key=lambda cell: (order[cell.gate], cell.scenario))
    lines = [json.dumps(dataclasses.asdict(row)) for row in rows]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")

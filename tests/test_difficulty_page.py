# SPDX-License-Identifier: Apache-2.0
"""docs/difficulty.md says what the laboratory kept, and the laboratory finds it again."""

import dataclasses
from pathlib import Path
from xml.etree import ElementTree

import pytest

import cells
import difficulty_page
import laboratory
from cells import ATTACKED, KEPT, Cell
from pypow.laboratory.lineup import LINEUP, OURS

SAVED = cells.load(KEPT)
ATTACKS = ATTACKED[1:]


def test_the_page_is_what_was_kept() -> None:
    for path, text in difficulty_page.rendered(SAVED).items():
        assert path.read_text(encoding="utf-8") == text, (
            "run: python benchmarks/laboratory.py --render"
        )


@pytest.mark.parametrize("scenario", ATTACKS)
def test_known_callers_held_in_what_was_kept(scenario: str) -> None:
    known = SAVED[OURS, scenario].outcome.known
    assert known.served is not None
    assert known.p99_s is not None
    assert known.served >= 0.995
    assert known.p99_s <= 1


def test_every_gate_and_the_limits_are_on_the_page() -> None:
    assert {gate for gate, _ in SAVED} == set(LINEUP)
    assert {(OURS, scenario) for scenario in cells.FARMED} <= set(SAVED)


def test_what_was_kept_is_kept_again_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    cells.save(SAVED, path)
    assert path.read_bytes() == KEPT.read_bytes()


@pytest.mark.parametrize(("gate", "scenario"), [("fixed-18", "S3a"), (OURS, "S1")])
def test_a_cell_that_is_played_again_is_as_it_was_kept(gate: str, scenario: str) -> None:
    assert close(laboratory.cell_of(gate, scenario), SAVED[gate, scenario])


@pytest.mark.deep
@pytest.mark.parametrize("scenario", ATTACKS)
def test_our_cells_played_again_are_as_they_were_kept(scenario: str) -> None:
    assert close(laboratory.cell_of(OURS, scenario), SAVED[OURS, scenario])


def close(one: Cell, other: Cell) -> bool:
    """Alike to a point and a tenth of a second: exp2 and log2 differ in the last bit by machine."""
    mine, theirs = one.outcome, other.outcome
    shares = [(mine.known.served, theirs.known.served), (mine.fresh.served, theirs.fresh.served)]
    times = [(mine.known.p99_s, theirs.known.p99_s)]
    return all(a == pytest.approx(b, abs=0.01) for a, b in shares) and all(
        a == pytest.approx(b, abs=0.1, rel=0.05) for a, b in times
    )


def test_a_cell_that_is_not_as_kept_is_noticed() -> None:
    kept = SAVED["fixed-18", "S3a"]
    known = dataclasses.replace(kept.outcome.known, served=(kept.outcome.known.served or 0) + 0.02)
    assert close(kept, kept)
    assert not close(
        dataclasses.replace(kept, outcome=dataclasses.replace(kept.outcome, known=known)), kept
    )


def test_what_differs_from_the_earlier_simulation_says_why() -> None:
    unsaid = [
        (cell.gate, cell.scenario)
        for cell, _, _ in difficulty_page.differences(SAVED)
        if not difficulty_page.why(cell)
    ]
    assert unsaid == []


def test_another_figure_gives_another_page_and_other_pictures() -> None:
    kept = SAVED[OURS, "S2"]
    known = dataclasses.replace(kept.outcome.known, served=0.5)
    other = dataclasses.replace(kept, outcome=dataclasses.replace(kept.outcome, known=known))
    before = difficulty_page.rendered(SAVED)
    after = difficulty_page.rendered({**SAVED, (OURS, "S2"): other})
    assert before.keys() == after.keys()
    assert before[difficulty_page.PAGE] != after[difficulty_page.PAGE]
    assert before[difficulty_page.SERVED] != after[difficulty_page.SERVED]


def test_pictures_have_a_mark_for_each_cell() -> None:
    for path in (difficulty_page.SERVED, difficulty_page.LIMITS):
        drawn = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        marks = drawn.findall("{http://www.w3.org/2000/svg}circle")
        assert len(marks) > len(cells.FARMED) - 1

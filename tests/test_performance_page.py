# SPDX-License-Identifier: Apache-2.0
"""docs/performance.md says what the saved measurements say, and nothing else."""

import dataclasses
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import chart
import document
import goals
import report
import sections
from document import Document, Row
from sections import SECTIONS, Section

SAVED = report.measurements(document.RESULTS)
GOAL = goals.Goal("it", "kind", "row", floor=2.0, aim=3.0, unit="x")
REVERSE = dataclasses.replace(GOAL, floor=3.0, aim=2.0, upward=False)


def run(kind: str, *rows: Row) -> Document:
    return document.measured(kind, rows, versions={"a": "a 1.0"}, skipped={"b": "not here"})


def peers_run(ratio: float) -> dict[str, Document]:
    return {"peers": run("peers", Row("a", ratio, "x", ratio - 1, ratio + 1, "1 MH/s"))}


def test_the_page_is_what_the_measurements_say() -> None:
    for path, text in report.rendered(SAVED).items():
        assert path.read_text(encoding="utf-8") == text, "run: python benchmarks/report.py"


def test_no_chart_is_left_without_its_measurements() -> None:
    # Other pages have tests of their own, which compare their pictures.
    others = {report.CHART.with_name(f"{name}.svg") for name in ("advice", "attacks", "farmed")}
    charts = set(report.CHART.parent.glob("*.svg")) - others
    assert charts <= set(report.rendered(SAVED))


def test_another_figure_gives_another_page_and_another_chart() -> None:
    one, other = report.rendered(peers_run(40.0)), report.rendered(peers_run(41.0))
    assert one.keys() == other.keys() == {report.PAGE, report.CHART}
    assert all(one[path] != other[path] for path in one)


def test_a_section_is_there_when_its_measurement_is() -> None:
    page = report.page(peers_run(44.4))
    titles = set(re.findall(r"^## (.+)$", page, re.MULTILINE))
    assert titles & {section.title for section in SECTIONS} == {"Against the field"}
    assert "| a | **44.4x** | 43.4 to 45.4 | 1 MH/s | a 1.0 |" in page
    assert "- b: not here" in page


def test_every_section_names_a_command_that_saves() -> None:
    for section in SECTIONS:
        assert re.fullmatch(
            r"python benchmarks/\w+\.py .*--save benchmarks/results", section.command
        )
    assert len({section.kind for section in SECTIONS}) == len(SECTIONS)


def test_a_measurement_that_fails_is_named_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    commands = {"sound": f"open('{made}', 'w').close()", "broken": "exit(1)", "far": "exit(2)"}
    monkeypatch.setattr(
        sections,
        "SECTIONS",
        [
            Section(title, title, "", f'python -c "{text}"', elsewhere=title == "far")
            for title, text in commands.items()
        ],
    )
    assert report.measure_all() == ["broken"]
    assert made.exists()


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (GOAL, 3.0, "aim"),
        (GOAL, 2.9, "floor"),
        (GOAL, 2.0, "floor"),
        (GOAL, 1.9, "missed"),
        (REVERSE, 2.0, "aim"),
        (REVERSE, 2.1, "floor"),
        (REVERSE, 3.1, "missed"),
        (dataclasses.replace(GOAL, aim=None), 9.0, "floor"),
    ],
)
def test_a_goal_is_judged_by_its_own_direction(
    goal: goals.Goal, value: float, verdict: str
) -> None:
    assert goal.verdict(Row("row", value, "x", value, value)) == verdict


def test_a_goal_finds_its_row_or_is_not_measured() -> None:
    row = Row("row", 5.0, "x", 4.0, 6.0)
    assert GOAL.found_in({"kind": run("kind", row)}) is row
    for nothing in ({}, {"kind": run("kind")}, {"other": run("other", row)}):
        assert GOAL.verdict(GOAL.found_in(nothing)) == "not measured"


@pytest.mark.parametrize("goal", goals.GOALS, ids=lambda goal: goal.row)
def test_a_goal_whose_measurement_is_saved_finds_its_row(goal: goals.Goal) -> None:
    assert goal.kind in {section.kind for section in SECTIONS}
    if goal.kind in SAVED and goal.row not in SAVED[goal.kind].skipped:
        row = goal.found_in(SAVED)
        assert row is not None
        assert row.unit == goal.unit


def test_bars_are_as_long_as_the_logarithms_of_their_values() -> None:
    drawn = ElementTree.fromstring(
        chart.svg("a & b", [chart.Bar("<x>", value, "!") for value in (1.0, 10.0, 1000.0, 700.0)])
    )
    bars = drawn.findall("{http://www.w3.org/2000/svg}rect")
    lengths = [float(bar.attrib["width"]) for bar in bars]
    whole = lengths[2]
    assert lengths == pytest.approx([0, whole / 3, whole, whole * math.log10(700) / 3], abs=0.1)

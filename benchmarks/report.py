# SPDX-License-Identifier: Apache-2.0
"""Render docs/performance.md and its chart from the saved measurements.

    python benchmarks/report.py              # from what is saved
    python benchmarks/report.py --measure    # after measuring and saving everything, in minutes

A measurement that fails leaves its section as it was last saved.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import chart
import goals
import sections
from contestants import CONTESTANTS
from document import RESULTS, Document, Row, newest
from goals import Goal
from sections import Section

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
CHART = DOCS / "img" / "peers.svg"

Documents = Mapping[str, Document]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="measure and save before")
    failed = measure_all() if parser.parse_args().measure else []
    for path, text in rendered(measurements(RESULTS)).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
    if failed:
        sys.exit(f"failed, so shown as last measured: {', '.join(failed)}")


def measure_all() -> list[str]:
    """Repeat every section that this machine can; the titles of those that failed."""
    failed = []
    for section in sections.SECTIONS:
        if section.elsewhere:
            continue
        print(f"== {section.title}", flush=True)
        arguments = shlex.split(section.command)[1:]
        ran = subprocess.run([sys.executable, *arguments], cwd=DOCS.parent, check=False)
        if ran.returncode != 0:
            failed.append(section.title)
    return failed


def measurements(folder: Path) -> Documents:
    """The newest run of each kind that the page knows."""
    found = {section.kind: newest(section.kind, folder) for section in sections.SECTIONS}
    return {kind: document for kind, document in found.items() if document is not None}


def rendered(documents: Documents) -> dict[Path, str]:
    """Every file that follows from the measurements."""
    files = {PAGE: page(documents)}
    if "peers" in documents:
        files[CHART] = peers_chart(documents["peers"])
    return files


def page(documents: Documents) -> str:
    """The whole page."""
    parts = [sections.HEAD, sections.GOALS + "\n" + goals_table(documents)]
    parts += [
        section_text(section, documents[section.kind])
        for section in sections.SECTIONS
        if section.kind in documents
    ]
    return "\n".join(parts)


def goals_table(documents: Documents) -> str:
    """Floor, aim and what was measured."""
    head = ("goal", "floor", "aim", "measured", "")
    return _table(head, (_goal_cells(goal, goal.found_in(documents)) for goal in goals.GOALS))


def section_text(section: Section, document: Document) -> str:
    """One kind of measurement: its words, its figures, and where they come from."""
    parts = [f"## {section.title}\n", section.says + "\n"]
    if section.kind == "peers":
        parts.append(f"![{section.title}]({CHART.relative_to(DOCS)})\n")
        parts.append(peers_table(document))
    else:
        rows = ((row.name, _value(row), _quartiles(row), row.note) for row in document.rows)
        parts.append(_table(("what", "median", "middle half", ""), rows))
    parts += [f"{_skipped(document)}{_provenance(document)} Repeat: `{section.command}`.\n"]
    return "\n".join(parts)


def peers_table(document: Document) -> str:
    """Peers as rows, with their versions and the command of each."""
    group = {one.name: one.group for one in CONTESTANTS}
    return _table(
        ("peer", "pypow is", "middle half", "the peer", "version", "repeat"),
        (
            (
                row.name,
                f"**{_value(row)}**",
                _quartiles(row),
                row.note,
                document.versions.get(row.name, ""),
                f"`peers.py {group[row.name]}`" if row.name in group else "",
            )
            for row in _slowest_last(document)
        ),
    )


def peers_chart(document: Document) -> str:
    """How many times as fast pypow is, one bar for each peer."""
    bars = [chart.Bar(row.name, row.value, _value(row)) for row in _slowest_last(document)]
    return chart.svg("Times as many hashes as the peer, one thread each (log scale)", bars)


def _slowest_last(document: Document) -> Sequence[Row]:
    return sorted(document.rows, key=lambda row: row.value)


def _goal_cells(goal: Goal, row: Row | None) -> tuple[str, ...]:
    sign = "≥" if goal.upward else "≤"
    aim = "" if goal.aim is None else f"{sign} {_figure(goal.aim, goal.unit)}"
    measured = "" if row is None else f"**{_value(row)}**"
    return (
        goal.says,
        f"{sign} {_figure(goal.floor, goal.unit)}",
        aim,
        measured,
        goal.verdict(row),
    )


def _provenance(document: Document) -> str:
    machine = document.machine
    with_kernel = f", kernel {document.versions['kernel']}" if "kernel" in document.versions else ""
    return (
        f"Measured {document.date[:10]} with pypow {document.version}{with_kernel}, commit "
        f"`{document.commit}`, on {machine.cpu}, {machine.threads} threads, {machine.system}, "
        f"{machine.python}, {machine.compiler}."
    )


def _skipped(document: Document) -> str:
    lines = "".join(f"- {name}: {reason}\n" for name, reason in document.skipped.items())
    return f"Not measured:\n\n{lines}\n" if lines else ""


def _value(row: Row) -> str:
    return _figure(row.value, row.unit)


def _quartiles(row: Row) -> str:
    return f"{_number(row.p25)} to {_number(row.p75)}"


def _figure(value: float, unit: str) -> str:
    return f"{_number(value)}x" if unit == "x" else f"{_number(value)} {unit}"


def _number(value: float) -> str:
    """Three digits; four just above one, where hundredths matter."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.4g}" if value < 2 else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    main()

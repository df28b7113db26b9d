# SPDX-License-Identifier: Apache-2.0
"""The saved form of every measurement: what was measured, of which commit, on which machine.

    save(measured("threads", [summary("2 threads / 2 bare kernels", ratios, "x")]), folder)

writes `threads-<moment>.json`; report.py renders the newest document of each kind.
"""

import dataclasses
import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pypow.cli.info import version
from pypow.cli.machine import Machine, this_machine

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured; stable, because goals.py looks rows up by it.
        value: the median, unless the note says otherwise.
        unit: of all three figures; "x" for a ratio.
        p25: a quarter of the rounds was at or below this.
        p75: three quarters were.
        note: what a reader must know to judge the figure, or nothing.
    """

    name: str
    value: float
    unit: str
    p25: float
    p75: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One run.

    Attributes:
        kind: of what; one word, which begins the file's name.
        date: when it was saved, ISO 8601 in UTC.
        version: of pypow.
        commit: that was measured, marked where the tree had changes; or "unknown".
        machine: where.
        rows: the figures.
        versions: of everything else that was measured, by name.
        skipped: what could not be measured, by name, with the reason.
    """

    kind: str
    date: str
    version: str
    commit: str
    machine: Machine
    rows: tuple[Row, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)


def summary(name: str, samples: Sequence[float], unit: str, note: str = "") -> Row:
    """Median and quartiles of one figure over the rounds (two or more)."""
    p25, median, p75 = statistics.quantiles(samples, n=4, method="inclusive")
    return Row(name, median, unit, p25, p75, note)


def measured(
    kind: str,
    rows: Sequence[Row],
    *,
    versions: Mapping[str, str] | None = None,
    skipped: Mapping[str, str] | None = None,
) -> Document:
    """A run that ends now, of this commit on this machine."""
    return Document(
        kind=kind,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version(),
        commit=commit(),
        machine=this_machine(),
        rows=tuple(rows),
        versions=versions or {},
        skipped=skipped or {},
    )


def save(document: Document, folder: Path) -> Path:
    """Write a document under a name that sorts by kind and moment."""
    folder.mkdir(parents=True, exist_ok=True)
    moment = datetime.fromisoformat(document.date)
    path = folder / f"{document.kind}-{moment:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(dataclasses.asdict(document), indent=1) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> Document:
    """Read a document.

    Raises:
        ValueError: the file is none; the text says which file and why.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        machine = Machine(**read.pop("machine"))
        rows = tuple(Row(**row) for row in read.pop("rows"))
        return Document(machine=machine, rows=rows, **read)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no saved measurement: {error}") from error


def newest(kind: str, folder: Path) -> Document | None:
    """The last run of a kind, by the moment in the file's name."""
    paths = sorted(folder.glob(f"{kind}-*.json"))
    return load(paths[-1]) if paths else None


def table(document: Document) -> str:
    """The rows as plain text, for a terminal."""
    wide = max((len(row.name) for row in document.rows), default=0)
    lines = [
        f"{row.name:<{wide}}  {row.value:9.4g} {row.unit:<12} "
        f"[{row.p25:.4g} .. {row.p75:.4g}]  {row.note}".rstrip()
        for row in document.rows
    ]
    lines += [f"{name}: skipped: {reason}" for name, reason in document.skipped.items()]
    return "\n".join(lines)


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

# SPDX-License-Identifier: Apache-2.0
"""Earlier runs of `pypow bench`: kept in a file, and whether this one is more than noise away."""

import dataclasses
import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pypow.errors import InvalidInputError

from .machine import Machine

HASHLIB: Final = "hashlib"

LATEST: Final = 20
"""Earlier runs that count: machines change slowly, but they do."""

KEPT: Final = 200
"""Runs that the file holds, of all machines that share it."""

_MAX_BYTES: Final = 4 << 20

# Student's t, two-sided 99 %, for 2 to 19 degrees of freedom: the noise of few runs is itself
# badly known, and this is by how much.
_T: Final = (
    9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169,
    3.106, 3.055, 3.012, 2.977, 2.947, 2.921, 2.898, 2.878, 2.861,
)  # fmt: skip

LEAST: Final = 3
"""Earlier runs without which nothing is said."""

_FINEST: Final = 0.005
"""No machine repeats itself more closely than this."""


@dataclass(frozen=True, slots=True)
class Row:
    """The speed of one way to search.

    Attributes:
        name: a kernel, or ``hashlib`` for the loop in Python.
        threads: how many it ran on.
        hashes_per_s: median over the rounds.
        ratio: times the hashlib loop of the same round, median over the rounds.
        bits_per_s: difficulty that takes one second on average.
    """

    name: str
    threads: int
    hashes_per_s: float
    ratio: float
    bits_per_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        date: ISO 8601, in UTC.
        version: of pypow.
        machine: where.
        rows: the speeds.
    """

    date: str
    version: str
    machine: Machine
    rows: tuple[Row, ...]

    def is_like(self, other: "Run") -> bool:
        """Whether the two can be compared: the same CPU, processors and version."""
        return (self.machine.cpu, self.machine.threads, self.version) == (
            other.machine.cpu, other.machine.threads, other.version,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """One row beside the same row of earlier runs.

    Attributes:
        name: as in the row.
        threads: as in the row.
        runs: how many earlier ones had it.
        change: 0.1 is a tenth faster than the earlier runs, -0.1 a tenth slower.
        noise: where 99 in 100 changes lie while nothing changes.
        away: whether the change is more than noise.
        machine: whether hashlib changed with it, so that it is the machine that did.
    """

    name: str
    threads: int
    runs: int
    change: float
    noise: float
    away: bool
    machine: bool


def history_file(environment: Mapping[str, str]) -> Path:
    """Where runs are kept: in the state folder of the XDG specification.

    Raises:
        InvalidInputError: neither HOME nor XDG_STATE_HOME is set.
    """
    state, home = environment.get("XDG_STATE_HOME", ""), environment.get("HOME", "")
    # The XDG specification has relative paths ignored.
    if state.startswith("/"):
        return Path(state) / "pypow" / "bench.jsonl"
    if home.startswith("/"):
        return Path(home) / ".local" / "state" / "pypow" / "bench.jsonl"
    raise InvalidInputError("expected HOME or XDG_STATE_HOME to be set; or give --no-history")


def load(path: Path) -> list[Run]:
    """The runs of a file, oldest first; lines that are none are left out."""
    try:
        with path.open("rb") as file:
            lines = file.read(_MAX_BYTES).splitlines()
    except FileNotFoundError:
        return []
    return [run for run in map(_run, lines) if run is not None]


def keep(path: Path, runs: Sequence[Run]) -> None:
    """Write the last runs, all at once.

    Raises:
        OSError: they could not be written; the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    lines = [json.dumps(dataclasses.asdict(run)) + "\n" for run in runs[-KEPT:]]
    try:
        draft.write_text("".join(lines), encoding="utf-8")
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def compare(run: Run, earlier: Sequence[Run]) -> tuple[Compared, ...]:
    """Each row that enough of the latest comparable runs have too."""
    like = [one for one in earlier if one.is_like(run)]
    found = []
    for row in run.rows:
        before = [old for one in like for old in one.rows if _key(old) == _key(row)][-LATEST:]
        if len(before) < LEAST:
            continue
        change, noise = _beside(row.hashes_per_s, [old.hashes_per_s for old in before])
        away = abs(math.log1p(change)) > noise
        by_hashlib, its_noise = _beside(row.ratio, [old.ratio for old in before])
        machine = row.name != HASHLIB and abs(math.log1p(by_hashlib)) <= its_noise
        found.append(
            Compared(
                row.name,
                row.threads,
                len(before),
                change,
                math.expm1(noise),
                away,
                away and machine,
            )
        )
    return tuple(found)


def _beside(value: float, before: Sequence[float]) -> tuple[float, float]:
    """How far a value lies from earlier ones, as a share, and their noise in logarithms.

    The noise is the half width of the 99 % prediction interval for one value more.
    """
    logs = [math.log(one) for one in before]
    spread = max(statistics.stdev(logs), _FINEST)
    noise = _T[len(logs) - LEAST] * spread * math.sqrt(1 + 1 / len(logs))
    return math.expm1(math.log(value) - statistics.fmean(logs)), noise


def _key(row: Row) -> tuple[str, int]:
    return row.name, row.threads


def _run(line: bytes) -> Run | None:
    try:
        read: dict[str, Any] = json.loads(line)
        rows = tuple(Row(**row) for row in read.pop("rows"))
        run = Run(machine=Machine(**read.pop("machine")), rows=rows, **read)
        sound = all(row.hashes_per_s > 0 and row.ratio > 0 for row in rows)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return run if sound else None

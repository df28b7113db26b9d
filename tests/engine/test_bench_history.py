# SPDX-License-Identifier: Apache-2.0
"""What `pypow bench` remembers, and when it says that a run is more than noise away."""

import dataclasses
import json
import random
from pathlib import Path

import pytest

from pypow import InvalidInputError
from pypow.cli import bench
from pypow.cli.bench_history import KEPT, LATEST, Row, Run, compare, history_file, keep, load
from pypow.cli.machine import Machine
from support.command import Command

MACHINE = Machine("Abacus", 2, "Linux", "CPython", "GCC")


def run(speed: float, *, loop: float = 1e6, machine: Machine = MACHINE, version: str = "1") -> Run:
    rows = (
        Row("avx2", 1, speed, speed / loop, 20.0),
        Row("hashlib", 1, loop, 1.0, 20.0),
    )
    return Run("2026-11-23T00:00:00+00:00", version, machine, rows)


STEADY = [run(1e7 * share) for share in (0.99, 1.0, 1.01, 1.0, 0.995)]


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "state" / "bench.jsonl"
    assert load(path) == []
    keep(path, STEADY)
    assert load(path) == STEADY
    assert [*path.parent.iterdir()] == [path]


def test_only_the_last_runs_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    runs = [run(float(number)) for number in range(1, KEPT + 10)]
    keep(path, runs)
    assert load(path) == runs[-KEPT:]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        json.dumps(dataclasses.asdict(run(1.0)) | {"more": 1}).encode(),
        json.dumps(dataclasses.asdict(run(-1.0))).encode(),
    ],
    ids=lambda line: repr(line[:20]),
)
def test_lines_that_are_no_runs_are_left_out(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "bench.jsonl"
    keep(path, STEADY)
    path.write_bytes(path.read_bytes() + line + b"\n")
    assert load(path) == STEADY


def test_a_run_within_the_noise_is_not_away() -> None:
    kernel, loop = compare(run(1.012e7), STEADY)
    assert (kernel.name, kernel.runs, kernel.away, loop.away) == ("avx2", 5, False, False)
    assert kernel.change == pytest.approx(0.013, abs=0.001)


@pytest.mark.parametrize("change", [-0.1, 0.1])
def test_a_run_that_is_more_than_noise_away_is_told(change: float) -> None:
    kernel, loop = compare(run(1e7 * (1 + change)), STEADY)
    assert (kernel.away, kernel.machine, loop.away) == (True, False, False)
    assert kernel.change == pytest.approx(change, abs=0.002)


def test_where_hashlib_is_as_much_slower_it_is_the_machine() -> None:
    kernel, loop = compare(run(0.8e7, loop=0.8e6), STEADY)
    assert (kernel.away, kernel.machine) == (True, True)
    assert (loop.away, loop.machine) == (True, False)


def test_two_earlier_runs_tell_no_noise() -> None:
    assert compare(run(1.0), STEADY[:2]) == ()
    assert len(compare(run(1.0), STEADY[:3])) == 2


@pytest.mark.parametrize(
    "other",
    [
        run(1e7, machine=dataclasses.replace(MACHINE, cpu="Slide rule")),
        run(1e7, machine=dataclasses.replace(MACHINE, threads=4)),
        run(1e7, version="2"),
    ],
)
def test_runs_of_another_machine_or_version_do_not_count(other: Run) -> None:
    assert compare(other, STEADY) == ()


def test_rows_of_another_kernel_or_number_of_threads_do_not_count() -> None:
    rows = (Row("avx2", 2, 1e7, 10.0, 20.0), Row("sse41", 1, 1e7, 10.0, 20.0))
    assert compare(dataclasses.replace(run(1e7), rows=rows), STEADY) == ()


def test_only_the_latest_runs_count() -> None:
    (kernel, _) = compare(run(1e7), [run(1.0)] * 50 + STEADY * 4)
    assert kernel.runs == LATEST
    assert abs(kernel.change) < 0.02


def alarms(rule_widening: float) -> float:
    """The share of runs away while nothing changes, where noise is that many times as wide."""
    draw = random.Random(1)
    found = 0
    for _ in range(400):
        speeds = [1e7 * draw.lognormvariate(0, 0.05) for _ in range(draw.randint(4, 30))]
        kernel = compare(run(speeds[-1]), [run(speed) for speed in speeds[:-1]])[0]
        found += abs(kernel.change) > rule_widening * kernel.noise
    return found / 400


def test_one_run_in_a_hundred_is_away_while_nothing_changes() -> None:
    assert 0 < alarms(1.0) < 0.03
    assert alarms(0.5) > 0.05


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/pypow/bench.jsonl"),
        ({"XDG_STATE_HOME": "s", "HOME": "/h"}, "/h/.local/state/pypow/bench.jsonl"),
        ({"HOME": "/h"}, "/h/.local/state/pypow/bench.jsonl"),
    ],
)
def test_runs_are_kept_in_the_state_folder(environment: dict[str, str], path: str) -> None:
    assert str(history_file(environment)) == path


def test_without_a_home_the_way_round_is_named() -> None:
    with pytest.raises(InvalidInputError, match="or give --no-history"):
        history_file({})


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the kernel does in each run to come."""
    coming: list[float] = []
    monkeypatch.setattr(bench, "measure", lambda *_, **__: run(coming.pop(0)).rows)
    return coming


def test_the_command_keeps_runs_and_says_when_one_is_away(
    command: Command, speeds: list[float]
) -> None:
    speeds += [1.00e7, 1.01e7, 1.00e7, 1.005e7, 0.5e7]
    told = [command("bench").out.splitlines()[-1] for _ in range(5)]
    for number in range(3):
        assert told[number].startswith(
            f"earlier runs like this one: {number}; 3 tell what is noise ("
        )
    assert told[3].startswith("as in 3 earlier runs here, within a noise of ")
    assert told[4].startswith("avx2, 1 thread: 50.2 % slower than 4 earlier runs (noise ")


def test_json_has_the_comparison(command: Command, speeds: list[float], tmp_path: Path) -> None:
    speeds += [1.00e7, 1.01e7, 1.00e7, 2e7]
    for _ in range(3):
        assert command("bench", "--json").json["compared"] == []
    document = command("bench", "--json").json
    assert document["history"] == str(tmp_path / "state" / "pypow" / "bench.jsonl")
    assert [(one["name"], one["away"]) for one in document["compared"]] == [
        ("avx2", True),
        ("hashlib", False),
    ]


def test_without_history_nothing_is_read_or_kept(
    command: Command, speeds: list[float], tmp_path: Path
) -> None:
    speeds += [1e7]
    document = command("bench", "--no-history", "--json").json
    assert (document["history"], document["compared"]) == (None, [])
    assert not (tmp_path / "state").exists()


def test_a_history_that_cannot_be_written_does_not_lose_the_figures(
    command: Command, speeds: list[float], tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("", encoding="utf-8")
    speeds += [1e7]
    ran = command("bench")
    assert ran.status == 0
    assert "avx2" in ran.out
    assert ran.err.startswith("pypow: this run was not kept: ")
    assert ran.err.count("\n") == 1

# SPDX-License-Identifier: Apache-2.0
"""What people watch while they wait: the progress line, and durations of any size."""

import pytest

import pypow
from pypow.cli import figures, progress_line


def test_the_progress_line_tells_rate_share_and_time_to_go() -> None:
    progress = pypow.Progress(
        hashes=5_000_000,
        seconds=0.5,
        expected_hashes=20_000_000,
        puzzle=1,
        puzzles=4,
        puzzle_hashes=0,
    )
    assert progress_line.describe(progress) == (
        "puzzle 2/4, 10.0 MH/s, 5.00 M hashes, 25% likely done, about 1.50 s to go"
    )


def test_no_progress_line_where_nobody_looks() -> None:
    with progress_line.progress_line(quiet=True) as progress:
        assert progress is None


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.00 ms"),
        (0.99999, "1000 ms"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (3599.6, "60 min 0 s"),
        (100 * 3600, "4 d 4 h"),
        (400 * 86_400, "1.10 years"),
        (1e300, "3.17e+292 years"),
        (float("inf"), "inf years"),
    ],
)
def test_durations_of_any_size_are_readable(seconds: float, shown: str) -> None:
    assert figures.duration(seconds) == shown

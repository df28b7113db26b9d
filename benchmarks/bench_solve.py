# SPDX-License-Identifier: Apache-2.0
"""Whole solves: what a caller waits for, from a challenge's text to its proof."""

import itertools

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import pypow
from pypow import Key

KEY = Key(id=1, secret=bytes(32))


@pytest.mark.parametrize("puzzles", [1, 16])
@pytest.mark.parametrize("bits", [1, 16, 20])
def test_solve(benchmark: BenchmarkFixture, bits: int, puzzles: int) -> None:
    """A fresh challenge each time: the median is that of the search's own spread, too."""
    benchmark.group = f"solve {bits} bits"
    identities = itertools.count()

    def fresh() -> tuple[tuple[str], dict[str, object]]:
        challenge = pypow.issue(
            KEY,
            q=bits * 1024,
            now_ms=0,
            epoch=0,
            identity=next(identities).to_bytes(16),
            puzzles=puzzles,
        )
        return (challenge.text,), {}

    benchmark.pedantic(  # type: ignore[no-untyped-call]  # the plugin's own gap
        pypow.solve, setup=fresh, rounds=100
    )

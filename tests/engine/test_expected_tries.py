# SPDX-License-Identifier: Apache-2.0
"""A difficulty of d bits takes 2**d tries on average: whole or fractional, in 1 or 16 puzzles.

A try is a nonce in its own order, so that a proof's nonces tell exactly how many there were. All
draws are seeded: a mean is the same in every run and on every machine.
"""

import functools
import random
from collections.abc import Callable

import pytest

import pypow
from pypow import difficulty

KEY = pypow.Key(id=1, secret=bytes(32))

# Twenty of them, every fraction another; in 16 puzzles each one keeps 10 bits or more.
FRACTIONAL = [8 * 1024 + 211 * step + step * step for step in range(20)]
DIFFICULTIES = [(q, 1) for q in FRACTIONAL] + [(q + 6 * 1024, 16) for q in FRACTIONAL]

FEW, MANY = 480, 112_000
"""Puzzles for each difficulty; of many, one per cent is 3.3 standard deviations of the mean."""

each_difficulty = pytest.mark.parametrize(("q", "puzzles"), DIFFICULTIES)


def mean_share(
    q: int, puzzles: int, solved: int, *, asked: Callable[[int], int] = lambda q: q
) -> float:
    """Tries of a whole challenge over 2**d, on average, after so many puzzles.

    Args:
        q: the difficulty that is meant.
        puzzles: in each challenge.
        solved: puzzles to solve, of all challenges.
        asked: the difficulty that a challenge says instead; a wrong twin's.
    """
    draw = random.Random(f"{q} {puzzles}")
    tries = 0
    with pypow.Solver(threads=1) as solver:
        for _ in range(solved // puzzles):
            challenge = pypow.issue(
                KEY, q=asked(q), now_ms=0, epoch=0, identity=draw.randbytes(16), puzzles=puzzles
            )
            tries += sum(int(nonce[2:], 16) + 1 for nonce in solver.solve(challenge).nonces)
    return tries / (solved // puzzles) / difficulty.expected_hashes(q)


@functools.cache
def share_of_few(q: int, puzzles: int) -> float:
    return mean_share(q, puzzles, FEW)


def test_the_difficulties_are_twenty_fractions() -> None:
    assert len({q % 1024 for q in FRACTIONAL}) == len(FRACTIONAL) == 20
    assert all(difficulty.split(q, 16) == 16 for q, puzzles in DIFFICULTIES if puzzles == 16)


@each_difficulty
def test_a_few_challenges_take_about_the_tries_that_they_say(q: int, puzzles: int) -> None:
    assert share_of_few(q, puzzles) == pytest.approx(1, abs=4 / FEW**0.5)


def test_over_all_difficulties_the_tries_are_what_they_say() -> None:
    shares = [share_of_few(q, puzzles) for q, puzzles in DIFFICULTIES]
    assert sum(shares) / len(shares) == pytest.approx(1, abs=3 / (FEW * len(shares)) ** 0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda q: q // 1024 * 1024,
        lambda q: -(-q // 1024) * 1024,
        lambda q: q + 1024,
        lambda q: q - 256,
    ],
    ids=["whole bits down", "whole bits up", "a bit more", "a quarter less"],
)
def test_a_difficulty_that_is_a_little_wrong_is_noticed(wrong: Callable[[int], int]) -> None:
    fewer = FEW // 4
    shares = [mean_share(q, 1, fewer, asked=wrong) for q in FRACTIONAL]
    assert abs(sum(shares) / len(shares) - 1) > 3 / (fewer * len(shares)) ** 0.5


@pytest.mark.deep
@each_difficulty
def test_the_mean_of_many_is_within_one_per_cent(q: int, puzzles: int) -> None:
    assert mean_share(q, puzzles, MANY) == pytest.approx(1, rel=0.01)

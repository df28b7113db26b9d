# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in, a refusal is one short line that quotes it."""

import math
from collections.abc import Callable

import pytest

import pypow
from pypow import AtMost, Decimal, InvalidInputError, PowError, Puzzle, difficulty
from pypow.errors import shown


def nested(depth: int) -> list[object]:
    """Lists in lists, deeper than repr() can follow."""
    inner: list[object] = []
    for _ in range(depth):
        inner = [inner]
    return inner


HOSTILE = {
    "many digits": 10**5000,
    "many digits, negative": -(10**5000),
    "a long text": "x" * 1_000_000,
    "long bytes": b"x" * 2_000_000,
    "a lone surrogate": "\ud800" * 100,
    "lines": "one\ntwo\r\nthree",
    "nested lists": nested(100_000),
    "an object": object(),
    "not a number": math.nan,
    "nothing": None,
}

LONGEST_LINE = 300

hostile = pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())


def in_json(**fields: object) -> Puzzle:
    rule = {"type": "at_most", "target": "00" * 32}
    return Puzzle.from_json({"nonce": {"encoding": "decimal"}, "rule": rule} | fields)


EASY = Puzzle(b"", Decimal(), AtMost(2**255))

TAKE_ANYTHING: dict[str, Callable[..., object]] = {
    "kernel": lambda value: pypow.solve(EASY, kernel=value or "none"),
    "threads": lambda value: pypow.solve(EASY, threads=value or 0),
    "timeout": lambda value: pypow.solve(EASY, timeout=value or 0),
    "limit": lambda value: pypow.solve(
        EASY, limit=-abs(value) if isinstance(value, int) else value or 0
    ),
    "max_bits": lambda value: pypow.solve(EASY, max_bits=value),
    "seconds": lambda value: pypow.hashrate(seconds=value),
    "solvable": pypow.solve,
    "first": pypow.Decimal,
    "width": pypow.FreeBytes,
    "alphabet": lambda value: pypow.Alphabet(value, 1),
    "integer": lambda value: pypow.Unsigned(value, "big"),
    "order": lambda value: pypow.Unsigned(32, value),
    "target": pypow.AtMost,
    "mask": lambda value: pypow.Masked(value, bytes(32)),
    "prefix": lambda value: Puzzle(value, Decimal(), AtMost(1)),
    "nonce": lambda value: Puzzle(b"", value, AtMost(1)),
    "rule": lambda value: Puzzle(b"", Decimal(), value),
    "JSON": Puzzle.from_json,
    "JSON's prefix": lambda value: in_json(prefix=value),
    "JSON's encoding": lambda value: in_json(nonce={"encoding": value}),
    "JSON's rule": lambda value: in_json(rule={"type": value}),
    "JSON's hash": lambda value: in_json(hash={"name": value}),
    "JSON's field": lambda value: in_json(**{str(shown(value)): value}),
    "bits": difficulty.from_bits,
    "hashes": difficulty.from_hashes,
    "hex zeros": difficulty.from_hex_zeros,
    "q": difficulty.target,
    "puzzles": difficulty.require_puzzles,
}


@hostile
@pytest.mark.parametrize("take", TAKE_ANYTHING.values(), ids=TAKE_ANYTHING.keys())
def test_a_value_that_cannot_be_is_refused_in_one_short_line(
    take: Callable[..., object], value: object
) -> None:
    with pytest.raises(PowError) as refused:
        take(value)
    line = str(refused.value)
    assert len(line) < LONGEST_LINE
    assert line.isprintable()


@pytest.mark.parametrize("plain", [repr, str, "{!r}".format])
def test_plain_quoting_would_not_do(plain: Callable[[object], str]) -> None:
    with pytest.raises((ValueError, RecursionError)):
        plain(HOSTILE["many digits"])
    assert len(plain(HOSTILE["a long text"])) > LONGEST_LINE


def test_a_misspelt_field_is_named_and_a_million_of_them_are_not() -> None:
    with pytest.raises(InvalidInputError, match="unknown field 'suffixes'; remove it"):
        in_json(suffixes="")
    with pytest.raises(InvalidInputError) as refused:
        in_json(**{f"field {number}": 0 for number in range(1000)})
    assert len(str(refused.value)) < LONGEST_LINE

# SPDX-License-Identifier: Apache-2.0
"""Difficulty: the table of targets to the last bit, and conversions that refuse bad input."""

import hashlib
import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import _bridge_checks, difficulty
from pypow.errors import InvalidInputError
from support import challenge_reference

TABLE_SHA256 = "62f313ad7c3aa2cf71e544aa4ad872975016b4225adead32df8e0537f3a446ed"
"""SHA-256 over the 61,441 targets, each as 33 bytes, big-endian."""

Target = Callable[[int], int]


def table_hash(target: Target) -> str:
    sha256 = hashlib.sha256()
    for q in range(difficulty.MAX_Q + 1):
        sha256.update(target(q).to_bytes(33))
    return sha256.hexdigest()


def floating_target(q: int) -> int:
    """The obvious way, which is off in the last bits of most fractions."""
    return int(2.0 ** (63 - (q % 1024) / 1024)) << (193 - q // 1024)


def target_rounded_down(q: int) -> int:
    """Exact but for the rounding of the mantissa."""
    return (difficulty.target(q) - 1) if q % 1024 == 1 else difficulty.target(q)


def native_target(q: int) -> int:
    return _bridge_checks.highest_digest(q) + 1


def test_the_native_table_is_the_same() -> None:
    assert table_hash(native_target) == TABLE_SHA256


@pytest.mark.parametrize("q", [61441, 2**32 - 1])
def test_a_difficulty_that_cannot_be_has_no_native_target(q: int) -> None:
    with pytest.raises(InvalidInputError, match="expected a difficulty q of 0 to 61440"):
        native_target(q)


def test_the_table_of_targets_never_changes() -> None:
    assert table_hash(difficulty.target) == TABLE_SHA256


@pytest.mark.parametrize("wrong", [floating_target, target_rounded_down])
def test_the_table_check_catches_a_wrong_table(wrong: Target) -> None:
    assert table_hash(wrong) != TABLE_SHA256


def test_every_fraction_of_a_bit_agrees_with_decimal_arithmetic() -> None:
    for q in range(1024):
        assert difficulty.target(q) == challenge_reference.target(q), q


@given(st.integers(0, difficulty.MAX_Q))
def test_any_target_agrees_with_decimal_arithmetic(q: int) -> None:
    assert difficulty.target(q) == challenge_reference.target(q)


def test_targets_fall_strictly() -> None:
    targets = [difficulty.target(q) for q in range(difficulty.MAX_Q + 1)]
    assert all(harder < easier for easier, harder in itertools.pairwise(targets))


def test_whole_bits_are_powers_of_two() -> None:
    for bits in range(61):
        assert difficulty.target(bits * 1024) == 1 << (256 - bits)


@pytest.mark.parametrize("q", [-1, difficulty.MAX_Q + 1, True, 1.0, "16384", None])
def test_a_target_of_what_is_no_difficulty_is_refused(q: object) -> None:
    with pytest.raises(InvalidInputError, match="expected a difficulty q of 0 to 61440"):
        difficulty.target(q)  # type: ignore[arg-type]  # the type is what is wrong


@given(st.integers(difficulty.MIN_Q, difficulty.MAX_Q))
def test_bits_and_hashes_lead_back_to_the_same_difficulty(q: int) -> None:
    assert difficulty.from_bits(difficulty.bits(q)) == q
    assert difficulty.from_hashes(difficulty.expected_hashes(q)) == q


@given(st.integers(difficulty.MIN_Q, difficulty.MAX_Q))
def test_expected_hashes_are_what_the_target_lets_win(q: int) -> None:
    by_target = 2**256 / difficulty.target(q)
    assert math.isclose(difficulty.expected_hashes(q), by_target, rel_tol=1e-12)


@pytest.mark.parametrize("digits", range(1, 16))
def test_hex_zeros_are_four_bits_each_and_exact(digits: int) -> None:
    q = difficulty.from_hex_zeros(digits)
    assert difficulty.target(q) - 1 == int("0" * digits + "f" * (64 - digits), 16)
    assert difficulty.hex_zeros(q) == digits


@given(st.integers(difficulty.MIN_Q, difficulty.MAX_Q))
def test_the_published_hex_zeros_are_surely_enough_and_no_digit_too_many(q: int) -> None:
    digits = difficulty.hex_zeros(q)
    worst_with_that_many_zeros = (1 << (256 - 4 * digits)) - 1
    assert worst_with_that_many_zeros < difficulty.target(q)
    assert (1 << (256 - 4 * (digits - 1))) - 1 >= difficulty.target(q)


@given(st.integers(difficulty.MIN_Q, difficulty.MAX_Q))
def test_rounding_to_hex_zeros_goes_to_the_nearest(q: int) -> None:
    rounded = difficulty.to_whole_hex_zeros(q)
    assert rounded % 4096 == 0
    assert rounded >= 4096
    assert abs(rounded - q) <= 2048 or rounded == 4096


def test_halfway_between_two_hex_zeros_the_harder_is_taken() -> None:
    assert difficulty.to_whole_hex_zeros(18 * 1024 - 1) == 16 * 1024
    assert difficulty.to_whole_hex_zeros(18 * 1024) == 20 * 1024


@given(st.integers(difficulty.MIN_Q, difficulty.MAX_Q), st.sampled_from([1, 2, 4, 8, 16, 32, 64]))
def test_a_split_keeps_the_total_work_and_ten_bits_each(q: int, most: int) -> None:
    puzzles = difficulty.split(q, most)
    each = difficulty.sub_q(q, puzzles)
    assert puzzles <= most
    assert each + 1024 * math.log2(puzzles) == q
    assert puzzles == 1 or each >= difficulty.MIN_SUB_Q
    assert puzzles == most or difficulty.sub_q(q, 2 * puzzles) < difficulty.MIN_SUB_Q


@pytest.mark.parametrize("puzzles", [0, 3, 65, 128, -1, True, 1.0, "16"])
def test_a_number_of_sub_puzzles_that_is_no_power_of_two_up_to_64_is_refused(
    puzzles: object,
) -> None:
    with pytest.raises(InvalidInputError, match="expected 1, 2, 4, 8, 16, 32 or 64"):
        difficulty.split(16 * 1024, puzzles)  # type: ignore[arg-type]  # the type may be wrong


NOT_NUMBERS = [True, "16", None, math.nan, math.inf, -math.inf, 0, -1, 2.0**61, 10**400]


@pytest.mark.parametrize("given_value", NOT_NUMBERS)
@pytest.mark.parametrize("convert", [difficulty.from_bits, difficulty.from_hashes])
def test_a_difficulty_that_cannot_be_is_refused(
    convert: Callable[[object], int], given_value: object
) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        convert(given_value)


@pytest.mark.parametrize("digits", [True, "4", None, 4.0, math.nan, 0, -1, 16, 10**400])
def test_hex_zeros_that_cannot_be_are_refused(digits: object) -> None:
    with pytest.raises(InvalidInputError, match="expected 1 to 15 leading zero hex digits"):
        difficulty.from_hex_zeros(digits)  # type: ignore[arg-type]  # the type may be wrong

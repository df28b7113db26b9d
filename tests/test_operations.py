# SPDX-License-Identifier: Apache-2.0
"""The count of operations that kernels are measured against."""

from collections.abc import Callable

import pytest

from cycles import Cycles, bound, parse
from operations import Work, block, grind, sha_instructions

# Counted from a symbolic walk through the rounds, for vectors of hashes with ternary logic.
COUNTED = {
    (0, 0): 1460,
    (1, 0): 1482,
    (5, 0): 1370,
    (8, 0): 1286,
    (9, 0): 1322,
    (12, 0): 1238,
    (13, 0): 1210,
}


def agrees(work: Callable[[int, int], Work]) -> bool:
    return all(work(*place).with_ternary_logic().total == count for place, count in COUNTED.items())


def forgets_the_compare(word: int, digest_word: int) -> Work:
    return grind(word, digest_word) + Work(compares=-1)


def always_counts_from_the_first_word(_word: int, digest_word: int) -> Work:
    return grind(0, digest_word)


def test_the_operations_of_a_placement_are_those_that_were_counted() -> None:
    assert agrees(grind)


@pytest.mark.parametrize("wrong", [forgets_the_compare, always_counts_from_the_first_word])
def test_a_wrong_count_is_noticed(wrong: Callable[[int, int], Work]) -> None:
    assert not agrees(wrong)


def test_the_last_digest_word_takes_less_than_the_first_and_any_placement_less_than_a_block() -> (
    None
):
    for word in range(14):
        last, first, whole = grind(word, 7), grind(word, 0), block()
        assert last.with_shifts().total < first.with_shifts().total < whole.with_shifts().total
        assert sha_instructions((word, 7)) < sha_instructions((word, 0)) <= sha_instructions(None)


def test_what_the_program_prints_is_read_with_reasons_for_what_is_missing() -> None:
    found, skipped = parse("avx2 block\t1.5\t2\t3\t4\t90\nopenssl\tskipped\tnot there\n")
    assert found == {"avx2 block": Cycles(1.5, 2, 3, 4)}
    assert skipped == {"openssl": "not there"}


def test_the_bound_is_the_scarcer_of_all_slots_and_those_that_shift() -> None:
    found = {
        "instruction add512": Cycles(0.5, 1, 1, 1),
        "instruction shift512": Cycles(1, 1, 1, 1),
        "instruction rnds2": Cycles(2, 3, 3, 3),
    }
    assert bound("avx512", (13, 0), found) == 1210 / 32
    found["instruction shift512"] = Cycles(10, 10, 10, 10)
    assert bound("avx512", (13, 0), found) == grind(13, 0).with_ternary_logic().shifts * 10 / 16
    assert bound("shani", None, found) == 64
    assert bound("no such kernel", (13, 0), found) is None

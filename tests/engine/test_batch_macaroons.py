# SPDX-License-Identifier: Apache-2.0
"""Batches of L402 credentials: for every kernel, what a single check finds."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import pypow
from pypow.batch import check_macaroons
from pypow.challenge import Keyring
from pypow.errors import InvalidInputError, KernelUnavailableError
from pypow.l402 import Reason, Refusal, check, reason_of_code
from support.macaroon_cases import (
    CALL,
    CASES,
    KEYRING,
    NOW_S,
    OTHER_KEY,
    PLAIN,
    PREIMAGE,
    WHOLE,
    Case,
    any_case,
    expected,
)

KERNELS = [kernel.name for kernel in pypow.kernels() if kernel.usable]
each_kernel = pytest.mark.parametrize("kernel", KERNELS)
CheckMany = Callable[..., NDArray[np.uint8]]
Ragged = tuple[NDArray[np.uint8], NDArray[np.int64]]


def ragged(texts: Sequence[str]) -> Ragged:
    joined = [text.encode("ascii", "replace") for text in texts]
    offsets = np.cumsum([0, *map(len, joined)], dtype=np.int64)
    return np.frombuffer(b"".join(joined), np.uint8), offsets


def single(case: Case) -> object:
    outcome = check(case.text, case.preimage, KEYRING, expected(case.call), now_s=case.now_s)
    return outcome.reason if isinstance(outcome, Refusal) else None


def together(check_many: CheckMany, cases: Sequence[Case], **more: Any) -> list[object]:
    codes = check_many(
        ragged([case.text for case in cases]),
        ragged([case.preimage for case in cases]),
        KEYRING,
        expected(cases[0].call),
        now_s=cases[0].now_s,
        **more,
    )
    return [reason_of_code(int(code)) for code in codes]


GROUPS: dict[object, list[Case]] = defaultdict(list)
for number, some_case in enumerate(CASES):
    if number % 3 == 0 or some_case.call != CALL:  # a third of those that are alike is enough
        GROUPS[some_case.call, some_case.now_s].append(some_case)


def mistakes(check_many: CheckMany, **more: Any) -> int:
    return sum(
        found != single(case)
        for cases in GROUPS.values()
        for found, case in zip(together(check_many, cases, **more), cases, strict=True)
    )


@each_kernel
def test_a_batch_finds_what_single_checks_find(kernel: str) -> None:
    assert mistakes(check_macaroons, kernel=kernel) == 0


@given(st.lists(any_case(), min_size=1, max_size=70), st.sampled_from(KERNELS))
def test_any_credentials_are_judged_as_one_by_one(cases: list[Case], kernel: str) -> None:
    alike = [Case(case.text, case.preimage) for case in cases]
    assert together(check_macaroons, alike, kernel=kernel) == [single(case) for case in alike]


def asks_for_no_preimage(texts: Ragged, preimages: Ragged, *given: Any, **more: Any) -> Any:
    data, offsets = preimages
    return check_macaroons(texts, (data, 0 * offsets), *given, **more)


def knows_one_key(texts: Ragged, preimages: Ragged, _: Keyring, *given: Any, **more: Any) -> Any:
    return check_macaroons(texts, preimages, Keyring([OTHER_KEY]), *given, **more)


def a_second_late(*given: Any, now_s: int, **more: Any) -> Any:
    return check_macaroons(*given, now_s=min(now_s, 2**62) + 1, **more)


@pytest.mark.parametrize("wrong", [asks_for_no_preimage, knows_one_key, a_second_late])
def test_the_comparison_catches_a_wrong_batch(wrong: CheckMany) -> None:
    assert mistakes(wrong) != 0


@each_kernel
def test_rows_and_strings_are_read_like_ragged_columns(kernel: str) -> None:
    count = 75
    digits = PREIMAGE.hex().encode()
    texts = np.array([WHOLE.text.encode(), PLAIN.text.encode(), b"AgE"] * (count // 3))
    proofs = np.array([digits] * count)
    right = np.array([0, 0, 1] * (count // 3), np.uint8)
    rows = np.frombuffer(digits * count, np.uint8).reshape(count, 64)
    padded = np.pad(rows, ((0, 0), (3, 5)))[:, 3:-5]
    for given_proofs in (proofs, rows, padded, rows[::-1], ragged([PREIMAGE.hex()] * count)):
        codes = check_macaroons(
            texts, given_proofs, KEYRING, expected(CALL), now_s=NOW_S, kernel=kernel
        )
        assert codes.dtype == np.uint8
        assert (codes == right).all()


@each_kernel
def test_rows_of_octets_are_read_like_text(kernel: str) -> None:
    texts = np.frombuffer(WHOLE.octets * 40, np.uint8).reshape(40, -1)
    proofs = np.frombuffer(PREIMAGE * 40, np.uint8).reshape(40, -1).copy()
    proofs[::3, 5] ^= 1
    codes = check_macaroons(texts, proofs, KEYRING, expected(CALL), now_s=NOW_S, kernel=kernel)
    reasons = [reason_of_code(int(code)) for code in codes]
    assert reasons == [None if number % 3 else Reason.WRONG_PREIMAGE for number in range(40)]


@each_kernel
@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 64, 65])
def test_every_number_of_credentials_fills_the_lanes(kernel: str, count: int) -> None:
    cases = [Case((WHOLE, PLAIN)[number % 2].text) for number in range(count)]
    cases[count // 2 : count // 2 + 1] = [Case("?")] * (count > 0)
    found = [] if not cases else together(check_macaroons, cases, kernel=kernel)
    assert found == [single(case) for case in cases]


@pytest.mark.parametrize("offsets", [[0, 9, 5], [0, 5, 4000], [-1, 3, 5], [3, 2, 5]])
def test_offsets_that_lead_nowhere_are_refused(offsets: list[int]) -> None:
    data = np.frombuffer(WHOLE.text.encode(), np.uint8)
    texts = data, np.array(offsets, np.int64)
    proofs = ragged([PREIMAGE.hex()] * 2)
    for one, other in ((texts, proofs), (ragged([WHOLE.text] * 2), texts)):
        with pytest.raises(InvalidInputError, match="never descend"):
            check_macaroons(one, other, KEYRING, expected(CALL), now_s=NOW_S)


def test_columns_that_do_not_belong_together_are_refused() -> None:
    texts = ragged([WHOLE.text] * 2)
    whole: Any = PREIMAGE.hex().encode()
    for one, other in ((texts, ragged([""])), (texts, whole), (whole, whole)):
        with pytest.raises(InvalidInputError, match="as many macaroons as preimages"):
            check_macaroons(one, other, KEYRING, expected(CALL), now_s=NOW_S)
    now: Any = None
    with pytest.raises(InvalidInputError, match="Unix seconds, got None"):
        check_macaroons(texts, texts, KEYRING, expected(CALL), now_s=now)
    with pytest.raises(KernelUnavailableError):
        check_macaroons(texts, texts, KEYRING, expected(CALL), now_s=0, kernel="none")

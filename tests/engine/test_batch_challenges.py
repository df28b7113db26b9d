# SPDX-License-Identifier: Apache-2.0
"""Batches of proofs of native challenges: for every kernel, what a single check finds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import pypow
from pypow import check_batch, reason_of_code, verify_challenges
from pypow._native import ffi
from pypow.challenge import Expected, Key, Keyring, Reason, Refusal, check
from pypow.errors import InvalidInputError, KernelUnavailableError
from pypow.wire import Proof
from support.challenges import challenges
from support.proof_cases import (
    BOUND,
    CASES,
    EXPECTED,
    KEYRING,
    OTHER_KEY,
    PROOF,
    SPLIT,
    SPLIT_PROOF,
    signed,
)  # fmt: skip

KERNELS = [kernel.name for kernel in pypow.kernels() if kernel.usable]
each_kernel = pytest.mark.parametrize("kernel", KERNELS)

CheckBatch = Callable[..., NDArray[np.uint8]]


def fits(proof: Proof) -> bool:
    """Whether a batch can carry the proof: zeros at an end and empty nonces mean nothing there."""
    text = proof.challenge or ""
    ends = all(0 < len(n) <= 15 and n[-1] for n in proof.nonces)
    return text.isascii() and not text.endswith("\0") and 1 <= len(proof.nonces) <= 64 and ends


def columns(proofs: Sequence[Proof]) -> tuple[NDArray[np.bytes_], NDArray[np.bytes_]]:
    most = max(len(proof.nonces) for proof in proofs)
    texts = np.array([(proof.challenge or "").encode() for proof in proofs], "S104")
    nonces = np.array([[*p.nonces, *[b""] * (most - len(p.nonces))] for p in proofs], "S15")
    return texts, nonces


def single(proof: Proof, keyring: Keyring, expected: Expected) -> Reason | None:
    outcome = check(proof, keyring, expected)
    return outcome.reason if isinstance(outcome, Refusal) else None


BY_EXPECTED: dict[Expected, list[Proof]] = {}
for a_proof, an_expected in CASES:
    if fits(a_proof):
        BY_EXPECTED.setdefault(an_expected, []).append(a_proof)


def mistakes(check_many: CheckBatch, kernel: str | None = None) -> list[object]:
    wrong: list[object] = []
    for expected, proofs in BY_EXPECTED.items():
        codes = check_many(*columns(proofs), KEYRING, expected, kernel=kernel)
        for proof, code in zip(proofs, codes, strict=True):
            if reason_of_code(int(code)) is not single(proof, KEYRING, expected):
                wrong.append((proof, expected, code))
    return wrong


@each_kernel
def test_a_batch_finds_what_single_checks_find(kernel: str) -> None:
    assert mistakes(check_batch, kernel) == []


def test_the_cases_of_a_batch_have_every_reason() -> None:
    found = {
        single(proof, KEYRING, expected)
        for expected, proofs in BY_EXPECTED.items()
        for proof in proofs
    }
    assert found == {*Reason, None}


@each_kernel
def test_the_work_alone_is_what_a_single_verify_says(kernel: str) -> None:
    proofs = [proof for proofs in BY_EXPECTED.values() for proof in proofs]
    found = verify_challenges(*columns(proofs), kernel=kernel)
    assert found.dtype == np.bool_
    for proof, stands in zip(proofs, found, strict=True):
        try:
            assert stands == pypow.verify(proof.challenge or "", proof)
        except pypow.WireError:
            assert not stands


def trusts_every_mac(texts: Any, nonces: Any, *_: Any, kernel: str | None) -> NDArray[np.uint8]:
    return np.where(verify_challenges(texts, nonces), 0, 11).astype(np.uint8)


def knows_one_key(
    texts: Any, nonces: Any, keyring: Keyring, expected: Expected, *, kernel: str | None
) -> NDArray[np.uint8]:
    return check_batch(texts, nonces, Keyring([OTHER_KEY]), expected)


def a_unit_generous(
    texts: Any, nonces: Any, keyring: Keyring, expected: Expected, *, kernel: str | None
) -> NDArray[np.uint8]:
    return check_batch(texts, nonces, keyring, replace(expected, weight=0))


def checks_the_first_nonce_only(
    texts: Any, nonces: Any, keyring: Keyring, expected: Expected, *, kernel: str | None
) -> NDArray[np.uint8]:
    codes = check_batch(texts, nonces, keyring, expected)
    rest = nonces.copy()
    split = (texts == SPLIT.text.encode()) & (rest.shape[1] >= 4)
    for row in np.flatnonzero(split):
        rest[row, 1:4] = SPLIT_PROOF.nonces[1:4]
    return np.where(split, check_batch(texts, rest, keyring, expected), codes)


@pytest.mark.parametrize(
    "wrong", [trusts_every_mac, knows_one_key, a_unit_generous, checks_the_first_nonce_only]
)
def test_the_comparison_catches_a_wrong_batch(wrong: CheckBatch) -> None:
    assert mistakes(wrong) != []


@given(st.lists(challenges(), min_size=1, max_size=70), st.integers(-6000, 700_000), st.data())
def test_any_challenges_are_judged_as_one_by_one(
    given_challenges: list[pypow.Challenge], after_ms: int, data: st.DataObject
) -> None:
    other = Key(id=given_challenges[0].key, secret=b"another secret 1")
    keyring = Keyring([other, *[k for k in (OTHER_KEY,) if k.id != other.id]])
    some = given_challenges[0]
    expected = Expected(
        now_ms=some.issued_at_ms + after_ms, epoch=some.epoch, resource=some.resource,
        weight=some.weight, principal=some.principal,
    )  # fmt: skip
    proofs = [
        Proof(
            tuple(b"%02x%013x" % (index, 7) for index in range(challenge.puzzles)),
            signed(challenge.octets, data.draw(st.sampled_from([other, OTHER_KEY]))),
        )
        for challenge in given_challenges
    ]
    codes = check_batch(*columns(proofs), keyring, expected)
    found = [reason_of_code(int(code)) for code in codes]
    assert found == [single(proof, keyring, expected) for proof in proofs]


@each_kernel
def test_rows_of_octets_are_read_like_strings(kernel: str) -> None:
    proofs = [PROOF, SPLIT_PROOF, replace(PROOF, nonces=(b"zzz",))] * 25
    texts, nonces = columns(proofs)
    expected = replace(EXPECTED, weight=1)
    right = check_batch(texts, nonces, KEYRING, expected)
    text_rows = texts.view(np.uint8).reshape(-1, 104)
    nonce_rows = nonces.view(np.uint8).reshape(len(proofs), -1, 15)
    lying = np.pad(text_rows, ((0, 0), (1, 7)))[:, 1:-7], np.asfortranarray(nonce_rows)
    wide = np.pad(nonce_rows, ((0, 0), (0, 60), (0, 0)))
    for given_texts, given_nonces in ((text_rows, nonce_rows), lying, (text_rows, wide)):
        codes = check_batch(given_texts, given_nonces, KEYRING, expected, kernel=kernel)
        assert (codes == right).all()
    backwards = check_batch(text_rows[::-1], nonce_rows[::-1], KEYRING, expected, kernel=kernel)
    assert (backwards == right[::-1]).all()


def test_one_nonce_each_needs_no_third_dimension() -> None:
    texts = np.array([BOUND.text.encode()] * 3)
    short = np.array([PROOF.nonce, b"1", PROOF.nonce])
    assert short.dtype == np.dtype("S15")
    right = [0, 11, 0]
    assert check_batch(texts, short, KEYRING, EXPECTED).tolist() == right
    rows = short.view(np.uint8).reshape(3, 15)
    assert check_batch(texts, rows, KEYRING, EXPECTED).tolist() == right
    assert verify_challenges(texts, np.array([b"1", b"22", b""])).tolist() == [False] * 3


def test_no_proofs_are_no_work() -> None:
    none = np.zeros((0, 104), np.uint8), np.zeros((0, 15), np.uint8)
    assert check_batch(*none, KEYRING, EXPECTED).shape == (0,)
    assert verify_challenges(*none).shape == (0,)


TEXTS, NONCES = columns([PROOF] * 3)


@pytest.mark.parametrize(
    ("texts", "nonces", "complaint"),
    [
        (TEXTS, NONCES[:2], "as many nonces as challenges"),
        (TEXTS.astype("S105"), NONCES, "challenges as uint8"),
        (TEXTS, NONCES.astype("S16"), "nonces as uint8"),
        (TEXTS.astype("U"), NONCES, "challenges as uint8"),
        (TEXTS.view(np.uint8), NONCES, "challenges as uint8"),
        (TEXTS.view(np.int8).reshape(3, 104), NONCES, "challenges as uint8"),
        (np.zeros((3, 103), np.uint8), NONCES, "challenges as uint8"),
        (TEXTS, np.zeros((3, 14), np.uint8), "nonces as uint8"),
        (TEXTS, np.zeros((3, 65, 15), np.uint8), "up to 64 nonces"),
        (TEXTS, np.zeros((3, 0, 15), np.uint8), "up to 64 nonces"),
        (TEXTS, np.zeros((3, 2, 2, 15), np.uint8), "nonces as uint8"),
        (TEXTS.reshape(1, 3), NONCES[:1], "one challenge"),
        (list(TEXTS), NONCES, "challenges as uint8"),
        (TEXTS, None, "nonces as uint8"),
    ],
)
def test_what_is_no_column_is_refused(texts: Any, nonces: Any, complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=f"expected.*{complaint}"):
        check_batch(texts, nonces, KEYRING, EXPECTED)
    with pytest.raises(InvalidInputError, match=f"expected.*{complaint}"):
        verify_challenges(texts, nonces)


@pytest.mark.parametrize("change", [{"now_ms": 2**63}, {"epoch": -1}, {"resource": b""}], ids=str)
def test_what_cannot_be_expected_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        check_batch(TEXTS, NONCES, KEYRING, replace(EXPECTED, **change))


def test_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(KernelUnavailableError, match="abacus"):
        verify_challenges(TEXTS, NONCES, kernel="abacus")


def test_codes_are_those_of_the_header() -> None:
    in_header = ffi.typeof("enum pypow_reason").relements
    codes = {f"PYPOW_{reason_of_code(code).name}": code for code in range(1, 12)}  # type: ignore[union-attr]
    assert codes | {"PYPOW_STANDS": 0} == in_header
    assert reason_of_code(0) is None


@pytest.mark.parametrize("code", [-1, 12, None, "1"])
def test_a_code_that_is_none_is_refused(code: Any) -> None:
    with pytest.raises(InvalidInputError, match="expected a code from 0 to 11"):
        reason_of_code(code)

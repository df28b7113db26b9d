# SPDX-License-Identifier: Apache-2.0
"""Batches of messages against hashlib, for every kernel and layout; and what is refused."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import pypow
from pypow import AtLeast, AtMost, Masked, verify_batch
from pypow.errors import InvalidInputError, KernelUnavailableError
from pypow.puzzle import Rule

KERNELS = [kernel.name for kernel in pypow.kernels() if kernel.usable]
ALWAYS = AtMost(2**256 - 1)
HALF = AtMost(2**255)

each_kernel = pytest.mark.parametrize("kernel", KERNELS)
Verify = Callable[..., NDArray[np.bool_]]


def wins(rule: Rule, message: bytes) -> bool:
    digest = hashlib.sha256(message).digest()
    if isinstance(rule, Masked):
        seen = bytes(d & m for d, m in zip(digest, rule.mask, strict=True))
        return seen == rule.value
    number = int.from_bytes(digest, rule.order)
    return number <= rule.target if isinstance(rule, AtMost) else number >= rule.target


def ragged(items: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    ends = np.cumsum([0, *map(len, items)], dtype=np.int64)
    return np.frombuffer(b"".join(items), np.uint8), ends


def rows(items: Sequence[bytes], width: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(items), np.uint8).reshape(len(items), width)


def some(count: int, width: int, seed: int = 1) -> list[bytes]:
    generator = np.random.default_rng(seed)
    return [generator.bytes(width) for _ in range(count)]


rules = st.sampled_from([
    ALWAYS, HALF, AtLeast(2**255), AtMost(0), AtMost(2**255, "little"), AtLeast(2**254, "little"),
    Masked(mask=b"\x01" + bytes(31), value=b"\x01" + bytes(31)),
    Masked(mask=bytes(31) + b"\x80", value=bytes(32)),
    Masked(mask=bytes(32), value=bytes(32)),
])  # fmt: skip
lengths = st.sampled_from([0, 1, 3, 7, 8, 15, 16, 17, 31, 40, 47, 54, 55, 56, 63, 64, 65, 119, 200])


@each_kernel
@given(
    rule=rules, count=st.integers(0, 70), prefix=lengths, nonce=lengths,
    suffix=st.binary(max_size=80), seed=st.integers(0, 99),
)  # fmt: skip
def test_equal_lengths_agree_with_hashlib(
    kernel: str, rule: Rule, count: int, prefix: int, nonce: int, suffix: bytes, seed: int
) -> None:
    one, other = some(count, prefix, seed), some(count, nonce, seed + 100)
    given_rows = rows(one, prefix), rows(other, nonce)
    found = verify_batch(rule, *given_rows, suffix=suffix, kernel=kernel)
    assert found.dtype == np.bool_
    assert found.tolist() == [
        wins(rule, a + b + suffix) for a, b in zip(one, other, strict=True)
    ]  # fmt: skip


@each_kernel
@given(
    rule=rules, prefixes=st.lists(st.binary(max_size=200), max_size=70),
    suffix=st.binary(max_size=9), seed=st.integers(0, 99),
)  # fmt: skip
def test_any_lengths_agree_with_hashlib(
    kernel: str, rule: Rule, prefixes: list[bytes], suffix: bytes, seed: int
) -> None:
    nonces = [bytes([seed]) * (len(prefix) * 7 % 83) for prefix in prefixes]
    found = verify_batch(rule, ragged(prefixes), ragged(nonces), suffix=suffix, kernel=kernel)
    expected = [wins(rule, a + b + suffix) for a, b in zip(prefixes, nonces, strict=True)]
    assert found.tolist() == expected


@each_kernel
@pytest.mark.parametrize("prefix", [b"", b"p" * 40, b"p" * 64, b"p" * 130])
def test_one_prefix_and_a_string_array_agree_with_hashlib(kernel: str, prefix: bytes) -> None:
    nonces = [str(n).encode() for n in range(100)]
    found = verify_batch(HALF, prefix, np.array(nonces), kernel=kernel)
    assert found.tolist() == [wins(HALF, prefix + nonce) for nonce in nonces]
    turned = verify_batch(HALF, np.array(nonces), prefix, kernel=kernel)
    assert turned.tolist() == [wins(HALF, nonce + prefix) for nonce in nonces]


def test_zeros_at_the_end_of_a_string_are_no_part_of_it_and_of_a_row_they_are() -> None:
    strings = np.array([b"a", b"a\0", b"a\0b", b""], dtype="S5")
    found = verify_batch(HALF, b"p", strings)
    assert found.tolist() == [wins(HALF, b"p" + part) for part in (b"a", b"a", b"a\0b", b"")]
    as_rows = strings.view(np.uint8).reshape(4, 5)
    assert verify_batch(HALF, b"p", as_rows).tolist() == [
        wins(HALF, b"p" + part.ljust(5, b"\0")) for part in (b"a", b"a", b"a\0b", b"")
    ]


LAYOUTS: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "every other row": lambda array: np.repeat(array, 2, axis=0)[::2],
    "backwards": lambda array: array[::-1].copy()[::-1],
    "a part of wider rows": lambda array: np.pad(array, ((0, 0), (3, 5)))[:, 3:-5],
    "by columns": np.asfortranarray,
    "every other byte": lambda array: np.repeat(array, 2, axis=1)[:, ::2],
    "unaligned": lambda array: np.frombuffer(b"x" + array.tobytes(), np.uint8)[1:].reshape(
        array.shape
    ),
}


@each_kernel
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("width", [7, 40, 70])
def test_it_does_not_matter_how_an_array_lies(kernel: str, layout: str, width: int) -> None:
    one, other = rows(some(90, width), width), rows(some(90, 9, 2), 9)
    right = verify_batch(HALF, one, other)
    lying = LAYOUTS[layout]
    assert (lying(one) == one).all()
    assert (verify_batch(HALF, lying(one), lying(other), kernel=kernel) == right).all()


def test_strided_string_arrays_and_repeated_rows_are_read_in_place() -> None:
    nonces = np.array([str(n).encode() for n in range(100)])
    right = verify_batch(HALF, b"p", nonces)
    assert (verify_batch(HALF, b"p", nonces[::3]) == right[::3]).all()
    assert (verify_batch(HALF, b"p", nonces[::-1]) == right[::-1]).all()
    same = np.broadcast_to(np.frombuffer(b"p", np.uint8), (100, 1))
    assert (verify_batch(HALF, same, nonces) == right).all()


def test_offsets_may_leave_gaps_overlap_nothing_and_lie_anywhere() -> None:
    data = np.frombuffer(b"--abc--", np.uint8)
    offsets = np.array([2, 3, 3, 5], np.int64)
    found = verify_batch(HALF, (data, offsets), b"n")
    assert found.tolist() == [wins(HALF, part + b"n") for part in (b"a", b"", b"bc")]
    unaligned = np.frombuffer(b"x" + offsets.tobytes(), np.uint8)[1:].view(np.int64)
    assert (verify_batch(HALF, (data, unaligned), b"n") == found).all()
    apart = np.repeat(offsets, 2)[::2]
    assert (verify_batch(HALF, (data[::1], apart), b"n") == found).all()


def test_the_mask_is_written_where_it_is_wanted() -> None:
    nonces = np.array([b"1", b"2", b"3"])
    out = np.ones(3, np.bool_)
    assert verify_batch(HALF, b"abc", nonces, out=out) is out
    assert out.tolist() == [wins(HALF, b"abc" + nonce) for nonce in (b"1", b"2", b"3")]


def test_nothing_past_the_mask_is_written() -> None:
    for count in range(1, 70):
        room = np.zeros(count + 64, np.bool_)
        verify_batch(ALWAYS, b"", np.zeros((count, 3), np.uint8), out=room[:count])
        assert room.sum() == count


def test_no_messages_are_no_work() -> None:
    assert verify_batch(ALWAYS, b"", np.zeros((0, 3), np.uint8)).shape == (0,)
    assert verify_batch(ALWAYS, ragged([]), b"").shape == (0,)


def test_many_threads_share_the_work() -> None:
    nonces = np.array([str(n).encode() for n in range(4000)])
    right = verify_batch(HALF, b"p", nonces)
    mask = np.zeros(4000, np.bool_)

    def part(first: int) -> None:
        chunk = slice(first, first + 1000)
        verify_batch(HALF, b"p", nonces[chunk], out=mask[chunk])

    threads = [threading.Thread(target=part, args=(first,)) for first in range(0, 4000, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (mask == right).all()


def data_of(values: Sequence[int]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return np.zeros(5, np.uint8), np.array(values, np.int64)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "offsets",
    [
        [-1, 2],
        [0, 6],
        [3, 2],
        [0, 5, 4],
        [0, 2**62],
        [-(2**63), 2**63 - 1],
        [2**63 - 1, -(2**63)],
        [6, 6],
        [*range(6), *[5] * 40, 6],
    ],
    ids=str,
)
def test_offsets_that_descend_or_leave_the_data_are_refused(
    kernel: str, offsets: list[int]
) -> None:
    with pytest.raises(InvalidInputError, match="offsets that never descend"):
        verify_batch(ALWAYS, data_of(offsets), b"", kernel=kernel)
    with pytest.raises(InvalidInputError, match="offsets that never descend"):
        verify_batch(ALWAYS, b"", data_of(offsets), kernel=kernel)


FINE = np.zeros((3, 4), np.uint8)


@pytest.mark.parametrize(
    ("challenges", "nonces", "complaint"),
    [
        (b"", b"", "an array of challenges or of nonces"),
        (FINE, FINE[:2], "as many nonces as challenges"),
        (FINE, np.zeros(3, np.uint8), "nonces as uint8"),
        (FINE, np.zeros((3, 4, 1), np.uint8), "nonces as uint8"),
        (FINE.astype(np.int8), b"", "challenges as uint8"),
        (FINE.astype(np.uint16), b"", "challenges as uint8"),
        (FINE.astype("U4"), b"", "challenges as uint8"),
        (np.array([b"a"], object), b"", "challenges as uint8"),
        (np.array([[b"a"]]), b"", "challenges as uint8"),
        ("text", b"", "challenges as uint8"),
        ([b"a", b"b", b"c"], b"", "challenges as uint8"),
        (None, b"", "challenges as uint8"),
        ((FINE, np.zeros(4, np.int64)), b"", "data of challenges"),
        ((b"abc", np.zeros(4, np.int64)), b"", "data of challenges"),
        ((FINE[0], [0, 1]), b"", "offsets of challenges"),
        ((FINE[0], np.zeros(4, np.int32)), b"", "offsets of challenges"),
        ((FINE[0], np.zeros(4, ">i8")), b"", "offsets of challenges"),
        ((FINE[0], np.zeros(4, np.uint64)), b"", "offsets of challenges"),
        ((FINE[0], np.zeros(0, np.int64)), b"", "offsets of challenges"),
        ((FINE[0], np.zeros((2, 2), np.int64)), b"", "offsets of challenges"),
    ],
)
def test_what_is_no_column_is_refused(challenges: Any, nonces: Any, complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=f"expected.*{complaint}"):
        verify_batch(ALWAYS, challenges, nonces)


def read_only() -> NDArray[np.bool_]:
    mask = np.zeros(3, np.bool_)
    mask.flags.writeable = False
    return mask


@pytest.mark.parametrize(
    "out",
    [
        read_only(),
        np.zeros(4, np.bool_),
        np.zeros((3, 1), np.bool_),
        np.zeros(3, np.uint8),
        np.zeros(6, np.bool_)[::2],
        FINE.view(np.bool_)[0, :3],
        [False] * 3,
    ],
    ids=repr,
)
def test_a_mask_that_cannot_be_written_is_refused(out: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"expected.* out "):
        verify_batch(ALWAYS, FINE, b"", out=out)


def test_a_rule_suffix_or_kernel_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="expected AtMost, AtLeast or Masked"):
        verify_batch(2**240, FINE, b"")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="expected bytes for suffix"):
        verify_batch(ALWAYS, FINE, b"", suffix="x")  # type: ignore[arg-type]
    with pytest.raises(KernelUnavailableError, match="abacus"):
        verify_batch(ALWAYS, FINE, b"", kernel="abacus")


def test_numpy_is_loaded_by_the_first_batch_only() -> None:
    program = "import sys, pypow; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]


def check_batch_of_everything(verify: Verify) -> None:
    """A few of the comparisons above in one, for twins that are wrong."""
    one, other = some(67, 40), some(67, 9, 2)
    found = verify(HALF, rows(one, 40), rows(other, 9), suffix=b"!")
    assert found.tolist() == [wins(HALF, a + b + b"!") for a, b in zip(one, other, strict=True)]


def forgets_the_suffix(rule: Rule, one: Any, other: Any, *, suffix: bytes) -> NDArray[np.bool_]:
    return verify_batch(rule, one, other)


def stops_at_a_whole_group(rule: Rule, one: Any, other: Any, *, suffix: bytes) -> NDArray[np.bool_]:
    mask = np.zeros(len(one), np.bool_)
    verify_batch(rule, one[:64], other[:64], suffix=suffix, out=mask[:64])
    return mask


def mixes_neighbours(rule: Rule, one: Any, other: Any, *, suffix: bytes) -> NDArray[np.bool_]:
    return verify_batch(rule, one, np.roll(other, 1, axis=0), suffix=suffix)


@pytest.mark.parametrize("wrong", [forgets_the_suffix, stops_at_a_whole_group, mixes_neighbours])
def test_the_comparison_catches_a_wrong_batch(wrong: Verify) -> None:
    check_batch_of_everything(verify_batch)
    with pytest.raises(AssertionError):
        check_batch_of_everything(wrong)

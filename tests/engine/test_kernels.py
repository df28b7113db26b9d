# SPDX-License-Identifier: Apache-2.0
"""Every kernel against published vectors, against hashlib, and in every lane and place."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import _bridge
from pypow._bridge import HashSpec, HashType
from support.reference import (
    Case,
    Outcome,
    Search,
    binary,
    cases,
    check_search,
    every_block_layout,
    every_hash,
    every_lane_and_place,
    exactly,
    flipped,
    hashed_cases,
)

VECTORS = Path(__file__).parents[1] / "vectors"
MONTE_CHECKPOINTS = 100

NAMES = [info.name for info in _bridge.kernels()]
USABLE = [info.name for info in _bridge.kernels() if info.usable]


@pytest.fixture(params=NAMES)
def kernel(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name not in USABLE:
        pytest.skip(f"this CPU or operating system cannot run the kernel {name}")
    return name


def search_with(kernel: str) -> Search:
    def search(case: Case) -> Outcome:
        puzzle = _bridge.NativePuzzle(case.prefix, case.nonce, case.suffix, case.rule, case.hash)
        return puzzle.search(case.first, case.count, kernel)

    return search


def cavp_messages(name: str) -> Iterator[tuple[bytes, bytes]]:
    """Messages and digests of a CAVP file whose messages are whole bytes."""
    fields: dict[str, str] = {}
    for line in (VECTORS / name).read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(" = ")
        fields[key] = value
        if key == "MD":
            length = int(fields["Len"]) // 8
            yield bytes.fromhex(fields["Msg"])[:length], bytes.fromhex(value)


def monte_checkpoints() -> tuple[bytes, list[bytes]]:
    lines = (VECTORS / "SHA256Monte.rsp").read_text(encoding="ascii").splitlines()
    seed = next(line for line in lines if line.startswith("Seed"))
    digests = [line for line in lines if line.startswith("MD")]
    octets = [bytes.fromhex(line.partition(" = ")[2]) for line in (seed, *digests)]
    return octets[0], octets[1:]


def as_needles(message: bytes, digest: bytes) -> Iterator[Case]:
    """The message as a puzzle, cut in three at several places, that only it solves."""
    for width in (1, 2, 8):
        for at in {0, 5, len(message) // 2, len(message) - width}:
            nonce = message[at : at + width]
            if at < 0 or len(nonce) < width:
                continue
            index = int.from_bytes(nonce, "big")
            first = max(0, index - 40)
            prefix, suffix = message[:at], message[at + width :]
            yield Case(prefix, binary(width), suffix, exactly(digest), first, 50)


@pytest.mark.parametrize("name", ["SHA256ShortMsg.rsp", "SHA256LongMsg.rsp"])
def test_a_kernel_hashes_the_published_messages(kernel: str, name: str) -> None:
    messages = list(cavp_messages(name))
    assert len(messages) >= 64
    for message, digest in messages:
        assert _bridge.sha256(message, kernel) == digest


@pytest.mark.parametrize("name", ["SHA256ShortMsg.rsp", "SHA256LongMsg.rsp"])
def test_a_kernel_finds_the_published_messages_by_their_digests(kernel: str, name: str) -> None:
    search = search_with(kernel)
    needles = [
        case for message, digest in cavp_messages(name) for case in as_needles(message, digest)
    ]
    assert len(needles) >= 64
    for case in needles:
        found, _ = search(case)
        assert found is not None
        assert hashlib.sha256(case.message(found)).digest() == case.rule.value
        wrong = replace(case, rule=exactly(flipped(case.rule.value, found % 256)))
        assert search(wrong)[0] is None


def test_a_kernel_walks_the_published_monte_carlo_chain(kernel: str) -> None:
    seed, digests = monte_checkpoints()
    assert len(digests) == MONTE_CHECKPOINTS
    for digest in digests:
        window = [seed] * 3
        for _ in range(1000):
            window = [*window[1:], _bridge.sha256(b"".join(window), kernel)]
        seed = window[-1]
        assert seed == digest


@given(message=st.binary(max_size=200))
def test_every_kernel_agrees_with_hashlib(message: bytes) -> None:
    for name in USABLE:
        assert _bridge.sha256(message, name) == hashlib.sha256(message).digest()


def test_a_kernel_finds_the_winner_in_every_lane_and_at_every_place(kernel: str) -> None:
    check_search(search_with(kernel), every_lane_and_place())


def test_a_kernel_knows_every_layout_of_blocks(kernel: str) -> None:
    check_search(search_with(kernel), every_block_layout())


@given(case=cases())
def test_every_kernel_agrees_with_the_reference(case: Case) -> None:
    for name in USABLE:
        check_search(search_with(name), [case])


def test_a_kernel_knows_every_hash(kernel: str) -> None:
    check_search(search_with(kernel), every_hash())


@given(case=hashed_cases())
def test_every_kernel_agrees_with_the_reference_on_every_hash(case: Case) -> None:
    for name in USABLE:
        check_search(search_with(name), [case])


def test_one_message_instructions_still_hash_right_after_wide_ones() -> None:
    for wide in USABLE:
        check_search(search_with(wide), list(every_lane_and_place())[:20])
        for name in USABLE:
            assert _bridge.sha256(b"abc", name) == hashlib.sha256(b"abc").digest()


right = search_with("scalar")


def swaps_neighbours(case: Case) -> Outcome:
    found, tried = right(case)
    return (found, tried) if found is None else (found ^ 1, tried)


def swaps_halves_of_a_group(case: Case) -> Outcome:
    found, tried = right(case)
    return (found, tried) if found is None else (case.first + ((found - case.first) ^ 16), tried)


def is_one_bit_off(case: Case) -> Outcome:
    return right(replace(case, prefix=flipped(case.prefix, 0) if case.prefix else b""))


def forgets_the_chaining_value(case: Case) -> Outcome:
    return right(replace(case, prefix=case.prefix[len(case.prefix) // 64 * 64 :]))


def forgets_the_last_block(case: Case) -> Outcome:
    return right(replace(case, suffix=case.suffix[:64]))


def skips_the_first(case: Case) -> Outcome:
    found, tried = right(replace(case, first=case.first + 1, count=case.count - 1))
    return found, tried + 1


def skips_the_last(case: Case) -> Outcome:
    found, tried = right(replace(case, count=case.count - 1))
    return found, tried + (found is None)


def looks_at_half_of_each_group(case: Case) -> Outcome:
    found, tried = right(case)
    return (None, case.count) if found is not None and found % 32 >= 16 else (found, tried)


def loses_a_carry_between_words(case: Case) -> Outcome:
    return right(replace(case, first=case.first % 2**32))


def hashes_once_less(case: Case) -> Outcome:
    return right(replace(case, hash=changed(case.hash, iterations=-1)))


def hashes_once_more(case: Case) -> Outcome:
    return right(replace(case, hash=changed(case.hash, iterations=+1)))


def forgets_the_end_of_the_salt(case: Case) -> Outcome:
    return right(replace(case, hash=changed(case.hash, salt=case.hash.salt[:52])))


def takes_long_keys_as_they_are(case: Case) -> Outcome:
    message = case.message(case.first)
    return right(
        replace(case, suffix=case.suffix[: 64 - len(message)] if len(message) > 64 else b"")
    )


def changed(spec: HashSpec, *, iterations: int = 0, salt: bytes | None = None) -> HashSpec:
    if spec.type is HashType.SHA256:
        salt = b""
    return HashSpec(
        spec.type,
        max(1, spec.iterations + iterations),
        spec.salt if salt is None else salt,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        hashes_once_less,
        hashes_once_more,
        forgets_the_end_of_the_salt,
        takes_long_keys_as_they_are,
        swaps_neighbours,
    ],
)
def test_the_check_itself_catches_a_wrong_hash(wrong: Callable[[Case], Outcome]) -> None:
    check_search(right, every_hash())
    with pytest.raises(AssertionError):
        check_search(wrong, every_hash())


def counts_whole_groups(case: Case) -> Outcome:
    found, tried = right(case)
    return found, (tried + 15) // 16 * 16


@pytest.mark.parametrize(
    "wrong",
    [
        swaps_neighbours,
        swaps_halves_of_a_group,
        is_one_bit_off,
        forgets_the_chaining_value,
        forgets_the_last_block,
        skips_the_first,
        skips_the_last,
        looks_at_half_of_each_group,
        loses_a_carry_between_words,
        counts_whole_groups,
    ],
)
def test_the_check_itself_catches_a_wrong_kernel(wrong: Callable[[Case], Outcome]) -> None:
    with pytest.raises(AssertionError):
        check_search(wrong, [*every_lane_and_place(), *every_block_layout()])

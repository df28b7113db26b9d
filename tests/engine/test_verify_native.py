# SPDX-License-Identifier: Apache-2.0
"""Checking proofs: every nonce is hashed and held against the rule, up to the first that fails."""

import hashlib
import threading
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import _bridge
from pypow._bridge import HashSpec, HashType, RuleSpec, RuleType
from pypow.errors import InvalidInputError
from support.reference import NEVER, cases, digest, flipped_all, hashed_cases, wins, zero_bits
from support.reference import Case as Puzzle

Verify = Callable[[RuleSpec, bytes, Sequence[bytes], bytes], tuple[int | None, tuple[bytes, ...]]]
ALWAYS = RuleSpec(type=RuleType.AT_LEAST, value=bytes(32), mask=bytes(32), little=False)


def expected(
    rule: RuleSpec, prefix: bytes, nonces: Sequence[bytes], suffix: bytes
) -> tuple[int | None, tuple[bytes, ...]]:
    digests: list[bytes] = []
    for index, nonce in enumerate(nonces):
        digests.append(hashlib.sha256(prefix + nonce + suffix).digest())
        if not wins(rule, digests[-1]):
            return index, tuple(digests)
    return None, tuple(digests)


def check_verify(
    verify: Verify, rule: RuleSpec, prefix: bytes, nonces: Sequence[bytes], suffix: bytes
) -> None:
    assert verify(rule, prefix, nonces, suffix) == expected(rule, prefix, nonces, suffix)


@given(
    puzzle=cases(),
    rule=st.sampled_from([ALWAYS, NEVER, zero_bits(1), zero_bits(2, little=True), None]),
    nonces=st.lists(st.binary(max_size=64), min_size=1, max_size=64),
)
def test_verify_agrees_with_hashlib(
    puzzle: Puzzle, rule: RuleSpec | None, nonces: list[bytes]
) -> None:
    check_verify(_bridge.verify, rule or puzzle.rule, puzzle.prefix, nonces, puzzle.suffix)


@given(puzzle=hashed_cases(), nonces=st.lists(st.binary(max_size=64), min_size=1, max_size=4))
def test_verify_agrees_with_hashlib_on_every_hash(puzzle: Puzzle, nonces: list[bytes]) -> None:
    found = _bridge.verify(ALWAYS, puzzle.prefix, nonces, puzzle.suffix, puzzle.hash)
    messages = [puzzle.prefix + nonce + puzzle.suffix for nonce in nonces]
    assert found == (None, tuple(digest(puzzle.hash, message) for message in messages))


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 127, 128, 129])
def test_a_password_may_be_all_prefix(length: int) -> None:
    spec = HashSpec(HashType.PBKDF2_HMAC_SHA256, 3, b"salt")
    password = bytes(range(length))
    assert _bridge.verify(ALWAYS, password, [b""], b"", spec) == (None, (digest(spec, password),))


@pytest.mark.parametrize("little", [False, True])
@pytest.mark.parametrize("kind", [RuleType.AT_MOST, RuleType.AT_LEAST, RuleType.MASKED])
def test_a_digest_wins_up_to_the_value_itself_and_not_beyond(kind: RuleType, little: bool) -> None:
    digest = hashlib.sha256(b"prefix-nonce").digest()
    number = int.from_bytes(digest, "little" if little else "big")
    step = {RuleType.AT_MOST: -1, RuleType.AT_LEAST: 1, RuleType.MASKED: 1}[kind]
    for difference, winning in ((0, True), (step, False)):
        value = (number + difference).to_bytes(32, "big")
        if kind is RuleType.MASKED and little:
            value = (int.from_bytes(digest, "big") + difference).to_bytes(32, "big")
        rule = RuleSpec(type=kind, value=value, mask=b"\xff" * 32, little=little)
        failed, digests = _bridge.verify(rule, b"prefix-", [b"nonce"])
        assert digests == (digest,)
        assert failed == (None if winning else 0)


def test_what_comes_after_the_first_failure_is_not_hashed() -> None:
    failed, digests = _bridge.verify(NEVER, b"", [b"a", b"b"])
    assert failed == 0
    assert digests == (hashlib.sha256(b"a").digest(),)


def joins_nonces(
    rule: RuleSpec, prefix: bytes, nonces: Sequence[bytes], suffix: bytes
) -> tuple[int | None, tuple[bytes, ...]]:
    return _bridge.verify(rule, prefix, [nonces[0], *nonces[:-1]], suffix)


def forgets_the_suffix(
    rule: RuleSpec, prefix: bytes, nonces: Sequence[bytes], suffix: bytes
) -> tuple[int | None, tuple[bytes, ...]]:
    return _bridge.verify(rule, prefix, nonces)


def turns_the_rule_around(
    rule: RuleSpec, prefix: bytes, nonces: Sequence[bytes], suffix: bytes
) -> tuple[int | None, tuple[bytes, ...]]:
    other = RuleSpec(
        type=RuleType.AT_LEAST, value=flipped_all(rule.value), mask=bytes(32), little=rule.little
    )
    return _bridge.verify(other, prefix, nonces, suffix)


@pytest.mark.parametrize("wrong", [joins_nonces, forgets_the_suffix, turns_the_rule_around])
def test_the_check_itself_catches_a_wrong_verify(wrong: Verify) -> None:
    nonces = [b"%d" % i for i in range(9) if wins(zero_bits(1), _bridge.sha256(b"<%d>" % i))]
    check_verify(_bridge.verify, zero_bits(1), b"<", nonces, b">")
    with pytest.raises(AssertionError):
        check_verify(wrong, zero_bits(1), b"<", nonces, b">")


@pytest.mark.parametrize(
    ("prefix", "nonces", "suffix"),
    [
        (b"", [], b""),
        (b"", [b""] * 65, b""),
        (b"", [b"x" * 65], b""),
        ("", [b""], b""),
        (b"", [""], b""),
        (b"", [b""], None),
        (b"", [None], b""),
        (b"", [1], b""),
    ],
)
def test_what_cannot_be_a_proof_is_refused(
    prefix: bytes, nonces: list[bytes], suffix: bytes
) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        _bridge.verify(ALWAYS, prefix, nonces, suffix)


def test_many_threads_verify_at_once() -> None:
    nonces = [b"%d" % i for i in range(64)]
    right = expected(ALWAYS, b"p" * 100, nonces, b"s" * 100)
    results: list[object] = []

    def verify() -> None:
        results.extend(_bridge.verify(ALWAYS, b"p" * 100, nonces, b"s" * 100) for _ in range(50))

    threads = [threading.Thread(target=verify) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [right] * 200

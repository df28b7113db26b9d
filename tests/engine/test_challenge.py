# SPDX-License-Identifier: Apache-2.0
"""Checking a proof: each term refuses with its own reason, and forgetting one is noticed."""

import base64
import hashlib
import hmac
import itertools
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import difficulty, wire
from pypow.challenge import (
    MAX_CLOCK_SKEW_MS,
    Checked,
    Expected,
    Key,
    Keyring,
    Outcome,
    Reason,
    Refusal,
    check,
    hkdf_sha256,
    issue,
    scope_digest,
)
from pypow.errors import InvalidInputError
from pypow.wire import Challenge, Proof
from support import challenge_reference
from support.challenges import EPOCH, KEY, KEYRING, NOW_MS, fixed_challenge

RESOURCE = scope_digest(KEY.resource_mac, b"mcp.example.com", b"mcp", b"tools/call", b"search")
OTHER_RESOURCE = scope_digest(KEY.resource_mac, b"mcp.example.com", b"mcp", b"tools/call", b"fetch")
PRINCIPAL = scope_digest(KEY.principal_mac, b"203.0.113.7/32")
OTHER_PRINCIPAL = scope_digest(KEY.principal_mac, b"203.0.113.8/32")

Check = Callable[[Proof, Keyring, Expected], Outcome]


def solved(challenge: Challenge) -> Proof:
    """The proof of an easy challenge, found the slow way."""
    target = difficulty.target(challenge.sub_q)
    nonces = tuple(
        challenge_reference.lowest_nonce(challenge.text, index, target).encode()
        for index in range(challenge.puzzles)
    )
    return Proof(nonces=nonces, challenge=challenge.text)


def losing_nonce(challenge: Challenge) -> bytes:
    target = difficulty.target(challenge.sub_q)
    for number in itertools.count():
        nonce = b"%015x" % number
        digest = hashlib.sha256(challenge.text.encode() + nonce).digest()
        if int.from_bytes(digest) >= target:
            return nonce
    raise AssertionError


BOUND = fixed_challenge(weight=5, resource=RESOURCE, principal=PRINCIPAL)
FREE = fixed_challenge()
SPLIT = fixed_challenge(q=14 * 1024, puzzles=16)
EXPECTED = Expected(now_ms=NOW_MS, epoch=EPOCH, resource=RESOURCE, weight=5, principal=PRINCIPAL)


@dataclass(frozen=True)
class Case:
    name: str
    proof: Proof
    expected: Expected
    reason: Reason | None


PROOF = solved(BOUND)
FREE_PROOF = solved(FREE)
SPLIT_PROOF = solved(SPLIT)
EXPIRES_MS = NOW_MS + 120_000

CASES = [
    Case("all is right", PROOF, EXPECTED, None),
    Case("the last good millisecond", PROOF, replace(EXPECTED, now_ms=EXPIRES_MS - 1), None),
    Case("the first late one", PROOF, replace(EXPECTED, now_ms=EXPIRES_MS), Reason.EXPIRED),
    Case("long past", PROOF, replace(EXPECTED, now_ms=2**48), Reason.EXPIRED),
    Case(
        "as far ahead as clocks may be",
        PROOF,
        replace(EXPECTED, now_ms=NOW_MS - MAX_CLOCK_SKEW_MS),
        None,
    ),
    Case(
        "a millisecond further ahead",
        PROOF,
        replace(EXPECTED, now_ms=NOW_MS - MAX_CLOCK_SKEW_MS - 1),
        Reason.NOT_YET_VALID,
    ),
    Case("an older epoch", PROOF, replace(EXPECTED, epoch=EPOCH + 1), Reason.STALE_EPOCH),
    Case("a newer epoch", PROOF, replace(EXPECTED, epoch=EPOCH - 1), Reason.STALE_EPOCH),
    Case(
        "another resource",
        PROOF,
        replace(EXPECTED, resource=OTHER_RESOURCE),
        Reason.WRONG_RESOURCE,
    ),
    Case("the same weight or less", PROOF, replace(EXPECTED, weight=4), None),
    Case("one unit too light", PROOF, replace(EXPECTED, weight=6), Reason.UNDERWEIGHT),
    Case(
        "another principal",
        PROOF,
        replace(EXPECTED, principal=OTHER_PRINCIPAL),
        Reason.WRONG_PRINCIPAL,
    ),
    Case(
        "nobody, where it was issued to somebody",
        PROOF,
        replace(EXPECTED, principal=wire.ANYONE),
        Reason.WRONG_PRINCIPAL,
    ),
    Case(
        "any call, where it was issued for one",
        PROOF,
        replace(EXPECTED, resource=wire.ANY_RESOURCE),
        Reason.WRONG_RESOURCE,
    ),
    Case("good for any call and anyone", FREE_PROOF, replace(EXPECTED, weight=1), None),
    Case("good for any call of its weight", FREE_PROOF, EXPECTED, Reason.UNDERWEIGHT),
    Case("no challenge", Proof(nonces=(b"1",)), EXPECTED, Reason.MALFORMED),
    Case("no nonce", replace(PROOF, nonces=()), EXPECTED, Reason.WRONG_NONCES),
    Case("two nonces", replace(PROOF, nonces=PROOF.nonces * 2), EXPECTED, Reason.WRONG_NONCES),
    Case("a long nonce", replace(PROOF, nonces=(b"0" * 16,)), EXPECTED, Reason.WRONG_NONCES),
    Case(
        "a nonce that loses",
        replace(PROOF, nonces=(losing_nonce(BOUND),)),
        EXPECTED,
        Reason.NOT_ENOUGH_WORK,
    ),
    Case("sixteen sub-puzzles", SPLIT_PROOF, replace(EXPECTED, weight=1), None),
    Case(
        "sixteen times the same nonce",
        replace(SPLIT_PROOF, nonces=SPLIT_PROOF.nonces[:1] * 16),
        replace(EXPECTED, weight=1),
        Reason.WRONG_NONCES,
    ),
    Case(
        "the last sub-puzzle unsolved",
        replace(SPLIT_PROOF, nonces=(*SPLIT_PROOF.nonces[:-1], b"0f" + b"0" * 13)),
        replace(EXPECTED, weight=1),
        Reason.NOT_ENOUGH_WORK,
    ),
    Case(
        "signed by an unknown key",
        solved(fixed_challenge(key=Key(id=2, secret=KEY.secret))),
        replace(EXPECTED, weight=1),
        Reason.UNKNOWN_KEY,
    ),
    Case(
        "signed with another secret",
        solved(fixed_challenge(key=Key(id=1, secret=bytes(32)))),
        replace(EXPECTED, weight=1),
        Reason.BAD_MAC,
    ),
    Case(
        "made easier after signing",
        solved(replace(FREE, q=2048)),
        replace(EXPECTED, weight=1),
        Reason.BAD_MAC,
    ),
]


def mistakes(check_proof: Check) -> list[str]:
    """The cases that a check decides otherwise than it should."""
    wrong = []
    for case in CASES:
        outcome = check_proof(case.proof, KEYRING, case.expected)
        reason = outcome.reason if isinstance(outcome, Refusal) else None
        if reason is not case.reason:
            wrong.append(f"{case.name}: expected {case.reason}, got {outcome}")
    return wrong


def test_every_term_is_checked_and_named() -> None:
    assert mistakes(check) == []


def test_every_reason_is_met_by_a_case() -> None:
    assert {case.reason for case in CASES} == {*Reason, None}


def read(proof: Proof) -> Challenge:
    """The challenge of a proof, or any other where there is none."""
    return wire.decode_challenge(proof.challenge or FREE.text)


def forgets_expiry(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    now_ms = min(expected.now_ms, read(proof).issued_at_ms)
    return check(proof, keyring, replace(expected, now_ms=now_ms))


def a_millisecond_generous(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    return check(proof, keyring, replace(expected, now_ms=expected.now_ms - 1))


def forgets_the_future(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    now_ms = max(expected.now_ms, read(proof).issued_at_ms)
    return check(proof, keyring, replace(expected, now_ms=now_ms))


def forgets_the_epoch(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    return check(proof, keyring, replace(expected, epoch=read(proof).epoch))


def forgets_the_resource(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    return check(proof, keyring, replace(expected, resource=read(proof).resource))


def forgets_the_weight(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    return check(proof, keyring, replace(expected, weight=1))


def forgets_the_principal(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    return check(proof, keyring, replace(expected, principal=read(proof).principal))


def forgives(reason: Reason) -> Check:
    def forgiving(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
        outcome = check(proof, keyring, expected)
        if isinstance(outcome, Refusal) and outcome.reason is reason:
            return Checked(read(proof))
        return outcome

    forgiving.__name__ = f"forgives_{reason}"
    return forgiving


@pytest.mark.parametrize(
    "wrong",
    [
        forgets_expiry,
        a_millisecond_generous,
        forgets_the_future,
        forgets_the_epoch,
        forgets_the_resource,
        forgets_the_weight,
        forgets_the_principal,
        *map(forgives, Reason),
    ],
    ids=lambda wrong: wrong.__name__,
)
def test_the_table_catches_a_check_that_forgets_something(wrong: Check) -> None:
    assert mistakes(wrong) != []


def refuses_every_flip(check_proof: Check) -> bool:
    """Whether no challenge one bit away from a solved one is taken, work and all."""
    original = bytearray(FREE.octets)
    expected = replace(EXPECTED, weight=1)
    for at, bit in itertools.product(range(78), range(8)):
        original[at] ^= 1 << bit
        text = base64.urlsafe_b64encode(original).decode()
        original[at] ^= 1 << bit
        outcome = check_proof(replace(FREE_PROOF, challenge=text), KEYRING, expected)
        if not isinstance(outcome, Refusal):
            return False
    return True


def checks_half_of_the_mac(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    text = proof.challenge or ""
    return check(replace(proof, challenge=text[:94] + FREE.text[94:]), keyring, expected)


def test_a_flipped_bit_anywhere_in_a_challenge_is_refused_with_a_named_reason() -> None:
    assert refuses_every_flip(check)


def test_the_flip_check_catches_a_mac_that_is_only_half_compared() -> None:
    assert not refuses_every_flip(checks_half_of_the_mac)


@pytest.mark.parametrize("length", range(104))
def test_a_truncated_challenge_is_malformed(length: int) -> None:
    outcome = check(replace(PROOF, challenge=BOUND.text[:length]), KEYRING, EXPECTED)
    assert isinstance(outcome, Refusal)
    assert outcome.reason is Reason.MALFORMED


@given(
    st.text(max_size=110) | st.text("ABCabc019-_", min_size=104, max_size=104),
    st.lists(st.binary(max_size=20), max_size=70).map(tuple),
)
def test_nothing_that_a_stranger_sends_is_taken(text: str, nonces: tuple[bytes, ...]) -> None:
    outcome = check(Proof(nonces=nonces, challenge=text), KEYRING, EXPECTED)
    assert isinstance(outcome, Refusal)
    assert "\n" not in outcome.detail


@given(st.lists(st.binary(max_size=20), max_size=20).map(tuple))
def test_no_strange_nonces_are_taken_for_a_split_challenge(nonces: tuple[bytes, ...]) -> None:
    proof = replace(SPLIT_PROOF, nonces=nonces)
    assert isinstance(check(proof, KEYRING, replace(EXPECTED, weight=1)), Refusal)


def test_a_price_that_rose_since_breaks_no_proof() -> None:
    outcome = check(PROOF, KEYRING, EXPECTED)
    assert outcome == Checked(BOUND)


def test_an_old_key_verifies_while_the_new_one_signs() -> None:
    new = Key(id=2, secret=b"n" * 32)
    both = Keyring([new, KEY])
    assert both.signing is new
    assert check(PROOF, both, EXPECTED) == Checked(BOUND)


def test_the_lowest_number_of_sub_puzzles_with_ten_bits_each_is_issued() -> None:
    assert fixed_challenge(q=12 * 1024, puzzles=16).puzzles == 4
    assert fixed_challenge(q=9 * 1024, puzzles=16).puzzles == 1


@pytest.mark.parametrize(
    "change",
    [
        {"q": 0},
        {"q": 45 * 1024},
        {"q": 61 * 1024},
        {"puzzles": 3},
        {"weight": 0},
        {"weight": 2**16},
        {"lifetime_s": 0},
        {"lifetime_s": 601},
        {"epoch": 2**32},
        {"now_ms": -1},
        {"identity": b"short"},
        {"resource": b"short"},
        {"overdraft": 256},
    ],
    ids=str,
)
def test_a_challenge_that_cannot_be_is_not_issued(change: dict[str, object]) -> None:
    right: dict[str, object] = {
        "q": 16 * 1024,
        "now_ms": NOW_MS,
        "epoch": EPOCH,
        "identity": bytes(16),
    }
    with pytest.raises(InvalidInputError, match="expected"):
        issue(KEY, **(right | change))  # type: ignore[arg-type]  # a table of wrong values


parts = st.lists(st.binary(max_size=6), max_size=5).map(tuple)


@given(parts, parts)
def test_different_parts_have_different_scope_digests(
    one: tuple[bytes, ...], other: tuple[bytes, ...]
) -> None:
    same = scope_digest(KEY.resource_mac, *one) == scope_digest(KEY.resource_mac, *other)
    assert same == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((b"ab", b"c"), (b"a", b"bc")),
        ((b"ab",), (b"ab", b"")),
        ((b"",), ()),
        ((b"a\0b",), (b"a", b"b")),
        ((b"a", b"b"), (b"b", b"a")),
        ((b"\0\0\0\x01a",), (b"", b"a")),
    ],
)
def test_parts_that_join_alike_have_different_scope_digests(
    one: tuple[bytes, ...], other: tuple[bytes, ...]
) -> None:
    assert scope_digest(KEY.resource_mac, *one) != scope_digest(KEY.resource_mac, *other)


def test_a_scope_digest_never_means_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmac, "digest", lambda *_: bytes(32))
    assert scope_digest(b"key", b"part") == b"\xff" * 12


def test_hkdf_agrees_with_rfc_5869_appendix_a_3() -> None:
    okm = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert hkdf_sha256(b"\x0b" * 22, info=b"").hex() == okm


@pytest.mark.parametrize("length", [0, 33, -1])
def test_hkdf_gives_one_block_at_most(length: int) -> None:
    with pytest.raises(InvalidInputError, match="1 to 32 bytes"):
        hkdf_sha256(b"secret", info=b"", length=length)


def test_every_purpose_has_its_own_key() -> None:
    keys = {KEY.challenge_mac, KEY.pass_mac, KEY.resource_mac, KEY.principal_mac, KEY.secret}
    assert len(keys) == 5


def test_a_key_does_not_show_its_secrets() -> None:
    shown = f"{KEY!r} {KEYRING!r}"
    for name in ("secret", "challenge_mac", "pass_mac", "resource_mac", "principal_mac"):
        value = getattr(KEY, name)
        assert repr(value) not in shown
        assert value.hex() not in shown


@pytest.mark.parametrize("identity", [-1, 65536, True, "1", 1.0, None])
def test_a_key_id_that_cannot_be_is_refused(identity: object) -> None:
    with pytest.raises(InvalidInputError, match="expected a key id from 0 to 65535"):
        Key(id=identity, secret=bytes(32))  # type: ignore[arg-type]  # the type may be wrong


@pytest.mark.parametrize("secret", [b"", bytes(15), "a" * 32, None])
def test_a_short_secret_is_refused_and_not_shown(secret: object) -> None:
    with pytest.raises(InvalidInputError, match="a secret of at least 16 bytes") as refused:
        Key(id=1, secret=secret)  # type: ignore[arg-type]  # the type may be wrong
    assert "a" * 32 not in str(refused.value)


@pytest.mark.parametrize("keys", [[], [KEY, Key(id=1, secret=b"x" * 16)]])
def test_a_keyring_has_keys_with_different_ids(keys: list[Key]) -> None:
    with pytest.raises(InvalidInputError, match="different ids"):
        Keyring(keys)


def test_a_keyring_can_be_sent_to_another_process() -> None:
    keyring = Keyring([Key(1, bytes(16)), Key(2, bytes(range(16)))])
    sent = pickle.loads(pickle.dumps(keyring))
    assert sent.signing == keyring.signing
    assert sent.find(2) == keyring.find(2)


@pytest.mark.parametrize("scope", [None, bytes(11), bytearray(12), [0] * 12, "twelve chars"])
def test_a_scope_that_is_no_twelve_bytes_is_refused(scope: object) -> None:
    proof = Proof(nonces=(b"1",), challenge="A" * 104)
    keyring = Keyring([Key(1, bytes(16))])
    for which in ("resource", "principal"):
        expected = Expected(now_ms=1, epoch=1, **{which: scope})  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match="12 bytes of resource and of principal"):
            check(proof, keyring, expected)

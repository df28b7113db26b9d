# SPDX-License-Identifier: Apache-2.0
"""The native check against the one that follows the description, wherever a proof may differ."""

import base64
import hmac
import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pypow
from pypow import _bridge_checks, wire
from pypow.challenge import Expected, Keyring, Outcome, Reason, Refusal, check
from pypow.errors import InvalidInputError
from pypow.wire import Challenge, Proof
from support import check_reference
from support.challenges import KEY, challenges
from support.proof_cases import (
    BOUND,
    CASES,
    EXPECTED,
    KEYRING,
    KEYS,
    MAC_KEYS,
    OTHER_KEY,
    PROOF,
    SCOPE,
    SPLIT,
    SPLIT_PROOF,
    signed,
)  # fmt: skip

Check = Callable[[Proof, Keyring, Expected], Outcome]


def reason_of(outcome: Outcome) -> Reason | None:
    return outcome.reason if isinstance(outcome, Refusal) else None


def agrees(check_proof: Check, proof: Proof, expected: Expected) -> bool:
    right = check_reference.judge(proof.challenge, proof.nonces, MAC_KEYS, expected)
    return reason_of(check_proof(proof, KEYRING, expected)) is right


def test_the_native_check_finds_what_the_description_says() -> None:
    assert [case for case in CASES if not agrees(check, *case)] == []


def test_the_cases_have_every_reason() -> None:
    found = {reason_of(check(proof, KEYRING, expected)) for proof, expected in CASES}
    assert found == {*Reason, None}


def a_millisecond_early(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    return check(proof, keyring, replace(expected, now_ms=max(expected.now_ms, -(2**62)) - 1))


def a_millisecond_late(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    return check(proof, keyring, replace(expected, now_ms=min(expected.now_ms, 2**62) + 1))


def a_unit_generous(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    return check(proof, keyring, replace(expected, weight=max(0, expected.weight - 1)))


def takes_any_resource(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    same = replace(expected, resource=SCOPE)
    return check(proof, keyring, same)


def swaps_the_scopes(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    swapped = replace(expected, resource=expected.principal, principal=expected.resource)
    return check(proof, keyring, swapped)


def joins_nonces(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    return check(
        replace(proof, nonces=tuple(b".".join(proof.nonces).split(b"."))), keyring, expected
    )


def checks_the_first_nonce_only(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    if proof.challenge == SPLIT.text and len(proof.nonces) == 4:
        proof = replace(proof, nonces=(proof.nonces[0], *SPLIT_PROOF.nonces[1:]))
    return check(proof, keyring, expected)


def knows_one_key(proof: Proof, keyring: Keyring, expected: Expected) -> Outcome:
    return check(proof, Keyring(KEYS[:1]), expected)


@pytest.mark.parametrize(
    "wrong",
    [
        a_millisecond_early,
        a_millisecond_late,
        a_unit_generous,
        takes_any_resource,
        swaps_the_scopes,
        joins_nonces,
        checks_the_first_nonce_only,
        knows_one_key,
    ],
    ids=lambda wrong: wrong.__name__,
)
def test_the_comparison_catches_a_wrong_check(wrong: Check) -> None:
    assert not all(agrees(wrong, *case) for case in CASES)


@given(
    challenge=challenges(),
    key=st.sampled_from([1, 9, None]),
    after_ms=st.integers(-6000, 700_000),
    changes=st.fixed_dictionaries(
        {},
        optional={
            "epoch": st.integers(0, 2**32 - 1),
            "resource": st.binary(min_size=12, max_size=12),
            "principal": st.binary(min_size=12, max_size=12),
            "weight": st.integers(0, 2**32 - 1),
        },
    ),
    guess=st.lists(st.binary(max_size=17), max_size=3).map(tuple),
)
def test_any_challenge_is_judged_as_described(
    challenge: Challenge,
    key: int | None,
    after_ms: int,
    changes: dict[str, int | bytes],
    guess: tuple[bytes, ...],
) -> None:
    challenge = challenge if key is None else replace(challenge, key=key)
    text = signed(challenge.octets, OTHER_KEY if challenge.key == OTHER_KEY.id else KEY)
    expected = Expected(
        now_ms=challenge.issued_at_ms + after_ms,
        epoch=challenge.epoch,
        resource=challenge.resource,
        weight=challenge.weight,
        principal=challenge.principal,
    )
    expected = replace(expected, **changes)  # type: ignore[arg-type]  # a table of fields
    right = tuple(b"%02x%013x" % (index, 7) for index in range(challenge.puzzles))
    for nonces in (right, guess):
        assert agrees(check, Proof(nonces, text), expected)


@given(st.text(max_size=110) | st.text(max_size=3).map(lambda end: BOUND.text[:-1] + end))
def test_any_text_is_judged_as_described(text: str) -> None:
    assert agrees(check, replace(PROOF, challenge=text), EXPECTED)


def test_every_character_of_a_challenge_is_read_as_described() -> None:
    for at, octet in itertools.product((0, 1, 2, 3, 50, 63, 64, 102, 103), range(256)):
        text = BOUND.text[:at] + chr(octet) + BOUND.text[at + 1 :]
        right = check_reference.judge(text, PROOF.nonces, MAC_KEYS, EXPECTED)
        read = _bridge_checks.decode_challenge(text)
        assert (read is None) == (right is Reason.MALFORMED), text
        assert read is None or bytes(read) == base64.urlsafe_b64decode(text), text


def test_work_is_judged_by_itself() -> None:
    assert pypow.verify(SPLIT, SPLIT_PROOF)
    for at in range(4):
        losing = (*SPLIT_PROOF.nonces[:at], b"%02x" % at + b"0" * 13, *SPLIT_PROOF.nonces[at + 1 :])
        reason, failed = _bridge_checks.check_work(SPLIT.text, losing)
        assert (reason, failed) == (11, at)
        assert not pypow.verify(SPLIT, losing)
    assert _bridge_checks.check_work(SPLIT.text[:-1], SPLIT_PROOF.nonces)[0] == 1
    assert _bridge_checks.check_work(SPLIT.text, SPLIT_PROOF.nonces[:3])[0] == 10


@given(st.binary(max_size=200), challenges())
def test_the_mac_is_that_of_rfc_2104(secret: bytes, challenge: Challenge) -> None:
    mac = hmac.digest(secret, challenge.octets[:62], "sha256")[:16]
    keys = _bridge_checks.MacKeys([(challenge.key, secret)])

    def reason(given_mac: bytes) -> int:
        text = replace(challenge, mac=given_mac).text
        scopes = (challenge.resource, challenge.principal)
        return _bridge_checks.check_challenge(
            keys, challenge.issued_at_ms, challenge.epoch, 1, *scopes, text, ()
        )[0]

    assert reason(mac) == 10
    for at in range(16):
        changed = bytearray(mac)
        changed[at] ^= 1
        assert reason(bytes(changed)) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"now_ms": 2**63},
        {"now_ms": 1.5},
        {"now_ms": None},
        {"epoch": -1},
        {"epoch": 2**32},
        {"weight": -1},
        {"weight": "1"},
        {"resource": b"short"},
        {"principal": bytes(13)},
        {"resource": "r" * 12},
    ],
    ids=str,
)
def test_what_cannot_be_expected_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        check(PROOF, KEYRING, replace(EXPECTED, **change))  # type: ignore[arg-type]


def test_a_checked_challenge_is_like_one_that_was_made() -> None:
    read = wire.decode_challenge(BOUND.text)
    assert (read, type(read), hash(read)) == (BOUND, Challenge, hash(BOUND))
    assert replace(read, weight=4).weight == 4
    with pytest.raises(AttributeError):
        read.weight = 4  # type: ignore[misc]  # frozen

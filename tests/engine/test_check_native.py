# SPDX-License-Identifier: Apache-2.0
"""The native check against the one that follows the description, wherever a proof may differ."""

import base64
import hmac
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pypow
from pypow import _bridge_checks, difficulty, wire
from pypow.challenge import Expected, Key, Keyring, Outcome, Reason, Refusal, check
from pypow.errors import InvalidInputError
from pypow.wire import Challenge, Proof
from support import challenge_reference, check_reference
from support.challenges import EPOCH, KEY, NOW_MS, challenges, fixed_challenge

OTHER_KEY = Key(id=9, secret=b"o" * 32)
KEYS = (KEY, OTHER_KEY)
KEYRING = Keyring(KEYS)
MAC_KEYS = {key.id: key.challenge_mac for key in KEYS}
SCOPE, OTHER_SCOPE = b"r" * 12, b"s" * 12
EXPECTED = Expected(now_ms=NOW_MS, epoch=EPOCH, resource=SCOPE, weight=3, principal=SCOPE)
BOUND = fixed_challenge(q=2048, weight=3, resource=SCOPE, principal=SCOPE)
SPLIT = fixed_challenge(q=12 * 1024, puzzles=4)
EXPIRES_MS = NOW_MS + 120_000

Check = Callable[[Proof, Keyring, Expected], Outcome]
Case = tuple[Proof, Expected]


def signed(octets: bytes | bytearray, key: Key = KEY) -> str:
    """The text of a challenge with these first 62 octets, signed whatever they say."""
    mac = hmac.digest(key.challenge_mac, octets[:62], "sha256")[:16]
    return base64.urlsafe_b64encode(octets[:62] + mac).decode("ascii")


def solved(challenge: Challenge) -> tuple[bytes, ...]:
    target = difficulty.target(challenge.sub_q)
    return tuple(
        challenge_reference.lowest_nonce(challenge.text, index, target).encode()
        for index in range(challenge.puzzles)
    )


PROOF = Proof(solved(BOUND), BOUND.text)
SPLIT_PROOF = Proof(solved(SPLIT), SPLIT.text)


def reason_of(outcome: Outcome) -> Reason | None:
    return outcome.reason if isinstance(outcome, Refusal) else None


def agrees(check_proof: Check, proof: Proof, expected: Expected) -> bool:
    right = check_reference.judge(proof.challenge, proof.nonces, MAC_KEYS, expected)
    return reason_of(check_proof(proof, KEYRING, expected)) is right


def flips() -> Iterator[Case]:
    """One bit changed anywhere, with the old MAC and with a fresh one, and unsolved again."""
    for challenge, proof in ((BOUND, PROOF), (SPLIT, SPLIT_PROOF)):
        expected = replace(EXPECTED, weight=1)
        for at, bit in itertools.product(range(78), range(8)):
            octets = bytearray(challenge.octets)
            octets[at] ^= 1 << bit
            text = base64.urlsafe_b64encode(octets).decode("ascii")
            yield replace(proof, challenge=text), expected
            yield replace(proof, challenge=signed(octets)), expected


def moments() -> Iterator[Case]:
    """Around every moment at which the verdict changes, and as far away as can be."""
    edges = (NOW_MS - 5000, NOW_MS, EXPIRES_MS, EXPIRES_MS + 5000, 0)
    for edge, step in itertools.product(edges, (-1, 0, 1)):
        yield PROOF, replace(EXPECTED, now_ms=edge + step)
    for now_ms in (-(2**63), 2**63 - 1, 2**48):
        yield PROOF, replace(EXPECTED, now_ms=now_ms)


def expectations() -> Iterator[Case]:
    scopes = (SCOPE, OTHER_SCOPE, wire.ANYONE)
    for weight, epoch in itertools.product((0, 1, 2, 3, 4, 65536), (EPOCH, EPOCH + 1, 0)):
        for resource, principal in itertools.product(scopes, scopes):
            changed = replace(EXPECTED, weight=weight, epoch=epoch)
            yield PROOF, replace(changed, resource=resource, principal=principal)


def nonces() -> Iterator[Case]:
    free = replace(EXPECTED, weight=1)
    for nonce in (b"", b"0" * 15, b"0" * 16, b".", b"a.b", b"\0", b"\xff", b"=", b"+", b"x" * 300):
        for at in range(4):
            given_nonces = (*SPLIT_PROOF.nonces[:at], nonce, *SPLIT_PROOF.nonces[at + 1 :])
            yield replace(SPLIT_PROOF, nonces=given_nonces), free
        yield replace(PROOF, nonces=(nonce,)), EXPECTED
    for count in (0, 1, 2, 3, 5, 64, 65, 1000):
        yield replace(SPLIT_PROOF, nonces=(SPLIT_PROOF.nonces * 250)[:count]), free
        yield replace(PROOF, nonces=PROOF.nonces * count), EXPECTED
    upper = tuple(nonce.upper() for nonce in SPLIT_PROOF.nonces)
    joined = (b".".join(SPLIT_PROOF.nonces[:2]), *SPLIT_PROOF.nonces[2:])
    for given_nonces in (upper, SPLIT_PROOF.nonces[::-1], joined, joined[:1]):
        yield replace(SPLIT_PROOF, nonces=given_nonces), free


def other_keys() -> Iterator[Case]:
    for identity, key in itertools.product((1, 2, 9, 65535), KEYS):
        challenge = replace(fixed_challenge(q=1024, weight=3), key=identity)
        text = signed(challenge.octets, key)
        win = challenge_reference.lowest_nonce(text, 0, difficulty.target(1024))
        yield Proof((win.encode(),), text), EXPECTED


CASES = [*flips(), *moments(), *expectations(), *nonces(), *other_keys()]


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

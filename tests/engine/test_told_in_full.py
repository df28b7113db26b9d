# SPDX-License-Identifier: Apache-2.0
"""What callers are told, word for word: published challenges, refusals, and where bounds lie."""

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest

from pypow import challenge, wire
from pypow.challenge import Expected, Key, Refusal
from pypow.errors import InvalidInputError, WireError
from pypow.wire import MAX_PROOF_TEXT, Challenge, Proof
from support.challenges import EPOCH, KEY, KEYRING, NOW_MS, fixed_challenge

LONE = fixed_challenge()
SPLIT = fixed_challenge(q=14 * 1024 + 512, puzzles=16, weight=5)
TWO = fixed_challenge(q=20 * 1024, puzzles=2)
TEXT = LONE.text
RIGHT = Proof(nonces=(b"1",), challenge=TEXT)

HEADER = "expected challenge=<104 characters>,nonce=<1 to 15 of 0-9A-Za-z_->, got "
PARAMETERS = 'expected PoW challenge="<104 characters>", nonce="<nonce>", got '
MEMBERS = 'expected a JSON object with just "challenge" and "nonce", got '
CHARACTERS = "expected a challenge of 104 base64url characters, got "
NONCES = "expected 1 to 64 nonces of 1 to 15 characters of 0-9A-Za-z_-, joined by dots, got "


def test_a_published_challenge_has_these_members_and_no_others() -> None:
    assert SPLIT.published() == {
        "challenge": SPLIT.text,
        "difficulty": 3,
        "algorithm": "sha256",
        "bits": 14.5,
        "target": "002d413cccfe779920" + "f" * 46,
        "puzzles": 16,
        "expires_at": 1_800_000_120,
        "nonce": {"encoding": "hex", "width": 15, "index_digits": 2},
    }


def test_a_challenge_costs_one_unit_and_no_surcharge_unless_told_otherwise() -> None:
    issued = challenge.issue(KEY, q=4096, now_ms=NOW_MS, epoch=EPOCH, identity=bytes(16))
    assert (issued.puzzles, issued.weight, issued.overdraft) == (1, 1, 0)
    assert (issued.lifetime_s, issued.resource, issued.principal) == (120, bytes(12), bytes(12))


def with_octets(made: Challenge, **at: int) -> str:
    """The text of a challenge with other octets at ``o<number>``."""
    octets = bytearray(made.octets)
    for name, value in at.items():
        octets[int(name[1:])] = value
    return base64.urlsafe_b64encode(octets).decode()


@pytest.mark.parametrize(
    ("attempt", "told"),
    [
        (lambda: replace(LONE, q=7), "challenge.q: expected an integer from 1024 to 61440, got 7"),
        (lambda: replace(LONE, id=b"short"), "challenge.id: expected 16 bytes, got b'short'"),
        (lambda: LONE.puzzle(3), "expected a sub-puzzle from 0 to 0, got 3"),
        (lambda: Proof((b"1",)).header(),
         "a bare puzzle's proof has no challenge to send back"),
        (lambda: wire.decode_challenge("x"), CHARACTERS + "'x'"),
        (lambda: wire.decode_challenge(with_octets(LONE, o2=7)),
         "expected at most 64 sub-puzzles, got 2**7"),
        # 64 sub-puzzles are not too many, and what is wrong behind them is found.
        (lambda: wire.decode_challenge(with_octets(LONE, o2=6, o4=40, o20=255)),
         "challenge.lifetime_s: expected an integer from 1 to 600, got 65400"),
        (lambda: wire.proof_from_header("y"), HEADER + "'y'"),
        (lambda: wire.proof_from_authorization("z"), PARAMETERS + "'z'"),
        (lambda: wire.proof_from_authorization('challenge="c", nonce="1"'), CHARACTERS + "'c'"),
        (lambda: wire.proof_from_authorization(f'challenge="{TEXT}", nonce="."'), NONCES + "'.'"),
        (lambda: wire.proof_from_json(7), MEMBERS + "a number"),
        (lambda: wire.proof_from_json({"a": 1, "b": 2}), MEMBERS + "an object with 'a, b'"),
        (lambda: wire.proof_from_json({"challenge": TEXT, "nonce": 1}),
         'expected "challenge" and "nonce" to be strings'),
        (lambda: wire.require_nonces(LONE, [b""]),
         "nonce 0: expected 1 to 15 characters of 0-9A-Za-z_-, got b''"),
        # Two sub-puzzles are enough for indexes.
        (lambda: wire.require_nonces(TWO, [b"00" + b"7" * 13, b"7"]),
         "nonce 1: expected 15 lower-case hex digits beginning with 01, got b'7'"),
        (lambda: Key(id=70_000, secret=bytes(32)),
         "expected a key id from 0 to 65535, got 70000"),
        (lambda: Key(id=1, secret=b""),
         "expected a secret of at least 16 bytes for key 1; make one with os.urandom(32)"),
        (lambda: challenge.reason_of_code(12), "expected a code from 0 to 11, got 12"),
        (lambda: challenge.reason_of_code(True), "expected a code from 0 to 11, got True"),
        (lambda: challenge.reason_of_code([]), "expected a code from 0 to 11, got list"),  # type: ignore[arg-type]  # the type may be wrong
    ],
)  # fmt: skip
def test_wrong_input_is_answered_with_what_was_expected_and_what_came(
    attempt: Callable[[], object], told: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        attempt()
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("read", "start", "end"),
    [
        (wire.proof_from_header, f"challenge={TEXT},", "nonce=1"),
        (wire.proof_from_authorization, f'challenge="{TEXT}",', 'nonce="1"'),
    ],
)
def test_a_proof_may_be_as_long_as_documented_and_no_longer(
    read: Callable[[str], Proof], start: str, end: str
) -> None:
    assert MAX_PROOF_TEXT == 1200
    longest = start + end.rjust(1200 - len(start))
    assert read(longest) == RIGHT
    with pytest.raises(WireError):
        read(start + " " + longest[len(start) :])


def test_a_proof_may_have_sixty_four_nonces_and_no_more() -> None:
    most = ".".join(["1"] * 64)
    assert len(wire.proof_from_header(f"challenge={TEXT},nonce={most}").nonces) == 64
    document = {"challenge": TEXT, "nonce": most}
    assert len(wire.proof_from_json(document).nonces) == 64
    with pytest.raises(WireError):
        wire.proof_from_json(document | {"nonce": most + ".1"})


@pytest.mark.parametrize("around", ["X{}", "{}X", "\v{}", "{}\n", "\xa0{}"])
def test_only_spaces_and_tabs_may_surround_an_authorization_parameter(around: str) -> None:
    assert wire.proof_from_authorization(f'challenge="{TEXT}", \tnonce="1"\t ') == RIGHT
    with pytest.raises(WireError):
        wire.proof_from_authorization(f'challenge="{TEXT}",' + around.format('nonce="1"'))


BOUND = fixed_challenge(q=44 * 1024, weight=2, resource=b"r" * 12, principal=b"p" * 12)
PROOF = Proof(nonces=(b"0" * 15,), challenge=BOUND.text)
EXPECTED = Expected(NOW_MS, EPOCH, resource=b"r" * 12, weight=2, principal=b"p" * 12)


def signed_by(key: Key) -> Proof:
    return replace(PROOF, challenge=fixed_challenge(q=44 * 1024, key=key).text)


@pytest.mark.parametrize(
    ("proof", "expected", "told"),
    [
        (replace(PROOF, challenge=None), EXPECTED, CHARACTERS + "''"),
        (replace(PROOF, challenge="x"), EXPECTED, CHARACTERS + "'x'"),
        (signed_by(Key(9, bytes(32))), EXPECTED, "key 9 is not known here; fetch a new challenge"),
        (signed_by(Key(1, bytes(32))), EXPECTED,
         "the challenge was not issued here, or was changed; fetch a new one"),
        (PROOF, replace(EXPECTED, now_ms=0),
         "the challenge is dated in the future; the clocks of the gates differ"),
        (PROOF, replace(EXPECTED, now_ms=NOW_MS + 140_700),
         "the challenge expired 20.7 s ago; fetch a new one"),
        # Late enough for a thousandth of a second to show, were a second not a thousand of them.
        (PROOF, replace(EXPECTED, now_ms=NOW_MS + 1_000_120_000),
         "the challenge expired 1000000.0 s ago; fetch a new one"),
        (PROOF, replace(EXPECTED, epoch=EPOCH + 1),
         "the ledger was renewed since the challenge was issued; fetch a new one"),
        (PROOF, replace(EXPECTED, resource=b"x" * 12),
         "the challenge was issued for another call; fetch one for this"),
        (PROOF, replace(EXPECTED, weight=3),
         "the call costs 3 units and the challenge is good for 2; fetch one for this call"),
        (PROOF, replace(EXPECTED, principal=b"x" * 12),
         "the challenge was issued to another caller; fetch your own"),
        (replace(PROOF, nonces=()), EXPECTED, "expected 1 nonces, one for each sub-puzzle, got 0"),
        (PROOF, EXPECTED,
         "SHA-256(challenge || nonce) of nonce 0 is not below the target: "
         "expected at least 44.00 bits of work; solve on"),
    ],
)  # fmt: skip
def test_a_refused_proof_is_told_what_to_do(proof: Proof, expected: Expected, told: str) -> None:
    refused = challenge.check(proof, KEYRING, expected)
    assert isinstance(refused, Refusal)
    assert refused.detail == told


def test_a_derived_key_may_be_a_single_octet() -> None:
    whole = challenge.hkdf_sha256(b"\x0b" * 22, info=b"")
    assert challenge.hkdf_sha256(b"\x0b" * 22, info=b"", length=1) == whole[:1]

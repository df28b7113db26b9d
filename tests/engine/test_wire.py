# SPDX-License-Identifier: Apache-2.0
"""The octets of a challenge and a proof: one text each way, everything else refused."""

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import difficulty, wire
from pypow.errors import InvalidInputError, WireError
from pypow.wire import (
    Challenge,
    Proof,
    decode_challenge,
    proof_from_authorization,
    proof_from_header,
    proof_from_json,
)
from support.challenges import challenges, fixed_challenge

TEXT = fixed_challenge().text
NONCE_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"

nonces = st.text(NONCE_CHARACTERS, min_size=1, max_size=15).map(str.encode)


@st.composite
def proofs(draw: st.DrawFn) -> Proof:
    challenge = draw(challenges())
    return Proof(
        nonces=tuple(draw(st.lists(nonces, min_size=1, max_size=64))), challenge=challenge.text
    )


@given(challenges())
def test_a_challenge_survives_its_text(challenge: Challenge) -> None:
    assert len(challenge.octets) == 78
    assert len(challenge.text) == 104
    assert decode_challenge(challenge.text) == challenge


@given(st.binary(min_size=78, max_size=78))
def test_octets_that_are_read_are_written_back_the_same(octets: bytes) -> None:
    # Version and algorithm are given their only value, or hardly any draw would be read.
    text = base64.urlsafe_b64encode(b"\x01\x01" + octets[2:]).decode()
    try:
        challenge = decode_challenge(text)
    except WireError:
        return
    assert challenge.text == text


@given(proofs())
def test_a_proof_survives_its_header_and_its_json(proof: Proof) -> None:
    assert proof_from_header(proof.header()) == proof
    assert proof_from_json(proof.to_json()) == proof
    assert proof_from_json(proof.header()) == proof


@given(proofs())
def test_a_proof_survives_the_authorization_header(proof: Proof) -> None:
    challenge, nonce = proof.to_json().values()
    quoted = f'challenge="{challenge}", nonce="{nonce}"'
    bare_and_turned_round = f"Nonce={nonce} ,\tCHALLENGE={challenge}"
    assert proof_from_authorization(quoted) == proof
    assert proof_from_authorization(bare_and_turned_round) == proof


@pytest.mark.parametrize("length", range(104))
def test_a_truncated_challenge_is_refused(length: int) -> None:
    with pytest.raises(WireError, match="expected a challenge of 104 base64url characters"):
        decode_challenge(TEXT[:length])


def flips(text: str) -> list[str]:
    """Every text that differs in one bit, as a header of octets may arrive."""
    octets = text.encode("ascii")
    return [
        (octets[:at] + bytes([octets[at] ^ (1 << bit)]) + octets[at + 1 :]).decode("latin-1")
        for at in range(len(octets))
        for bit in range(8)
    ]


def flips_read_as_the_same(read: Callable[[str], object], text: str) -> list[str]:
    """The texts one bit away that a reader takes for the very same value."""
    same = []
    for flipped in flips(text):
        try:
            if read(flipped) == read(text):
                same.append(flipped)
        except WireError:
            pass
    return same


ENDS_IN_ZEROS = replace(fixed_challenge(), mac=bytes(16)).text


@pytest.mark.parametrize("text", [TEXT, ENDS_IN_ZEROS])
def test_no_text_one_bit_away_reads_as_the_same_challenge(text: str) -> None:
    assert flips_read_as_the_same(decode_challenge, text) == []


def skipping_decoder(text: str) -> Challenge:
    """What base64 does when left alone: it skips what it does not know."""
    kept = "".join(c for c in text if c in NONCE_CHARACTERS)
    return decode_challenge(kept.ljust(104, "A"))


def test_the_flip_check_catches_a_decoder_that_skips_what_it_does_not_know() -> None:
    assert flips_read_as_the_same(skipping_decoder, ENDS_IN_ZEROS) != []


@pytest.mark.parametrize("byte", range(78))
def test_a_flipped_bit_of_the_octets_is_refused_or_another_challenge(byte: int) -> None:
    original = fixed_challenge()
    for bit in range(8):
        octets = bytearray(original.octets)
        octets[byte] ^= 1 << bit
        try:
            read = decode_challenge(base64.urlsafe_b64encode(octets).decode())
        except WireError:
            continue
        assert read != original
        assert read.octets == bytes(octets)


@pytest.mark.parametrize(
    ("octet", "value", "complaint"),
    [
        (0, 0, "expected challenge version 1, got 0"),
        (0, 2, "expected challenge version 1, got 2"),
        (1, 0, "expected algorithm 1"),
        (1, 2, "expected algorithm 1"),
        (2, 7, "expected at most 64 sub-puzzles"),
        (2, 255, "expected at most 64 sub-puzzles"),
        (4, 0, "challenge.q"),
        (4, 255, "challenge.q"),
        (4, 181, "at most 44 bits"),
        (7, 0, "challenge.weight"),
        (20, 255, "challenge.lifetime_s"),
    ],
)
def test_a_field_out_of_range_is_named(octet: int, value: int, complaint: str) -> None:
    octets = bytearray(fixed_challenge().octets)
    octets[octet] = value
    with pytest.raises(WireError, match=complaint):
        decode_challenge(base64.urlsafe_b64encode(octets).decode())


@pytest.mark.parametrize(
    "given_value",
    [
        "",
        " " + TEXT,
        TEXT + "\n",
        TEXT + "A",
        TEXT[:-1] + "=",
        TEXT[:-1] + "+",
        TEXT[:-1] + "ä",
        TEXT[:-1] + "\uff21",
        TEXT[:-1] + "\ud800",
        "A" * 1_000_000,
        TEXT.encode(),
        None,
        7,
    ],
)
def test_what_is_no_challenge_is_refused_in_one_short_line(given_value: object) -> None:
    with pytest.raises(WireError, match="expected") as refused:
        decode_challenge(given_value)  # type: ignore[arg-type]  # the type may be wrong
    assert len(str(refused.value)) < 200
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "field", ["puzzles", "overdraft", "q", "weight", "key", "epoch", "issued_at_ms", "lifetime_s"]
)
@pytest.mark.parametrize("value", [-1, 2**64, True, 1.5, "1", None])
def test_a_challenge_cannot_be_made_with_a_field_that_cannot_be(field: str, value: object) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        replace(fixed_challenge(), **{field: value})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("field", ["id", "resource", "principal", "mac"])
@pytest.mark.parametrize("value", [b"", bytes(11), bytes(17), "a" * 12, bytearray(12), None])
def test_a_challenge_cannot_be_made_with_octets_that_cannot_be(field: str, value: object) -> None:
    with pytest.raises(WireError, match=rf"challenge\.{field}"):
        replace(fixed_challenge(), **{field: value})  # type: ignore[arg-type]  # wrong on purpose


HEADER = Proof(nonces=(b"0" * 15,), challenge=TEXT).header()


@pytest.mark.parametrize("length", range(len(HEADER)))
def test_a_truncated_header_is_refused_or_lacks_only_digits_of_its_nonce(length: int) -> None:
    if length > len(f"challenge={TEXT},nonce="):
        assert proof_from_header(HEADER[:length]).challenge == TEXT
        return
    with pytest.raises(WireError, match="expected challenge=<104 characters>"):
        proof_from_header(HEADER[:length])


def test_no_header_one_bit_away_reads_as_the_same_proof() -> None:
    assert flips_read_as_the_same(proof_from_header, HEADER) == []


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"challenge={TEXT}",
        f"nonce=1,challenge={TEXT}",
        f"challenge={TEXT},nonce=",
        f"challenge={TEXT},nonce=1.",
        f"challenge={TEXT},nonce=.1",
        f"challenge={TEXT},nonce=1..2",
        f"challenge={TEXT},nonce=1,nonce=2",
        f"challenge={TEXT},nonce={'0' * 16}",
        f"challenge={TEXT},nonce={'.'.join(['1'] * 65)}",
        f"challenge={TEXT},nonce=1 ",
        f" challenge={TEXT},nonce=1",
        f"challenge={TEXT},nonce=1\r\n",
        f"challenge={TEXT},nonce=\u0661",
        f"CHALLENGE={TEXT},nonce=1",
        "x" * 1_000_000,
    ],
)
def test_what_is_no_proof_header_is_refused_in_one_short_line(header: str) -> None:
    with pytest.raises(WireError, match="expected challenge=") as refused:
        proof_from_header(header)
    assert len(str(refused.value)) < 200
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        f'challenge="{TEXT}"',
        f'challenge="{TEXT}", nonce="1", nonce="1"',
        f'challenge="{TEXT}", nonce="1", realm="x"',
        f'challenge="{TEXT}" nonce="1"',
        f'challenge="{TEXT}", nonce="1',
        f'challenge="{TEXT}", nonce=""',
        f'challenge="{TEXT[:-1]}", nonce="1"',
        "x" * 1_000_000,
        "," * 1000,
    ],
)
def test_what_are_no_authorization_parameters_is_refused(parameters: str) -> None:
    with pytest.raises(WireError, match="expected"):
        proof_from_authorization(parameters)


@pytest.mark.parametrize(
    "document",
    [
        None,
        7,
        [],
        {},
        {"challenge": TEXT},
        {"challenge": TEXT, "nonce": "1", "extra": 1},
        {"challenge": TEXT, "nonce": 1},
        {"challenge": None, "nonce": "1"},
        {"challenge": TEXT, "nonce": ""},
        {"challenge": TEXT, "nonce": "1\n"},
        {1: 2, "x": 3},
    ],
)
def test_what_is_no_proof_in_json_is_refused(document: object) -> None:
    with pytest.raises(WireError, match="expected"):
        proof_from_json(document)


@given(st.text(max_size=300))
def test_no_text_makes_a_parser_fail_otherwise_than_by_refusing(text: str) -> None:
    for read in (decode_challenge, proof_from_header, proof_from_authorization, proof_from_json):
        with pytest.raises(WireError):
            read(text)


def split_challenge(puzzles: int) -> Challenge:
    return fixed_challenge(q=20 * 1024, puzzles=puzzles)


def right_nonces(puzzles: int) -> list[bytes]:
    return [b"%02x%013x" % (index, 7) for index in range(puzzles)]


@pytest.mark.parametrize("puzzles", [2, 16, 64])
def test_nonces_of_sub_puzzles_carry_their_index(puzzles: int) -> None:
    wire.require_nonces(split_challenge(puzzles), right_nonces(puzzles))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda nonces: nonces[:-1],
        lambda nonces: [*nonces, b"10" + b"0" * 13],
        lambda nonces: nonces[::-1],
        lambda nonces: [nonces[0]] * len(nonces),
        lambda nonces: [*nonces[:-1], b"0F" + nonces[-1][2:]],
        lambda nonces: [*nonces[:-1], nonces[-1][:-1]],
        lambda nonces: [*nonces[:-1], nonces[-1] + b"0"],
        lambda nonces: [*nonces[:-1], nonces[-1][:-1] + b"g"],
        lambda nonces: [*nonces[:-1], nonces[-1][:-1] + b"F"],
        lambda nonces: [*nonces[:-1], nonces[-1][:-1] + b"\n"],
        lambda nonces: [*nonces[:-1], b""],
        lambda nonces: [],
    ],
)
def test_nonces_that_no_solver_may_send_are_refused(
    spoil: Callable[[list[bytes]], list[bytes]],
) -> None:
    with pytest.raises(WireError, match="expected"):
        wire.require_nonces(split_challenge(16), spoil(right_nonces(16)))


@given(nonces)
def test_a_lone_puzzle_takes_any_short_nonce_of_url_safe_characters(nonce: bytes) -> None:
    wire.require_nonces(fixed_challenge(), [nonce])


@pytest.mark.parametrize("nonce", [b"", b"0" * 16, b"a b", b"1\n", b"\xff", "ü".encode(), b"."])
def test_a_lone_puzzle_takes_no_other_nonce(nonce: bytes) -> None:
    with pytest.raises(WireError, match="1 to 15 characters"):
        wire.require_nonces(fixed_challenge(), [nonce])


@given(challenges())
def test_the_published_form_states_what_wins(challenge: Challenge) -> None:
    published = challenge.published()
    target = int(str(published["target"]), 16)
    assert target + 1 == difficulty.target(challenge.sub_q)
    assert published["difficulty"] == difficulty.hex_zeros(challenge.sub_q)
    assert published["bits"] == challenge.q / 1024
    assert published["challenge"] == challenge.text
    assert published["puzzles"] == challenge.puzzles
    assert published["expires_at"] == challenge.expires_at_ms // 1000


def test_a_bare_puzzles_proof_has_nothing_to_send() -> None:
    proof = Proof(nonces=(b"506",))
    assert proof.nonce == b"506"
    for send in (proof.header, proof.to_json):
        with pytest.raises(InvalidInputError, match="no challenge to send"):
            send()


@pytest.mark.parametrize("index", [-1, 1, 64])
def test_a_sub_puzzle_that_is_not_there_is_refused(index: int) -> None:
    with pytest.raises(InvalidInputError, match="expected a sub-puzzle from 0 to 0"):
        fixed_challenge().puzzle(index)


def test_an_error_about_unknown_fields_does_not_send_them_all_back() -> None:
    with pytest.raises(WireError) as caught:
        wire.proof_from_json({"k" * 1_000_000: 1})
    assert len(str(caught.value)) < 200

# SPDX-License-Identifier: Apache-2.0
"""Puzzles: their JSON there and back, foreign vectors, and one clear line for what cannot be."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pypow
from pypow import (
    Alphabet,
    AtLeast,
    AtMost,
    Decimal,
    FreeBytes,
    Hex,
    InvalidInputError,
    Masked,
    Pbkdf2HmacSha256,
    Puzzle,
    Sha256,
    Sha256d,
    Sha256Iterated,
    TooHardError,
    Unsigned,
)
from pypow._bridge import HashSpec, HashType, NativePuzzle

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "puzzles.json").read_text(encoding="utf-8")
)
KERNELS = [kernel.name for kernel in pypow.kernels() if kernel.usable]

COUNTED_FIRST_BYTE_FASTEST = "pow-shield-13b"
"""Its own solver counts from the other end, so that our lowest nonce is another winner."""

NONCES_TOO_MANY_TO_TRY = "bitcoin-genesis"
"""Two thousand million hashes: the search for its nonce begins shortly before it."""

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=[v["name"] for v in VECTORS])
each_searchable = pytest.mark.parametrize(
    "vector",
    [vector for vector in VECTORS if vector["name"] != NONCES_TOO_MANY_TO_TRY],
    ids=lambda vector: str(vector["name"]),
)


def reference_digest(puzzle: Puzzle, nonce: bytes) -> bytes:
    message = puzzle.prefix + nonce + puzzle.suffix
    if isinstance(puzzle.hash, Pbkdf2HmacSha256):
        return hashlib.pbkdf2_hmac("sha256", message, puzzle.hash.salt, puzzle.hash.iterations)
    for _ in range(puzzle.cost_per_nonce):
        message = hashlib.sha256(message).digest()
    return message


@each_vector
def test_a_foreign_solution_verifies(vector: dict[str, Any]) -> None:
    puzzle = Puzzle.from_json(vector["puzzle"])
    nonce = bytes.fromhex(vector["solution"]["nonce"])
    assert puzzle.digest(nonce) == reference_digest(puzzle, nonce)
    assert puzzle.digest(nonce).hex() == vector["solution"]["digest"]
    assert pypow.verify(puzzle, nonce)


@pytest.mark.parametrize("kernel", KERNELS)
@each_searchable
def test_the_lowest_nonce_of_a_foreign_puzzle_is_found(vector: dict[str, Any], kernel: str) -> None:
    puzzle = Puzzle.from_json(vector["puzzle"])
    # One format asks for a whole digest, and bounds the nonce instead of the work.
    proof = pypow.solve(puzzle, limit=2_000_000, max_bits=256, kernel=kernel)
    assert pypow.verify(puzzle, proof)
    lowest = proof.nonce.hex() == vector["solution"]["nonce"]
    assert lowest == (vector["name"] != COUNTED_FIRST_BYTE_FASTEST)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_nonce_of_the_first_bitcoin_block_is_found(kernel: str) -> None:
    (vector,) = (v for v in VECTORS if v["name"] == NONCES_TOO_MANY_TO_TRY)
    puzzle = Puzzle.from_json(vector["puzzle"])
    native = NativePuzzle(
        puzzle.prefix, puzzle.nonce_spec, puzzle.suffix, puzzle.rule_spec, puzzle.hash_spec
    )
    winner = int.from_bytes(bytes.fromhex(vector["solution"]["nonce"]), "little")
    assert native.search(winner - 20_000, 30_000, kernel) == (winner, 20_001)
    assert native.search(winner + 1, 10_000, kernel) == (None, 10_000)


@each_vector
def test_a_spoiled_foreign_solution_does_not_verify(vector: dict[str, Any]) -> None:
    puzzle = Puzzle.from_json(vector["puzzle"])
    nonce = bytearray(bytes.fromhex(vector["solution"]["nonce"]))
    nonce[-1] ^= 1
    assert not pypow.verify(puzzle, bytes(nonce))


orders = st.sampled_from(["big", "little"])
targets = st.integers(0, 2**256 - 1)
nonce_encodings = st.one_of(
    st.builds(Decimal, first=st.integers(0, 2**63)),
    st.builds(Hex, width=st.none() | st.integers(1, 64)),
    st.builds(
        Alphabet,
        alphabet=st.lists(
            st.sampled_from([chr(c) for c in range(128)]), min_size=2, unique=True
        ).map("".join),
        width=st.integers(1, 64),
    ),
    st.builds(Unsigned, bits=st.sampled_from([32, 64]), order=orders),
    st.builds(FreeBytes, width=st.integers(1, 64)),
)
rules = st.one_of(
    st.builds(AtMost, target=targets, order=orders),
    st.builds(AtLeast, target=targets, order=orders),
    st.binary(min_size=32, max_size=32).map(lambda value: Masked(mask=b"\xff" * 32, value=value)),
)
hashes = st.one_of(
    st.just(Sha256()),
    st.just(Sha256d()),
    st.builds(Sha256Iterated, iterations=st.integers(1, 10_000_000)),
    st.builds(Pbkdf2HmacSha256, iterations=st.integers(1, 10_000_000), salt=st.binary(max_size=80)),
)
puzzles = st.builds(
    Puzzle,
    prefix=st.binary(max_size=80),
    nonce=nonce_encodings,
    rule=rules,
    suffix=st.binary(max_size=80),
    hash=hashes,
)


@given(puzzles)
def test_a_puzzle_survives_its_json(puzzle: Puzzle) -> None:
    assert Puzzle.from_json(puzzle.to_json()) == puzzle
    assert Puzzle.from_json(json.dumps(puzzle.to_json())) == puzzle
    assert Puzzle.from_json(json.dumps(puzzle.to_json()).encode()) == puzzle


@given(puzzles)
def test_an_encoding_writes_its_first_nonce_and_no_empty_one(puzzle: Puzzle) -> None:
    first = pypow.solve(
        Puzzle(prefix=b"", nonce=puzzle.nonce, rule=AtMost(2**256 - 1)), limit=1
    ).nonce
    assert puzzle.writes(first)
    assert not puzzle.writes(b"")
    assert not puzzle.writes(first + b"\xff" * 65)


RIGHT: dict[str, Any] = {
    "prefix": "00ff",
    "suffix": "",
    "nonce": {"encoding": "decimal"},
    "hash": {"name": "sha256"},
    "rule": {"type": "at_most", "order": "big", "target": "00" * 2 + "ff" * 30},
}


def changed(**fields: object) -> dict[str, object]:
    return RIGHT | fields


def stretched(**fields: object) -> dict[str, object]:
    return {"name": "pbkdf2-hmac-sha256", "iterations": 1, "salt": ""} | fields


def without(field: str) -> dict[str, object]:
    return {name: value for name, value in RIGHT.items() if name != field}


MALFORMED: list[tuple[object, str]] = [
    (None, "expected a JSON object for puzzle, got null"),
    ([], "expected a JSON object for puzzle, got an array"),
    ({1: 2}, "puzzle: expected fields named by text, got 1"),
    ("9" * 5000, "numbers of up to 1000 digits"),
    ("{}", 'the field "nonce" is missing'),
    ("", "expected JSON"),
    ("{", "expected JSON"),
    ("\ufeff{}", "expected JSON"),
    (b"\xff\xfe", "expected JSON in UTF-8"),
    ('{"prefix": "", "prefix": ""}', "repeated keys"),
    ('{"prefix": NaN}', "NaN"),
    ('{"prefix": 1e999}', "range of a double"),
    ("[" * 100_000, "nesting"),
    ("1" * 10_000, "expected JSON"),
    (without("nonce"), 'the field "nonce" is missing'),
    (without("rule"), 'the field "rule" is missing'),
    (changed(prefx=""), "unknown field 'prefx'"),
    (changed(prefix=7), "puzzle.prefix: expected hex digits"),
    (changed(prefix="0"), "puzzle.prefix: expected hex digits"),
    (changed(prefix="0g"), "puzzle.prefix: expected hex digits"),
    (changed(prefix="00 ff"), "puzzle.prefix: expected hex digits"),
    (changed(prefix="\uff10\uff10"), "puzzle.prefix: expected hex digits"),
    (changed(prefix="00" * (2**20 + 1)), "at most 1048576 bytes of prefix"),
    (changed(suffix=None), "puzzle.suffix: expected hex digits"),
    (changed(hash="sha256"), "expected a JSON object for hash"),
    (changed(hash={"name": "md5"}), "hash.name: expected sha256, sha256d, sha256-iterated or"),
    (changed(hash={"name": ["sha256"]}), "hash.name: expected sha256"),
    (changed(hash={"name": "SHA256"}), "hash.name: expected sha256"),
    (changed(hash={"name": "sha256", "iterations": 2}), "hash: unknown field 'iterations'"),
    (changed(hash={"name": "sha256d", "salt": ""}), "hash: unknown field 'salt'"),
    (changed(hash={"name": "sha256-iterated"}), 'hash: the field "iterations" is missing'),
    *(
        (
            changed(hash={"name": "sha256-iterated", "iterations": iterations}),
            "hash.iterations: expected an integer from 1 to 10000000",
        )
        for iterations in (0, -1, 10_000_001, 2**64, 1.0, True, "9", None)
    ),
    (changed(hash=stretched(iterations=0)), "hash.iterations: expected an integer"),
    (changed(hash=stretched(salt=None)), "hash.salt: expected hex digits"),
    (changed(hash=stretched(salt="0")), "hash.salt: expected hex digits"),
    (changed(hash=stretched(salt="00" * (2**20 + 1))), "at most 1048576 bytes of hash.salt"),
    (changed(hash=stretched(keylen=32)), "hash: unknown field 'keylen'"),
    (
        changed(hash={"name": "pbkdf2-hmac-sha256", "iterations": 1}),
        'hash: the field "salt" is missing',
    ),
    (changed(nonce={}), 'nonce: the field "encoding" is missing'),
    (changed(nonce={"encoding": "octal"}), "nonce.encoding: expected decimal, hex"),
    (changed(nonce={"encoding": ["hex"]}), "nonce.encoding: expected decimal, hex"),
    (changed(nonce={"encoding": "decimal", "width": 4}), "nonce: unknown field 'width'"),
    (changed(nonce={"encoding": "decimal", "first": -1}), "nonce.first: expected an integer"),
    (changed(nonce={"encoding": "decimal", "first": 2**63 + 1}), "nonce.first"),
    (changed(nonce={"encoding": "decimal", "first": True}), "nonce.first"),
    (changed(nonce={"encoding": "decimal", "first": 1.0}), "nonce.first"),
    (changed(nonce={"encoding": "hex", "width": 0}), "nonce.width"),
    (changed(nonce={"encoding": "hex", "width": 65}), "nonce.width"),
    (changed(nonce={"encoding": "bytes"}), 'nonce: the field "width" is missing'),
    (changed(nonce={"encoding": "bytes", "width": "8"}), "nonce.width"),
    (changed(nonce={"encoding": "u32"}), 'nonce: the field "order" is missing'),
    (changed(nonce={"encoding": "u64", "order": "middle"}), "expected the order"),
    (changed(nonce={"encoding": "alphabet", "alphabet": "aa", "width": 3}), "different"),
    (changed(nonce={"encoding": "alphabet", "alphabet": "a", "width": 3}), "two or more"),
    (changed(nonce={"encoding": "alphabet", "alphabet": "äö", "width": 3}), "ASCII"),
    (changed(nonce={"encoding": "alphabet", "alphabet": 7, "width": 3}), "ASCII"),
    (changed(rule=[]), "expected a JSON object for rule, got an array"),
    (changed(rule={"type": "exactly"}), "rule.type: expected at_most, at_least or masked"),
    (changed(rule={"type": "at_most", "target": "ff"}), "rule.target: expected 32 bytes, got 1"),
    (changed(rule={"type": "at_most", "target": 255}), "rule.target: expected hex digits"),
    (
        changed(rule={"type": "at_least", "target": "00" * 32, "order": 1}),
        "expected the order",
    ),
    (
        changed(rule={"type": "masked", "mask": "00" * 32, "value": "01" + "00" * 31}),
        "no digest can ever win",
    ),
    (changed(rule={"type": "masked", "mask": "ff", "value": "ff"}), "expected 32 bytes"),
]


@pytest.mark.parametrize(("document", "complaint"), MALFORMED)
def test_a_malformed_puzzle_is_refused_with_what_is_wrong(document: Any, complaint: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        Puzzle.from_json(document)
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*RIGHT, "encoding", "type", "name"]), inner, max_size=4),
))  # fmt: skip
def test_no_json_makes_the_reader_fail_otherwise_than_by_refusing(document: Any) -> None:
    with pytest.raises(InvalidInputError):
        Puzzle.from_json(document)


@pytest.mark.parametrize(
    ("rule", "expected_hashes"),
    [
        (AtMost(2**256 - 1), 1),
        (AtMost(2**240 - 1), 2**16),
        (AtMost(0), 2**256),
        (AtLeast(0), 1),
        (AtLeast(2**256 - 2**240), 2**16),
        (AtLeast(2**256 - 1), 2**256),
        (Masked(mask=bytes(32), value=bytes(32)), 1),
        (Masked(mask=b"\xff\xf0" + bytes(30), value=bytes(32)), 2**12),
    ],
)
def test_expected_hashes_follow_from_the_rule(
    rule: pypow.puzzle.Rule, expected_hashes: int
) -> None:
    assert Puzzle(b"", Decimal(), rule).expected_hashes == expected_hashes


@pytest.mark.parametrize(
    ("nonce", "written", "not_written"),
    [
        (Decimal(), [b"0", b"7", b"10", b"18446744073709551615"],
         [b"00", b"07", b"a", b"+1", b"-1", b"1_0", b" 1", b"18446744073709551616", b"\xb2"]),
        (Decimal(first=5), [b"5", b"6"], [b"4", b"0"]),
        (Hex(), [b"0", b"ff", b"f" * 16], [b"0f", b"FF", b"0x1", b"1" + b"0" * 16]),
        (Hex(width=4), [b"0000", b"00ff"], [b"ff", b"00fff", b"00FF"]),
        (Alphabet("ab", 3), [b"aaa", b"bab"], [b"ab", b"abc", b"aaaa"]),
        (Unsigned(32, "little"), [bytes(4), b"\xff" * 4], [bytes(3), bytes(5)]),
        (FreeBytes(2), [b"\0\xff"], [b"\0"]),
    ],
)  # fmt: skip
def test_only_what_an_encoding_can_write_counts_as_its_nonce(
    nonce: pypow.puzzle.NonceEncoding, written: list[bytes], not_written: list[bytes]
) -> None:
    puzzle = Puzzle(b"", nonce, AtMost(2**256 - 1))
    assert [n for n in written if not pypow.verify(puzzle, n)] == []
    assert [n for n in not_written if pypow.verify(puzzle, n)] == []


@pytest.mark.parametrize("bits", [1, 16, 16.5, 23.125, 60])
@pytest.mark.parametrize("order", ["big", "little"])
def test_a_rule_from_bits_takes_that_many_bits_of_work(
    bits: float, order: pypow.puzzle.Order
) -> None:
    for rule in (AtMost.from_bits(bits, order), AtLeast.from_bits(bits, order)):
        assert rule.order == order
        expected_hashes = Puzzle(b"", Decimal(), rule).expected_hashes
        assert expected_hashes == pytest.approx(2**bits, rel=1e-12)


@pytest.mark.parametrize("bits", [0, 61, -1, float("nan"), True, "16", None])
def test_no_rule_is_made_of_bits_that_cannot_be(bits: Any) -> None:
    with pytest.raises(InvalidInputError, match="1 to 60 bits"):
        AtMost.from_bits(bits)


@pytest.mark.parametrize(
    ("made", "blocks"),
    [
        (Sha256(), 1),
        (Sha256d(), 2),
        (Sha256Iterated(1000), 1000),
        (Pbkdf2HmacSha256(5000, b"salt"), 10_000),
    ],
)
def test_the_cap_on_work_counts_what_a_hash_is_made_of(
    made: pypow.puzzle.Hash, blocks: int
) -> None:
    puzzle = Puzzle(b"", Decimal(), AtMost.from_bits(4), hash=made)
    assert puzzle.expected_hashes == 16
    assert puzzle.cost_per_nonce == blocks
    needed_bits = math.log2(16 * blocks)
    assert pypow.verify(puzzle, pypow.solve(puzzle, max_bits=needed_bits))
    with pytest.raises(TooHardError, match=f"{needed_bits:.1f} bits of work"):
        pypow.solve(puzzle, max_bits=needed_bits - 0.1)


def test_a_hash_that_cannot_be_is_refused() -> None:
    for wrong in (None, "sha256", Sha256, 256):
        with pytest.raises(InvalidInputError, match="expected a hash"):
            Puzzle(b"", Decimal(), AtMost(0), hash=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"expected bytes for hash\.salt"):
        Pbkdf2HmacSha256(1, "salt")  # type: ignore[arg-type]
    for iterations in (0, 10_000_001):
        with pytest.raises(InvalidInputError, match="iterations from 1 to 10000000"):
            HashSpec(HashType.SHA256, iterations)
    with pytest.raises(InvalidInputError, match="none without PBKDF2"):
        HashSpec(HashType.SHA256, 1, b"salt")
    with pytest.raises(InvalidInputError, match="at most 1048576 bytes"):
        HashSpec(HashType.PBKDF2_HMAC_SHA256, 1, bytes(2**20 + 1))

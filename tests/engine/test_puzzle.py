# SPDX-License-Identifier: Apache-2.0
"""Puzzles: their JSON there and back, foreign vectors, and one clear line for what cannot be."""

import hashlib
import json
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
    Puzzle,
    Unsigned,
)

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "puzzles.json").read_text(encoding="utf-8")
)
SHA256 = [vector for vector in VECTORS if vector["puzzle"]["hash"]["name"] == "sha256"]
OTHERS = [vector for vector in VECTORS if vector not in SHA256]

COUNTED_FIRST_BYTE_FASTEST = "pow-shield-13b"
"""Its own solver counts from the other end, so that our lowest nonce is another winner."""

sha256_vectors = pytest.mark.parametrize("vector", SHA256, ids=[v["name"] for v in SHA256])


@sha256_vectors
def test_a_foreign_solution_verifies(vector: dict[str, Any]) -> None:
    puzzle = Puzzle.from_json(vector["puzzle"])
    nonce = bytes.fromhex(vector["solution"]["nonce"])
    digest = hashlib.sha256(puzzle.prefix + nonce + puzzle.suffix).hexdigest()
    assert digest == vector["solution"]["digest"]
    assert pypow.verify(puzzle, nonce)


@sha256_vectors
def test_the_lowest_nonce_of_a_foreign_puzzle_is_found(vector: dict[str, Any]) -> None:
    puzzle = Puzzle.from_json(vector["puzzle"])
    # One format asks for a whole digest, and bounds the nonce instead of the work.
    proof = pypow.solve(puzzle, limit=2_000_000, max_bits=256)
    assert pypow.verify(puzzle, proof)
    lowest = proof.nonce.hex() == vector["solution"]["nonce"]
    assert lowest == (vector["name"] != COUNTED_FIRST_BYTE_FASTEST)


@sha256_vectors
def test_a_spoiled_foreign_solution_does_not_verify(vector: dict[str, Any]) -> None:
    puzzle = Puzzle.from_json(vector["puzzle"])
    nonce = bytearray(bytes.fromhex(vector["solution"]["nonce"]))
    nonce[-1] ^= 1
    assert not pypow.verify(puzzle, bytes(nonce))


@pytest.mark.parametrize("vector", OTHERS, ids=[v["name"] for v in OTHERS])
def test_a_puzzle_with_another_hash_is_refused_by_name(vector: dict[str, Any]) -> None:
    name = vector["puzzle"]["hash"]["name"]
    with pytest.raises(InvalidInputError, match=f"expected hash.name \"sha256\", got '{name}'"):
        Puzzle.from_json(vector["puzzle"])


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
puzzles = st.builds(
    Puzzle,
    prefix=st.binary(max_size=80),
    nonce=nonce_encodings,
    rule=rules,
    suffix=st.binary(max_size=80),
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


def without(field: str) -> dict[str, object]:
    return {name: value for name, value in RIGHT.items() if name != field}


MALFORMED: list[tuple[object, str]] = [
    (None, "expected a JSON object for puzzle, got null"),
    ([], "expected a JSON object for puzzle, got an array"),
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
    (changed(hash={"name": "md5"}), "expected hash.name"),
    (changed(hash={"name": "sha256", "iterations": 2}), "hash: unknown field 'iterations'"),
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
    | st.dictionaries(st.sampled_from([*RIGHT, "encoding", "type", "x"]), inner, max_size=4),
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

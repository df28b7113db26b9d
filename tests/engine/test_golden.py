# SPDX-License-Identifier: Apache-2.0
"""Golden challenges: fixed keys and fields give these very characters, digests and nonces."""

import json
from pathlib import Path
from typing import Any

import pytest

import pypow
from pypow import difficulty, wire
from pypow.challenge import Checked, Expected, Key, Keyring, check, issue, scope_digest
from support import challenge_reference

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "challenges.json").read_text(encoding="utf-8")
)

each = pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])


def issued(vector: dict[str, Any]) -> tuple[Key, pypow.Challenge]:
    """The vector's challenge, made by the engine."""
    fields = vector["fields"]
    key = Key(id=fields["key"], secret=bytes.fromhex(vector["secret"]))
    scopes = {
        name: scope_digest(mac, *(part.encode() for part in fields[name])) if fields[name] else free
        for name, mac, free in (
            ("resource", key.resource_mac, wire.ANY_RESOURCE),
            ("principal", key.principal_mac, wire.ANYONE),
        )
    }
    challenge = issue(
        key,
        q=fields["q"],
        now_ms=fields["issued_at_ms"],
        epoch=fields["epoch"],
        identity=bytes.fromhex(fields["id"]),
        puzzles=fields["puzzles"],
        weight=fields["weight"],
        lifetime_s=fields["lifetime_s"],
        overdraft=fields["overdraft"],
        **scopes,
    )
    return key, challenge


@each
def test_the_file_follows_from_the_description(vector: dict[str, Any]) -> None:
    secret = bytes.fromhex(vector["secret"])
    assert challenge_reference.entry(vector["name"], secret, vector["fields"]) == vector


@each
def test_keys_are_derived_as_ever(vector: dict[str, Any]) -> None:
    key, _ = issued(vector)
    derived = {
        purpose: getattr(key, f"{purpose}_mac").hex() for purpose in challenge_reference.PURPOSES
    }
    assert derived == vector["keys"]


@each
def test_a_challenge_has_the_characters_it_always_had(vector: dict[str, Any]) -> None:
    _, challenge = issued(vector)
    assert challenge.octets.hex() == vector["octets"]
    assert challenge.text == vector["challenge"]
    assert challenge.resource.hex() == vector["resource"]
    assert challenge.principal.hex() == vector["principal"]
    assert f"{difficulty.target(challenge.sub_q):064x}" == vector["sub_target"]
    assert pypow.decode_challenge(vector["challenge"]) == challenge


@each
def test_solving_finds_the_lowest_nonces(vector: dict[str, Any]) -> None:
    proof = pypow.solve(vector["challenge"])
    assert [nonce.decode() for nonce in proof.nonces] == vector["nonces"]
    assert proof.work is not None
    assert [digest.hex() for digest in proof.work.digests] == vector["digests"]


@each
def test_the_golden_proof_is_taken(vector: dict[str, Any]) -> None:
    key, challenge = issued(vector)
    header = f"challenge={vector['challenge']},nonce={'.'.join(vector['nonces'])}"
    proof = pypow.proof_from_header(header)
    expected = Expected(
        now_ms=challenge.issued_at_ms,
        epoch=challenge.epoch,
        resource=challenge.resource,
        weight=challenge.weight,
        principal=challenge.principal,
    )
    assert check(proof, Keyring([key]), expected) == Checked(challenge)
    assert proof.header() == header

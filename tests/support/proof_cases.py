# SPDX-License-Identifier: Apache-2.0
"""Proofs of native challenges around every edge at which a verdict changes."""

import base64
import hmac
import itertools
from collections.abc import Iterator
from dataclasses import replace

from pypow import difficulty, wire
from pypow.challenge import Expected, Key, Keyring
from pypow.wire import Challenge, Proof
from support import challenge_reference
from support.challenges import EPOCH, KEY, NOW_MS, fixed_challenge

OTHER_KEY = Key(id=9, secret=b"o" * 32)
KEYS = (KEY, OTHER_KEY)
KEYRING = Keyring(KEYS)
MAC_KEYS = {key.id: key.challenge_mac for key in KEYS}
SCOPE, OTHER_SCOPE = b"r" * 12, b"s" * 12
EXPECTED = Expected(now_ms=NOW_MS, epoch=EPOCH, resource=SCOPE, weight=3, principal=SCOPE)
BOUND = fixed_challenge(q=2048, weight=3, resource=SCOPE, principal=SCOPE)
SPLIT = fixed_challenge(q=12 * 1024, puzzles=4)
EXPIRES_MS = NOW_MS + 120_000

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

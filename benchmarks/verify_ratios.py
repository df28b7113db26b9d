# SPDX-License-Identifier: Apache-2.0
"""What a server pays to verify: one proof and batches, against hashlib and empty native calls.

    python benchmarks/verify_ratios.py --save benchmarks/results

Short slices of everything that is compared take turns, in CPU time of one thread; a ratio is
taken within its turn. Both sides get the same octets and give the same verdicts.
"""

import argparse
import base64
import hashlib
import hmac
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import pypow
from document import Row, measured, save, summary, table
from pypow import AtMost, Decimal, Expected, Key, Keyring, Puzzle
from pypow._native import ffi, lib

ROUNDS = 21
CALLS = 2000
"""Single calls in one turn."""

LOOPED = 10_000
"""Messages that a loop in Python hashes in one turn."""

SIZES = (1_000, 10_000, 100_000, 1_000_000)
KEY = Key(id=1, secret=bytes(32))
KEYRING = Keyring([KEY])
EXPECTED = Expected(now_ms=0, epoch=0)
TARGET = 2**240 - 1

Turn = Callable[[], float]
"""Runs one slice; answers with the nanoseconds of CPU time of one call, or of one item."""


def turn(run: Callable[[], object], items: int) -> Turn:
    """One run, of so many items."""

    def once() -> float:
        begun = time.thread_time_ns()
        run()
        return (time.thread_time_ns() - begun) / items

    return once


def calls(function: Callable[..., object], *given: object) -> Turn:
    """As many calls as a turn has, all the same."""

    def run() -> None:
        for _ in itertools.repeat(None, CALLS):
            function(*given)

    return turn(run, CALLS)


def verify_turns() -> dict[str, Turn]:
    """A nonce natively and with hashlib; the empty call has no nonce, and returns at once."""
    prefix, nonce = b"0123456789abcdef0123456789abcdef", b"12345678"
    puzzle = Puzzle(prefix=prefix, nonce=Decimal(), rule=AtMost(TARGET))
    outs = ffi.new("uint8_t[]", 32), ffi.new("uint32_t *")
    given = *outs, puzzle.hash_spec.native, puzzle.rule_spec.native, prefix, len(prefix), b"", 0
    highest = TARGET.to_bytes(32)
    return {
        "one": calls(lib.pypow_verify, *given, nonce, b"\x08", 1),
        "empty": calls(lib.pypow_verify, *given, nonce, b"\x08", 0),
        "one from Python": calls(pypow.verify, puzzle, nonce),
        "one with hashlib": calls(lambda: hashlib.sha256(prefix + nonce).digest() <= highest),
    }


def easy(identity: int) -> tuple[bytes, bytes]:
    """A challenge and its nonce, as they travel."""
    challenge = pypow.issue(
        KEY, q=1024, now_ms=0, epoch=0, identity=identity.to_bytes(16), lifetime_s=600
    )
    proof = pypow.solve(challenge, threads=1)
    return challenge.text.encode(), proof.nonce


def check_turns() -> dict[str, Turn]:
    """A proof from its characters to a verdict: MAC and work."""
    text, nonce = easy(0)
    octets = ffi.new("uint8_t[]", 78)
    keys, any_scope = KEYRING.mac_keys, bytes(12)
    demand = keys.native, keys.count, 0, 0, 1, any_scope, any_scope
    proof = pypow.Proof((nonce,), text.decode())
    highest = pypow.decode_challenge(text.decode()).rule.target.to_bytes(32)

    def in_python() -> bool:
        read = base64.urlsafe_b64decode(text)
        mac = hmac.digest(KEY.challenge_mac, read[:62], "sha256")[:16]
        return (
            hmac.compare_digest(mac, read[62:]) and hashlib.sha256(text + nonce).digest() <= highest
        )

    assert in_python()
    assert isinstance(pypow.check(proof, KEYRING, EXPECTED), pypow.Checked)
    return {
        "check": calls(
            lib.pypow_challenge_check, octets, *demand, text, len(text), nonce, len(nonce), 1
        ),
        "check from Python": calls(pypow.check, proof, KEYRING, EXPECTED),
        "check with hmac and hashlib": calls(in_python),
    }


def batch_turns() -> dict[str, Turn]:
    """Batches of several sizes, and the obvious loop over bytes that are made already."""
    generator = np.random.default_rng(1)
    challenges = generator.integers(0, 256, (max(SIZES), 32), dtype=np.uint8)
    nonces = generator.integers(0, 256, (max(SIZES), 8), dtype=np.uint8)
    pairs = [(bytes(c), bytes(n)) for c, n in zip(challenges, nonces, strict=True)][:LOOPED]
    rule = AtMost(TARGET)

    def loop() -> list[bool]:
        return [
            int.from_bytes(hashlib.sha256(challenge + nonce).digest()) <= TARGET
            for challenge, nonce in pairs
        ]

    def batch(size: int) -> Turn:
        parts = max(1, LOOPED // size)

        def run() -> None:
            for _ in range(parts):
                pypow.verify_batch(rule, challenges[:size], nonces[:size])

        return turn(run, size * parts)

    assert loop() == pypow.verify_batch(rule, challenges[:LOOPED], nonces[:LOOPED]).tolist()
    return {"loop": turn(loop, LOOPED)} | {f"batch of {size}": batch(size) for size in SIZES}


def challenge_turns() -> dict[str, Turn]:
    """Batches of native challenges that stand."""
    proofs = [easy(identity) for identity in range(LOOPED // 10)] * 10
    texts = np.array([text for text, _ in proofs])
    nonces = np.array([nonce for _, nonce in proofs])
    assert pypow.verify_challenges(texts, nonces).all()
    assert not pypow.check_batch(texts, nonces, KEYRING, EXPECTED).any()
    return {
        "challenges work": turn(lambda: pypow.verify_challenges(texts, nonces), len(proofs)),
        "challenges check": turn(
            lambda: pypow.check_batch(texts, nonces, KEYRING, EXPECTED), len(proofs)
        ),
    }


def interleaved(turns: dict[str, Turn]) -> dict[str, list[float]]:
    """Nanoseconds of each, round by round."""
    found: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(ROUNDS):
        for name, once in turns.items():
            found[name].append(once())
    return found


def rows() -> list[Row]:
    """All figures."""
    ns = interleaved(verify_turns()) | interleaved(check_turns())
    ns |= interleaved(batch_turns()) | interleaved(challenge_turns())

    def ratio(name: str, over: str, under: str, note: str) -> Row:
        pairs = zip(ns[over], ns[under], strict=True)
        return summary(name, [one / other for one, other in pairs], "x", note)

    def each(name: str, key: str = "", note: str = "") -> Row:
        return summary(name, ns[key or name], "ns", note)

    big = "batch of 100000"
    return [
        ratio("verify / empty call", "one", "empty", "the same function, with no nonce"),
        ratio("verify / hashlib", "one with hashlib", "one", "times as fast, one block"),
        each("one verify, native call", "one"),
        each("one verify, pypow.verify", "one from Python"),
        ratio(
            "check / hmac + hashlib",
            "check with hmac and hashlib",
            "check",
            "times as fast; both begin with base64",
        ),
        each("one check, native call", "check"),
        each("one check, pypow.check", "check from Python"),
        ratio("batch / hashlib loop", "loop", big, "times as fast; 32 + 8 bytes a message"),
        each("batch", big, "100000 messages of 32 + 8 bytes"),
        *(each(f"batch of {size}") for size in SIZES),
        each("challenges work", note=f"batch of {LOOPED}"),
        each("challenges check", note=f"batch of {LOOPED}; MAC, terms and work"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    document = measured("verify", rows(), versions={"numpy": np.__version__})
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Whom pypow is measured against, and how each is had and started."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import peer_home
from miner import Miner
from peer_home import PROGRAMS, UnavailableError
from peer_process import Job, PeerProcess
from pypow import Decimal, Hex, Masked, Pbkdf2HmacSha256, Puzzle, Sha256d, Unsigned

ITERATIONS = 1000
"""Of PBKDF2: fewer than a site would ask for, so that a slice holds many passwords."""

SALT = bytes(range(16))

Posed: TypeAlias = tuple[Puzzle, Job]
"""The same puzzle twice: as pypow and as a peer read it."""

Peer: TypeAlias = PeerProcess | Miner


def _only(digest: bytes) -> Masked:
    return Masked(mask=b"\xff" * 32, value=digest)


def decimal_sha256(prefix: str, hashes: int) -> Posed:
    """SHA-256 over the prefix and a decimal nonce: what ALTCHA 1, Cap and Anubis hash."""
    digest = hashlib.sha256(f"{prefix}{hashes - 1}".encode()).digest()
    puzzle = Puzzle(prefix.encode(), Decimal(), _only(digest))
    return puzzle, Job(prefix, digest.hex(), hashes)


def hex_sha256(prefix: str, hashes: int) -> Posed:
    """The nonce in hex, as hashcash counts."""
    digest = hashlib.sha256(f"{prefix}{hashes - 1:x}".encode()).digest()
    return Puzzle(prefix.encode(), Hex(), _only(digest)), Job(prefix, digest.hex(), hashes)


def pbkdf2(prefix: str, hashes: int) -> Posed:
    """PBKDF2 over 16 bytes and a counter of four: what ALTCHA 2 derives."""
    start = bytes.fromhex(prefix)
    digest = hashlib.pbkdf2_hmac(
        "sha256", start + (hashes - 1).to_bytes(4, "big"), SALT, ITERATIONS
    )
    stretched = Pbkdf2HmacSha256(iterations=ITERATIONS, salt=SALT)
    puzzle = Puzzle(start, Unsigned(32, "big"), _only(digest), hash=stretched)
    return puzzle, Job(prefix, digest.hex(), hashes)


def bitcoin_header(prefix: str, hashes: int) -> Posed:
    """Double SHA-256 over 76 bytes and a little-endian counter of four."""
    start = bytes.fromhex(prefix).ljust(76, b"\0")
    message = start + (hashes - 1).to_bytes(4, "little")
    digest = hashlib.sha256(hashlib.sha256(message).digest()).digest()
    puzzle = Puzzle(start, Unsigned(32, "little"), _only(digest), hash=Sha256d())
    return puzzle, Job(prefix, digest.hex(), hashes)


@dataclass(frozen=True, slots=True)
class Contestant:
    """One peer, measured in one way.

    Attributes:
        group: what the command calls it; a peer with several ways has several rows.
        name: of its row.
        start: makes what it needs and starts it; raises UnavailableError where it cannot be had.
        pose: makes a puzzle of a length.
        solves_ours: whether the peer must find the very nonce that pypow finds.
        note: what a reader must know.
    """

    group: str
    name: str
    start: Callable[[], Peer]
    pose: Callable[[str, int], Posed] = decimal_sha256
    solves_ours: bool = True
    note: str = ""


def _python(program: str, *requirements: str, given: tuple[str, ...] = ()) -> Callable[[], Peer]:
    def start() -> Peer:
        interpreter = str(peer_home.python_with(*requirements))
        return PeerProcess((interpreter, "-m", f"peer_programs.{program}", *given), PROGRAMS.parent)

    return start


def _node(program: str, *given: str) -> Callable[[], Peer]:
    def start() -> Peer:
        folder = peer_home.node_folder()
        return PeerProcess((peer_home.program("node"), f"{program}.mjs", *given), folder)

    return start


def _openssl(way: str) -> Callable[[], Peer]:
    def start() -> Peer:
        return _python("openssl_loop", given=(way, str(peer_home.openssl_folder())))()

    return start


def _miner(program: str, *options: str) -> Callable[[], Peer]:
    missing = "no package has it: put one there to compare"
    return lambda: Miner(peer_home.program(program, missing), *options)


def _unpackaged(language: str) -> Callable[[], Peer]:
    def start() -> Peer:
        raise UnavailableError(f"no package has it; it is published as source, in {language}")

    return start


STRETCHED = (str(ITERATIONS), SALT.hex())
STRETCHING = f"PBKDF2, {ITERATIONS:,} iterations"

CONTESTANTS = (
    Contestant("hashlib", "hashlib concat", _python("hashlib_concat")),
    Contestant("hashlib", "hashlib copy + update", _python("hashlib_copy")),
    Contestant(
        "openssl",
        "OpenSSL SHA256_Transform, from C",
        _openssl("transform"),
        note="one block for each nonce, nothing else",
    ),
    Contestant("openssl", "OpenSSL EVP, from C", _openssl("evp")),
    Contestant("altcha", "altcha (PyPI), protocol 1", _python("altcha_v1", "altcha==2.3.0")),
    Contestant(
        "altcha-solver",
        "altcha-solver (PyPI), protocol 1",
        _python("altcha_solver_v1", "altcha-solver==1.0.1"),
    ),
    Contestant(
        "hashcash",
        "hashcash (PyPI)",
        _python("hashcash_mint", "hashcash==0.1.2"),
        pose=hex_sha256,
        solves_ours=False,
        note="it hashes SHA-1, pypow SHA-256",
    ),
    Contestant(
        "django-cap", "django-cap (PyPI)", _python("django_cap_solver", "django-cap==0.3.0")
    ),
    Contestant("cap-wasm", "@cap.js/wasm (npm)", _node("cap_wasm")),
    Contestant("altcha-lib", "altcha-lib (npm), protocol 1", _node("altcha_lib")),
    Contestant("hash-wasm", "hash-wasm (npm)", _node("hash_wasm")),
    Contestant("node-crypto", "node:crypto createHash", _node("node_create_hash")),
    Contestant("node-crypto", "node:crypto hash", _node("node_hash")),
    Contestant("webcrypto", "WebCrypto subtle.digest, in Node", _node("webcrypto")),
    Contestant(
        "pbkdf2",
        "hashlib.pbkdf2_hmac",
        _python("hashlib_pbkdf2", given=STRETCHED),
        pose=pbkdf2,
        note=STRETCHING,
    ),
    Contestant(
        "altcha",
        "altcha (PyPI), protocol 2",
        _python("altcha_v2", "altcha==2.3.0", given=STRETCHED),
        pose=pbkdf2,
        note=STRETCHING,
    ),
    Contestant(
        "altcha-lib",
        "altcha-lib (npm), protocol 2",
        _node("altcha_lib_v2", *STRETCHED),
        pose=pbkdf2,
        note=STRETCHING,
    ),
    Contestant(
        "cpuminer",
        "minerd (pooler's cpuminer)",
        _miner("minerd"),
        pose=bitcoin_header,
        solves_ours=False,
        note="Bitcoin headers",
    ),
    Contestant(
        "cpuminer",
        "cpuminer (cpuminer-opt)",
        _miner("cpuminer", "--hash-meter"),
        pose=bitcoin_header,
        solves_ours=False,
        note="Bitcoin headers",
    ),
    Contestant("pow-buster", "pow-buster", _unpackaged("Rust")),
)

# SPDX-License-Identifier: Apache-2.0
"""Whom pypow is measured against, and how each is had and started."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import peer_home
from peer_home import PROGRAMS
from peer_process import Job, PeerProcess
from pypow import Decimal, Hex, Masked, Puzzle

Posed = tuple[Puzzle, Job]
"""The same puzzle twice: as pypow and as a peer read it."""


def decimal_sha256(prefix: str, hashes: int) -> Posed:
    """SHA-256 over the prefix and a decimal nonce: what ALTCHA 1, Cap and Anubis hash."""
    target = hashlib.sha256(f"{prefix}{hashes - 1}".encode()).digest()
    puzzle = Puzzle(prefix.encode(), Decimal(), Masked(mask=b"\xff" * 32, value=target))
    return puzzle, Job(prefix, target.hex(), hashes)


def hashcash(prefix: str, hashes: int) -> Posed:
    """The nonce in hex, as hashcash counts; ours is SHA-256 all the same."""
    target = hashlib.sha256(f"{prefix}{hashes - 1:x}".encode()).digest()
    puzzle = Puzzle(prefix.encode(), Hex(), Masked(mask=b"\xff" * 32, value=target))
    return puzzle, Job(prefix, target.hex(), hashes)


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
    start: Callable[[], PeerProcess]
    pose: Callable[[str, int], Posed] = decimal_sha256
    solves_ours: bool = True
    note: str = ""


def _python(program: str, *requirements: str) -> Callable[[], PeerProcess]:
    def start() -> PeerProcess:
        interpreter = peer_home.python_with(*requirements)
        return PeerProcess((str(interpreter), "-m", f"peer_programs.{program}"), PROGRAMS.parent)

    return start


def _node(program: str) -> Callable[[], PeerProcess]:
    def start() -> PeerProcess:
        folder = peer_home.node_folder()
        return PeerProcess((peer_home.program("node"), f"{program}.mjs"), folder)

    return start


def _openssl(way: str) -> PeerProcess:
    folder = peer_home.openssl_folder()
    interpreter = peer_home.python_with()
    command = (str(interpreter), "-m", "peer_programs.openssl_loop", way, str(folder))
    return PeerProcess(command, PROGRAMS.parent)


def _not_packaged(where: str) -> Callable[[], PeerProcess]:
    def start() -> PeerProcess:
        raise peer_home.UnavailableError(
            f"published as source only ({where}), in no registry of packages this command uses"
        )

    return start


CONTESTANTS = (
    Contestant("hashlib", "hashlib concat", _python("hashlib_concat")),
    Contestant("hashlib", "hashlib copy + update", _python("hashlib_copy")),
    Contestant(
        "openssl",
        "OpenSSL SHA256_Transform, from C",
        functools.partial(_openssl, "transform"),
        note="one block for each nonce, nothing else",
    ),
    Contestant("openssl", "OpenSSL EVP, from C", functools.partial(_openssl, "evp")),
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
        pose=hashcash,
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
    Contestant("pow-buster", "pow-buster", _not_packaged("Rust")),
)

# SPDX-License-Identifier: Apache-2.0
"""Hashes: how a message, which is prefix, nonce and suffix, becomes a digest of 32 bytes."""

import functools
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from . import _bridge
from .errors import InvalidInputError, require_int, shown

MAX_ITERATIONS = 10_000_000
"""More than any format asks for; one digest then takes about a second."""

MAX_SALT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Sha256:
    """SHA-256 of the message (FIPS 180-4)."""


@dataclass(frozen=True, slots=True)
class Sha256d:
    """SHA-256 of the SHA-256 of the message, as Bitcoin hashes."""


@dataclass(frozen=True, slots=True)
class Sha256Iterated:
    """SHA-256 of the message, then of the digest, ``iterations`` times in all (1 to 10 million)."""

    iterations: int

    def __post_init__(self) -> None:
        require_int("hash.iterations", self.iterations, 1, MAX_ITERATIONS)


@dataclass(frozen=True, slots=True)
class Pbkdf2HmacSha256:
    """PBKDF2 with HMAC-SHA256 (RFC 8018, 5.2), 32 bytes of key; the message is the password.

    Attributes:
        iterations: 1 to 10 million.
        salt: up to 1 MiB; no secret.
    """

    iterations: int
    salt: bytes

    def __post_init__(self) -> None:
        require_int("hash.iterations", self.iterations, 1, MAX_ITERATIONS)
        if not isinstance(self.salt, bytes):
            raise InvalidInputError(f"expected bytes for hash.salt, got {shown(self.salt)}")
        if len(self.salt) > MAX_SALT_BYTES:
            raise InvalidInputError(
                f"expected at most {MAX_SALT_BYTES} bytes of hash.salt, got {len(self.salt)}"
            )


Hash: TypeAlias = Sha256 | Sha256d | Sha256Iterated | Pbkdf2HmacSha256

SHA256: Hash = Sha256()
"""What a puzzle hashes with unless it says otherwise."""


def cost(hash: Hash) -> int:
    """SHA-256 block computations for the digest of one short message, about.

    >>> cost(Sha256()), cost(Sha256Iterated(10)), cost(Pbkdf2HmacSha256(5000, b"salt"))
    (1, 10, 10000)
    """
    spec = hash_spec(hash)
    blocks = 2 if spec.type is _bridge.HashType.PBKDF2_HMAC_SHA256 else 1
    return blocks * spec.iterations


@functools.lru_cache(maxsize=64)
def hash_spec(hash: Hash) -> _bridge.HashSpec:
    """A hash the way the C core holds it; made once."""
    match hash:
        case Sha256():
            return _bridge.SHA256
        case Sha256d():
            return _bridge.HashSpec(_bridge.HashType.SHA256, 2)
        case Sha256Iterated(iterations):
            return _bridge.HashSpec(_bridge.HashType.SHA256, iterations)
        case Pbkdf2HmacSha256(iterations, salt):
            return _bridge.HashSpec(_bridge.HashType.PBKDF2_HMAC_SHA256, iterations, salt)
        case _:
            assert_never(hash)

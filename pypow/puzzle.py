# SPDX-License-Identifier: Apache-2.0
"""A puzzle: find a nonce so that the digest of ``prefix || nonce || suffix`` meets a rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from . import _bridge, puzzle_json, strict_json
from .errors import InvalidInputError, shown
from .hashes import SHA256, Hash, Pbkdf2HmacSha256, Sha256, Sha256d, Sha256Iterated, cost, hash_spec
from .nonces import Alphabet, Decimal, FreeBytes, Hex, NonceEncoding, Unsigned, nonce_spec
from .rules import AtLeast, AtMost, Masked, Order, Rule, rule_spec

__all__ = [
    "MAX_PART_BYTES",
    "Alphabet",
    "AtLeast",
    "AtMost",
    "Decimal",
    "FreeBytes",
    "Hash",
    "Hex",
    "Masked",
    "NonceEncoding",
    "Order",
    "Pbkdf2HmacSha256",
    "Puzzle",
    "Rule",
    "Sha256",
    "Sha256Iterated",
    "Sha256d",
    "Unsigned",
    "hash_spec",
    "nonce_spec",
    "rule_spec",
]

MAX_PART_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Puzzle:
    """What a kernel grinds: the hash of ``prefix || nonce || suffix``, and when it wins."""

    prefix: bytes
    nonce: NonceEncoding
    rule: Rule
    suffix: bytes = b""
    hash: Hash = SHA256

    def __post_init__(self) -> None:
        for name, part in (("prefix", self.prefix), ("suffix", self.suffix)):
            if not isinstance(part, bytes):
                raise InvalidInputError(f"expected bytes for {name}, got {type(part).__name__}")
            if len(part) > MAX_PART_BYTES:
                raise InvalidInputError(
                    f"expected at most {MAX_PART_BYTES} bytes of {name}, got {len(part)}"
                )
        if not isinstance(self.nonce, NonceEncoding):
            raise InvalidInputError(f"expected a nonce encoding, got {shown(self.nonce)}")
        if not isinstance(self.rule, Rule):
            raise InvalidInputError(f"expected a rule, got {shown(self.rule)}")
        if not isinstance(self.hash, Hash):
            raise InvalidInputError(f"expected a hash, got {shown(self.hash)}")

    @property
    def expected_hashes(self) -> float:
        """How many nonces a solver hashes on average."""
        match self.rule:
            case AtMost(target):
                winners = target + 1
            case AtLeast(target):
                winners = 2**256 - target
            case Masked(mask):
                winners = 1 << (256 - int.from_bytes(mask).bit_count())
            case _:
                assert_never(self.rule)
        return 2**256 / winners

    @property
    def cost_per_nonce(self) -> int:
        """SHA-256 block computations for one nonce, about: iterations, two each with PBKDF2."""
        return cost(self.hash)

    @property
    def first_index(self) -> int:
        """The index of the first nonce to try."""
        return self.nonce.first if isinstance(self.nonce, Decimal) else 0

    def writes(self, nonce: bytes) -> bool:
        """Whether the nonce is one that this puzzle's encoding can write."""
        spec = self.nonce_spec
        if not set(nonce) <= set(spec.symbols):
            return False
        if spec.width:
            return len(nonce) == spec.width
        shortest = len(nonce) == 1 or nonce[:1] != spec.symbols[:1]
        if not nonce or len(nonce) > 20 or not shortest:
            return False
        return self.first_index <= int(nonce, len(spec.symbols)) < 2**64

    @property
    def nonce_spec(self) -> _bridge.NonceSpec:
        """The nonce encoding the way the C core holds it."""
        return nonce_spec(self.nonce)

    @property
    def hash_spec(self) -> _bridge.HashSpec:
        """The hash the way the C core holds it."""
        return hash_spec(self.hash)

    @property
    def rule_spec(self) -> _bridge.RuleSpec:
        """The rule the way the C core holds it."""
        return rule_spec(self.rule)

    def digest(self, nonce: bytes) -> bytes:
        """The 32 bytes that a nonce of up to 64 bytes leads to, whether they win or not."""
        _, (digest,) = _bridge.verify(
            self.rule_spec, self.prefix, (nonce,), self.suffix, self.hash_spec
        )
        return digest

    def to_json(self) -> dict[str, object]:
        """The puzzle as the JSON object that `from_json` reads."""
        return {
            "prefix": self.prefix.hex(),
            "suffix": self.suffix.hex(),
            "nonce": puzzle_json.nonce_to_json(self.nonce),
            "hash": puzzle_json.hash_to_json(self.hash),
            "rule": puzzle_json.rule_to_json(self.rule),
        }

    @classmethod
    def from_json(cls, document: str | bytes | Mapping[str, object]) -> "Puzzle":
        """Read a puzzle from JSON text or from an object already parsed.

        Raises:
            InvalidInputError: not JSON, a repeated, unknown or missing field, or a value that
                cannot be; the text names the field.
        """
        parsed = strict_json.loads(document) if isinstance(document, str | bytes) else document
        fields = puzzle_json.Fields("puzzle", parsed)
        prefix, suffix = fields.hex("prefix", b""), fields.hex("suffix", b"")
        nonce = puzzle_json.nonce_from_json(fields.take("nonce"))
        rule = puzzle_json.rule_from_json(fields.take("rule"))
        hash = puzzle_json.hash_from_json(fields.take("hash", {"name": "sha256"}))
        fields.finish()
        return cls(prefix=prefix, nonce=nonce, rule=rule, suffix=suffix, hash=hash)

# SPDX-License-Identifier: Apache-2.0
"""The octets of a challenge and a proof (docs/protocol.md).

Every form in which a proof travels parses to one value, `Proof`.
A challenge is 78 bytes, fixed width, big-endian, sent as 104 characters of base64url (RFC 4648
section 5, no padding). There is one text for each challenge and one challenge for each text.
"""

import base64
import binascii
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from typing import Any

from . import _bridge_checks, difficulty, strict_json
from .errors import InvalidInputError, WireError, shown
from .puzzle import AtMost, Hex, Puzzle

VERSION = 1
SHA256 = 1
CHALLENGE_BYTES = 78
CHALLENGE_TEXT = 104
ID_BYTES = 16
MAC_BYTES = 16
NONCE_WIDTH = 15
INDEX_DIGITS = 2
MAX_LIFETIME_S = 600
MAX_PROOF_TEXT = 1200
"""Longest proof in a header: a challenge, 64 nonces and the words around them."""

ANY_RESOURCE = bytes(12)
ANYONE = bytes(12)

_LAYOUT = struct.Struct(">BBBBHHHI6sH16s12s12s16s")
# What comes after version and algorithm, the 48 bits of a time in two.
_FIELDS = struct.Struct(">xxBBHHHIHIH16s12s12s16s")
# In octets 6 to 14, which 12 characters hold.
_KEY_AND_EPOCH = struct.Struct(">xxHIx")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{104}", re.ASCII)
_FREE_NONCE = re.compile(r"[0-9A-Za-z_-]{1,15}", re.ASCII)
_FREE_NONCE_BYTES = re.compile(rb"[0-9A-Za-z_-]{1,15}")
_INDEXED_NONCES = tuple(
    re.compile(rb"%02x[0-9a-f]{13}" % index) for index in range(difficulty.MAX_PUZZLES)
)
_SOLUTION = re.compile(
    r"challenge=([A-Za-z0-9_-]{104}),[ \t]*"
    r"nonce=([0-9A-Za-z_-]{1,15}(?:\.[0-9A-Za-z_-]{1,15}){0,63})",
    re.ASCII,
)
_AUTH_PARAM = re.compile(
    r'([A-Za-z]+)[ \t]*=[ \t]*(?:"([A-Za-z0-9_.-]*)"|([A-Za-z0-9_.-]+))', re.ASCII
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the gate hands out, signed (version 1).

    Attributes:
        puzzles: number of sub-puzzles k, a power of two, 1 to 64.
        overdraft: the surcharge at issue, in 1/8 bit, 0 to 255.
        q: total difficulty in 1/1024 bit, for every k.
        weight: cost of the call in units, 1 to 65535.
        key: which secret signed it, 0 to 65535.
        epoch: the ledger's epoch, 0 to 2**32 - 1.
        issued_at_ms: Unix milliseconds.
        lifetime_s: seconds, 1 to 600.
        id: 16 random bytes; what the ledger spends.
        resource: 12 bytes, what is bought; `ANY_RESOURCE` is any call of at most this weight.
        principal: 12 bytes, whom it is for; `ANYONE` binds nobody.
        mac: 16 bytes over all before it.
    """

    puzzles: int
    overdraft: int
    q: int
    weight: int
    key: int
    epoch: int
    issued_at_ms: int
    lifetime_s: int
    id: bytes
    resource: bytes
    principal: bytes
    mac: bytes

    def __post_init__(self) -> None:
        difficulty.require_puzzles(self.puzzles)
        for name, low, high in _INTEGERS:
            given = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
                raise WireError(
                    f"challenge.{name}: expected an integer from {low} to {high}, "
                    f"got {shown(given)}"
                )
        for name, length in _OCTETS:
            given = getattr(self, name)
            if not isinstance(given, bytes) or len(given) != length:
                raise WireError(f"challenge.{name}: expected {length} bytes, got {shown(given)}")
        if not 0 <= self.sub_q <= difficulty.MAX_SUB_Q:
            raise WireError(
                f"challenge.q: expected at most 44 bits for each of {self.puzzles} sub-puzzles, "
                f"got {difficulty.bits(self.sub_q):.1f}"
            )

    @property
    def sub_q(self) -> int:
        """Difficulty of one sub-puzzle, in 1/1024 bit."""
        return difficulty.sub_q(self.q, self.puzzles)

    @property
    def expires_at_ms(self) -> int:
        """Unix milliseconds; at this moment the challenge is no longer good."""
        return self.issued_at_ms + 1000 * self.lifetime_s

    @property
    def signed(self) -> bytes:
        """The 62 bytes that the MAC covers."""
        return self.octets[:-MAC_BYTES]

    @property
    def octets(self) -> bytes:
        """The 78 bytes."""
        return _LAYOUT.pack(
            VERSION,
            SHA256,
            self.puzzles.bit_length() - 1,
            self.overdraft,
            self.q,
            self.weight,
            self.key,
            self.epoch,
            self.issued_at_ms.to_bytes(6),
            self.lifetime_s,
            self.id,
            self.resource,
            self.principal,
            self.mac,
        )

    @property
    def text(self) -> str:
        """The 104 characters that travel, and that are hashed."""
        return text_of_octets(self.octets)

    def puzzle(self, index: int) -> Puzzle:
        """Sub-puzzle ``index`` (0 to k - 1), as something to grind: 13 free hex digits."""
        if not 0 <= index < self.puzzles:
            raise InvalidInputError(
                f"expected a sub-puzzle from 0 to {self.puzzles - 1}, got {shown(index)}"
            )
        return Puzzle(
            prefix=f"{self.text}{index:0{INDEX_DIGITS}x}".encode("ascii"),
            nonce=Hex(width=NONCE_WIDTH - INDEX_DIGITS),
            rule=self.rule,
        )

    @property
    def rule(self) -> AtMost:
        """When the digest of a sub-puzzle wins."""
        return AtMost(difficulty.target(self.sub_q) - 1)

    def published(self) -> dict[str, object]:
        """The challenge as ``GET /api/challenge`` shows it.

        ``target`` is inclusive; ``difficulty`` is the number of leading zero hex digits that is
        surely enough; ``expires_at`` is in Unix seconds.
        """
        return {
            "challenge": self.text,
            "difficulty": difficulty.hex_zeros(self.sub_q),
            "algorithm": "sha256",
            "bits": difficulty.bits(self.q),
            "target": f"{difficulty.target(self.sub_q) - 1:064x}",
            "puzzles": self.puzzles,
            "expires_at": self.expires_at_ms // 1000,
            "nonce": {"encoding": "hex", "width": NONCE_WIDTH, "index_digits": INDEX_DIGITS},
        }


_INTEGERS = (
    ("overdraft", 0, 255),
    ("q", difficulty.MIN_Q, difficulty.MAX_Q),
    ("weight", 1, 0xFFFF),
    ("key", 0, 0xFFFF),
    ("epoch", 0, 0xFFFFFFFF),
    ("issued_at_ms", 0, 2**48 - 1),
    ("lifetime_s", 1, MAX_LIFETIME_S),
)
_OCTETS = (("id", ID_BYTES), ("resource", 12), ("principal", 12), ("mac", MAC_BYTES))


# The same slots, not frozen and not checked.
_Unlocked: Any = make_dataclass("_Unlocked", Challenge.__slots__, slots=True)


def decode_challenge(text: str) -> Challenge:
    """Read the 104 characters of a challenge; nothing is said about its MAC.

    Raises:
        WireError: another length or alphabet, an unknown version or algorithm, or a field out
            of its range.
    """
    octets = _bridge_checks.decode_challenge(text) if isinstance(text, str) else None
    return _decode_or_complain(text) if octets is None else challenge_of_octets(octets)


def challenge_of_octets(octets: bytes | memoryview) -> Challenge:
    """The challenge in 78 octets that are known to be well-formed: nothing is looked at twice."""
    log2_puzzles, overdraft, q, weight, key, epoch, high, low, *rest = _FIELDS.unpack(octets)
    challenge: Challenge = _Unlocked(
        1 << log2_puzzles, overdraft, q, weight, key, epoch, high << 32 | low, *rest
    )
    # Filling a frozen value field by field would take as long as all else in a check.
    challenge.__class__ = Challenge
    return challenge


def text_of_octets(octets: bytes) -> str:
    """The 104 characters for 78 octets."""
    return base64.urlsafe_b64encode(octets).decode("ascii")


def around_moment(challenge: Challenge) -> tuple[bytes, bytes, bytes]:
    """The signed octets before epoch and time, those of the lifetime, and those after the id."""
    signed = challenge.signed
    return signed[:10], signed[20:22], signed[22 + ID_BYTES :]


def key_and_epoch(text: str) -> tuple[int, ...]:
    """What a challenge's 104 base64url characters say of its key and epoch, nothing else read."""
    octets = binascii.a2b_base64(text[8:20].replace("-", "+").replace("_", "/"))
    return _KEY_AND_EPOCH.unpack(octets) if len(octets) == _KEY_AND_EPOCH.size else (0, 0)


def _decode_or_complain(text: str) -> Challenge:
    """The slow way, which says what is wrong."""
    if not isinstance(text, str) or not _CHALLENGE.fullmatch(text):
        raise WireError(f"expected a challenge of 104 base64url characters, got {shown(text)}")
    octets = base64.urlsafe_b64decode(text)
    (version, algorithm, log2_puzzles) = octets[:3]
    if version != VERSION:
        raise WireError(f"expected challenge version {VERSION}, got {version}; update the client")
    if algorithm != SHA256:
        raise WireError(f"expected algorithm {SHA256} (sha256), got {algorithm}")
    if log2_puzzles > 6:
        raise WireError(f"expected at most 64 sub-puzzles, got 2**{log2_puzzles}")
    return replace(challenge_of_octets(octets))  # which looks at every field


@dataclass(frozen=True, slots=True)
class Work:
    """What a solve took.

    Attributes:
        digests: the winning digests, 32 bytes each.
        hashes: nonces tried, all threads together.
        seconds: wall time.
        kernel: which kernel ground.
        threads: how many it was allowed; easy work and few cores use fewer.
    """

    digests: tuple[bytes, ...]
    hashes: int
    seconds: float
    kernel: str
    threads: int


@dataclass(frozen=True, slots=True)
class Proof:
    """Nonces, and the challenge they belong to; what a solver sends back.

    Attributes:
        nonces: one for each sub-puzzle, in order, as the bytes that are hashed.
        challenge: the text of a native challenge; None for a bare puzzle.
        work: what the solve took; None for a proof that came over the wire.
    """

    nonces: tuple[bytes, ...]
    challenge: str | None = None
    work: Work | None = field(default=None, compare=False)

    @property
    def nonce(self) -> bytes:
        """The nonce of a puzzle that has just one."""
        (nonce,) = self.nonces
        return nonce

    def header(self) -> str:
        """The value of an ``X-PoW-Solution`` header."""
        return f"challenge={self._challenge()},nonce={self._nonce_text()}"

    def to_json(self) -> dict[str, object]:
        """The proof as ``POST /api/verify`` and MCP ``_meta`` take it."""
        return {"challenge": self._challenge(), "nonce": self._nonce_text()}

    def _challenge(self) -> str:
        if self.challenge is None:
            raise InvalidInputError("a bare puzzle's proof has no challenge to send back")
        return self.challenge

    def _nonce_text(self) -> str:
        return ".".join(nonce.decode("ascii") for nonce in self.nonces)


def proof_from_header(value: str) -> Proof:
    """Read ``X-PoW-Solution: challenge=<c>,nonce=<n0>[.<n1>...]``.

    Raises:
        WireError: anything else.
    """
    match = _SOLUTION.fullmatch(value) if len(value) <= MAX_PROOF_TEXT else None
    if match is None:
        raise WireError(
            "expected challenge=<104 characters>,nonce=<1 to 15 of 0-9A-Za-z_->, "
            f"got {shown(value)}"
        )
    return Proof(tuple(match[2].encode("ascii").split(b".")), match[1])


def proof_from_authorization(parameters: str) -> Proof:
    """Read what follows ``Authorization: PoW``: ``challenge="...", nonce="..."``.

    Raises:
        WireError: anything else.
    """
    found: dict[str, str] = {}
    if len(parameters) <= MAX_PROOF_TEXT:
        for part in parameters.split(","):
            match = _AUTH_PARAM.fullmatch(part.strip(" \t"))
            if match is None or match[1].lower() in found:
                break
            found[match[1].lower()] = match[2] if match[2] is not None else match[3]
        else:
            if found.keys() == {"challenge", "nonce"}:
                return _proof(found["challenge"], found["nonce"])
    raise WireError(
        f'expected PoW challenge="<104 characters>", nonce="<nonce>", got {shown(parameters)}'
    )


def proof_from_json(document: object) -> Proof:
    """Read ``{"challenge": "...", "nonce": "..."}``, already parsed, or the header's text.

    Raises:
        WireError: another shape, or an unknown or missing field.
    """
    if isinstance(document, str):
        return proof_from_header(document)
    if not isinstance(document, Mapping) or document.keys() != {"challenge", "nonce"}:
        raise WireError(
            'expected a JSON object with just "challenge" and "nonce", '
            f"got {strict_json.kind(document)}"
            + (
                f" with {shown(', '.join(map(str, document)))}"
                if isinstance(document, Mapping)
                else ""
            )
        )
    challenge, nonce = document["challenge"], document["nonce"]
    if not isinstance(challenge, str) or not isinstance(nonce, str):
        raise WireError('expected "challenge" and "nonce" to be strings')
    return _proof(challenge, nonce)


def require_nonces(challenge: Challenge, nonces: Sequence[bytes]) -> None:
    """Refuse nonces that no solver of this challenge may send.

    Raises:
        WireError: not one for each sub-puzzle, or (k > 1) not 15 lower-case hex digits that
            begin with the sub-puzzle's index, or (k = 1) not 1 to 15 of ``0-9A-Za-z_-``.
    """
    if len(nonces) != challenge.puzzles:
        raise WireError(
            f"expected {challenge.puzzles} nonces, one for each sub-puzzle, got {len(nonces)}"
        )
    for index, nonce in enumerate(nonces):
        if challenge.puzzles > 1:
            right = _INDEXED_NONCES[index].fullmatch(nonce)
            wanted = f"15 lower-case hex digits beginning with {index:02x}"
        else:
            right = _FREE_NONCE_BYTES.fullmatch(nonce)
            wanted = "1 to 15 characters of 0-9A-Za-z_-"
        if right is None:
            raise WireError(f"nonce {index}: expected {wanted}, got {shown(nonce)}")


def _proof(challenge: str, nonce: str) -> Proof:
    if not _CHALLENGE.fullmatch(challenge):
        raise WireError(f"expected a challenge of 104 base64url characters, got {shown(challenge)}")
    nonces = nonce.split(".")
    if len(nonces) > difficulty.MAX_PUZZLES or not all(map(_FREE_NONCE.fullmatch, nonces)):
        raise WireError(
            "expected 1 to 64 nonces of 1 to 15 characters of 0-9A-Za-z_-, joined by dots, "
            f"got {shown(nonce)}"
        )
    return Proof(nonces=tuple(n.encode("ascii") for n in nonces), challenge=challenge)

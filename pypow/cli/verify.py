# SPDX-License-Identifier: Apache-2.0
"""`pypow verify`: whether a nonce wins, its digest, and how much work that digest is worth."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Annotated, assert_never

import typer

from pypow import engine, wire
from pypow.difficulty import MAX_PUZZLES
from pypow.errors import InvalidInputError, WireError
from pypow.puzzle import AtLeast, AtMost, Decimal, FreeBytes, Masked, Puzzle, Rule
from pypow.wire import Challenge

from .options import AsJson, Bits, ChallengeText, HexZeros, PuzzleFile, named_subject

EPILOG = """
Examples:

\b
  pypow verify --challenge abc123 --difficulty 4 --nonce 506
  pypow verify --puzzle puzzle.json --nonce 353036 --json

Exit codes: 0 it wins, 1 it does not, 2 wrong use.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at a proof's work shows.

    Attributes:
        valid: whether every nonce wins.
        digests: 32 bytes for each nonce.
        bits: work that the worst digest is worth; None where the rule is a mask.
        needed_bits: work that each nonce takes on average.
        why: what is wrong with the form of a nonce; empty where nothing is.
    """

    valid: bool
    digests: tuple[bytes, ...]
    bits: float | None
    needed_bits: float
    why: str

    def to_json(self) -> dict[str, object]:
        """The finding as ``--json`` prints it."""
        return {
            "valid": self.valid,
            "digest": ".".join(digest.hex() for digest in self.digests),
            "bits": None if self.bits is None else round(self.bits, 3),
            "needed_bits": round(self.needed_bits, 3),
            "why": self.why,
        }

    def __str__(self) -> str:
        lines = [f"{'yes' if self.valid else 'no'}{': ' if self.why else ''}{self.why}"]
        lines += [f"digest  {digest.hex()}" for digest in self.digests]
        achieved = "" if self.bits is None else f"{self.bits:.1f} bits achieved, "
        return "\n".join([*lines, f"work    {achieved}{self.needed_bits:.1f} bits needed"])


def verify(
    *,
    nonce: Annotated[
        str,
        typer.Option(
            metavar="N", help="As text, joined by dots for sub-puzzles; for a puzzle in hex."
        ),
    ],
    challenge: ChallengeText = None,
    hex_zeros: HexZeros = None,
    bits: Bits = None,
    puzzle: PuzzleFile = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a nonce wins, and the work that it is worth.

    Only the work is looked at: whether a challenge was issued here, has expired or was spent
    is the gate's to say.
    """
    what = named_subject(challenge=challenge, puzzle=puzzle, hex_zeros=hex_zeros, bits=bits)
    if challenge is None:
        nonces: tuple[bytes, ...] = (_from_hex(nonce),)
    elif isinstance(what, Challenge):
        nonces = tuple(_from_text(part) for part in nonce.split(".", maxsplit=MAX_PUZZLES))
    else:
        nonces = (_from_text(nonce),)
        # Other tools write their nonces as they like; any text of this length will do.
        what = Puzzle(prefix=what.prefix, nonce=FreeBytes(len(nonces[0])), rule=what.rule)
    finding = _look(what, nonces)
    typer.echo(json.dumps(finding.to_json()) if as_json else str(finding))
    if not finding.valid:
        raise typer.Exit(1)


def _look(what: Puzzle | Challenge, nonces: tuple[bytes, ...]) -> Finding:
    why = ""
    if isinstance(what, Challenge):
        text, rule = what.text.encode("ascii"), what.puzzle(0).rule
        needed = what.puzzle(0).expected_hashes
        digests = tuple(hashlib.sha256(text + nonce).digest() for nonce in nonces)
        try:
            wire.require_nonces(what, nonces)
        except WireError as error:
            why = str(error)
    else:
        rule, needed = what.rule, what.expected_hashes
        digests = tuple(what.digest(nonce) for nonce in nonces)
        if not what.writes(nonces[0]):
            why = "the puzzle's encoding never writes this nonce"
    worths = [worth for digest in digests if (worth := _worth(rule, digest)) is not None]
    return Finding(
        valid=engine.verify(what, nonces),
        digests=digests,
        bits=min(worths, default=None),
        needed_bits=math.log2(needed),
        why=why,
    )


def _worth(rule: Rule, digest: bytes) -> float | None:
    """Bits of work that it takes on average to find a digest as good as this one."""
    as_good: Rule
    match rule:
        case AtMost(_, order):
            as_good = AtMost(int.from_bytes(digest, order), order)
        case AtLeast(_, order):
            as_good = AtLeast(int.from_bytes(digest, order), order)
        case Masked():
            return None
        case _:
            assert_never(rule)
    return math.log2(Puzzle(prefix=b"", nonce=Decimal(), rule=as_good).expected_hashes)


def _from_hex(nonce: str) -> bytes:
    try:
        if nonce.isascii() and not any(c.isspace() for c in nonce):
            return bytes.fromhex(nonce)
    except ValueError:
        pass
    raise InvalidInputError(f"expected a puzzle's nonce in hex, got {nonce[:40]!r}")


def _from_text(nonce: str) -> bytes:
    if not 1 <= len(nonce) <= 64 or not nonce.isascii():
        raise InvalidInputError(f"expected a nonce of 1 to 64 ASCII characters, got {nonce[:40]!r}")
    return nonce.encode("ascii")

# SPDX-License-Identifier: Apache-2.0
"""Options that several commands take, and the puzzle or challenge that they name."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeAlias, assert_never

import typer

from pypow import difficulty, wire
from pypow.errors import InvalidInputError
from pypow.puzzle import AtLeast, AtMost, Decimal, Masked, Puzzle
from pypow.wire import Challenge

MAX_PUZZLE_FILE_BYTES = 7 << 20
"""Room for a prefix, a suffix and a salt of 1 MiB each, in hex, and the rest."""

ChallengeText: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--challenge",
        metavar="TEXT",
        help="pypow's own 104 characters; or any text, with --difficulty or --bits.",
    ),
]
PuzzleFile: TypeAlias = Annotated[
    str | None,
    typer.Option("--puzzle", metavar="FILE", help="A puzzle as JSON; - is standard input."),
]
HexZeros: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--difficulty",
        metavar="N",
        help="Leading zero hex digits, 1 to 15, that SHA-256(TEXT || nonce) or a puzzle needs.",
    ),
]
Bits: TypeAlias = Annotated[
    float | None,
    typer.Option("--bits", metavar="F", help="The same in bits, 1 to 60; fractions welcome."),
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", help="1 to 1024; by default what suits."),
]
KernelName: TypeAlias = Annotated[
    str | None,
    typer.Option("--kernel", metavar="NAME", help="One that `pypow info` lists as usable."),
]
PolicyFile: TypeAlias = Annotated[
    str | None, typer.Option(metavar="FILE", help="The gates' policy file, which names it.")
]
StoreUrl: TypeAlias = Annotated[str | None, typer.Option(metavar="URL", help="The gates' store.")]
StateDir: TypeAlias = Annotated[
    str | None, typer.Option(metavar="DIR", help="Where the store is without --store.")
]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, errors too.")
]


def named_subject(
    *, challenge: str | None, puzzle: str | None, hex_zeros: int | None, bits: float | None
) -> Puzzle | Challenge:
    """What the options ask to solve or to verify.

    Raises:
        InvalidInputError: not just one of --challenge and --puzzle, a difficulty too many or
            too few, or a value that cannot be.
    """
    if hex_zeros is not None and bits is not None:
        raise InvalidInputError("expected --difficulty or --bits, got both; leave one out")
    if (challenge is None) == (puzzle is None):
        given = "neither" if challenge is None else "both"
        raise InvalidInputError(f"expected --challenge TEXT or --puzzle FILE, got {given}")
    q = None
    if bits is not None:
        q = difficulty.from_bits(bits)
    if hex_zeros is not None:
        q = difficulty.from_hex_zeros(hex_zeros)
    if challenge is None:
        named = Puzzle.from_json(_read(str(puzzle)))
        return named if q is None else _at(named, q)
    if q is not None:
        return _bare(challenge, q)
    if len(challenge) != wire.CHALLENGE_TEXT:
        raise InvalidInputError(
            f"this text of {len(challenge)} characters is not one of pypow's own challenges "
            f"({wire.CHALLENGE_TEXT} characters), so it needs --difficulty N or --bits F"
        )
    return wire.decode_challenge(challenge)


def _at(puzzle: Puzzle, q: int) -> Puzzle:
    """The puzzle with another difficulty in its rule."""
    bits = q / difficulty.STEPS_PER_BIT
    match puzzle.rule:
        case AtMost(_, order):
            return replace(puzzle, rule=AtMost.from_bits(bits, order))
        case AtLeast(_, order):
            return replace(puzzle, rule=AtLeast.from_bits(bits, order))
        case Masked():
            raise InvalidInputError(
                "a rule by mask has no other difficulty; leave --difficulty and --bits out"
            )
        case _:
            assert_never(puzzle.rule)


def _bare(text: str, q: int) -> Puzzle:
    """A text that somebody else calls a challenge: SHA-256(text || decimal digits)."""
    if not text:
        raise InvalidInputError("expected the text of a challenge, got none; is a variable empty?")
    try:
        prefix = text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInputError(
            "expected a challenge in UTF-8; put other bytes into a --puzzle file, in hex"
        ) from None
    return Puzzle(
        prefix=prefix, nonce=Decimal(), rule=AtMost.from_bits(q / difficulty.STEPS_PER_BIT)
    )


def _read(path: str) -> bytes:
    if path == "-" and sys.stdin is None:
        raise InvalidInputError("expected a puzzle on standard input, which is closed")
    try:
        if path == "-":
            content = sys.stdin.buffer.read(MAX_PUZZLE_FILE_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(MAX_PUZZLE_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidInputError(f"cannot read the puzzle {path!r}: {why}") from None
    if len(content) > MAX_PUZZLE_FILE_BYTES:
        raise InvalidInputError(
            f"expected a puzzle of at most {MAX_PUZZLE_FILE_BYTES} bytes, got more from {path!r}"
        )
    return content

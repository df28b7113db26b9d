# SPDX-License-Identifier: Apache-2.0
"""`pypow solve`: find the nonce of a challenge or of a puzzle."""

import json
import math
from typing import Annotated

import typer

from pypow import difficulty, engine
from pypow.errors import InvalidInputError, TooHardError, shown
from pypow.processors import usable_processors
from pypow.puzzle import Puzzle
from pypow.wire import Challenge, Proof, Work

from .figures import count, duration, rate
from .options import (
    AsJson,
    Bits,
    ChallengeText,
    HexZeros,
    KernelName,
    PuzzleFile,
    Threads,
    named_subject,
)
from .progress_line import progress_line

EPILOG = """
Examples:

\b
  pypow solve --challenge abc123 --difficulty 4
  pypow solve --challenge "$(curl -s localhost:8402/api/challenge | jq -r .challenge)"
  pypow solve --puzzle puzzle.json --json

Exit codes: 0 solved, 1 no solution, out of time or above a cap, 2 wrong use, 130 interrupted.
"""

_SURELY_HASHES_PER_S = 100_000
"""Any machine is faster: work that fits this rate needs no measurement before it begins."""


def solve(
    *,
    challenge: ChallengeText = None,
    hex_zeros: HexZeros = None,
    bits: Bits = None,
    puzzle: PuzzleFile = None,
    algorithm: Annotated[
        str, typer.Option(metavar="NAME", help="The hash of a bare text: sha256.")
    ] = "sha256",
    threads: Threads = None,
    kernel: KernelName = None,
    timeout: Annotated[
        float, typer.Option(metavar="S", help="Give up after this many seconds; 0 is never.")
    ] = engine.DEFAULT_TIMEOUT_S,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Give up after this many hashes.")
    ] = None,
    max_bits: Annotated[
        float, typer.Option(metavar="F", help="Do not begin what takes more bits of work.")
    ] = engine.DEFAULT_MAX_BITS,
    max_seconds: Annotated[
        float, typer.Option(metavar="S", help="Do not begin what takes longer on this machine.")
    ] = engine.DEFAULT_TIMEOUT_S,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress line.")] = False,
) -> None:
    """Find the nonce of a challenge or of a puzzle.

    A challenge's answer is one JSON object: the nonce as text, the winning digest, and for
    pypow's own challenges the X-PoW-Solution header to send. --json adds what it took.
    """
    if algorithm != "sha256":
        raise InvalidInputError(f"expected --algorithm sha256, got {shown(algorithm)}")
    what = named_subject(challenge=challenge, puzzle=puzzle, hex_zeros=hex_zeros, bits=bits)
    if not timeout >= 0:
        raise InvalidInputError(
            f"expected a --timeout of 0 (no cap) or more seconds, got {timeout}"
        )
    expected = _expected_work(what, limit=limit, lanes=engine.chosen_kernel(kernel).lanes)
    _refuse_too_hard(
        expected,
        threads=threads,
        kernel=kernel,
        max_bits=max_bits,
        max_seconds=max_seconds,
        timeout=timeout,
    )
    with progress_line(quiet=quiet) as progress:
        proof = engine.solve(
            what,
            threads=threads,
            timeout=None if timeout == 0 else timeout,
            limit=limit,
            progress=progress,
            kernel=kernel,
            max_bits=math.inf,
        )
    assert proof.work is not None
    if challenge is not None:
        answer = _challenge_answer(proof, proof.work)
        typer.echo(json.dumps(answer | _cost(proof.work) if as_json else answer))
    elif as_json:
        typer.echo(json.dumps(_puzzle_answer(proof, proof.work) | _cost(proof.work)))
    else:
        typer.echo(_puzzle_text(proof, proof.work))


def _expected_work(what: Puzzle | Challenge, *, limit: int | None, lanes: int) -> float:
    """Block computations to be expected; ``limit`` bounds the nonces that are hashed.

    Of a hash of many blocks, a kernel computes as many as it has lanes, wanted or not.
    """
    if isinstance(what, Challenge):
        nonces, each = difficulty.expected_hashes(what.q), 1
    else:
        nonces, each = what.expected_hashes, what.cost_per_nonce
    least = lanes if each > 1 else 1
    return each * max(least, nonces if limit is None else min(nonces, limit))


def _refuse_too_hard(
    expected: float,
    *,
    threads: int | None,
    kernel: str | None,
    max_bits: float,
    max_seconds: float,
    timeout: float,
) -> None:
    """Say how long it would take here, before it is begun, when that is above a cap."""
    for option, cap in (("--max-bits", max_bits), ("--max-seconds", max_seconds)):
        if not cap > 0:
            raise InvalidInputError(f"expected {option} above 0, got {cap}")
    needed_bits = math.log2(expected)
    if needed_bits <= max_bits and expected <= max_seconds * _SURELY_HASHES_PER_S:
        return
    speed = engine.hashrate(kernel, threads=threads or usable_processors(), seconds=0.1)
    seconds = expected / speed
    raised = [f"--max-bits {math.ceil(needed_bits)}"] if needed_bits > max_bits else []
    raised += [f"--max-seconds {math.ceil(seconds)}"] if seconds > max_seconds else []
    raised += ["--timeout 0"] if raised and 0 < timeout < seconds else []
    if raised:
        raise TooHardError(
            f"expected {needed_bits:.1f} bits of work, about {duration(seconds)} here at "
            f"{rate(speed)}; to begin all the same, give {' '.join(raised)}"
        )


def _challenge_answer(proof: Proof, work: Work) -> dict[str, object]:
    answer: dict[str, object] = {
        "nonce": ".".join(nonce.decode("ascii") for nonce in proof.nonces),
        "solution": ".".join(digest.hex() for digest in work.digests),
    }
    return answer if proof.challenge is None else answer | {"header": proof.header()}


def _puzzle_answer(proof: Proof, work: Work) -> dict[str, object]:
    return {
        "nonce": proof.nonce.hex(),
        "nonce_text": _text(proof.nonce),
        "digest": work.digests[0].hex(),
    }


def _cost(work: Work) -> dict[str, object]:
    return {
        "hashes": work.hashes,
        "seconds": round(work.seconds, 6),
        "kernel": work.kernel,
        "threads": work.threads,
    }


def _puzzle_text(proof: Proof, work: Work) -> str:
    text = _text(proof.nonce)
    return (
        f"nonce   {proof.nonce.hex()}{'' if text is None else f' ({text})'}\n"
        f"digest  {work.digests[0].hex()}\n"
        f"work    {count(work.hashes)} hashes in {duration(work.seconds)}, "
        f"{work.kernel}, {work.threads} thread{'s' if work.threads > 1 else ''}"
    )


def _text(nonce: bytes) -> str | None:
    """The nonce as it reads, where it is printable ASCII."""
    shown = nonce.decode("latin-1")
    return shown if shown.isascii() and shown.isprintable() else None

# SPDX-License-Identifier: Apache-2.0
"""Solve and verify, on the kernel and the threads that suit.

Solving releases the GIL. The lowest winning nonce is returned, whatever the kernel and threads.
"""

import time
from collections.abc import Callable, Sequence

from . import _bridge, _bridge_checks
from .background import Background
from .challenge import work_stands
from .crew import Crew
from .errors import InvalidInputError, shown
from .kernel_choice import chosen_kernel, kernels
from .processors import usable_processors
from .progress import Progress
from .puzzle import AtMost, Hex, Puzzle
from .search import (
    DEFAULT_MAX_BITS,
    DEFAULT_TIMEOUT_S,
    SLICE_MS,
    Search,
    Solvable,
    number,
    subject,
)
from .wire import Challenge, Proof

__all__ = [
    "DEFAULT_MAX_BITS",
    "DEFAULT_TIMEOUT_S",
    "asolve",
    "chosen_kernel",
    "hashrate",
    "kernels",
    "solve",
    "verify",
]

# Below this, waking a helper thread costs more time than it saves.
_WORTH_THREADS_HASHES = 2**17

# A hopeless search is not to block the others, nor a hundred of them the machine.
_background = Background(most=4)


def solve(
    what: Solvable,
    *,
    threads: int | None = None,
    timeout: float | None = DEFAULT_TIMEOUT_S,
    limit: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    kernel: str | None = None,
    max_bits: float = DEFAULT_MAX_BITS,
) -> Proof:
    """Find the lowest winning nonce of a puzzle, or of each sub-puzzle of a challenge.

    Args:
        what: a `Puzzle`, or a native challenge as a value or as its 104 characters.
        threads: 1 to 1024; by default as many as this process may run at once, one for easy
            puzzles. No more than can run at once are started.
        timeout: seconds of wall time; None is no cap.
        limit: most hashes to try.
        progress: called about every 20 ms, on this thread.
        kernel: a name out of `kernels()`; by default ``PYPOW_KERNEL``, else the fastest.
        max_bits: refuse to begin when the expected work is above 2**max_bits hashes; each nonce
            counts for as many as its hash is made of (`Puzzle.cost_per_nonce`).

    Returns:
        The proof, with ``proof.work`` telling what it took.

    Raises:
        InvalidInputError: a value that cannot be.
        KernelUnavailableError: no such kernel here.
        TooHardError: expected work above ``max_bits``.
        NoSolutionError: ``limit`` or the nonces ran out.
        SolveTimeoutError: ``timeout`` ran out.

    Releases the GIL. Ctrl-C ends it within 50 ms. For many puzzles in a row, `Solver` keeps the
    threads.

    >>> from pypow import Puzzle, Decimal, AtMost
    >>> solve(Puzzle(b"abc123", Decimal(), AtMost((1 << 240) - 1))).nonce
    b'506'
    """
    search = Search(what, timeout=timeout, limit=limit, progress=progress, max_bits=max_bits)
    with _crew(search, threads, kernel) as crew:
        return search.run(crew)


async def asolve(
    what: Solvable,
    *,
    threads: int | None = None,
    timeout: float | None = DEFAULT_TIMEOUT_S,  # noqa: ASYNC109 - the engine's own clock
    limit: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    kernel: str | None = None,
    max_bits: float = DEFAULT_MAX_BITS,
) -> Proof:
    """`solve` without blocking the event loop; cancelling the task stops the search.

    ``progress`` is called on the event loop's thread. The search has a thread of its own, not
    one of the loop's executor; of many at once four run and the others wait, within their
    ``timeout``.
    """
    search = Search(what, timeout=timeout, limit=limit, progress=progress, max_bits=max_bits)
    with _crew(search, threads, kernel) as crew:
        return await _background.solve(search, lambda: search.run(crew))


def verify(what: Solvable, proof: Proof | bytes | str | Sequence[bytes]) -> bool:
    """Whether the nonces win. Looks at the work only: `pypow.challenge.check` judges the rest.

    Args:
        what: a `Puzzle`, or a native challenge as a value or as its 104 characters.
        proof: a `Proof`, one nonce, or one nonce for each sub-puzzle.

    Raises:
        InvalidInputError: ``what`` is not well-formed, or ``proof`` is of another type. A wrong
            nonce is no error.
    """
    asked = subject(what)
    if (
        isinstance(proof, Proof)
        and isinstance(asked, Challenge)
        and proof.challenge not in (None, asked.text)
    ):
        return False
    nonces = _nonces(proof)
    if isinstance(asked, Challenge):
        return work_stands(asked, nonces)
    if len(nonces) != 1 or not asked.writes(nonces[0]):
        return False
    return _bridge_checks.wins(
        asked.rule_spec, asked.hash_spec, asked.prefix, nonces[0], asked.suffix
    )


def hashrate(kernel: str | None = None, *, threads: int = 1, seconds: float = 0.2) -> float:
    """Measure hashes per second on puzzles shaped like the native challenge.

    Args:
        kernel: a name out of `kernels()`; by default the one `solve` would use.
        threads: 1 to 1024.
        seconds: how long to measure, more than 0 and at most 3600.
    """
    if not 0 < number(seconds) <= 3600:
        raise InvalidInputError(
            f"expected more than 0 and at most 3600 seconds, got {shown(seconds)}"
        )
    hopeless = Puzzle(prefix=bytes(106), nonce=Hex(width=13), rule=AtMost(0))
    native = _bridge.NativePuzzle(hopeless.prefix, hopeless.nonce_spec, b"", hopeless.rule_spec)
    with Crew(threads, chosen_kernel(kernel).name) as crew:
        pool = crew.pool()
        pool.begin(native, first=0, count=2**52)
        before = after = pool.run(1).hashes
        started, spent = time.perf_counter(), 0.0
        while spent < seconds:
            after = pool.run(max(1, round(min(SLICE_MS, 1000 * (seconds - spent))))).hashes
            spent = time.perf_counter() - started
        return (after - before) / spent


def _nonces(proof: Proof | bytes | str | Sequence[bytes]) -> tuple[bytes, ...]:
    """The nonces of a proof; none for a text that no octets stand for."""
    given: object = proof.nonces if isinstance(proof, Proof) else proof
    if isinstance(given, str):
        try:
            return (given.encode(),)
        except UnicodeEncodeError:
            return ()
    if isinstance(given, bytes):
        return (given,)
    if isinstance(given, Sequence) and all(isinstance(nonce, bytes) for nonce in given):
        return tuple(given)
    raise InvalidInputError(
        f"expected a Proof, or nonces as bytes: one, or one for each sub-puzzle; got {shown(given)}"
    )


def _crew(search: Search, threads: int | None, kernel: str | None) -> Crew:
    """The threads asked for, else as many as can run at once, or one for an easy solve."""
    if threads is None:
        easy = search.expected_work < _WORTH_THREADS_HASHES
        threads = 1 if easy else usable_processors()
    return Crew(threads, chosen_kernel(kernel).name)

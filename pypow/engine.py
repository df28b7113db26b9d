# SPDX-License-Identifier: Apache-2.0
"""Solve and verify, on the kernel and the threads that suit.

Solving releases the GIL and comes back to Python every 20 ms, so that Ctrl-C, timeouts and
progress are seen in time. The lowest winning nonce is returned, whatever the kernel and threads.
"""

import asyncio
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from . import _bridge, wire
from ._bridge import KernelInfo
from .challenge import work_stands
from .errors import (
    InvalidInputError,
    KernelUnavailableError,
    NoSolutionError,
    SolveTimeoutError,
    TooHardError,
    shown,
)
from .progress import Progress
from .puzzle import AtMost, Hex, Puzzle
from .wire import Challenge, Proof, Work

DEFAULT_MAX_BITS = 40.0
"""Expected work that `solve` refuses to begin unless told otherwise: hours on a fast machine."""

_SLICE_MS = 20
# Below this, waking a helper thread costs more time than it saves.
_WORTH_THREADS_HASHES = 2**17

Solvable: TypeAlias = Puzzle | Challenge | str


def kernels() -> tuple[KernelInfo, ...]:
    """All kernels of this build, fastest first; what this CPU cannot run comes last.

    The order is measured once in a process, in less than 3 ms, when it is first needed.
    """
    return _bridge.kernels()


def chosen_kernel(name: str | None = None) -> KernelInfo:
    """The kernel that `solve` would use: the argument, else ``PYPOW_KERNEL``, else the fastest.

    Raises:
        KernelUnavailableError: unknown here, or this CPU cannot run it.
    """
    usable = [kernel for kernel in kernels() if kernel.usable]
    wanted = name if name is not None else os.environ.get("PYPOW_KERNEL")
    if wanted is None:
        return usable[0]
    for kernel in usable:
        if kernel.name == wanted:
            return kernel
    known = any(kernel.name == wanted for kernel in kernels())
    raise KernelUnavailableError(
        f"kernel {shown(wanted)} {'cannot run on this CPU' if known else 'is unknown'}; "
        f"usable: {', '.join(kernel.name for kernel in usable)}"
    )


def solve(
    what: Solvable,
    *,
    threads: int | None = None,
    timeout: float | None = None,
    limit: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    kernel: str | None = None,
    max_bits: float = DEFAULT_MAX_BITS,
) -> Proof:
    """Find the lowest winning nonce of a puzzle, or of each sub-puzzle of a challenge.

    Args:
        what: a `Puzzle`, or a native challenge as a value or as its 104 characters.
        threads: 1 to 1024; by default as many as this process may use, one for easy puzzles.
        timeout: seconds; measured as wall time.
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

    Releases the GIL. Ctrl-C ends it within 50 ms.

    >>> from pypow import Puzzle, Decimal, AtMost
    >>> solve(Puzzle(b"abc123", Decimal(), AtMost((1 << 240) - 1))).nonce
    b'506'
    """
    return _Solve(
        what,
        threads=threads,
        timeout=timeout,
        limit=limit,
        progress=progress,
        kernel=kernel,
        max_bits=max_bits,
    ).run()


async def asolve(
    what: Solvable,
    *,
    threads: int | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - the engine's own clock, as in solve
    limit: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    kernel: str | None = None,
    max_bits: float = DEFAULT_MAX_BITS,
) -> Proof:
    """`solve` without blocking the event loop; cancelling the task stops the search.

    ``progress`` is called on the event loop's thread.
    """
    loop = asyncio.get_running_loop()

    def relay(state: Progress) -> None:
        assert progress is not None
        loop.call_soon_threadsafe(progress, state)

    search = _Solve(
        what,
        threads=threads,
        timeout=timeout,
        limit=limit,
        progress=None if progress is None else relay,
        kernel=kernel,
        max_bits=max_bits,
    )
    try:
        return await loop.run_in_executor(None, search.run)
    finally:
        search.abandoned.set()


def verify(what: Solvable, proof: Proof | bytes | str | Sequence[bytes]) -> bool:
    """Whether the nonces win. Looks at the work only: `pypow.challenge.check` judges the rest.

    Args:
        what: a `Puzzle`, or a native challenge as a value or as its 104 characters.
        proof: a `Proof`, one nonce, or one nonce for each sub-puzzle.

    Raises:
        InvalidInputError: ``what`` is not well-formed, or ``proof`` is of another type. A wrong
            nonce is no error.
    """
    subject = _subject(what)
    if (
        isinstance(proof, Proof)
        and isinstance(subject, Challenge)
        and proof.challenge not in (None, subject.text)
    ):
        return False
    nonces = _nonces(proof)
    if isinstance(subject, Challenge):
        return work_stands(subject, nonces)
    if len(nonces) != 1 or not subject.writes(nonces[0]):
        return False
    failed, _ = _bridge.verify(
        subject.rule_spec, subject.prefix, nonces, subject.suffix, subject.hash_spec
    )
    return failed is None


def hashrate(kernel: str | None = None, *, threads: int = 1, seconds: float = 0.2) -> float:
    """Measure hashes per second on puzzles shaped like the native challenge.

    Args:
        kernel: a name out of `kernels()`; by default the one `solve` would use.
        threads: 1 to 1024.
        seconds: how long to measure, more than 0 and at most 3600.
    """
    if not 0 < _number(seconds) <= 3600:
        raise InvalidInputError(
            f"expected more than 0 and at most 3600 seconds, got {shown(seconds)}"
        )
    hopeless = Puzzle(prefix=bytes(106), nonce=Hex(width=13), rule=AtMost(0))
    native = _native(hopeless)
    with _bridge.Pool(
        native,
        first=0,
        count=2**52,
        threads=_require_threads(threads),
        kernel=chosen_kernel(kernel).name,
    ) as pool:
        before = pool.run(1).hashes
        started = time.perf_counter()
        after = pool.run(max(1, round(seconds * 1000))).hashes
        return (after - before) / (time.perf_counter() - started)


class _Cancelled(Exception):  # noqa: N818 - never seen outside: the awaiting task is gone
    pass


class _Solve:
    """One solve: its puzzles in turn, under one clock, one limit and one count of hashes."""

    def __init__(
        self,
        what: Solvable,
        *,
        threads: int | None,
        timeout: float | None,
        limit: int | None,
        progress: Callable[[Progress], None] | None,
        kernel: str | None,
        max_bits: float,
    ) -> None:
        subject = _subject(what)
        if isinstance(subject, Challenge):
            self._challenge: Challenge | None = subject
            self._puzzles = tuple(subject.puzzle(index) for index in range(subject.puzzles))
        else:
            self._challenge = None
            self._puzzles = (subject,)
        self._expected = sum(puzzle.expected_hashes for puzzle in self._puzzles)
        cap = _number(max_bits)
        if math.isnan(cap):
            raise InvalidInputError(f"expected max_bits in bits, got {shown(max_bits)}")
        work = sum(puzzle.expected_hashes * puzzle.cost_per_nonce for puzzle in self._puzzles)
        if math.log2(work) > cap:
            raise TooHardError(
                f"this takes {math.log2(work):.1f} bits of work on average and the cap "
                f"is {cap:g}; raise max_bits if you mean it"
            )
        if timeout is not None and not _number(timeout) > 0:
            raise InvalidInputError(f"expected a timeout above 0 seconds, got {shown(timeout)}")
        if limit is not None and not (
            isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
        ):
            raise InvalidInputError(f"expected a limit of 1 or more hashes, got {shown(limit)}")
        if progress is not None and not callable(progress):
            raise InvalidInputError(f"expected a function for progress, got {shown(progress)}")
        self._timeout = timeout
        self._limit = limit
        self._progress = progress
        self._kernel = chosen_kernel(kernel).name
        self._threads = _threads_for(work) if threads is None else threads
        _require_threads(self._threads)
        self._hashes = 0
        self._started = 0.0
        self.abandoned = threading.Event()

    def run(self) -> Proof:
        self._started = time.perf_counter()
        nonces = tuple(self._grind(index) for index in range(len(self._puzzles)))
        seconds = time.perf_counter() - self._started
        puzzle = self._puzzles[0]
        prefix = puzzle.prefix
        if self._challenge is not None:
            # A sub-puzzle's prefix ends in its index, which on the wire begins its nonce.
            prefix = prefix[: -wire.INDEX_DIGITS]
            nonces = tuple(
                sub.prefix[len(prefix) :] + nonce
                for sub, nonce in zip(self._puzzles, nonces, strict=True)
            )
        _, digests = _bridge.verify(
            puzzle.rule_spec, prefix, nonces, puzzle.suffix, puzzle.hash_spec
        )
        return Proof(
            nonces=nonces,
            challenge=None if self._challenge is None else self._challenge.text,
            work=Work(
                digests=digests,
                hashes=self._hashes,
                seconds=seconds,
                kernel=self._kernel,
                threads=self._threads,
            ),
        )

    def _grind(self, index: int) -> bytes:
        puzzle = self._puzzles[index]
        spec = puzzle.nonce_spec
        count = 2**64 - 1 if self._limit is None else self._limit - self._hashes
        before = self._hashes
        found: int | None = None
        if count > 0:
            with _bridge.Pool(
                _native(puzzle),
                first=puzzle.first_index,
                count=min(count, 2**64 - 1 - puzzle.first_index),
                threads=self._threads,
                kernel=self._kernel,
            ) as pool:
                while True:
                    state = pool.run(self._slice_ms())
                    self._hashes = before + state.hashes
                    if state.status is not _bridge.Status.RUNNING:
                        found = state.nonce
                        break
                    self._report(index, state.hashes)
                    if self.abandoned.is_set():
                        raise _Cancelled
        if found is not None:
            return _bridge.encode_nonce(spec, found)
        if self._limit is not None and self._hashes >= self._limit:
            raise NoSolutionError(
                f"no winning nonce within the limit of {self._limit} hashes; raise the limit"
            )
        raise NoSolutionError(f"none of the {self._hashes - before} possible nonces wins")

    def _slice_ms(self) -> int:
        """How long to grind before looking up again; ends a solve whose time is over."""
        if self._timeout is None:
            return _SLICE_MS
        left_s = self._timeout - (time.perf_counter() - self._started)
        if left_s <= 0:
            raise SolveTimeoutError(
                f"no winning nonce within {self._timeout:g} s ({self._hashes} hashes); "
                "give it more time or more threads"
            )
        return max(1, round(min(_SLICE_MS, left_s * 1000)))

    def _report(self, index: int, puzzle_hashes: int) -> None:
        if self._progress is not None:
            self._progress(
                Progress(
                    hashes=self._hashes,
                    seconds=time.perf_counter() - self._started,
                    expected_hashes=self._expected,
                    puzzle=index,
                    puzzles=len(self._puzzles),
                    puzzle_hashes=puzzle_hashes,
                )
            )


def _subject(what: Solvable) -> Puzzle | Challenge:
    if isinstance(what, str):
        return wire.decode_challenge(what)
    if isinstance(what, Puzzle | Challenge):
        return what
    raise InvalidInputError(
        f"expected a Puzzle, a Challenge or a challenge's 104 characters, got {type(what).__name__}"
    )


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


def _native(puzzle: Puzzle) -> _bridge.NativePuzzle:
    return _bridge.NativePuzzle(
        puzzle.prefix, puzzle.nonce_spec, puzzle.suffix, puzzle.rule_spec, puzzle.hash_spec
    )


def _threads_for(expected_work: float) -> int:
    """As many threads as this process may run on, or just the caller's for an easy puzzle."""
    return len(os.sched_getaffinity(0)) if expected_work >= _WORTH_THREADS_HASHES else 1


def _number(given: object) -> float:
    """A number as a double; NaN, which is within no bounds, for what is none."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return math.nan
    try:
        return float(given)
    except OverflowError:
        return math.nan


def _require_threads(threads: int) -> int:
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 1024:
        raise InvalidInputError(f"expected 1 to 1024 threads, got {shown(threads)}")
    return threads

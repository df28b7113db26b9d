# SPDX-License-Identifier: Apache-2.0
"""One solve: its puzzles in turn, under one clock, one limit and one count of hashes.

Every 20 ms the search comes back from the C core, so that Ctrl-C, timeouts and progress are
seen in time.
"""

import math
import time
from collections.abc import Callable
from typing import TypeAlias

from . import wire
from ._bridge import NativePuzzle
from ._bridge_search import Progress as Found
from ._bridge_search import Status, open_search
from .crew import Crew
from .errors import (
    InvalidInputError,
    NoSolutionError,
    SolverClosedError,
    SolveTimeoutError,
    TooHardError,
    shown,
)
from .progress import Progress
from .puzzle import Puzzle
from .wire import Challenge, Proof, Work

DEFAULT_MAX_BITS = 40.0
"""Expected work that `solve` refuses to begin unless told otherwise: hours on a fast machine."""

DEFAULT_TIMEOUT_S = 600.0
"""Seconds after which `solve` gives up unless told otherwise."""

SLICE_MS = 20
"""How long the C core grinds before Ctrl-C, clocks and progress are looked at."""

_U64_MAX = 2**64 - 1

Solvable: TypeAlias = Puzzle | Challenge | str


class Search:
    """A solve that is ready to run, once, on a pool.

    Attributes:
        expected_hashes: nonces that the whole takes on average.
        expected_work: the same, each nonce as many times as its hash costs.
        progress: what is told every 20 ms.
        abandoned: set by another thread, ends the search within a slice.
    """

    __slots__ = (
        "_challenge",
        "_deadline",
        "_hashes",
        "_limit",
        "_prefixes",
        "_puzzle",
        "_started",
        "_timeout",
        "abandoned",
        "expected_hashes",
        "expected_work",
        "progress",
    )

    def __init__(
        self,
        what: Solvable,
        *,
        timeout: float | None,
        limit: int | None,
        progress: Callable[[Progress], None] | None,
        max_bits: float,
    ) -> None:
        self._started = time.perf_counter()
        found = subject(what)
        if isinstance(found, Challenge):
            self._challenge: str | None = found.text
            self._puzzle = found.puzzle(0)
            # The sub-puzzles differ in nothing but the index at the end of their prefixes.
            stem = self._puzzle.prefix[: -wire.INDEX_DIGITS]
            self._prefixes = tuple(
                [stem + b"%0*x" % (wire.INDEX_DIGITS, index) for index in range(found.puzzles)]
            )
        else:
            self._challenge = None
            self._puzzle = found
            self._prefixes = (found.prefix,)
        self.expected_hashes = self._puzzle.expected_hashes * len(self._prefixes)
        self.expected_work = self.expected_hashes * self._puzzle.cost_per_nonce
        _require_affordable(self.expected_work, max_bits)
        if timeout is not None and not number(timeout) > 0:
            raise InvalidInputError(
                f"expected a timeout above 0 seconds, or None, got {shown(timeout)}"
            )
        if limit is not None and (
            not isinstance(limit, int) or isinstance(limit, bool) or limit <= 0
        ):
            raise InvalidInputError(f"expected a limit of 1 or more hashes, got {shown(limit)}")
        if progress is not None and not callable(progress):
            raise InvalidInputError(f"expected a function for progress, got {shown(progress)}")
        self._timeout = math.inf if timeout is None else timeout
        self._deadline = self._started + self._timeout
        self._limit = limit
        self._hashes = 0
        self.progress = progress
        self.abandoned = False

    @property
    def seconds_left(self) -> float:
        """Until the timeout: below 0 when it is over, infinite where there is none."""
        return self._deadline - time.perf_counter()

    def run(self, crew: Crew) -> Proof:
        """Find the lowest winning nonce of each puzzle."""
        self._started = time.perf_counter()
        try:
            found = [self._solved(crew, index) for index in range(len(self._prefixes))]
        finally:
            # An exception, and its traceback with it, may live on; the threads are to rest.
            crew.stop()
        work = Work(
            digests=tuple([state.digest for state in found]),
            hashes=self._hashes,
            seconds=time.perf_counter() - self._started,
            kernel=crew.kernel,
            threads=crew.threads,
        )
        nonces = [state.nonce for state in found]
        if self._challenge is not None:
            # A sub-puzzle's prefix ends in its index, which on the wire begins its nonce.
            nonces = [
                prefix[-wire.INDEX_DIGITS :] + nonce
                for prefix, nonce in zip(self._prefixes, nonces, strict=True)
            ]
        return Proof(nonces=tuple(nonces), challenge=self._challenge, work=work)

    def give_up(self) -> SolveTimeoutError:
        """The error of a search whose time is over."""
        return SolveTimeoutError(
            f"no winning nonce within {self._timeout:g} s ({self._hashes} hashes); "
            "raise the timeout, or give it more threads"
        )

    def _solved(self, crew: Crew, index: int) -> Found:
        """Search for the winner of one puzzle."""
        puzzle, before = self._puzzle, self._hashes
        specs = (
            self._prefixes[index],
            puzzle.nonce_spec,
            puzzle.suffix,
            puzzle.rule_spec,
            puzzle.hash_spec,
        )
        first = puzzle.first_index
        count = min(_U64_MAX, _U64_MAX - first + 1)
        if self._limit is not None:
            count = min(count, self._limit - before)
        self._slice_ms()  # an opening is too short to be interrupted
        state = open_search(*specs, first=first, count=count, kernel=crew.kernel)
        opened = state.hashes
        self._hashes = before + opened
        if state.status is Status.RUNNING:
            pool = crew.pool()
            pool.begin(NativePuzzle(*specs), first=first + opened, count=count - opened)
            while state.status is Status.RUNNING:
                state = pool.run(self._slice_ms())
                self._hashes = before + opened + state.hashes
                self._report(index, opened + state.hashes)
        if state.status is Status.FOUND:
            return state
        if state.status is Status.STOPPED:
            raise _closed()
        raise self._not_found(self._hashes - before)

    def _not_found(self, puzzle_hashes: int) -> NoSolutionError:
        if self._limit is not None and self._hashes >= self._limit:
            return NoSolutionError(
                f"no winning nonce within the limit of {self._limit} hashes; raise the limit"
            )
        return NoSolutionError(f"none of the {puzzle_hashes} possible nonces wins")

    def _slice_ms(self) -> int:
        """How long to grind before looking up again; ends a solve that is not to go on."""
        if self.abandoned:
            raise _closed()
        left_ms = 1000 * (self._deadline - time.perf_counter())
        if left_ms >= SLICE_MS:
            return SLICE_MS
        if left_ms <= 0:
            raise self.give_up()
        return max(1, round(left_ms))

    def _report(self, index: int, puzzle_hashes: int) -> None:
        if self.progress is not None:
            self.progress(
                Progress(
                    hashes=self._hashes,
                    seconds=time.perf_counter() - self._started,
                    expected_hashes=self.expected_hashes,
                    puzzle=index,
                    puzzles=len(self._prefixes),
                    puzzle_hashes=puzzle_hashes,
                )
            )


def subject(what: Solvable) -> Puzzle | Challenge:
    """What is to be solved or verified; a text is read as a native challenge.

    Raises:
        InvalidInputError: of another type, or not a well-formed challenge.
    """
    if isinstance(what, str):
        return wire.decode_challenge(what)
    if isinstance(what, Puzzle | Challenge):
        return what
    raise InvalidInputError(
        f"expected a Puzzle, a Challenge or a challenge's 104 characters, got {type(what).__name__}"
    )


def _closed() -> SolverClosedError:
    return SolverClosedError("the solver was closed while it searched; make another")


def number(given: object) -> float:
    """A number as a double; NaN, which is within no bounds, for what is none."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return math.nan
    try:
        return float(given)
    except OverflowError:
        return math.nan


def _require_affordable(expected_work: float, max_bits: float) -> None:
    cap = number(max_bits)
    if math.isnan(cap):
        raise InvalidInputError(f"expected max_bits in bits, got {shown(max_bits)}")
    needed = math.log2(expected_work)
    if needed > cap:
        raise TooHardError(
            f"this takes {needed:.1f} bits of work on average and the cap is {cap:g}; "
            "raise max_bits if you mean it"
        )

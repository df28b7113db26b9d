# SPDX-License-Identifier: Apache-2.0
"""A solver keeps its threads, takes turns, and stops for nobody longer than it must."""

import os
import threading
from collections.abc import Callable

import pytest

import pypow
from pypow import (
    AtMost,
    Challenge,
    Decimal,
    Hex,
    InvalidInputError,
    KernelUnavailableError,
    Progress,
    Proof,
    Puzzle,
    Solver,
    SolverClosedError,
    SolveTimeoutError,
)
from pypow.crew import Crew
from pypow.search import Search
from support.challenges import fixed_challenge
from support.threads import counts_threads, sleeping, tasks

EASY = Puzzle(b"abc123", Decimal(), AtMost(2**240 - 1))
HOPELESS = Puzzle(b"hopeless", Hex(width=15), AtMost(0))
LONGER = [Puzzle(b"%d" % i, Decimal(), AtMost(2**238 - 1)) for i in range(20)]


def hopeless_on(
    solver: Solver, at_first_report: Callable[[], None], timeout: float = 60
) -> BaseException:
    """Solve what cannot be solved; what ended it."""
    told: list[bool] = []

    def watch(_: Progress) -> None:
        if not told:
            told.append(True)
            at_first_report()

    with pytest.raises(BaseException) as ended:  # noqa: PT011 - the caller looks at it
        solver.solve(HOPELESS, max_bits=256, timeout=timeout, progress=watch)
    return ended.value


def test_a_solver_finds_what_solve_finds() -> None:
    everything: list[Puzzle | Challenge] = [EASY, *LONGER]
    everything.append(fixed_challenge(q=17 * 1024, puzzles=16))
    with Solver() as solver:
        for what in everything:
            proof = solver.solve(what)
            assert proof == pypow.solve(what)
            assert pypow.verify(what, proof)


@counts_threads
def test_a_solver_keeps_its_threads_and_has_none_before_they_are_needed() -> None:
    before = tasks()
    with Solver(threads=2) as solver:
        for _ in range(50):
            solver.solve(EASY)
        assert tasks() == before
        hopeless_on(solver, lambda: None, timeout=0.05)
        kept = tasks()
        assert len(kept - before) <= 1
        for puzzle in LONGER:
            solver.solve(puzzle)
            assert tasks() == kept
    # A joined thread may be listed until the kernel has buried it.
    while tasks() - before:
        continue


@counts_threads
@pytest.mark.parametrize("threads", [None, 1, 8, 1024])
def test_an_easy_puzzle_starts_no_thread(threads: int | None) -> None:
    before = tasks()
    assert pypow.solve(EASY, threads=threads).nonce == b"506"
    assert tasks() == before


@counts_threads
def test_no_more_threads_are_started_than_can_run() -> None:
    before = tasks()
    counted: list[int] = []
    with pytest.raises(SolveTimeoutError):
        pypow.solve(
            HOPELESS,
            threads=1024,
            max_bits=256,
            timeout=0.2,
            progress=lambda _: counted.append(len(tasks() - before)),
        )
    assert max(counted) < len(os.sched_getaffinity(0))


def reports(threads: int) -> int:
    seen: list[Progress] = []
    with Solver(threads=threads) as solver, pytest.raises(SolveTimeoutError):
        solver.solve(HOPELESS, max_bits=256, timeout=0.5, progress=seen.append)
    return len(seen)


def test_slices_end_in_time_however_many_threads_are_asked_for() -> None:
    assert reports(threads=1024) > reports(threads=1) / 4


def test_solves_of_several_threads_take_turns() -> None:
    found: dict[int, list[bytes]] = {}
    with Solver() as solver:

        def solve_some(number: int) -> None:
            found[number] = [solver.solve(puzzle).nonce for puzzle in LONGER[number::4]]

        threads = [threading.Thread(target=solve_some, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number in range(4):
        assert found[number] == [pypow.solve(puzzle).nonce for puzzle in LONGER[number::4]]


def test_waiting_for_a_turn_counts_against_the_timeout() -> None:
    begun, done = threading.Event(), threading.Event()
    ended: list[BaseException] = []
    with Solver() as solver:

        def occupy() -> None:
            def until_done() -> None:
                begun.set()
                done.wait()
                raise RuntimeError

            ended.append(hopeless_on(solver, until_done))

        thread = threading.Thread(target=occupy)
        thread.start()
        begun.wait()
        with pytest.raises(SolveTimeoutError, match=r"within 0\.01 s \(0 hashes\)"):
            solver.solve(EASY, timeout=0.01)
        done.set()
        thread.join()
        assert isinstance(ended[0], RuntimeError)
        assert solver.solve(EASY).nonce == b"506"


def test_closing_ends_a_search_in_another_thread() -> None:
    begun = threading.Event()
    ended: list[BaseException] = []
    solver = Solver()
    thread = threading.Thread(target=lambda: ended.append(hopeless_on(solver, begun.set)))
    thread.start()
    begun.wait()
    solver.close()
    thread.join()
    assert isinstance(ended[0], SolverClosedError)


def test_a_closed_solver_says_so() -> None:
    solver = Solver(threads=2, kernel="scalar")
    assert repr(solver) == "<Solver threads=2 kernel='scalar'>"
    solver.close()
    solver.close()
    assert repr(solver) == "<Solver threads=2 kernel='scalar', closed>"
    with pytest.raises(SolverClosedError, match="closed; make another"):
        solver.solve(EASY)


def test_a_solver_may_be_closed_and_used_by_its_own_progress_function() -> None:
    solver = Solver()
    found: list[bytes] = []
    ended = hopeless_on(solver, lambda: found.append(solver.solve(LONGER[0]).nonce), timeout=0.2)
    assert found == [pypow.solve(LONGER[0]).nonce]
    assert isinstance(ended, SolveTimeoutError)
    assert isinstance(hopeless_on(solver, solver.close), SolverClosedError)


@counts_threads
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_threads_rest_while_an_error_lives_and_work_again_after(
    error: type[BaseException],
) -> None:
    before = tasks()

    def fail() -> None:
        raise error

    with Solver() as solver:
        ended = hopeless_on(solver, fail)
        assert isinstance(ended, error)
        while not all(map(sleeping, tasks() - before)):
            continue
        assert solver.solve(LONGER[1]) == pypow.solve(LONGER[1])


@pytest.mark.parametrize("threads", [0, -1, 1025, True, 1.5, "2"])
def test_an_impossible_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(InvalidInputError, match="expected 1 to 1024 threads"):
        Solver(threads=threads)


def test_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(KernelUnavailableError, match="'abacus' is unknown"):
        Solver(kernel="abacus")


def test_closing_ends_every_search_that_is_nested_in_another() -> None:
    ended: list[type[BaseException]] = []
    deepest = threading.Event()
    solver = Solver(threads=1)

    def level(depth: int) -> None:
        def nest(_: Progress) -> None:
            if depth == 2:
                deepest.set()
            else:
                level(depth + 1)

        with pytest.raises(SolverClosedError) as closed:
            solver.solve(HOPELESS, max_bits=256, timeout=None, progress=nest)
        ended.append(closed.type)

    thread = threading.Thread(target=level, args=(0,))
    thread.start()
    deepest.wait()
    solver.close()
    thread.join()
    assert ended == [SolverClosedError] * 3


def test_a_search_that_begins_while_its_solver_closes_ends_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    solver = Solver(threads=1)
    begin = Search.run

    def close_first(search: Search, crew: Crew) -> Proof:
        closing.start()
        while not solver._closed:
            continue
        return begin(search, crew)

    closing = threading.Thread(target=solver.close)
    monkeypatch.setattr(Search, "run", close_first)
    with pytest.raises(SolverClosedError):
        solver.solve(HOPELESS, max_bits=256, timeout=None)
    closing.join()

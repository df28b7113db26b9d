# SPDX-License-Identifier: Apache-2.0
"""Solving in event loops: nobody is blocked, starved or kept waiting by it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import pypow
from pypow import (
    AtMost,
    Decimal,
    Hex,
    Progress,
    Proof,
    Puzzle,
    Solver,
    SolverClosedError,
    SolveTimeoutError,
    TooHardError,
)

EASY = Puzzle(b"abc123", Decimal(), AtMost(2**240 - 1))
HOPELESS = Puzzle(b"hopeless", Hex(width=15), AtMost(0))
LONGER = [Puzzle(b"%d" % i, Decimal(), AtMost(2**238 - 1)) for i in range(20)]

Asolve = Callable[..., Awaitable[Proof]]


def run(use: Callable[[Asolve], Awaitable[None]], kind: str) -> None:
    async def on_a_solver() -> None:
        with Solver() as solver:
            await use(solver.asolve)

    async def plain() -> None:
        await use(pypow.asolve)

    asyncio.run(plain() if kind == "function" else on_a_solver())


either = pytest.mark.parametrize("kind", ["function", "solver"])


@either
def test_asolve_finds_what_solve_finds(kind: str) -> None:
    async def use(asolve: Asolve) -> None:
        for puzzle in (EASY, *LONGER):
            assert await asolve(puzzle) == pypow.solve(puzzle)

    run(use, kind)


@either
def test_reports_come_on_the_loops_thread_and_end_with_the_task(kind: str) -> None:
    reported_from: list[int] = []

    async def use(asolve: Asolve) -> None:
        begun = asyncio.Event()

        def watch(_: Progress) -> None:
            reported_from.append(threading.get_ident())
            begun.set()

        task = asyncio.ensure_future(asolve(HOPELESS, progress=watch, max_bits=256))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        reports = len(reported_from)
        # What runs after a search that was given up, and could not while it ran.
        assert (await asolve(EASY)).nonce == b"506"
        assert len(reported_from) == reports

    run(use, kind)
    assert set(reported_from) == {threading.get_ident()}


@either
def test_an_error_in_a_progress_function_ends_the_search(kind: str) -> None:
    async def use(asolve: Asolve) -> None:
        def fail(_: Progress) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await asolve(HOPELESS, progress=fail, max_bits=256)

    run(use, kind)


@either
def test_the_loop_goes_round_while_a_search_runs(kind: str) -> None:
    async def use(asolve: Asolve) -> None:
        rounds: list[int] = [0]
        seen: list[int] = []

        task = asyncio.ensure_future(
            asolve(HOPELESS, progress=lambda _: seen.append(rounds[0]), max_bits=256, timeout=60)
        )
        while len(seen) < 3:
            rounds[0] += 1
            await asyncio.sleep(0)
        task.cancel()
        assert seen[0] < seen[1] < seen[2]

    run(use, kind)


@either
def test_a_busy_default_executor_is_not_in_the_way_and_not_used_up(kind: str) -> None:
    async def use(asolve: Asolve) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
        freed = threading.Event()
        occupied = loop.run_in_executor(None, freed.wait)
        try:
            proofs = await asyncio.gather(*map(asolve, LONGER))
        finally:
            freed.set()
        assert proofs == [pypow.solve(puzzle) for puzzle in LONGER]
        await occupied
        hopeless = [
            asyncio.ensure_future(asolve(HOPELESS, max_bits=256, timeout=60)) for _ in range(20)
        ]
        assert await loop.run_in_executor(None, lambda: "not starved") == "not starved"
        for task in hopeless:
            task.cancel()

    run(use, kind)


@either
def test_of_many_at_once_few_run_and_a_cancelled_one_never_does(kind: str) -> None:
    async def use(asolve: Asolve) -> None:
        before = threading.active_count()
        begun: set[int] = set()
        first = asyncio.Event()

        def watched(number: int) -> Awaitable[Proof]:
            def watch(_: Progress) -> None:
                begun.add(number)
                first.set()

            return asolve(HOPELESS, max_bits=256, timeout=60, progress=watch)

        tasks = [asyncio.ensure_future(watched(number)) for number in range(100)]
        await first.wait()
        assert threading.active_count() - before <= 4
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (await asolve(EASY)).nonce == b"506"
        assert 1 <= len(begun) <= 4

    run(use, kind)


@either
def test_the_time_of_waiting_counts(kind: str) -> None:
    async def use(asolve: Asolve) -> None:
        hogs = [
            asyncio.ensure_future(asolve(HOPELESS, max_bits=256, timeout=None)) for _ in range(4)
        ]
        await asyncio.sleep(0)
        with pytest.raises(SolveTimeoutError, match="0 hashes"):
            await asolve(EASY, timeout=0.05)
        assert not any(hog.done() for hog in hogs)
        for hog in hogs:
            hog.cancel()

    run(use, kind)


@either
@pytest.mark.parametrize("odd", [StopIteration, asyncio.CancelledError])
def test_no_exception_of_a_progress_function_is_lost(kind: str, odd: type[BaseException]) -> None:
    async def use(asolve: Asolve) -> None:
        def fail(_: Progress) -> None:
            raise odd

        with pytest.raises((RuntimeError, asyncio.CancelledError)) as ended:
            await asolve(HOPELESS, progress=fail, max_bits=256, timeout=None)
        assert odd in (ended.type, type(ended.value.__cause__))

    run(use, kind)


@either
def test_asolve_refuses_what_solve_refuses(kind: str) -> None:
    async def use(asolve: Asolve) -> None:
        with pytest.raises(TooHardError, match="raise max_bits"):
            await asolve(HOPELESS)

    run(use, kind)


def test_closing_a_solver_ends_what_runs_and_what_waits() -> None:
    async def use() -> None:
        solver = Solver()
        begun = asyncio.Event()
        several = [
            asyncio.ensure_future(
                solver.asolve(HOPELESS, max_bits=256, progress=lambda _: begun.set())
            )
            for _ in range(5)
        ]
        await begun.wait()
        solver.close()
        for ended in await asyncio.gather(*several, return_exceptions=True):
            assert isinstance(ended, SolverClosedError)

    asyncio.run(use())


def test_one_solver_serves_several_loops_and_threads() -> None:
    found: list[list[Proof]] = []
    with Solver() as solver:

        async def solve_all() -> None:
            found.append(await asyncio.gather(*map(solver.asolve, LONGER[:5])))

        threads = [threading.Thread(target=asyncio.run, args=(solve_all(),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        direct = [solver.solve(puzzle) for puzzle in LONGER[:5]]
        for thread in threads:
            thread.join()
    assert found == [direct] * 3

# SPDX-License-Identifier: Apache-2.0
"""Searching on several threads gives what one thread gives, and leaves nothing behind."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pypow import _bridge
from pypow._bridge import KernelInfo, NativePuzzle, Pool, Progress, RuleSpec, Status
from pypow.errors import InvalidInputError
from support.reference import DECIMAL, NEVER, Case, exactly, hexadecimal, zero_bits

USABLE = [info.name for info in _bridge.kernels() if info.usable]
CHUNK = 2**14  # blocks in a worker's claim: the places where work changes hands
THREADS = (1, 2, 3, 7)
SLICES_MS = (0, 1, 1000)
EXIST = 16**6

TASKS = Path("/proc/self/task")


def puzzle(rule: RuleSpec, before: int = 49) -> NativePuzzle:
    return NativePuzzle(b"p" * before, hexadecimal(6), b"", rule)


def only(index: int, before: int = 49) -> NativePuzzle:
    """A puzzle that this index alone solves."""
    case = Case(b"p" * before, hexadecimal(6), b"", NEVER, 0, 0)
    return puzzle(exactly(_bridge.sha256(case.message(index))), before)


def finish(pool: Pool, slice_ms: int) -> Progress:
    hashes = 0
    while (progress := pool.run(slice_ms)).status is Status.RUNNING:
        assert progress.nonce is None
        assert progress.hashes >= hashes
        hashes = progress.hashes
    return progress


@dataclass(frozen=True, slots=True)
class Job:
    puzzle: NativePuzzle
    first: int
    count: int


def pooled(job: Job, threads: int, slice_ms: int, kernel: str | None = None) -> Progress:
    with Pool(job.puzzle, first=job.first, count=job.count, threads=threads, kernel=kernel) as pool:
        return finish(pool, slice_ms)


def check_pool(search: Callable[[Job, int, int], Progress], job: Job) -> None:
    nonce, hashes = job.puzzle.search(job.first, job.count)
    for threads in THREADS:
        for slice_ms in SLICES_MS:
            progress = search(job, threads, slice_ms)
            assert progress.nonce == nonce
            assert progress.status is (Status.NOT_FOUND if nonce is None else Status.FOUND)
            # Other threads may have tried nonces above the winner, never fewer than up to it.
            assert progress.hashes >= hashes
            assert progress.hashes == hashes or (threads > 1 and nonce is not None)


JOBS = [
    Job(only(0), 0, 5 * CHUNK),
    Job(only(CHUNK - 1), 0, 5 * CHUNK),
    Job(only(CHUNK), 0, 5 * CHUNK),
    Job(only(5 * CHUNK - 1), 0, 5 * CHUNK),
    Job(only(5 * CHUNK), 0, 5 * CHUNK),
    Job(only(3 * CHUNK + 7), 7, 3 * CHUNK),
    Job(only(3 * CHUNK + 7), 7, 3 * CHUNK + 1),
    Job(only(EXIST - 1), EXIST - 2 * CHUNK, 2**64 - 1),
    Job(only(2 * CHUNK + 100, 47), 33, 4 * CHUNK),
    Job(puzzle(zero_bits(14)), 0, 20 * CHUNK),
    Job(puzzle(zero_bits(12), 47), 5, 20 * CHUNK),
    Job(puzzle(NEVER, 47), 777, 3 * CHUNK),
    Job(puzzle(zero_bits(16)), 12345, 30 * CHUNK),
    Job(puzzle(NEVER), EXIST - 9 * CHUNK - 5, EXIST),
    Job(puzzle(NEVER), EXIST, 1),
    Job(puzzle(NEVER), 0, 0),
]


@pytest.mark.parametrize("job", JOBS, ids=range(len(JOBS)))
def test_threads_and_slices_do_not_change_what_is_found(job: Job) -> None:
    check_pool(pooled, job)


@pytest.mark.parametrize("kernel", USABLE)
@pytest.mark.parametrize("bits", [1, 10, 15])
def test_the_lowest_winner_is_found_by_every_kernel(kernel: str, bits: int) -> None:
    job = Job(puzzle(zero_bits(bits)), 0, 40 * CHUNK)
    assert pooled(job, 3, 1, kernel).nonce == job.puzzle.search(0, 40 * CHUNK, "scalar")[0]


def takes_the_first_hit_of_any_thread(job: Job, threads: int, slice_ms: int) -> Progress:
    upper = Job(job.puzzle, job.first + job.count // 2, job.count - job.count // 2)
    hit = pooled(upper, threads, slice_ms)
    return hit if hit.nonce is not None else pooled(job, threads, slice_ms)


def loses_the_last_chunk(job: Job, threads: int, slice_ms: int) -> Progress:
    return pooled(Job(job.puzzle, job.first, job.count - CHUNK), threads, slice_ms)


def counts_each_chunk_twice(job: Job, threads: int, slice_ms: int) -> Progress:
    right = pooled(job, threads, slice_ms)
    return Progress(status=right.status, nonce=right.nonce, hashes=2 * right.hashes)


@pytest.mark.parametrize(
    ("wrong", "job"),
    [
        (takes_the_first_hit_of_any_thread, Job(puzzle(zero_bits(10)), 0, 8 * CHUNK)),
        (loses_the_last_chunk, Job(only(2 * CHUNK - 1), 0, 2 * CHUNK)),
        (counts_each_chunk_twice, Job(puzzle(NEVER), 0, 2 * CHUNK)),
    ],
)
def test_the_check_itself_catches_a_wrong_pool(
    wrong: Callable[[Job, int, int], Progress], job: Job
) -> None:
    with pytest.raises(AssertionError):
        check_pool(wrong, job)


def test_a_finished_search_keeps_its_answer() -> None:
    with Pool(only(5), first=0, count=CHUNK, threads=2, kernel=None) as pool:
        first = finish(pool, 1000)
        pool.stop()
        assert pool.run(1000) == first == Progress(status=Status.FOUND, nonce=5, hashes=6)


@pytest.mark.parametrize("threads", THREADS)
def test_stop_from_another_thread_ends_a_run(threads: int) -> None:
    endless = NativePuzzle(b"", DECIMAL, b"", NEVER)
    with Pool(endless, first=0, count=2**64 - 1, threads=threads, kernel=None) as pool:
        stopper = threading.Thread(target=pool.stop)
        assert pool.run(1).status is Status.RUNNING
        stopper.start()
        stopped = pool.run(600_000)
        stopper.join()
        assert stopped.status is Status.STOPPED
        assert stopped.nonce is None
        assert pool.run(1) == stopped


def test_close_from_another_thread_ends_a_run() -> None:
    endless = NativePuzzle(b"", DECIMAL, b"", NEVER)
    pool = Pool(endless, first=0, count=2**64 - 1, threads=2, kernel=None)
    closer = threading.Thread(target=pool.close)
    assert pool.run(1).status is Status.RUNNING
    closer.start()
    try:
        assert pool.run(600_000).status is Status.STOPPED
    except InvalidInputError as closed_before:
        assert "closed" in str(closed_before)  # noqa: PT017 - either order of the two is right
    closer.join()
    with pytest.raises(InvalidInputError, match="closed"):
        pool.run(1)


def test_a_second_thread_may_not_run_the_same_pool() -> None:
    endless = NativePuzzle(b"", DECIMAL, b"", NEVER)
    with Pool(endless, first=0, count=2**64 - 1, threads=1, kernel=None) as pool:
        runner = threading.Thread(target=pool.run, args=(600_000,))
        runner.start()
        while True:
            try:
                pool.run(0)
            except InvalidInputError as refused:
                assert "another thread" in str(refused)  # noqa: PT017 - it may not have begun yet
                break
        pool.stop()
        runner.join()


@pytest.mark.skipif(not TASKS.is_dir(), reason="needs /proc to count a process's threads")
def test_closing_ends_every_thread() -> None:
    endless = NativePuzzle(b"", DECIMAL, b"", NEVER)
    before = len(list(TASKS.iterdir()))
    with Pool(endless, first=0, count=2**64 - 1, threads=5, kernel=None) as pool:
        pool.run(1)
        assert len(list(TASKS.iterdir())) == before + 4
    # A joined thread may be listed until the kernel has buried it.
    while len(list(TASKS.iterdir())) > before:
        continue


@pytest.mark.skipif(not TASKS.is_dir(), reason="needs /proc to count a process's threads")
@pytest.mark.parametrize(("threads", "count"), [(1, 2**63), (64, 100)])
def test_no_thread_is_started_for_one_thread_or_an_easy_puzzle(threads: int, count: int) -> None:
    endless = NativePuzzle(b"", DECIMAL, b"", NEVER)
    before = len(list(TASKS.iterdir()))
    with Pool(endless, first=0, count=count, threads=threads, kernel=None) as pool:
        pool.run(5)
        assert len(list(TASKS.iterdir())) == before


@pytest.mark.parametrize("kernel", [info for info in _bridge.kernels() if info.usable])
@pytest.mark.parametrize("blocks", [1, 2, 100, 3000])
def test_a_look_at_the_clock_is_never_many_blocks_away(kernel: KernelInfo, blocks: int) -> None:
    puzzle = NativePuzzle(b"", DECIMAL, bytes(64 * (blocks - 1)), NEVER)
    with Pool(puzzle, first=0, count=2**63, threads=1, kernel=kernel.name) as pool:
        hashes = pool.run(0).hashes
        assert hashes >= max(CHUNK // blocks, kernel.lanes)
        # A run begun is finished, unless it is long.
        assert hashes <= max((CHUNK + max(CHUNK, 2**14 * kernel.lanes)) // blocks, kernel.lanes)


def test_a_caller_whose_helpers_fill_every_core_sleeps_and_so_wakes_on_time() -> None:
    endless = NativePuzzle(b"", DECIMAL, b"", NEVER)
    threads = min(2 * (os.cpu_count() or 1) + 1, 1024)
    with Pool(endless, first=0, count=2**63, threads=threads, kernel=None) as pool:
        pool.run(1)
        before_s = time.thread_time()
        pool.run(100)
        assert time.thread_time() - before_s < 0.01


DROPPED = """
import gc
from pypow._bridge import NativePuzzle, NonceSpec, Pool, RuleSpec, RuleType

never = RuleSpec(type=RuleType.AT_MOST, value=bytes(32), mask=bytes(32), little=False)
digits = NonceSpec(symbols=b"0123456789", width=0, little=False)

def drop_in_a_cycle():
    puzzle = NativePuzzle(b"", digits, bytes(300_000), never)
    pool = Pool(puzzle, first=0, count=2**63, threads=3, kernel=None)
    pool.run(1)
    cycle = [pool]
    cycle.append(cycle)

for _ in range(5):
    drop_in_a_cycle()
    gc.collect()
print("no harm done")
"""


def test_a_pool_may_be_dropped_in_any_order_with_its_puzzle() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROPPED], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "no harm done\n", (done.returncode, done.stderr)


@pytest.mark.parametrize("threads", [0, -1, 1025, 2**32, True, 1.5])
def test_an_impossible_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(InvalidInputError, match=r"expected .*threads"):
        Pool(puzzle(NEVER), first=0, count=1, threads=threads, kernel=None)


@pytest.mark.parametrize("slice_ms", [-1, 2**32, None, 0.5])
def test_an_impossible_slice_is_refused(slice_ms: int) -> None:
    with (
        Pool(puzzle(NEVER), first=0, count=1, threads=1, kernel=None) as pool,
        pytest.raises(InvalidInputError, match="slice_ms"),
    ):
        pool.run(slice_ms)


FORK = """
import os, sys
from pypow._bridge import NativePuzzle, NonceSpec, Pool, RuleSpec, RuleType, Status
from pypow.errors import ForkedError

never = RuleSpec(type=RuleType.AT_MOST, value=bytes(32), mask=bytes(32), little=False)
digits = NonceSpec(symbols=b"0123456789", width=0, little=False)
pool = Pool(NativePuzzle(b"", digits, b"", never), first=0, count=2**63, threads=3, kernel=None)
assert pool.run(1).status is Status.RUNNING
child = os.fork()
if child == 0:
    try:
        pool.run(1)
    except ForkedError as error:
        assert "process" in str(error)
        pool.stop()
        pool.close()
        os._exit(42)
    os._exit(1)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 42
assert pool.run(1).status is Status.RUNNING
pool.close()
print("both went on")
"""


def test_a_fork_in_the_middle_of_a_search_harms_neither_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "both went on\n", done.stderr

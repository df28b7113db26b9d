# SPDX-License-Identifier: Apache-2.0
"""Searching on several threads gives what one thread gives, and leaves nothing behind."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from pypow import _bridge
from pypow._bridge import HashSpec, HashType, KernelInfo, NativePuzzle, NonceSpec, RuleSpec
from pypow._bridge_search import Pool, Progress, Status, open_search
from pypow.errors import InvalidInputError
from support.reference import DECIMAL, NEVER, Case, binary, exactly, hexadecimal, zero_bits
from support.threads import counts_threads, sleeping, tasks

USABLE = [info.name for info in _bridge.kernels() if info.usable]
CHUNK = 2**14  # blocks in a worker's claim: the places where work changes hands
THREADS = (1, 2, 3, 7)
SLICES_MS = (0, 1, 1000)
EXIST = 16**6

ENDLESS = NativePuzzle(b"", DECIMAL, b"", NEVER)


def puzzle(rule: RuleSpec, before: int = 49) -> NativePuzzle:
    return NativePuzzle(b"p" * before, hexadecimal(6), b"", rule)


def only(index: int, before: int = 49) -> NativePuzzle:
    """A puzzle that this index alone solves."""
    case = Case(b"p" * before, hexadecimal(6), b"", NEVER, 0, 0)
    return puzzle(exactly(_bridge.sha256(case.message(index))), before)


def begun(
    puzzle: NativePuzzle, threads: int, *, first: int = 0, count: int = 2**63, kernel: str = ""
) -> Pool:
    pool = Pool(threads=threads, kernel=kernel or None)
    pool.begin(puzzle, first=first, count=count)
    return pool


def finish(pool: Pool, slice_ms: int) -> Progress:
    hashes = 0
    while (progress := pool.run(slice_ms)).status is Status.RUNNING:
        assert progress.index is None
        assert progress.hashes >= hashes
        hashes = progress.hashes
    return progress


@dataclass(frozen=True, slots=True)
class Job:
    puzzle: NativePuzzle
    first: int
    count: int


def pooled(job: Job, threads: int, slice_ms: int, kernel: str = "") -> Progress:
    with begun(job.puzzle, threads, first=job.first, count=job.count, kernel=kernel) as pool:
        return finish(pool, slice_ms)


def check_pool(search: Callable[[Job, int, int], Progress], job: Job) -> None:
    nonce, hashes = job.puzzle.search(job.first, job.count)
    for threads in THREADS:
        for slice_ms in SLICES_MS:
            progress = search(job, threads, slice_ms)
            assert progress.index == nonce
            assert progress.status is (Status.NOT_FOUND if nonce is None else Status.FOUND)
            # Other threads may have tried nonces above the winner, never fewer than up to it.
            assert progress.hashes >= hashes
            assert progress.hashes == hashes or (threads > 1 and nonce is not None)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("before", [45, 46, 47, 48])
@pytest.mark.parametrize("nonce", [DECIMAL, binary(8), binary(9, little=True), hexadecimal(17)])
def test_the_highest_indices_are_searched_like_any_others(
    nonce: NonceSpec, before: int, threads: int
) -> None:
    first, last = 2**64 - 100_000, 2**64 - 1
    case = Case(b"p" * before, nonce, b"", NEVER, first, 100_000)
    found = NativePuzzle(b"p" * before, nonce, b"", exactly(case.digest(last)))
    whole = pooled(Job(found, first, 100_000), threads, 1)
    assert (whole.status, whole.index) == (Status.FOUND, last)
    rest = pooled(Job(found, first, 99_999), threads, 1)
    assert (rest.status, rest.hashes) == (Status.NOT_FOUND, 99_999)


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
    assert pooled(job, 3, 1, kernel).index == job.puzzle.search(0, 40 * CHUNK, "scalar")[0]


def takes_the_first_hit_of_any_thread(job: Job, threads: int, slice_ms: int) -> Progress:
    upper = Job(job.puzzle, job.first + job.count // 2, job.count - job.count // 2)
    hit = pooled(upper, threads, slice_ms)
    return hit if hit.index is not None else pooled(job, threads, slice_ms)


def loses_the_last_chunk(job: Job, threads: int, slice_ms: int) -> Progress:
    return pooled(Job(job.puzzle, job.first, job.count - CHUNK), threads, slice_ms)


def counts_each_chunk_twice(job: Job, threads: int, slice_ms: int) -> Progress:
    right = pooled(job, threads, slice_ms)
    return replace(right, hashes=2 * right.hashes)


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
    with begun(only(5), 2, count=CHUNK) as pool:
        first = finish(pool, 1000)
        pool.stop()
        assert pool.run(1000) == first
        assert (first.status, first.index, first.hashes) == (Status.FOUND, 5, 6)


def test_a_winner_comes_with_its_bytes_and_its_digest() -> None:
    # Two digits lie in a word of their own, so that a run has several candidates for a winner.
    for prefix, suffix in ((b"p" * 47, b""), (b"p" * 46, b"!" * 200), (b"", b"?")):
        specs = (prefix, hexadecimal(6), suffix, zero_bits(11))
        for first in range(0, EXIST, EXIST // 9):
            for found in (
                open_search(*specs, first=first, count=CHUNK, kernel=None),
                finish(begun(NativePuzzle(*specs), 2, first=first, count=4 * CHUNK), 1000),
            ):
                if found.status is Status.FOUND:
                    digest = hashlib.sha256(prefix + found.nonce + suffix).digest()
                    assert found.nonce == b"%06x" % (found.index or 0)
                    assert (found.digest, digest[0]) == (digest, 0)


@pytest.mark.parametrize("threads", THREADS)
def test_stop_from_another_thread_ends_a_run(threads: int) -> None:
    with begun(ENDLESS, threads, count=2**64 - 1) as pool:
        stopper = threading.Thread(target=pool.stop)
        assert pool.run(1).status is Status.RUNNING
        stopper.start()
        stopped = pool.run(600_000)
        stopper.join()
        assert stopped.status is Status.STOPPED
        assert stopped.index is None
        assert pool.run(1) == stopped


def test_close_from_another_thread_ends_a_run() -> None:
    pool = begun(ENDLESS, 2)
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
    with begun(ENDLESS, 1) as pool:
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


def run_until_all_help(pool: Pool, before: set[str], helpers: int) -> set[str]:
    """Each claim starts one helper, so that all are there soon; how soon, the machine says."""
    while len(tasks() - before) < helpers:
        assert pool.run(1).status is Status.RUNNING
    return tasks() - before


@counts_threads
def test_closing_ends_every_thread() -> None:
    before = tasks()
    with begun(ENDLESS, 5) as pool:
        assert len(run_until_all_help(pool, before, 4)) == 4
    # A joined thread may be listed until the kernel has buried it.
    while tasks() - before:
        continue


@counts_threads
@pytest.mark.parametrize(("threads", "count"), [(1, 2**63), (64, 100), (64, CHUNK)])
def test_no_thread_is_started_for_one_thread_or_an_easy_puzzle(threads: int, count: int) -> None:
    before = tasks()
    with begun(ENDLESS, threads, count=count) as pool:
        pool.run(5)
        assert tasks() == before


@counts_threads
def test_threads_are_kept_from_one_search_to_the_next() -> None:
    before = tasks()
    with begun(ENDLESS, 3) as pool:
        helpers = run_until_all_help(pool, before, 2)
        for _ in range(3):
            pool.begin(ENDLESS, first=0, count=40 * CHUNK)
            assert finish(pool, 1000).hashes == 40 * CHUNK
            assert tasks() - before == helpers


@counts_threads
def test_helpers_rest_when_nobody_runs_the_search_and_help_again_when_somebody_does() -> None:
    before = tasks()
    with begun(ENDLESS, 3) as pool:
        helpers = run_until_all_help(pool, before, 2)
        while not all(map(sleeping, helpers)):
            continue
        at_rest = pool.run(0).hashes
        while pool.run(1).hashes == at_rest:
            continue


def test_one_pool_serves_one_search_after_another() -> None:
    pools = {threads: Pool(threads=threads, kernel=None) for threads in THREADS}

    def again(job: Job, threads: int, slice_ms: int) -> Progress:
        pools[threads].begin(job.puzzle, first=job.first, count=job.count)
        return finish(pools[threads], slice_ms)

    for job in JOBS:
        check_pool(again, job)


@pytest.mark.parametrize("threads", THREADS)
def test_a_search_that_is_begun_forgets_the_one_before(threads: int) -> None:
    with begun(ENDLESS, threads) as pool:
        for _ in range(20):
            pool.run(1)
            pool.begin(only(20), first=0, count=EXIST)
            found = finish(pool, 1000)
            assert (found.index, found.hashes >= 21) == (20, True)
            pool.begin(ENDLESS, first=0, count=2**63)


def test_a_stop_ends_the_search_begun_last_and_no_later_one() -> None:
    with begun(ENDLESS, 2) as pool:
        pool.stop()
        assert pool.run(600_000).status is Status.STOPPED
        pool.begin(only(7), first=0, count=CHUNK)
        assert finish(pool, 1000).index == 7


def test_a_pool_that_has_begun_nothing_has_found_nothing() -> None:
    with Pool(threads=2, kernel=None) as pool:
        assert pool.run(1000) == Progress(Status.NOT_FOUND, hashes=0)


SPACES = [
    (b"p" * 46, hexadecimal(4)),  # two digits in each of two words
    (b"p" * 45, binary(2)),
    (b"p" * 47, binary(2, little=True)),
    (b"p" * 9, NonceSpec(symbols=b"abc", width=10, little=False)),
    (b"", NonceSpec(symbols=b"01", width=16, little=False)),
]


@pytest.mark.parametrize(("prefix", "encoding"), SPACES, ids=range(len(SPACES)))
def test_every_nonce_of_a_space_is_tried_once_by_1_to_64_threads(
    prefix: bytes, encoding: NonceSpec
) -> None:
    size = len(encoding.symbols) ** encoding.width
    suffix = bytes(64 * 9)  # ten blocks or so, hence claims of 1,638 or fewer: 36 or more of them
    case = Case(prefix, encoding, suffix, NEVER, 0, size)
    unsolvable = NativePuzzle(prefix, encoding, suffix, NEVER)
    for threads in range(1, 65):
        with begun(unsolvable, threads) as pool:
            assert finish(pool, 1000) == Progress(Status.NOT_FOUND, hashes=size)
            # All over the space, and where one claim ends and the next begins.
            needle = (threads // 2 * 1638 - threads % 2) % size
            rule = exactly(_bridge.sha256(case.message(needle)))
            pool.begin(NativePuzzle(prefix, encoding, suffix, rule), first=0, count=size)
            assert finish(pool, 1000).index == needle


@pytest.mark.parametrize("kernel", [info for info in _bridge.kernels() if info.usable])
@pytest.mark.parametrize("blocks", [1, 2, 100, 3000])
def test_a_look_at_the_clock_is_never_many_blocks_away(kernel: KernelInfo, blocks: int) -> None:
    puzzle = NativePuzzle(b"", DECIMAL, bytes(64 * (blocks - 1)), NEVER)
    with begun(puzzle, 1, kernel=kernel.name) as pool:
        hashes = pool.run(0).hashes
        assert hashes >= max(CHUNK // blocks, kernel.lanes)
        # A run begun is finished, unless it is long.
        assert hashes <= max((CHUNK + max(CHUNK, 2**14 * kernel.lanes)) // blocks, kernel.lanes)


@counts_threads
@pytest.mark.parametrize("threads", [1, 3])
def test_a_caller_leaves_nonces_that_take_long_to_others_and_so_wakes_on_time(
    threads: int,
) -> None:
    """A million iterations in each lane take a tenth of a second and more."""
    slow = HashSpec(type=HashType.PBKDF2_HMAC_SHA256, iterations=1_000_000, salt=b"salt")
    before = tasks()
    with begun(NativePuzzle(b"", DECIMAL, b"", NEVER, slow), threads) as pool:
        run_until_all_help(pool, before, threads if threads == 1 else 1)
        before_s = time.thread_time()
        pool.run(100)
        assert time.thread_time() - before_s < 0.01
        # The next one is not too long, and the threads are no more than were allowed.
        pool.begin(only(3 * CHUNK), first=0, count=EXIST)
        assert finish(pool, 1000).index == 3 * CHUNK
        assert len(tasks() - before) <= threads


def test_a_caller_whose_helpers_fill_every_core_sleeps_and_so_wakes_on_time() -> None:
    threads = min(2 * (os.cpu_count() or 1) + 1, 1024)
    with begun(ENDLESS, threads) as pool:
        pool.run(1)
        while pool.run(1).status is Status.RUNNING and len(tasks()) < threads:
            continue
        before_s = time.thread_time()
        pool.run(100)
        assert time.thread_time() - before_s < 0.01


DROPPED = """
import gc
from pypow._bridge import NativePuzzle, NonceSpec, RuleSpec, RuleType
from pypow._bridge_search import Pool

never = RuleSpec(type=RuleType.AT_MOST, value=bytes(32), mask=bytes(32), little=False)
digits = NonceSpec(symbols=b"0123456789", width=0, little=False)

def drop_in_a_cycle():
    puzzle = NativePuzzle(b"", digits, bytes(300_000), never)
    pool = Pool(threads=3, kernel=None)
    pool.begin(puzzle, first=0, count=2**63)
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
        Pool(threads=threads, kernel=None)


@pytest.mark.parametrize("slice_ms", [-1, 2**32, None, 0.5])
def test_an_impossible_slice_is_refused(slice_ms: int) -> None:
    with (
        begun(puzzle(NEVER), 1) as pool,
        pytest.raises(InvalidInputError, match="slice_ms"),
    ):
        pool.run(slice_ms)


FORK = """
import os, sys
from pypow._bridge import NativePuzzle, NonceSpec, RuleSpec, RuleType
from pypow._bridge_search import Pool, Status
from pypow.errors import ForkedError

never = RuleSpec(type=RuleType.AT_MOST, value=bytes(32), mask=bytes(32), little=False)
digits = NonceSpec(symbols=b"0123456789", width=0, little=False)
puzzle = NativePuzzle(b"", digits, b"", never)
pool = Pool(threads=3, kernel=None)
pool.begin(puzzle, first=0, count=2**63)
assert pool.run(1).status is Status.RUNNING
child = os.fork()
if child == 0:
    for use in (lambda: pool.run(1), lambda: pool.begin(puzzle, first=0, count=9)):
        try:
            use()
        except ForkedError as error:
            assert "process" in str(error)
        else:
            os._exit(1)
    pool.stop()
    pool.close()
    os._exit(42)
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

# SPDX-License-Identifier: Apache-2.0
"""The table of kernels is ordered by what was measured, once, whoever asks and how many."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

import pypow
from pypow import _bridge
from pypow._bridge import KernelInfo

NAMES = {"avx512", "shani", "shani-vl", "avx2", "sse41", "neon", "armsha", "scalar"}

RACE = """
import os, sys, threading
from pypow import _bridge

assert _bridge.kernels.cache_info().currsize == 0, "importing asked for the order"
THREADS = 8
barrier = threading.Barrier(THREADS)
seen = [None] * THREADS

def ask(i):
    barrier.wait()
    seen[i] = _bridge.kernels.__wrapped__()

threads = [threading.Thread(target=ask, args=(i,)) for i in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(set(seen)) == 1, seen
child = os.fork()
if child == 0:
    os._exit(_bridge.kernels.__wrapped__() != seen[0])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def wrong_in(table: Sequence[KernelInfo]) -> list[str]:
    """What is wrong with the order of a table, in words."""
    names = [known.name for known in table]
    rates = [known.hashes_per_s for known in table]
    wrong = []
    if len(set(names)) < len(names) or not set(names) <= NAMES:
        wrong.append("not each kernel once")
    if not any(known.name == "scalar" and known.usable for known in table):
        wrong.append("no kernel that runs everywhere")
    if any(known.usable != (known.hashes_per_s > 0) for known in table):
        wrong.append("usable without a rate, or a rate without being usable")
    if rates != sorted(rates, reverse=True):
        wrong.append("a slower kernel before a faster one")
    return wrong


def test_the_fastest_comes_first_and_what_cannot_run_last() -> None:
    assert wrong_in(_bridge.kernels()) == []
    assert pypow.chosen_kernel().hashes_per_s == max(k.hashes_per_s for k in pypow.kernels())


FAST, SLOW = KernelInfo("shani", 4, True, 70), KernelInfo("scalar", 1, True, 10)
ABSENT = KernelInfo("avx512", 32, False, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        (SLOW, FAST),
        (ABSENT, SLOW),
        (FAST, SLOW, SLOW),
        (FAST, ABSENT),
        (FAST, SLOW, KernelInfo("avx2", 8, True, 0)),
    ],
)
def test_the_check_itself_catches_a_wrong_order(wrong: tuple[KernelInfo, ...]) -> None:
    assert wrong_in(wrong) != []


def test_the_order_is_measured_once() -> None:
    assert _bridge.kernels.__wrapped__() == _bridge.kernels()


def test_threads_that_ask_at_once_and_a_fork_see_one_order() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", RACE], check=True, timeout=60)

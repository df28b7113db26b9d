# SPDX-License-Identifier: Apache-2.0
"""Forks, exits and interrupts in the middle of a search: no process hangs, crashes or grinds on."""

import shutil
import signal
import subprocess
import sys

import pytest

BEGIN = """
import asyncio, contextlib, multiprocessing, os, sys, threading
import pypow
from pypow import AtMost, Decimal, ForkedError, Hex, Puzzle, Solver, SolverClosedError

EASY = Puzzle(b"abc123", Decimal(), AtMost(2**240 - 1))
LONGER = Puzzle(b"1", Decimal(), AtMost(2**236 - 1))
HOPELESS = Puzzle(b"hopeless", Hex(width=15), AtMost(0))
FOREVER = {"max_bits": 256, "timeout": None}
begun = threading.Event()

def tell(_):
    begun.set()

def grind(solver):
    with contextlib.suppress(SolverClosedError):
        solver.solve(HOPELESS, progress=tell, **FOREVER)

def status_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

SCRIPTS = {
    "a solver that is never closed": """
solver = Solver()
solver.solve(LONGER)
print("end")
""",
    "a search in a daemon thread": """
solver = Solver()
threading.Thread(target=grind, args=(solver,), daemon=True).start()
begun.wait()
print("end")
""",
    "an asolve that nobody cancelled": """
loop = asyncio.new_event_loop()
task = loop.create_task(pypow.asolve(HOPELESS, progress=tell, **FOREVER))
async def wait():
    while not begun.is_set():
        await asyncio.sleep(0.001)
loop.run_until_complete(wait())
print("end")
""",
    "sys.exit in a thread": """
solver = Solver()
def leave():
    solver.solve(LONGER)
    sys.exit(3)
thread = threading.Thread(target=leave)
thread.start()
thread.join()
assert solver.solve(EASY).nonce == b"506"
print("end")
""",
    "sys.exit while another thread searches": """
solver = Solver()
threading.Thread(target=grind, args=(solver,), daemon=True).start()
begun.wait()
print("end", flush=True)
sys.exit(0)
""",
    "a fork beside a search, and both go on": """
solver = Solver()
expected = pypow.solve(LONGER)
thread = threading.Thread(target=grind, args=(solver,), daemon=True)
thread.start()
begun.wait()
child = os.fork()
if child == 0:
    assert solver.solve(LONGER) == expected
    assert solver.solve(EASY).nonce == b"506"
    assert asyncio.run(solver.asolve(EASY)).nonce == b"506"
    solver.close()
    sys.exit(42)
assert status_of(child) == 42
solver.close()
thread.join()
print("end")
""",
    "a fork beside an asolve": """
async def main():
    tasks = [
        asyncio.ensure_future(pypow.asolve(HOPELESS, progress=tell, **FOREVER)) for _ in range(9)
    ]
    while not begun.is_set():
        await asyncio.sleep(0.001)
    child = os.fork()
    if child == 0:
        done = []
        def fresh():
            done.append(asyncio.run(pypow.asolve(LONGER)))
        thread = threading.Thread(target=fresh)
        thread.start()
        thread.join()
        os._exit(42 if done else 1)
    assert status_of(child) == 42
    for task in tasks:
        task.cancel()
asyncio.run(main())
print("end")
""",
    "a fork inside a search": """
solver = Solver()
def fork(_):
    if not begun.is_set():
        begun.set()
        global child
        child = os.fork()
        if child:
            raise KeyboardInterrupt
try:
    solver.solve(HOPELESS, progress=fork, **FOREVER)
except ForkedError as error:
    assert "after the fork" in str(error)
    assert solver.solve(LONGER) == pypow.solve(LONGER)
    os._exit(42)
except KeyboardInterrupt:
    pass
assert status_of(child) == 42
assert solver.solve(EASY).nonce == b"506"
print("end")
""",
    "processes of multiprocessing": """
def work(solver, answers):
    answers.put(solver.solve(LONGER).nonce)

solver = Solver()
expected = solver.solve(LONGER).nonce
context = multiprocessing.get_context("fork")
answers = context.SimpleQueue()
processes = [context.Process(target=work, args=(solver, answers)) for _ in range(3)]
for process in processes:
    process.start()
assert [answers.get() for _ in processes] == [expected] * 3
for process in processes:
    process.join()
    assert process.exitcode == 0
with multiprocessing.get_context("spawn").Pool(2) as pool:
    assert pool.map(pypow.solve, [LONGER] * 4) == [pypow.solve(LONGER)] * 4
print("end")
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_process_comes_to_its_end_with(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + SCRIPTS[name]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


SAME_ID = (
    BEGIN
    + """
import ctypes
CLONE_NEWPID = 0x20000000
solver = Solver(threads=2)
solver.solve(LONGER)
assert ctypes.CDLL(None).unshare(CLONE_NEWPID) == 0
child = os.fork()
if child == 0:
    assert os.getpid() == 1
    solver.solve(LONGER)
    os._exit(0)
assert status_of(child) == 0
print("end")
"""
)


def test_a_fork_is_told_from_its_parent_where_both_have_the_same_process_id() -> None:
    alone = ["unshare", "--user", "--map-root-user", "--fork", "--pid"]
    if shutil.which(alone[0]) is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("needs unshare, and leave to make a namespace of process ids")
    done = subprocess.run(
        [*alone, sys.executable, "-W", "error", "-c", SAME_ID],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


INTERRUPTED = {
    "solve": "pypow.solve(HOPELESS, progress=tell, **FOREVER)",
    "Solver.solve": "Solver().solve(HOPELESS, progress=tell, **FOREVER)",
    "asolve": "asyncio.run(pypow.asolve(HOPELESS, progress=tell, **FOREVER))",
    "Solver.asolve": "asyncio.run(Solver().asolve(HOPELESS, progress=tell, **FOREVER))",
    "a Solver that waits": """
solver = Solver()
threading.Thread(target=grind, args=(solver,), daemon=True).start()
begun.wait()
tell(None)
solver.solve(EASY)
""",
}
SAY = (
    BEGIN
    + """
def tell(_):
    if not begun.is_set():
        begun.set()
        print("begun", flush=True)
"""
)


@pytest.mark.parametrize("name", INTERRUPTED)
def test_ctrl_c_ends(name: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SAY + INTERRUPTED[name]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    finally:
        process.kill()
    assert complaint.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT

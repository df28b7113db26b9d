# SPDX-License-Identifier: Apache-2.0
"""A pass of N calls admits N, however many processes present it at once."""

import multiprocessing
from pathlib import Path

from pypow_server import passes
from support.challenges import KEY, NOW_MS
from support.pass_presenters import present

PROCESSES, EACH, CALLS = 3, 60, 37


def test_a_pass_of_37_calls_admits_37_of_180_presenters_in_3_processes(tmp_path: Path) -> None:
    sold = passes.issue(KEY, identity=bytes(16), calls=CALLS, expires_at_ms=NOW_MS + 60_000)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    pipes = [context.Pipe(duplex=False) for _ in range(PROCESSES)]
    ledger = tmp_path / "ledger.db"
    children = [
        context.Process(target=present, args=(ledger, sold.text, EACH, barrier, sender))
        for _, sender in pipes
    ]
    for child in children:
        child.start()
    reached = []
    for receiver, sender in pipes:
        sender.close()
        reached.append(receiver.recv())
        receiver.close()
    for child in children:
        child.join()
    assert sum(reached) == CALLS

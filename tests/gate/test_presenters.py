# SPDX-License-Identifier: Apache-2.0
"""One proof, a thousand presenters, four processes, one ledger file: one is admitted."""

import asyncio
import multiprocessing
from collections import Counter
from pathlib import Path

from support.presenters import earn_proof, open_ledger, present

PROCESSES, EACH = 4, 250


def test_of_a_thousand_presenters_in_four_processes_exactly_one_is_admitted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"

    async def prepare() -> str:
        ledger = open_ledger(path)
        proof = await earn_proof(ledger)
        await ledger.aclose()
        return proof

    proof = asyncio.run(prepare())
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    pipes = [context.Pipe(duplex=False) for _ in range(PROCESSES)]
    children = [
        context.Process(target=present, args=(path, proof, EACH, barrier, sender))
        for _, sender in pipes
    ]
    for child in children:
        child.start()
    statuses: Counter[int] = Counter()
    reached = 0
    for receiver, sender in pipes:
        sender.close()
        seen, passed = receiver.recv()
        receiver.close()
        statuses += seen
        reached += passed
    for child in children:
        child.join()
    assert statuses == {200: 1, 402: PROCESSES * EACH - 1}
    assert reached == 1

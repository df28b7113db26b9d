# SPDX-License-Identifier: Apache-2.0
"""One proof, thousands of presenters, gates in several processes, one store: one is admitted."""

import asyncio
import multiprocessing
import os
from collections import Counter
from pathlib import Path

import pytest

from pypow_server.stores.memory import MemoryLedger
from support.presenters import earn_proof, open_ledger, present, present_to

MANY = int(os.environ.get("PYPOW_PRESENTERS", "10000"))


@pytest.fixture(params=["sqlite", "redis", "valkey"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/ledger.db"
    server = request.getfixturevalue(f"{request.param}_server")
    return f"{server.url}?deployment=presenters"


def _present(url: str, presenters: int, *, processes: int) -> tuple[Counter[int], int]:
    ledger = open_ledger(url)  # and kept open, for its heartbeat: a process may be slow to start
    proof = asyncio.run(earn_proof(ledger))
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes, timeout=60)
    pipes = [context.Pipe(duplex=False) for _ in range(processes)]
    children = [
        context.Process(target=present, args=(url, proof, presenters // processes, barrier, sender))
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
    asyncio.run(ledger.aclose())
    return statuses, reached


def test_of_a_thousand_presenters_in_two_processes_exactly_one_is_admitted(url: str) -> None:
    assert _present(url, 1_000, processes=2) == ({200: 1, 402: 999}, 1)


@pytest.mark.deep
def test_of_ten_thousand_presenters_in_four_processes_exactly_one_is_admitted(url: str) -> None:
    assert _present(url, MANY, processes=4) == ({200: 1, 402: MANY - 1}, 1)


@pytest.mark.parametrize("presenters", [1_000, pytest.param(MANY, marks=pytest.mark.deep)])
def test_of_all_presenters_to_two_gates_over_memory_exactly_one_is_admitted(
    presenters: int,
) -> None:
    async def story() -> tuple[Counter[int], int]:
        ledger = MemoryLedger()
        return await present_to([ledger, ledger], await earn_proof(ledger), presenters)

    assert asyncio.run(story()) == ({200: 1, 402: presenters - 1}, 1)

# SPDX-License-Identifier: Apache-2.0
"""Processes that present one proof to two gates each, all over one store."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from pypow_server.gate import Gate
from pypow_server.policy import Policy
from pypow_server.rails.work import WorkRail
from pypow_server.stores import Ledger
from pypow_server.stores.batched import BatchedLedger
from pypow_server.stores.redis_address import read_address
from pypow_server.stores.redis_store import RedisLedger
from pypow_server.stores.sqlite import SqliteLedger
from support.asgi_client import call
from support.challenges import KEYRING, NOW_MS
from support.gated import EASY, HOST, RecordingApp, offers, solution, solved


def open_ledger(url: str) -> BatchedLedger:
    """The shared ledger, with a clock that stands still and patience for the others."""
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite":
        return SqliteLedger(Path(rest), clock=lambda: NOW_MS, busy_timeout_ms=20_000)
    return RedisLedger(read_address(rest, scheme=scheme), clock=lambda: NOW_MS)


def gate_over(ledger: Ledger, app: RecordingApp) -> Gate:
    """A gate whose clock stands still."""
    return Gate(
        app,
        rails=[WorkRail(KEYRING, public_host=HOST)],
        ledger=ledger,
        policy=Policy(default=EASY),
        clock=lambda: NOW_MS,
    )


async def earn_proof(ledger: Ledger) -> str:
    """The header of a challenge that was issued under the ledger's epoch, and solved."""
    refusal = await call(gate_over(ledger, RecordingApp()))
    return solved(offers(refusal)[0])


async def present_to(
    ledgers: Sequence[Ledger], proof: str, presenters: int
) -> tuple[Counter[int], int]:
    """Present ``proof`` to a gate over each ledger, in turn; statuses, and what reached the app."""
    app = RecordingApp()
    gates = [gate_over(ledger, app) for ledger in ledgers]
    answers = await asyncio.gather(
        *(
            call(gate, headers=solution(proof))
            for _, gate in zip(range(presenters), itertools.cycle(gates), strict=False)
        )
    )
    return Counter(answer.status for answer in answers), app.reached


def present(url: str, proof: str, presenters: int, barrier: Barrier, results: Connection) -> None:
    """In a process of its own: present ``proof`` when all are ready, and report."""

    async def story() -> tuple[Counter[int], int]:
        ledgers = [open_ledger(url), open_ledger(url)]
        await asyncio.to_thread(barrier.wait)
        report = await present_to(ledgers, proof, presenters)
        for ledger in ledgers:
            await ledger.aclose()
        return report

    results.send(asyncio.run(story()))

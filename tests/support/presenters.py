# SPDX-License-Identifier: Apache-2.0
"""Processes that present one proof to gates of their own, all over one ledger file."""

import asyncio
from collections import Counter
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from pypow_server.gate import Gate
from pypow_server.policy import Policy
from pypow_server.rails.work import WorkRail
from pypow_server.stores.sqlite import SqliteLedger
from support.asgi_client import call
from support.challenges import KEYRING, NOW_MS
from support.gated import EASY, HOST, RecordingApp, offers, solution, solved


def open_ledger(path: Path) -> SqliteLedger:
    """The shared ledger, with a clock that stands still and patience for the others."""
    return SqliteLedger(path, clock=lambda: NOW_MS, busy_timeout_ms=20_000)


def gate_over(ledger: SqliteLedger, app: RecordingApp) -> Gate:
    """One process's gate."""
    return Gate(
        app,
        rails=[WorkRail(KEYRING, public_host=HOST)],
        ledger=ledger,
        policy=Policy(default=EASY),
        clock=lambda: NOW_MS,
    )


async def earn_proof(ledger: SqliteLedger) -> str:
    """The header of a challenge that was issued under the ledger's epoch, and solved."""
    refusal = await call(gate_over(ledger, RecordingApp()))
    return solved(offers(refusal)[0])


def present(path: Path, proof: str, presenters: int, barrier: Barrier, results: Connection) -> None:
    """Present ``proof`` ``presenters`` times at once; report statuses, and what reached the app."""

    async def story() -> tuple[Counter[int], int]:
        ledger, app = open_ledger(path), RecordingApp()
        gate = gate_over(ledger, app)
        await asyncio.to_thread(barrier.wait)
        answers = await asyncio.gather(
            *(call(gate, headers=solution(proof)) for _ in range(presenters))
        )
        await ledger.aclose()
        return Counter(answer.status for answer in answers), app.reached

    results.send(asyncio.run(story()))

# SPDX-License-Identifier: Apache-2.0
"""A process that presents one pass to a gate of its own, over a ledger that all of them share."""

import asyncio
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from pypow_server.gate import Gate
from pypow_server.policy import Policy
from pypow_server.rails.work import WorkRail
from pypow_server.stores.sqlite import SqliteLedger
from support.asgi_client import call
from support.challenges import KEYRING, NOW_MS
from support.gated import EASY, HOST, RecordingApp


def present(path: Path, text: str, times: int, barrier: Barrier, reached: Connection) -> None:
    """Present the pass ``times`` times at once; report how often the app was reached."""

    async def story() -> int:
        ledger = SqliteLedger(path, clock=lambda: NOW_MS, busy_timeout_ms=20_000)
        app = RecordingApp()
        gate = Gate(
            app,
            rails=[WorkRail(KEYRING, public_host=HOST)],
            ledger=ledger,
            policy=Policy(default=EASY),
            clock=lambda: NOW_MS,
        )
        headers = [(b"host", HOST.encode()), (b"authorization", b"Bearer " + text.encode())]
        await asyncio.to_thread(barrier.wait)
        await asyncio.gather(*(call(gate, headers=headers) for _ in range(times)))
        await ledger.aclose()
        return app.reached

    reached.send(asyncio.run(story()))

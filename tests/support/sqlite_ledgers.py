# SPDX-License-Identifier: Apache-2.0
"""SQLite ledgers on a clock that the test holds, and one spend in a ledger of its own."""

from pathlib import Path

from pypow_server.stores import Spend
from pypow_server.stores.sqlite import SqliteLedger
from support.ledger_contract import NOW_MS, spend


def opened(path: Path, *, now_ms: int = NOW_MS) -> SqliteLedger:
    """A ledger that does not wait long for others."""
    return SqliteLedger(path, clock=lambda: now_ms, busy_timeout_ms=20)


async def spend_once(path: Path, *, epoch: int | None = None, now_ms: int = NOW_MS) -> Spend:
    """Open, spend the one key, close."""
    ledger = opened(path, now_ms=now_ms)
    outcome = await spend(ledger, epoch=epoch)
    await ledger.aclose()
    return outcome

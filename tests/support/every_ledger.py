# SPDX-License-Identifier: Apache-2.0
"""The ledgers that there are, each over a place of its own, by the name that a test is given."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pypow_server.stores.batched import BatchedLedger
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.sqlite import SqliteLedger
from support.ledger_contract import NOW_MS
from support.redis_stores import fresh_address, opened

NAMES = ("memory", "sqlite", "redis", "valkey")


def opener(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[], MemoryLedger | BatchedLedger]:
    """Opens the ledger that a fixture's parameter names; again, and it is the same one's."""
    match request.param:
        case "memory":
            return MemoryLedger
        case "sqlite":
            return lambda: SqliteLedger(tmp_path / "ledger.db", clock=lambda: NOW_MS)
        case name:
            address = fresh_address(request.getfixturevalue(f"{name}_server"))
            return lambda: opened(address)

# SPDX-License-Identifier: Apache-2.0
"""Who took a use and has no answer: the same request gets it again, once, and nobody else."""

import asyncio
from pathlib import Path

import pytest

from pypow.errors import InvalidInputError
from pypow_server.stores.attempts import read
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.sqlite import SqliteLedger
from support.attempts_contract import CONTRACT, DURABLE
from support.ledger_contract import NOW_MS
from support.redis_stores import fresh_address, opened
from support.sales_contract import Check, OpenTill


@pytest.fixture(params=["memory", "sqlite", "redis", "valkey"])
def open_till(request: pytest.FixtureRequest, tmp_path: Path) -> OpenTill:
    match request.param:
        case "memory":
            return MemoryLedger
        case "sqlite":
            return lambda: SqliteLedger(tmp_path / "ledger.db", clock=lambda: NOW_MS)
        case name:
            address = fresh_address(request.getfixturevalue(f"{name}_server"))
            return lambda: opened(address)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_every_store_hands_uses_on_as_it_should(open_till: OpenTill, check: Check) -> None:
    asyncio.run(asyncio.wait_for(check(open_till), timeout=60))


@pytest.mark.parametrize("check", DURABLE, ids=lambda check: check.__name__)
@pytest.mark.parametrize("open_till", ["sqlite", "redis", "valkey"], indirect=True)
def test_every_durable_store_knows_after_a_restart(open_till: OpenTill, check: Check) -> None:
    asyncio.run(asyncio.wait_for(check(open_till), timeout=60))


def test_a_record_of_who_took_uses_that_is_none_is_named() -> None:
    with pytest.raises(InvalidInputError, match="expected uses that were taken"):
        read("00 zz 1 2;")

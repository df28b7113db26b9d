# SPDX-License-Identifier: Apache-2.0
"""A proof counts once, however many send it at once and to however many servers."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pypow_server.identity.dpop import DpopError, DpopFault, Proven, spend_once, verify
from pypow_server.stores import SKEW_MS, Ledger, StoreError
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.sqlite import SqliteLedger
from support import ledger_twins as twins
from support.dpop_proofs import KeyHolder
from support.ledger_contract import NOW_MS
from support.redis_stores import fresh_address, opened

URL = "https://gate.example/mcp"
HOLDER = KeyHolder()
PRESENTERS = 200

OpenLedgers = Callable[[], tuple[Ledger, Ledger]]


@pytest.fixture(params=["memory", "sqlite", "redis", "valkey"])
def open_ledgers(request: pytest.FixtureRequest, tmp_path: Path) -> OpenLedgers:
    """Two ledgers of one store; in memory there is but one."""

    def open_two() -> tuple[Ledger, Ledger]:
        match request.param:
            case "memory":
                ledger = MemoryLedger()
                return ledger, ledger
            case "sqlite":
                path = tmp_path / "ledger.db"
                return (
                    SqliteLedger(path, clock=lambda: NOW_MS),
                    SqliteLedger(path, clock=lambda: NOW_MS),
                )
            case name:
                address = fresh_address(request.getfixturevalue(f"{name}_server"))
                return opened(address), opened(address)

    return open_two


def proven(**claims: Any) -> Proven:
    proof = HOLDER.proof("POST", URL, now_ms=NOW_MS, **claims)
    found = verify([proof], method="POST", url=URL, now_ms=NOW_MS)
    assert isinstance(found, Proven)
    return found


def played(story: Callable[[Ledger, Ledger], Coroutine[None, None, None]]) -> Any:
    """Run it with two ledgers, and close them."""

    async def whole(open_two: OpenLedgers) -> None:
        one, other = open_two()
        try:
            await story(one, other)
        finally:
            await one.aclose()
            await other.aclose()

    return lambda open_two: asyncio.run(asyncio.wait_for(whole(open_two), timeout=60))


@played
async def one_of_many_presenters_wins(one: Ledger, other: Ledger) -> None:
    found = proven()
    told = await asyncio.gather(
        *(spend_once((one, other)[n % 2], found, now_ms=NOW_MS) for n in range(PRESENTERS))
    )
    assert told.count(None) == 1
    assert {fault.error for fault in told if fault is not None} == {DpopError.INVALID_PROOF}


@played
async def a_proof_of_the_same_name_is_the_same(one: Ledger, other: Ledger) -> None:
    first, again, fresh = proven(jti="a"), proven(jti="a", more=1), proven(jti="b")
    assert await spend_once(one, first, now_ms=NOW_MS) is None
    assert isinstance(await spend_once(other, again, now_ms=NOW_MS), DpopFault)
    assert await spend_once(other, fresh, now_ms=NOW_MS) is None


def test_one_of_many_presenters_at_two_servers_wins(open_ledgers: OpenLedgers) -> None:
    one_of_many_presenters_wins(open_ledgers)


def test_a_name_counts_once_for_a_key(open_ledgers: OpenLedgers) -> None:
    a_proof_of_the_same_name_is_the_same(open_ledgers)


@pytest.mark.parametrize("twin", [twins.AsksThenMarks, twins.IgnoresTheLimit, MemoryLedger])
def test_servers_that_ask_before_they_mark_or_share_nothing_are_caught(
    twin: Callable[[], Ledger],
) -> None:
    with pytest.raises(AssertionError):
        one_of_many_presenters_wins(lambda: (twin(), twin()))


def test_a_proof_is_kept_until_it_would_be_refused_for_its_age() -> None:
    async def story() -> None:
        ledger = MemoryLedger(max_entries=1)
        found = proven(iat=NOW_MS // 1000)
        assert await spend_once(ledger, found, now_ms=NOW_MS) is None
        assert isinstance(await spend_once(ledger, found, now_ms=found.expires_at_ms), DpopFault)
        later_ms = found.expires_at_ms + SKEW_MS
        proof = HOLDER.proof("POST", URL, now_ms=later_ms)
        later = verify([proof], method="POST", url=URL, now_ms=later_ms)
        assert isinstance(later, Proven)
        assert await spend_once(ledger, later, now_ms=later_ms) is None

    asyncio.run(story())


def test_a_ledger_that_cannot_tell_is_no_leave() -> None:
    async def story() -> None:
        ledger = MemoryLedger(max_entries=1)
        await spend_once(ledger, proven(), now_ms=NOW_MS)
        with pytest.raises(StoreError, match="cannot tell whether a DPoP proof"):
            await spend_once(ledger, proven(), now_ms=NOW_MS)

    asyncio.run(story())

# SPDX-License-Identifier: Apache-2.0
"""What was sold is on record in every store: once for each payment, in the spend that won."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pypow_server.old_sales import OldSales
from pypow_server.policy import PassTerms, Policy
from pypow_server.sale import Sale
from pypow_server.selling import Selling
from pypow_server.stores.batches import Batches
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.operations import ForgetSales
from pypow_server.stores.sales import FORGOTTEN_AT_ONCE
from support import sales_contract as contract
from support import sales_twins as twins
from support.every_ledger import NAMES, opener
from support.ledger_contract import NOW_MS
from support.sales_contract import CONTRACT, Check, OpenTill, every_sale, sale, take
from support.selling import (
    SATS,
    Stall,
    authorized,
    l402_credential,
    narrowed,
    payment_credential,
)


@pytest.fixture(params=NAMES)
def open_till(request: pytest.FixtureRequest, tmp_path: Path) -> OpenTill:
    return opener(request, tmp_path)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_every_store_keeps_the_books(open_till: OpenTill, check: Check) -> None:
    asyncio.run(asyncio.wait_for(check(open_till), timeout=60))


@pytest.mark.parametrize(
    ("twin", "check"),
    [
        (twins.RecordsEverySpend, contract.the_uses_of_all_sales_are_the_spends_that_won),
        (twins.RecordsEverySpend, contract.a_spend_that_cannot_be_told_of_is_no_sale),
        (twins.ForgetsToCountBack, contract.a_use_that_is_given_back_is_counted_back),
        (twins.TakesTheLastWord, contract.a_sale_is_recorded_by_the_first_spend_that_wins),
        (twins.PagesByTimeAlone, contract.pages_hold_every_sale_once_and_in_order),
        (twins.ForgetsAll, contract.old_sales_are_forgotten_and_no_others),
    ],
)
def test_the_contract_catches_a_store_that_keeps_wrong_books(
    twin: Callable[[], contract.Till], check: Check
) -> None:
    with pytest.raises(AssertionError):
        asyncio.run(check(twin))


class Market(Stall):
    """A gate that sells for sats, and whose store says what was sold."""

    def sold(self) -> list[Sale]:
        assert isinstance(self.ledger.inner, MemoryLedger)
        return asyncio.run(every_sale(self.ledger.inner))


def test_a_paid_call_is_one_sale_in_whichever_form_it_is_shown() -> None:
    market = Market()
    refusal = market.send("GET")
    for show in (payment_credential, l402_credential):
        market.send("GET", headers=authorized(show(refusal)))
    (sold,) = market.sold()
    assert sold.payment_hash == market.wallet.made[0].payment_hash
    assert (sold.sats, sold.price, sold.uses, sold.spent) == (5, "sold", 1, 1)
    assert (sold.scheme, sold.at_ms) == ("payment", market.clock.now_ms)


def test_a_macaroon_says_what_was_paid_for_it() -> None:
    market = Market()
    assert market.send("GET", headers=authorized(market.buy())).status == 200
    (sold,) = market.sold()
    assert (sold.sats, sold.scheme, sold.spent) == (5, "l402", 1)


@pytest.mark.parametrize(("terms", "uses"), [(PassTerms(3, 300), 3), (PassTerms(0, 300), 0)])
def test_a_sale_is_of_what_was_sold_though_a_part_of_it_is_shown_first(
    terms: PassTerms, uses: int
) -> None:
    market = Market(Policy(default=replace(SATS, sells=terms)))
    credential = market.buy()
    part = narrowed(credential, b"pypow_uses=1")
    shown = [part, part, credential]
    statuses = [market.send("GET", headers=authorized(each)).status for each in shown]
    (sold,) = market.sold()
    assert statuses == [200, 402, 200]
    assert (sold.uses, sold.spent) == (uses, 2)


def test_a_proof_of_work_is_no_sale() -> None:
    market = Market()
    solution = market.proof().encode()
    assert market.send("GET", headers=[(b"x-pow-solution", solution)]).status == 200
    assert market.sold() == []


@pytest.mark.parametrize("open_till", ["sqlite", "redis", "valkey"], indirect=True)
def test_many_old_sales_are_forgotten_a_few_at_a_time(
    open_till: OpenTill, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def noting(waiting: Batches[Any, Any], operation: Any) -> asyncio.Future[Any]:
        asked.append(type(operation))
        return submit(waiting, operation)

    async def story() -> list[Sale]:
        till = open_till()
        many = range(2 * FORGOTTEN_AT_ONCE + 1)
        await asyncio.gather(*(take(till, sale(number)) for number in many))
        await take(till, sale(many.stop, at_ms=NOW_MS + 1))
        asked.clear()
        await till.forget(before_ms=NOW_MS + 1)
        left = await every_sale(till)
        await till.aclose()
        return left

    submit = Batches.submit
    monkeypatch.setattr(Batches, "submit", noting)
    (left,) = asyncio.run(asyncio.wait_for(story(), timeout=60))
    assert left.at_ms == NOW_MS + 1
    assert asked.count(ForgetSales) == 3


def test_sales_are_forgotten_when_they_are_old() -> None:
    till, selling = MemoryLedger(), Selling("development:", keep_sales_s=100)
    done = asyncio.Event()

    async def pause() -> None:
        done.set()
        await asyncio.Event().wait()

    async def story() -> list[Sale]:
        for number in range(3):
            await take(till, sale(number, at_ms=NOW_MS + number))
        old = OldSales(
            till, selling=lambda: selling, clock=lambda: NOW_MS + 2 + 100_000, pause=pause
        )
        old.start()
        await done.wait()
        await old.aclose()
        return await every_sale(till)

    assert [each.at_ms - NOW_MS for each in asyncio.run(story())] == [2]

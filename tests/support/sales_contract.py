# SPDX-License-Identifier: Apache-2.0
"""What every store must remember of what was sold, as checks that take a way to open one."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Final, Protocol, TypeAlias

import pytest

from pypow.errors import InvalidInputError
from pypow_server.sale import Sale
from pypow_server.stores import Charge, Charged, Credits, Early, Ledger, Spend
from pypow_server.stores.attempts import Attempt
from pypow_server.stores.payments import Payments
from pypow_server.stores.sales import Sales
from support.ledger_contract import EXPIRES_AT_MS, NOW_MS

END_MS: Final = 2**53
_numbers = itertools.count(1)


class Till(Ledger, Credits, Payments, Sales, Protocol):
    """A ledger that charges callers, spends payments and remembers its sales."""


OpenTill: TypeAlias = Callable[[], Till]
Check: TypeAlias = Callable[[OpenTill], Coroutine[None, None, None]]


def sale(number: int = 0, **changed: object) -> Sale:
    """What was sold; each number is another payment."""
    first = Sale(number.to_bytes(32), 5, "a price: of 5", 1, "l402", NOW_MS)
    return first._replace(**changed)  # type: ignore[arg-type]


def fresh(request: bytes = b"a request", life: bytes = b"one life", **said: int) -> Attempt:
    """An attempt of this life at a request; all older ones of the life may be under way."""
    number = said.get("number", next(_numbers))
    oldest, lasts_ms = said.get("oldest", 1), said.get("lasts_ms", 60_000)
    return Attempt(request.ljust(16), life, number, oldest, lasts_ms)


async def take(
    till: Till,
    sold: Sale,
    *,
    attempt: Attempt | None = None,
    charge: Charge | None = None,
    expires_at_ms: int = EXPIRES_AT_MS,
    now_ms: int | None = None,
) -> Charged | Spend | Early:
    """Spend a use of what was sold."""
    return await till.take(
        b"ln:" + sold.payment_hash,
        expires_at_ms=expires_at_ms,
        now_ms=sold.at_ms if now_ms is None else now_ms,
        limit=sold.uses,
        sale=sold,
        attempt=attempt or fresh(),
        charge=charge,
    )


async def every_sale(till: Till, *, most: int = 500) -> list[Sale]:
    """All pages of all sales."""
    found: list[Sale] = []
    page: Sequence[Sale] = ()
    while not found or len(page) == most:
        after = found[-1] if found else None
        page = await till.sold(since_ms=0, until_ms=END_MS, after=after, most=most)
        found += page
        if not page:
            break
    return found


async def a_sale_is_recorded_by_the_first_spend_that_wins(open_till: OpenTill) -> None:
    till = open_till()
    first = sale(1, uses=3, price="of \n two lines: ä", scheme="payment", sats=2**50)
    won = await take(till, first)
    again = await take(till, first._replace(scheme="l402", at_ms=NOW_MS + 1, price="another"))
    found = await every_sale(till)
    await till.aclose()
    assert [won, again] == [Spend.WON, Spend.WON]
    assert found == [first._replace(spent=2)]


async def the_uses_of_all_sales_are_the_spends_that_won(open_till: OpenTill) -> None:
    till = open_till()
    sold = [sale(number, uses=1 + number % 3) for number in range(20)]
    outcomes = await asyncio.gather(*(take(till, each) for each in sold for _ in range(5)))
    found = await every_sale(till)
    await till.aclose()
    told = Counter(outcomes)
    assert told[Spend.WON] == sum(each.spent for each in found) == sum(each.uses for each in sold)
    assert told[Spend.HELD] == 100 - told[Spend.WON]
    assert [each.spent for each in found] == [each.uses for each in sold]
    assert sum(each.sats for each in found) == 5 * len(sold)


async def a_use_that_is_given_back_is_counted_back(open_till: OpenTill) -> None:
    till = open_till()
    sold = sale(1, uses=2)
    await take(till, sold)
    await take(till, sold)
    await till.release(b"ln:" + sold.payment_hash)
    once = await every_sale(till)
    for _ in range(3):
        await till.release(b"ln:" + sold.payment_hash)
    none = await every_sale(till)
    await take(till, sold)
    again = await every_sale(till)
    await till.aclose()
    assert [each.spent for each in (*once, *none, *again)] == [1, 0, 1]


async def a_spend_that_cannot_be_told_of_is_no_sale(open_till: OpenTill) -> None:
    till = open_till()
    await take(till, sale(1, at_ms=END_MS - 1), expires_at_ms=END_MS)
    forgotten = await take(till, sale(2), expires_at_ms=0)
    found = await every_sale(till)
    await till.aclose()
    assert forgotten is Spend.UNKNOWN
    assert [each.payment_hash for each in found] == [sale(1).payment_hash]


async def what_cost_no_money_is_no_sale(open_till: OpenTill) -> None:
    till = open_till()
    await till.spend(b"proof", epoch=None, expires_at_ms=EXPIRES_AT_MS, now_ms=NOW_MS)
    await till.release(b"proof")
    found = await every_sale(till)
    await till.aclose()
    assert found == []


async def pages_hold_every_sale_once_and_in_order(open_till: OpenTill) -> None:
    till = open_till()
    sold = [sale(number, at_ms=NOW_MS + number // 4) for number in range(21)]
    for each in reversed(sold):
        await take(till, each)
    pages = [await every_sale(till, most=most) for most in (1, 2, 3, 7, 21, 500)]
    await till.aclose()
    assert pages == [[each._replace(spent=1) for each in sold]] * len(pages)


async def a_page_holds_what_lies_between_two_moments(open_till: OpenTill) -> None:
    till = open_till()
    for number in range(10):
        await take(till, sale(number, at_ms=NOW_MS + number))
    found = await till.sold(since_ms=NOW_MS + 3, until_ms=NOW_MS + 7)
    with pytest.raises(InvalidInputError, match="at least 1 sale; got 0"):
        await till.sold(since_ms=0, until_ms=1, most=0)
    await till.aclose()
    assert [each.at_ms - NOW_MS for each in found] == [3, 4, 5, 6]


async def a_sale_outlives_the_uses_of_its_payment(open_till: OpenTill) -> None:
    till = open_till()
    await take(till, sale(1))
    for number in range(2, 12):
        late_ms = EXPIRES_AT_MS + 10**9 + number
        await take(till, sale(number, at_ms=late_ms), expires_at_ms=late_ms + 1)
    found = await every_sale(till)
    await till.aclose()
    assert len(found) == 11
    assert found[0] == sale(1, spent=1)


async def old_sales_are_forgotten_and_no_others(open_till: OpenTill) -> None:
    till = open_till()
    for number in range(10):
        await take(till, sale(number, at_ms=NOW_MS + number, uses=2))
    await till.forget(before_ms=NOW_MS + 7)
    left = await every_sale(till)
    await take(till, sale(1, at_ms=NOW_MS + 20, uses=2))
    anew = await every_sale(till)
    await till.aclose()
    assert [each.at_ms - NOW_MS for each in left] == [7, 8, 9]
    assert anew[-1] == sale(1, at_ms=NOW_MS + 20, uses=2, spent=1)


CONTRACT: Final[tuple[Check, ...]] = (
    a_sale_is_recorded_by_the_first_spend_that_wins,
    the_uses_of_all_sales_are_the_spends_that_won,
    a_use_that_is_given_back_is_counted_back,
    a_spend_that_cannot_be_told_of_is_no_sale,
    what_cost_no_money_is_no_sale,
    pages_hold_every_sale_once_and_in_order,
    a_page_holds_what_lies_between_two_moments,
    a_sale_outlives_the_uses_of_its_payment,
    old_sales_are_forgotten_and_no_others,
)

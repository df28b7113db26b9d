# SPDX-License-Identifier: Apache-2.0
"""What every store must remember of who took a use and has no answer yet.

The life of a process that is gone is one that said it lasts no time, so that no test waits.
"""

import asyncio
from collections import Counter
from typing import Final

from pypow_server.sale import Sale
from pypow_server.stores import Charged, Spend
from pypow_server.stores.attempts import MOST_DEPARTURES, MOST_UNANSWERED, Attempt, Ending
from support.credit_contract import CHARGE
from support.ledger_contract import EXPIRES_AT_MS, NOW_MS
from support.sales_contract import END_MS, Check, OpenTill, Till, every_sale, fresh, sale, take

ONE, THREE = sale(1), sale(2, uses=3)
OTHER_LIFE: Final = b"2nd life"


def dead(request: bytes = b"a request", life: bytes = b"one life") -> Attempt:
    """An attempt whose process is gone."""
    return fresh(request, life, lasts_ms=0)


async def _end(till: Till, attempt: Attempt, ending: Ending) -> bool:
    return await till.end(b"ln:" + ONE.payment_hash, attempt, ending)


async def of_many_at_once_one_takes_the_use(open_till: OpenTill) -> None:
    till = open_till()
    outcomes = Counter(await asyncio.gather(*(take(till, ONE) for _ in range(300))))
    other = await take(till, ONE, attempt=fresh(b"another request"))
    await till.aclose()
    assert outcomes == {Spend.WON: 1, Spend.HELD: 299}
    assert other is Spend.LOST


async def what_was_answered_is_used(open_till: OpenTill) -> None:
    till = open_till()
    first = dead()
    await take(till, ONE, attempt=first)
    ends = [await _end(till, first, Ending.ANSWERED) for _ in range(2)]
    again = [await take(till, ONE, attempt=fresh(life=life)) for life in (first.life, OTHER_LIFE)]
    await till.aclose()
    assert ends == [True, False]
    assert again == [Spend.LOST, Spend.LOST]


async def a_use_whose_process_is_gone_goes_on_once(open_till: OpenTill) -> None:
    till = open_till()
    await take(till, ONE, attempt=dead())
    other = await take(till, ONE, attempt=fresh(b"another request", OTHER_LIFE))
    returned = [fresh(life=OTHER_LIFE) for _ in range(100)]
    outcomes = Counter(
        await asyncio.gather(*(take(till, ONE, attempt=attempt) for attempt in returned))
    )
    (sold,) = await every_sale(till)
    await till.aclose()
    assert other is Spend.LOST
    assert outcomes == {Spend.WON: 1, Spend.HELD: 99}
    assert sold.spent == 1


async def a_use_whose_process_lives_is_held(open_till: OpenTill) -> None:
    till = open_till()
    first = fresh()
    await take(till, ONE, attempt=first)
    held = await take(till, ONE, attempt=fresh(life=OTHER_LIFE))
    await till.live(first.life, lasts_ms=60_000)
    still = await take(till, ONE, attempt=fresh(life=OTHER_LIFE))
    await till.live(first.life, lasts_ms=0)
    handed = await take(till, ONE, attempt=fresh(life=OTHER_LIFE))
    late = await _end(till, first, Ending.ANSWERED)
    await till.aclose()
    assert [held, still, handed] == [Spend.HELD, Spend.HELD, Spend.WON]
    assert not late


async def a_process_knows_which_of_its_attempts_are_over(open_till: OpenTill) -> None:
    till = open_till()
    first = fresh()
    await take(till, ONE, attempt=first)
    under_way = await take(till, ONE, attempt=fresh(oldest=first.number))
    over = await take(till, ONE, attempt=fresh(oldest=first.number + 1))
    await till.aclose()
    assert [under_way, over] == [Spend.HELD, Spend.WON]


async def a_caller_who_left_gets_the_use_again_a_few_times(open_till: OpenTill) -> None:
    till = open_till()
    outcomes = []
    for _ in range(MOST_DEPARTURES + 2):
        attempt = fresh(life=OTHER_LIFE)
        outcomes.append(await take(till, ONE, attempt=attempt))
        await _end(till, attempt, Ending.LEFT)
    await till.aclose()
    assert outcomes == [Spend.WON] * (MOST_DEPARTURES + 1) + [Spend.LOST]


async def a_use_that_nobody_knows_of_is_no_departure(open_till: OpenTill) -> None:
    till = open_till()
    outcomes, known = [], []
    for _ in range(MOST_DEPARTURES + 2):
        attempt = fresh()
        known.append(await _end(till, attempt, Ending.UNTAKEN))
        outcomes.append(await take(till, ONE, attempt=attempt))
        known.append(await _end(till, attempt, Ending.UNTAKEN))
    await till.aclose()
    assert outcomes == [Spend.WON] * (MOST_DEPARTURES + 2)
    assert known == [False, True] * (MOST_DEPARTURES + 2)


async def another_use_is_taken_while_one_is_held(open_till: OpenTill) -> None:
    till = open_till()
    outcomes = [await take(till, THREE) for _ in range(4)]
    others = [await take(till, THREE, attempt=fresh(b"another request"))]
    await till.live(b"one life", lasts_ms=0)
    returned = [await take(till, THREE, attempt=fresh(life=OTHER_LIFE)) for _ in range(4)]
    (sold,) = await every_sale(till)
    await till.aclose()
    assert outcomes == [Spend.WON] * 3 + [Spend.HELD]
    assert others == [Spend.LOST]
    assert returned == [Spend.WON] * 3 + [Spend.HELD]
    assert sold.spent == 3


async def what_is_given_up_is_no_longer_taken(open_till: OpenTill) -> None:
    till = open_till()
    first, second = dead(), fresh(life=OTHER_LIFE)
    key = b"ln:" + ONE.payment_hash
    await take(till, ONE, attempt=first)
    await take(till, ONE, attempt=second)
    await till.give_up(key, first, None)  # the use is the second's by now
    held = await take(till, ONE)
    await till.give_up(key, second, None)
    (sold,) = await every_sale(till)
    other = await take(till, ONE, attempt=fresh(b"another request"))
    await till.aclose()
    assert [held, other] == [Spend.HELD, Spend.WON]
    assert sold.spent == 0


async def what_is_handed_on_is_charged_once(open_till: OpenTill) -> None:
    till = open_till()
    first = await take(till, ONE, attempt=dead(), charge=CHARGE)
    before = await till.quote(CHARGE, now_ms=NOW_MS)
    again = await take(till, ONE, attempt=fresh(life=OTHER_LIFE), charge=CHARGE)
    after = await till.quote(CHARGE, now_ms=NOW_MS)
    await till.aclose()
    assert [first, again] == [Charged.FIRST, Charged.AGAIN]
    assert after == before


async def what_came_early_took_no_use(open_till: OpenTill) -> None:
    till, many = open_till(), sale(3, uses=50)
    outcomes = [await take(till, many, charge=CHARGE) for _ in range(20)]
    (sold,) = await every_sale(till)
    await till.aclose()
    charged = [found for found in outcomes if isinstance(found, Charged)]
    assert sold.spent == len(charged) < len(outcomes)


async def _taken_of(till: Till, sold: Sale, count: int, **said: int) -> list[Attempt]:
    """Attempts of another life that have each taken a use of it, for a request of their own."""
    attempts = [fresh(b"%d" % at, OTHER_LIFE, **said) for at in range(count)]
    for attempt in attempts:
        assert await take(till, sold, attempt=attempt) is Spend.WON
    return attempts


async def past_so_many_the_oldest_that_is_over_counts_as_used(open_till: OpenTill) -> None:
    till, many = open_till(), sale(4, uses=MOST_UNANSWERED + 2)
    attempts = await _taken_of(till, many, MOST_UNANSWERED, lasts_ms=0)
    others = [await take(till, many, attempt=fresh(b"other %d" % n)) for n in range(2)]
    returned = [
        await take(till, many, attempt=fresh(attempt.request, b"3rd life")) for attempt in attempts
    ]
    (sold,) = await every_sale(till)
    await till.aclose()
    assert others == [Spend.WON] * 2
    assert returned == [Spend.LOST] * 2 + [Spend.WON] * (MOST_UNANSWERED - 2)
    assert sold.spent == MOST_UNANSWERED + 2


async def past_so_many_that_are_under_way_the_next_waits(open_till: OpenTill) -> None:
    till, many = open_till(), sale(5, uses=1000)
    attempts = await _taken_of(till, many, MOST_UNANSWERED)
    before = await till.quote(CHARGE, now_ms=NOW_MS)
    waits = [await take(till, many, attempt=fresh(b"other"), charge=CHARGE) for _ in range(3)]
    after = await till.quote(CHARGE, now_ms=NOW_MS)
    (held,) = await every_sale(till)
    ends = [await till.end(b"ln:" + many.payment_hash, attempts[9], Ending.LEFT)]
    outcomes = [await take(till, many, attempt=fresh(b"other %d" % n)) for n in range(2)]
    ends += [await till.end(b"ln:" + many.payment_hash, one, Ending.ANSWERED) for one in attempts]
    (sold,) = await every_sale(till)
    await till.aclose()
    assert waits == [Spend.HELD] * 3
    assert after == before
    assert held.spent == MOST_UNANSWERED
    assert outcomes == [Spend.WON, Spend.HELD]
    assert [at for at, is_known in enumerate(ends[1:]) if not is_known] == [9]
    assert sold.spent == MOST_UNANSWERED + 1


async def who_took_it_is_known_after_a_restart(open_till: OpenTill) -> None:
    before = open_till()
    answered = dead(b"answered")
    await take(before, THREE, attempt=answered)
    await before.end(b"ln:" + THREE.payment_hash, answered, Ending.ANSWERED)
    for request in (b"one", b"two"):
        await take(before, THREE, attempt=dead(request))
    await before.aclose()
    after = open_till()
    outcomes = [
        await take(after, THREE, attempt=fresh(request, OTHER_LIFE))
        for request in (b"answered", b"one", b"three", b"two", b"two")
    ]
    await after.aclose()
    assert outcomes == [Spend.LOST, Spend.WON, Spend.LOST, Spend.WON, Spend.HELD]


async def of_two_processes_one_gets_what_a_third_left(open_till: OpenTill) -> None:
    tills = {life: open_till() for life in (b"one life", OTHER_LIFE)}
    for number in range(20):
        sold = sale(number)
        await take(tills[OTHER_LIFE], sold, attempt=dead(life=b"3rd life"))
        outcomes = Counter(
            await asyncio.gather(
                *(take(tills[life], sold, attempt=fresh(life=life)) for life in [*tills] * 10)
            )
        )
        assert outcomes == {Spend.WON: 1, Spend.HELD: 19}
    for till in tills.values():
        await till.aclose()


async def nothing_is_handed_on_past_the_end_of_its_payment(open_till: OpenTill) -> None:
    till = open_till()
    await take(till, ONE, attempt=dead())
    late_ms = EXPIRES_AT_MS + 10**9
    for number in range(10, 30):
        await take(till, sale(number, at_ms=late_ms), expires_at_ms=END_MS)
    replay = await take(till, ONE, attempt=fresh(life=OTHER_LIFE), now_ms=NOW_MS)
    await till.aclose()
    assert replay is Spend.UNKNOWN


CONTRACT: Final[tuple[Check, ...]] = (
    of_many_at_once_one_takes_the_use,
    what_was_answered_is_used,
    a_use_whose_process_is_gone_goes_on_once,
    a_use_whose_process_lives_is_held,
    a_process_knows_which_of_its_attempts_are_over,
    a_caller_who_left_gets_the_use_again_a_few_times,
    a_use_that_nobody_knows_of_is_no_departure,
    another_use_is_taken_while_one_is_held,
    what_is_given_up_is_no_longer_taken,
    what_is_handed_on_is_charged_once,
    what_came_early_took_no_use,
    past_so_many_the_oldest_that_is_over_counts_as_used,
    past_so_many_that_are_under_way_the_next_waits,
    nothing_is_handed_on_past_the_end_of_its_payment,
)

DURABLE: Final[tuple[Check, ...]] = (
    who_took_it_is_known_after_a_restart,
    of_two_processes_one_gets_what_a_third_left,
)

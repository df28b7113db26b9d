# SPDX-License-Identifier: Apache-2.0
"""What every ledger must do, as checks that take a way to open one and nothing else.

`open_ledger` opens the store of the test; opened again, it opens the same store again, as a
restarted process would. What the store takes for the time is `NOW_MS`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Final, TypeAlias

import pytest

from pypow.errors import InvalidInputError
from pypow_server.stores import SKEW_MS, Ledger, Spend, StoreError

NOW_MS: Final = 1_760_000_000_000
EXPIRES_AT_MS: Final = NOW_MS + 120_000
KEY: Final = bytes(range(16))

OpenLedger: TypeAlias = Callable[[], Ledger]
Check: TypeAlias = Callable[[OpenLedger], Coroutine[None, None, None]]


async def spend(
    ledger: Ledger,
    key: bytes = KEY,
    *,
    epoch: int | None = None,
    expires_at_ms: int = EXPIRES_AT_MS,
    now_ms: int = NOW_MS,
    limit: int = 1,
) -> Spend:
    """A spend with the usual arguments."""
    return await ledger.spend(
        key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
    )


async def exactly_one_of_many_callers_wins(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    outcomes = Counter(await asyncio.gather(*(spend(ledger) for _ in range(600))))
    await ledger.aclose()
    assert outcomes == {Spend.WON: 1, Spend.LOST: 599}


async def exactly_limit_callers_win(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    outcomes = Counter(await asyncio.gather(*(spend(ledger, limit=10) for _ in range(40))))
    await ledger.aclose()
    assert outcomes == {Spend.WON: 10, Spend.LOST: 30}


async def keys_do_not_share_uses(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    keys = [bytes([first, second]) for first in range(10) for second in range(10)]
    outcomes = await asyncio.gather(*(spend(ledger, key) for key in keys))
    await ledger.aclose()
    assert set(outcomes) == {Spend.WON}


async def another_epoch_is_stale_and_uses_nothing(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    epoch = await ledger.epoch()
    outcomes = [await spend(ledger, epoch=e) for e in (epoch ^ 1, epoch, epoch, epoch ^ 1)]
    await ledger.aclose()
    assert 0 <= epoch < 2**32
    assert outcomes == [Spend.STALE, Spend.WON, Spend.LOST, Spend.STALE]


async def what_was_spent_is_never_won_after_a_restart(open_ledger: OpenLedger) -> None:
    before = open_ledger()
    epoch = await before.epoch()
    first = await spend(before, epoch=epoch)
    await before.aclose()
    after = open_ledger()
    second = await spend(after, epoch=epoch)
    await after.aclose()
    assert first is Spend.WON
    assert second in {Spend.LOST, Spend.STALE}


async def a_release_gives_back_exactly_one_use(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    taken = [await spend(ledger, limit=3) for _ in range(4)]
    await ledger.release(KEY)
    again = [await spend(ledger, limit=3) for _ in range(2)]
    await ledger.aclose()
    assert taken == [Spend.WON, Spend.WON, Spend.WON, Spend.LOST]
    assert again == [Spend.WON, Spend.LOST]


async def a_release_of_what_was_never_spent_gives_nothing(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    await ledger.release(KEY)
    first = await spend(ledger)
    await ledger.release(KEY)
    await ledger.release(KEY)
    rest = [await spend(ledger) for _ in range(2)]
    await ledger.aclose()
    assert [first, *rest] == [Spend.WON, Spend.WON, Spend.LOST]


async def a_record_outlives_its_expiry_by_the_skew(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    await spend(ledger)
    last_ms = EXPIRES_AT_MS + SKEW_MS - 1
    other = await spend(ledger, b"other", expires_at_ms=last_ms, now_ms=last_ms)
    replay = await spend(ledger, now_ms=last_ms)
    await ledger.aclose()
    assert other is Spend.WON
    assert replay is Spend.LOST


async def the_latest_expiry_of_a_key_counts(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    later_ms = EXPIRES_AT_MS + 1
    for expires_at_ms in (EXPIRES_AT_MS, later_ms, EXPIRES_AT_MS):
        await spend(ledger, expires_at_ms=expires_at_ms, limit=3)
    late_ms = EXPIRES_AT_MS + SKEW_MS
    for key in (b"a", b"b", b"c"):
        await spend(ledger, key, expires_at_ms=late_ms, now_ms=late_ms)
    replay = await spend(ledger, expires_at_ms=later_ms, now_ms=late_ms, limit=3)
    await ledger.aclose()
    assert replay is Spend.LOST


async def what_may_have_been_dropped_is_unknown(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    await spend(ledger)
    late_ms = EXPIRES_AT_MS + SKEW_MS
    await spend(ledger, b"other", expires_at_ms=late_ms, now_ms=late_ms)
    replay = await spend(ledger, now_ms=late_ms)
    await ledger.aclose()
    assert replay is Spend.UNKNOWN


async def a_clock_set_back_brings_nothing_back(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    await spend(ledger)
    late_ms = EXPIRES_AT_MS + SKEW_MS
    await spend(ledger, b"other", expires_at_ms=late_ms, now_ms=late_ms)
    replay = await spend(ledger, now_ms=NOW_MS)
    await ledger.aclose()
    assert replay is Spend.UNKNOWN


async def a_cancelled_caller_has_spent(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    keys = [bytes([index]) for index in range(50)]
    tasks = [asyncio.create_task(spend(ledger, key)) for key in keys]
    await asyncio.sleep(0)  # every task runs to where it waits: the spends are submitted
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    replays = await asyncio.gather(*(spend(ledger, key) for key in keys))
    await ledger.aclose()
    assert set(replays) == {Spend.LOST}


async def a_closed_ledger_admits_nobody(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    await ledger.probe()
    await ledger.aclose()
    await ledger.aclose()
    assert await spend(ledger) is Spend.UNKNOWN


async def values_that_no_credential_brings_are_refused(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    with pytest.raises(InvalidInputError, match="limit of at least 1"):
        await spend(ledger, limit=0)
    with pytest.raises(InvalidInputError, match="at least one octet"):
        await spend(ledger, b"")
    with pytest.raises(InvalidInputError, match="Unix milliseconds"):
        await spend(ledger, expires_at_ms=2**63)
    assert await spend(ledger) is Spend.WON
    await ledger.aclose()


async def a_clock_far_behind_a_durable_ledger_is_named(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    future_ms = NOW_MS + SKEW_MS + 1
    await spend(ledger, now_ms=future_ms, expires_at_ms=future_ms)
    with pytest.raises(StoreError, match="the clock is 600 s behind"):
        await ledger.probe()
    await ledger.aclose()


CONTRACT: Final[tuple[Check, ...]] = (
    exactly_one_of_many_callers_wins,
    exactly_limit_callers_win,
    keys_do_not_share_uses,
    another_epoch_is_stale_and_uses_nothing,
    what_was_spent_is_never_won_after_a_restart,
    a_release_gives_back_exactly_one_use,
    a_release_of_what_was_never_spent_gives_nothing,
    a_record_outlives_its_expiry_by_the_skew,
    the_latest_expiry_of_a_key_counts,
    what_may_have_been_dropped_is_unknown,
    a_clock_set_back_brings_nothing_back,
    a_cancelled_caller_has_spent,
    a_closed_ledger_admits_nobody,
    values_that_no_credential_brings_are_refused,
)

DURABLE: Final[tuple[Check, ...]] = (a_clock_far_behind_a_durable_ledger_is_named,)
"""What those must do besides that keep the highest time beyond their process."""

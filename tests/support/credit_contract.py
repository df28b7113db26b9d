# SPDX-License-Identifier: Apache-2.0
"""What every ledger that charges must do, as checks that take a way to open one."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from random import Random
from typing import Final, Protocol, TypeAlias

from pypow.accounts import Account, refund, vouched
from pypow.pricing import (
    UNIT,
    Admission,
    Beyond,
    Constants,
    Level,
    Offered,
    Principal,
    Quote,
    Tariff,
    Wait,
    admit,
    is_known,
    missing_credit,
    quote,
    redeem,
    score,
)
from pypow_server.stores import Charge, Charged, Credits, Early, Ledger, Rank, Spend
from pypow_server.stores.holder import Holder
from support.ledger_contract import EXPIRES_AT_MS, KEY, NOW_MS, spend
from support.pricing_laws import any_climate, any_constants

TARIFF: Final = Tariff(Constants.of_quota(60, 60_000, base_q=4 * 1024))
CHARGE: Final = Charge((b"leaf", b"around"), (16,), 1, TARIFF)
MINUTE: Final = NOW_MS // 60_000


class ChargingLedger(Ledger, Credits, Protocol):
    """What stores open."""


OpenCredits: TypeAlias = Callable[[], ChargingLedger]
Check: TypeAlias = Callable[[OpenCredits], Coroutine[None, None, None]]


async def pay(
    ledger: ChargingLedger,
    key: bytes = KEY,
    charge: Charge = CHARGE,
    *,
    epoch: int | None = None,
    now_ms: int = NOW_MS,
    expires_at_ms: int = EXPIRES_AT_MS,
    limit: int = 1,
) -> Spend | Early:
    """A redemption with the usual arguments; whoever was charged for the first time won, too."""
    found = await ledger.redeem(
        key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit, charge=charge
    )
    return Spend.WON if isinstance(found, Charged) else found


async def free_in_ms(ledger: Credits, charge: Charge = CHARGE) -> int:
    """How long it takes until such a call is free."""
    found = await ledger.quote(charge, now_ms=NOW_MS)
    return found.quote.free_in_ms if isinstance(found, Beyond) else found.free_in_ms


async def what_is_won_is_charged_once(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    answers = Counter(await asyncio.gather(*(pay(ledger) for _ in range(40))))
    owed = [await free_in_ms(ledger)]
    for number in range(4):
        assert await pay(ledger, b"%d" % number) is Spend.WON
        owed.append(await free_in_ms(ledger))
    await ledger.aclose()
    assert answers == {Spend.WON: 1, Spend.LOST: 39}
    assert owed == [0, 0, 0, 1000, 2000]


async def what_is_not_won_is_not_charged(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    epoch = await ledger.epoch()
    await spend(ledger)
    answers = [await pay(ledger), await pay(ledger, b"stale", epoch=epoch ^ 1)]
    late_ms = NOW_MS - 10**9
    answers.append(await pay(ledger, b"forgotten", expires_at_ms=late_ms))
    for number in range(4):
        await pay(ledger, b"%d" % number)
    owed = await free_in_ms(ledger)
    await ledger.aclose()
    assert answers == [Spend.LOST, Spend.STALE, Spend.UNKNOWN]
    assert owed == 1000


async def who_used_too_much_has_to_wait_and_loses_nothing(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    answers = [await pay(ledger, b"%d" % number) for number in range(12)]
    early = [await pay(ledger, b"early") for _ in range(3)]
    owed = await free_in_ms(ledger)
    paid_for_it = await pay(ledger, b"early", CHARGE._replace(overdraft=2))
    again = await pay(ledger, b"early", CHARGE._replace(overdraft=2))
    await ledger.aclose()
    assert set(answers) == {Spend.WON}  # the slack is two bits, of four calls each
    assert early == [Early(1000)] * 3
    assert owed == 9_000
    assert (paid_for_it, again) == (Spend.WON, Spend.LOST)


async def of_many_at_once_only_so_many_are_in_time(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    answers = await asyncio.gather(*(pay(ledger, b"%d" % number) for number in range(40)))
    owed = await free_in_ms(ledger)
    await ledger.aclose()
    assert answers.count(Spend.WON) == 12
    assert sum(isinstance(answer, Early) for answer in answers) == 28
    assert owed == 9_000


async def a_proof_that_came_early_is_good_later(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    for number in range(12):
        await pay(ledger, b"%d" % number)
    early = await pay(ledger)
    assert isinstance(early, Early)
    later_ms = NOW_MS + early.retry_after_ms
    sooner, later = [await pay(ledger, now_ms=now_ms) for now_ms in (later_ms - 1, later_ms)]
    await ledger.aclose()
    assert (sooner, later) == (Early(1), Spend.WON)


async def asking_changes_nothing(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    dear = CHARGE._replace(weight=50)
    first = await asyncio.gather(*(ledger.quote(dear, now_ms=NOW_MS) for _ in range(100)))
    taken = [await ledger.take_free(CHARGE, now_ms=NOW_MS) for _ in range(4)]
    refused = [await ledger.take_free(CHARGE, now_ms=NOW_MS) for _ in range(50)]
    owed = await free_in_ms(ledger)
    await ledger.aclose()
    assert set(first) == {quote(fresh(), 50, TARIFF, NOW_MS)}
    assert taken == [Charged.FIRST, *[Charged.AGAIN] * 3]
    assert owed == 1000
    assert set(refused) == {Quote(4 * 1024, 0, 256, 0, 0, 1000)}


async def looking_where_a_caller_stands_changes_nothing(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    looks = [await asyncio.gather(*(ledger.rank(CHARGE, now_ms=NOW_MS) for _ in range(50)))]
    for _ in range(4):
        await ledger.take_free(CHARGE, now_ms=NOW_MS)
    looks.append(await asyncio.gather(*(ledger.rank(CHARGE, now_ms=NOW_MS) for _ in range(50))))
    later_ms = NOW_MS + 60_000
    known = await ledger.rank(CHARGE, now_ms=later_ms)
    owed = await free_in_ms(ledger)
    await ledger.aclose()
    first, second = (set(found) for found in looks)
    assert first == {Rank(known=False, score=0, missing=0)}
    # Four calls served, less two for the doubling of the minutes; and the fifth has no credit.
    assert second == {Rank(known=False, score=4 * 1024 - 2 * 1024, missing=UNIT)}
    assert (known.known, known.missing) == (True, 0)
    assert owed == 1000


async def what_is_free_is_taken_as_it_grows_back(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    for _ in range(4):
        await ledger.take_free(CHARGE, now_ms=NOW_MS)
    times = [NOW_MS + after for after in (999, 1000, 1000, 3_600_000)]
    found = [await ledger.take_free(CHARGE, now_ms=now_ms) for now_ms in times]
    hour_ms = times[-1]
    burst = [await ledger.take_free(CHARGE, now_ms=hour_ms) for _ in range(61)]
    await ledger.aclose()
    assert [isinstance(one, Charged) for one in found] == [False, True, False, True]
    assert burst.count(Charged.AGAIN) == 59


async def whoever_was_never_charged_is_told_apart(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    answers = []
    for number, leaf in enumerate((b"one", b"one", b"two", b"three", b"two", b"three")):
        charge = CHARGE._replace(keys=(leaf, b"around"))
        answers.append(
            await ledger.take_free(charge, now_ms=NOW_MS)
            if leaf == b"two"
            else await ledger.redeem(
                b"%d" % number,
                epoch=None,
                expires_at_ms=EXPIRES_AT_MS,
                now_ms=NOW_MS,
                charge=charge,
            )
        )
    await ledger.aclose()
    first, again = Charged.FIRST, Charged.AGAIN
    assert answers == [first, again, first, first, again, again]


async def a_newcomer_pays_what_newcomers_pay_in_a_crowd(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    crowd = Tariff(TARIFF.constants, replace(TARIFF.climate, entry_excess=100 * UNIT))
    newcomer = CHARGE._replace(tariff=crowd)
    found = await ledger.take_free(newcomer, now_ms=NOW_MS)
    await ledger.aclose()
    assert found == Quote(4 * 1024, 0, 0, 2 * 1024, 0, 0)


async def what_is_given_back_is_given_back_whole_and_once(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    for number in range(8):
        await pay(ledger, b"%d" % number)
    owed = [await free_in_ms(ledger)]
    for _ in range(3):
        await ledger.give_back(b"7", CHARGE)
        owed.append(await free_in_ms(ledger))
    again = await pay(ledger, b"7")
    owed.append(await free_in_ms(ledger))
    await ledger.give_back(b"never", CHARGE)
    owed.append(await free_in_ms(ledger))
    await ledger.aclose()
    assert again is Spend.WON
    assert owed == [5000, 4000, 4000, 4000, 5000, 5000]


async def a_network_pays_for_all_its_addresses(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    taken = 0
    for number in range(64):
        charge = CHARGE._replace(keys=(b"leaf %d" % number, b"around"))
        for _ in range(4):
            taken += isinstance(await ledger.take_free(charge, now_ms=NOW_MS), Charged)
    await ledger.aclose()
    # 4 to begin with, of which one must be left for the last of them; each takes a sixteenth.
    assert taken == 3 * 16 + 1


def holders(
    name: str = "one", *, minutes: int = 10, identified: bool = True, first_ms: int = NOW_MS - 10**8
) -> Charge:
    """A charge to who holds a token that says so."""
    holder = Holder(b"", identified, minutes, MINUTE - 1, first_ms)
    keys = (b"standing %b" % name.encode(), *CHARGE.keys)
    return CHARGE._replace(keys=keys, shares=(1, *CHARGE.shares), holder=holder)


async def free_calls(ledger: Credits, charge: Charge) -> int:
    """How many are free at once."""
    taken = 0
    while isinstance(await ledger.take_free(charge, now_ms=NOW_MS), Charged):
        taken += 1
    return taken


async def the_word_of_a_token_counts_where_the_store_knows_less(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    for number in range(12):
        await pay(ledger, b"%d" % number)  # the network has used too much
    network = await free_in_ms(ledger)
    stranger = await free_in_ms(ledger, holders("stranger", minutes=9))
    standing = await free_in_ms(ledger, holders())
    # The store has heard of this one before it had standing, as of another price.
    await pay(ledger, b"first", holders("heard of", minutes=1)._replace(overdraft=255))
    network_after = await free_in_ms(ledger)
    heard_of = await free_in_ms(ledger, holders("heard of", minutes=10))
    elsewhere = await free_in_ms(ledger, holders("elsewhere", identified=False))
    await ledger.aclose()
    assert (network, stranger, standing) == (9_000, 9_000, 0)
    assert (network_after, heard_of, elsewhere) == (10_000, 0, 10_000)


async def a_holder_with_standing_leaves_its_network_what_it_has(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    free = await free_calls(ledger, holders())
    network = await free_calls(ledger, CHARGE)
    await ledger.aclose()
    # Four are assured; each of the others costs the wider network a sixteenth, of which one call
    # must be left for its last caller.
    assert (free, network) == (4 + 3 * 16 + 1, 0)


async def who_has_signed_in_pays_alone_and_has_all_of_the_quota(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    for name in ("one", "another"):
        account = holders(minutes=1 << 16, first_ms=0)._replace(keys=(name.encode(),), shares=())
        assert await free_calls(ledger, account) == account.tariff.constants.burst // UNIT
        back = account._replace(overdraft=255)
        await pay(ledger, b"of %b" % name.encode(), back)
        await ledger.give_back(b"of %b" % name.encode(), back)
    network = await free_calls(ledger, CHARGE)
    await ledger.aclose()
    assert network == 4


async def many_tokens_without_standing_have_what_one_network_has(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    free = [await free_calls(ledger, holders(f"{number}", minutes=8)) for number in range(40)]
    await ledger.aclose()
    assert free == [4] + [0] * 39


async def many_tokens_with_standing_have_what_is_assured_and_what_networks_have(
    open_ledger: OpenCredits,
) -> None:
    ledger = open_ledger()
    free = [await free_calls(ledger, holders(f"{number}")) for number in range(40)]
    await ledger.aclose()
    assert free == [4 + 3 * 16 + 1] + [4] * 39


async def what_a_holder_gets_back_is_no_gift_to_its_network(open_ledger: OpenCredits) -> None:
    ledger = open_ledger()
    for number in range(12):
        await pay(ledger, b"%d" % number)
    owed = [await free_in_ms(ledger)]
    for charge in (holders(), holders("stranger", minutes=2)._replace(overdraft=255)):
        assert await pay(ledger, b"given back", charge) is Spend.WON
        owed.append(await free_in_ms(ledger))
        await ledger.give_back(b"given back", charge)
        owed.append(await free_in_ms(ledger))
    elsewhere = holders("elsewhere", identified=False)._replace(overdraft=255)
    await pay(ledger, b"given back", elsewhere)
    await ledger.give_back(b"given back", elsewhere)
    owed.append(await free_in_ms(ledger))
    await ledger.aclose()
    assert owed == [9_000, 9_000, 9_000, 10_000, 9_000, 9_000]


async def it_answers_as_the_rules_do(open_ledger: OpenCredits) -> None:
    draw = Random(4711)
    ledger = open_ledger()
    kept: dict[bytes, Account] = {}
    now_ms = NOW_MS
    for number in range(300):
        now_ms += draw.choice((0, 1, -300, draw.randint(0, 10**4)))
        constants = any_constants(draw)
        tariff = Tariff(constants, any_climate(draw, constants))
        shares: tuple[int, ...] = (16, 64)[: draw.randint(0, 2)]
        keys = [b"%d %d" % (draw.randrange(3), share) for share in (1, *shares)]
        weight = draw.choice((1, 1, 2, 7))
        holder = None
        if draw.random() < 0.5:
            minutes, ago_ms = draw.choice((1, 9, 10, 400)), draw.choice((0, 60_000, 10**9))
            last_minute = now_ms // 60_000 - draw.randint(0, 1)
            identified = draw.random() < 0.7
            holder = Holder(b"", identified, minutes, last_minute, now_ms - ago_ms)
            keys.insert(0, b"standing %d" % draw.randrange(3))
            shares = (1, *shares)
        overdraft = draw.choice((0, draw.randint(0, 255)))
        charge = Charge(tuple(keys), shares, weight, tariff, overdraft, holder)
        before = principal_of(charge, kept, now_ms)
        after: Principal | None = None
        assert await ledger.rank(charge, now_ms=now_ms) == ranked(before, charge, now_ms)
        match draw.randrange(4):
            case 0:
                assert await ledger.quote(charge, now_ms=now_ms) == expected(before, charge, now_ms)
            case 1:
                found = expected(before, charge, now_ms)
                if isinstance(found, Quote) and found.overdraft_q == found.entry_q == 0:
                    admission = admit(before, weight, tariff, now_ms)
                    after = admission.principal
                    assert await ledger.take_free(charge, now_ms=now_ms) is charged(admission)
                else:
                    assert await ledger.take_free(charge, now_ms=now_ms) == found
            case _:
                presented = redeem(charge.overdraft, before, weight, tariff, now_ms)
                key = b"proof %d" % number
                expires_at_ms = now_ms + 1000
                answer = await ledger.redeem(
                    key, epoch=None, expires_at_ms=expires_at_ms, now_ms=now_ms, charge=charge
                )
                if isinstance(presented, Wait):
                    assert answer == Early(presented.retry_after_ms)
                else:
                    assert answer is charged(presented)
                    after = presented.principal
                    if draw.random() < 0.1:
                        await ledger.give_back(key, charge)
                        after = given_back(presented, charge)
        if after is not None:
            kept[keys[0]] = after.leaf
            for key, was, level in zip(keys[1:], before.networks, after.networks, strict=True):
                if level is not was:  # it was charged
                    kept[key] = level.account
    await ledger.aclose()


def fresh() -> Principal:
    """Somebody whom no store knows yet."""
    return principal_of(CHARGE, {}, NOW_MS)


def principal_of(charge: Charge, kept: dict[bytes, Account], now_ms: int) -> Principal:
    """Whom a charge is about, by the rules."""
    blank = Account.new(charge.tariff.constants, now_ms)
    leaf, *around = [kept.get(key, blank) for key in charge.keys]
    networks = tuple(map(Level, around, charge.shares))
    if charge.holder is None:
        return Principal(leaf, networks)
    _, identified, minutes, last_minute, first_ms = charge.holder
    if charge.keys[0] not in kept:
        constants = charge.tariff.constants
        leaf = Account.new(constants, now_ms, credit=constants.burst)
    leaf = vouched(leaf, minutes=minutes, last_minute=last_minute, first_ms=first_ms)
    return Principal(leaf, networks, identified)


def expected(principal: Principal, charge: Charge, now_ms: int) -> Offered:
    """What such a call costs, by the rules."""
    return quote(principal, charge.weight, charge.tariff, now_ms)


def ranked(principal: Principal, charge: Charge, now_ms: int) -> Rank:
    """How a principal stands, by the rules."""
    constants = charge.tariff.constants
    missing, _ = missing_credit(principal, charge.weight, charge.tariff, now_ms)
    known = is_known(principal.leaf, constants, now_ms)
    return Rank(known, score(principal.leaf, constants, now_ms), missing)


def charged(admission: Admission) -> Charged:
    """What credits answer of an admission."""
    return Charged.FIRST if admission.newcomer else Charged.AGAIN


def given_back(admission: Admission, charge: Charge) -> Principal:
    """What a principal has once the call that it was charged came to nothing."""
    principal, constants = admission.principal, charge.tariff.constants
    cost = charge.weight * UNIT * constants.replicas
    if principal.identified and principal.leaf.minutes >= constants.standing_minutes:
        return replace(principal, leaf=refund(principal.leaf, cost))
    return Principal(
        refund(principal.leaf, cost),
        tuple(
            Level(refund(level.account, cost // level.share), level.share)
            for level in principal.networks
        ),
    )


CONTRACT: Final[tuple[Check, ...]] = (
    what_is_won_is_charged_once,
    what_is_not_won_is_not_charged,
    who_used_too_much_has_to_wait_and_loses_nothing,
    of_many_at_once_only_so_many_are_in_time,
    a_proof_that_came_early_is_good_later,
    asking_changes_nothing,
    looking_where_a_caller_stands_changes_nothing,
    what_is_free_is_taken_as_it_grows_back,
    whoever_was_never_charged_is_told_apart,
    a_newcomer_pays_what_newcomers_pay_in_a_crowd,
    what_is_given_back_is_given_back_whole_and_once,
    a_network_pays_for_all_its_addresses,
    the_word_of_a_token_counts_where_the_store_knows_less,
    a_holder_with_standing_leaves_its_network_what_it_has,
    who_has_signed_in_pays_alone_and_has_all_of_the_quota,
    many_tokens_without_standing_have_what_one_network_has,
    many_tokens_with_standing_have_what_is_assured_and_what_networks_have,
    what_a_holder_gets_back_is_no_gift_to_its_network,
    it_answers_as_the_rules_do,
)

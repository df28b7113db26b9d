# SPDX-License-Identifier: Apache-2.0
"""Quotes, redeeming and admission: what they answer, and the arithmetic beneath."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypow import InvalidInputError, difficulty, powers
from pypow.accounts import owing_ms
from pypow.pricing import (
    UNIT,
    Account,
    Beyond,
    Climate,
    Constants,
    Level,
    Offered,
    Principal,
    Quote,
    Redeemable,
    Tariff,
    Wait,
    admit,
    has_standing,
    is_known,
    may_redeem,
    networks,
    quote,
    redeem,
    score,
    touch,
)
from pypow.steering import lowest_z
from support.pricing_laws import START_MS, standing

CONSTANTS = Constants()
TARIFF = Tariff(CONSTANTS)
CRAMPED = Tariff(CONSTANTS, Climate(z=lowest_z(CONSTANTS)))

accounts = st.builds(
    Account,
    credit=st.integers(-60 * UNIT, 60 * UNIT),
    assured=st.integers(0, 4 * UNIT),
    served=st.integers(0, 1 << 32),
    minutes=st.integers(0, 10_000),
    last_minute=st.just(0),
    first_ms=st.just(START_MS - 10**7),
    at_ms=st.just(START_MS),
)
spans = st.integers(0, 10**7)
weights = st.integers(1, 100)
zs = st.integers(lowest_z(CONSTANTS), 0)


def price(offered: Offered) -> int:
    return offered.quote.q if isinstance(offered, Beyond) else offered.q


def after_calls(count: int, *, tariff: Tariff = TARIFF, now_ms: int = START_MS) -> Principal:
    """Somebody known with a full bucket, after so many calls at once."""
    principal = standing(tariff.constants, now_ms)
    full = replace(principal.leaf, credit=tariff.constants.burst)
    principal = replace(principal, leaf=full)
    for _ in range(count):
        principal = admit(principal, 1, tariff, now_ms).principal
    return principal


def test_a_known_principal_makes_60_calls_at_once_at_the_base_price() -> None:
    for count in range(60):
        assert price(quote(after_calls(count), 1, TARIFF, START_MS)) == CONSTANTS.base_q
    seconds = 60 * 2**18 / 40e6
    assert seconds < 1  # on one native core


def finished_after(calls: int, hashrate: float) -> float:
    """When the last of many calls is done that are asked for at once: solve or wait, by turns."""
    principal, seconds = after_calls(0), 0.0
    for _ in range(calls):
        offered = quote(principal, 1, TARIFF, START_MS + int(seconds * 1000))
        while True:
            assert isinstance(offered, Quote)
            solving = 2.0 ** (offered.q / 1024) / hashrate
            waiting = offered.free_in_ms / 1000 + 2.0 ** (CONSTANTS.base_q / 1024) / hashrate
            if solving <= waiting:
                break
            # One step of waiting, and then another look.
            seconds += 0.1
            offered = quote(principal, 1, TARIFF, START_MS + int(seconds * 1000))
        seconds += solving
        principal = admit(principal, 1, TARIFF, START_MS + int(seconds * 1000)).principal
    return seconds


@pytest.mark.parametrize("hashrate", [0.78e6, 80e6, 1.2e9, 16.3e9])
def test_120_calls_at_once_are_all_sold_within_a_minute(hashrate: float) -> None:
    assert finished_after(120, hashrate) <= 60


def test_each_four_calls_of_overdraft_double_the_price() -> None:
    doubled = [price(quote(after_calls(count), 1, TARIFF, START_MS)) for count in (60, 64, 68, 72)]
    assert doubled == [CONSTANTS.base_q + 256 + 1024 * bits for bits in range(4)]


def test_a_call_past_the_caps_is_not_sold_and_both_ways_out_are_told() -> None:
    principal = after_calls(60 + 80)
    offered = quote(principal, 1, TARIFF, START_MS)
    assert isinstance(offered, Beyond)
    assert offered.quote.overdraft_q == 81 * 256 > CONSTANTS.max_overdraft_q
    assert (offered.retry_after_ms, offered.quote.free_in_ms) == (9_000, 81_000)
    again = quote(principal, 1, TARIFF, START_MS + 9_000)
    assert isinstance(again, Quote)
    assert again.overdraft_q == CONSTANTS.max_overdraft_q
    assert isinstance(quote(principal, 1, TARIFF, START_MS + 8_999), Beyond)
    assert price(quote(principal, 1, TARIFF, START_MS + 81_000)) == CONSTANTS.base_q
    assert price(quote(principal, 1, TARIFF, START_MS + 80_999)) > CONSTANTS.base_q


def test_a_burst_that_was_fetched_at_once_is_redeemable_with_eight_calls_to_spare() -> None:
    principal, redeemed = after_calls(0), 0
    assert price(quote(principal, 1, TARIFF, START_MS)) == CONSTANTS.base_q
    while not isinstance(done := redeem(0, principal, 1, TARIFF, START_MS), Wait):
        principal, redeemed = done.principal, redeemed + 1
    assert (redeemed, done.retry_after_ms) == (60 + 8, 1000)


def test_use_is_counted_up_to_a_limit_and_forgotten_in_the_end() -> None:
    principal = after_calls(0)
    for _ in range(100):
        principal = admit(principal, 65_535, TARIFF, START_MS).principal
    assert principal.leaf.served == 1 << 32
    long_after_ms = START_MS + 40 * CONSTANTS.served_half_life_ms
    assert touch(principal.leaf, TARIFF, long_after_ms).served == 0


def test_the_level_that_is_told_is_the_innermost_of_those_that_owe_most() -> None:
    owing = replace(Account.new(CONSTANTS, START_MS), credit=-4 * UNIT)
    offered = quote(Principal(owing, (Level(owing, 16), Level(owing, 64))), 1, TARIFF, START_MS)
    assert isinstance(offered, Quote)
    assert offered.level == 0


def test_weight_multiplies_the_work() -> None:
    principal = after_calls(0)
    assert price(quote(principal, 8, TARIFF, START_MS)) == CONSTANTS.base_q + 3 * 1024
    charged = admit(principal, 8, TARIFF, START_MS).principal
    assert principal.leaf.credit - charged.leaf.credit == 8 * UNIT


def test_a_weight_that_nobody_could_pay_for_is_refused_with_one_that_somebody_could() -> None:
    dear = Tariff(Constants(base_q=30 * 1024))
    with pytest.raises(
        InvalidInputError, match=r"40 bits can pay for, at most 1024 here, got 2000"
    ):
        quote(after_calls(0), 2000, dear, START_MS)
    assert price(quote(after_calls(0), 1024, dear, START_MS)) == 40 * 1024


@pytest.mark.parametrize("weight", [0, -1, 65536, True, 1.5])
def test_what_is_no_weight_is_refused(weight: int) -> None:
    for ask in (
        lambda: quote(after_calls(0), weight, TARIFF, START_MS),
        lambda: admit(after_calls(0), weight, TARIFF, START_MS),
        lambda: may_redeem(0, after_calls(0), weight, TARIFF, START_MS),
    ):
        with pytest.raises(InvalidInputError, match="expected weight from 1 to 65535"):
            ask()


@pytest.mark.parametrize("overdraft", [-1, 256, True])
def test_what_is_no_overdraft_is_refused(overdraft: int) -> None:
    with pytest.raises(InvalidInputError, match="expected overdraft from 0 to 255"):
        may_redeem(overdraft, after_calls(0), 1, TARIFF, START_MS)


def test_a_newcomer_pays_for_other_newcomers_and_nobody_else_does() -> None:
    crowded = Tariff(CONSTANTS, Climate(entry_excess=100 * UNIT))
    newcomer = Principal(Account.new(CONSTANTS, START_MS))
    offered = quote(newcomer, 1, crowded, START_MS)
    assert isinstance(offered, Quote)
    assert (offered.entry_q, offered.overdraft) == (2048, 16)
    assert price(quote(after_calls(0), 1, crowded, START_MS)) == CONSTANTS.base_q
    done = admit(newcomer, 1, crowded, START_MS)
    assert done.newcomer
    assert not admit(done.principal, 1, crowded, START_MS).newcomer


def test_what_newcomers_pay_never_makes_a_heavy_call_unsaleable() -> None:
    crowded = Tariff(Constants(base_q=34 * 1024), Climate(entry_excess=400 * UNIT))
    offered = quote(Principal(Account.new(CONSTANTS, START_MS)), 32, crowded, START_MS)
    assert isinstance(offered, Quote)
    assert (offered.entry_q, offered.q) == (1024, 40 * 1024)


def test_one_is_known_after_a_minute_and_a_call_served() -> None:
    account = Account.new(CONSTANTS, START_MS)
    assert not is_known(account, CONSTANTS, START_MS + 10**9)
    served = admit(Principal(account), 1, TARIFF, START_MS).principal.leaf
    assert not is_known(served, CONSTANTS, START_MS + 59_999)
    assert is_known(served, CONSTANTS, START_MS + 60_000)


def test_minutes_count_service_and_not_calls() -> None:
    principal = Principal(Account.new(CONSTANTS, START_MS))
    for second in range(0, 180, 5):
        principal = admit(principal, 1, TARIFF, START_MS + second * 1000).principal
    assert principal.leaf.minutes == 3


def test_a_principal_that_others_know_nothing_of_pays_what_its_network_owes() -> None:
    owing = replace(Account.new(CONSTANTS, START_MS), credit=-4 * UNIT)
    stranger = Principal(Account.new(CONSTANTS, START_MS), (Level(owing, 16),))
    offered = quote(stranger, 1, TARIFF, START_MS)
    assert isinstance(offered, Quote)
    assert (offered.overdraft_q, offered.level, offered.free_in_ms) == (1280, 1, 5000)
    known = standing(CONSTANTS, START_MS, Level(owing, 16))
    assert price(quote(known, 1, TARIFF, START_MS)) == CONSTANTS.base_q


def test_an_address_is_never_assured_however_well_it_is_known() -> None:
    owing = replace(Account.new(CONSTANTS, START_MS), credit=-4 * UNIT)
    identity = standing(CONSTANTS, START_MS, Level(owing, 16))
    address = replace(identity, identified=False)
    assert price(quote(address, 1, TARIFF, START_MS)) > CONSTANTS.base_q


def test_standing_beyond_what_is_assured_is_charged_to_the_wider_networks_alone() -> None:
    around = tuple(Level(Account.new(CONSTANTS, START_MS), share) for share in (1, 16))
    principal = standing(CONSTANTS, START_MS, *around)
    for _ in range(4):  # what is assured
        principal = admit(principal, 1, TARIFF, START_MS).principal
    assert principal.networks == around
    beyond = admit(principal, 1, TARIFF, START_MS).principal
    paid = [
        before.account.credit - after.account.credit
        for before, after in zip(around, beyond.networks, strict=True)
    ]
    assert paid == [0, UNIT // 16]


def test_standing_begins_with_its_tenth_minute_and_is_an_identitys_alone() -> None:
    nearly, just = (standing(CONSTANTS, START_MS, minutes=minutes) for minutes in (9, 10))
    assert not has_standing(nearly, CONSTANTS, START_MS)
    assert has_standing(just, CONSTANTS, START_MS)
    assert not has_standing(replace(just, identified=False), CONSTANTS, START_MS)
    young = replace(just, leaf=replace(just.leaf, first_ms=START_MS - 59_999))
    assert not has_standing(young, CONSTANTS, START_MS)


def test_what_its_own_address_owes_does_not_matter_to_standing_beyond_what_is_assured() -> None:
    owing = replace(Account.new(CONSTANTS, START_MS), credit=-40 * UNIT)
    full = Level(Account.new(CONSTANTS, START_MS), 16)
    principal = standing(CONSTANTS, START_MS, Level(owing, 1), full)
    used_up = replace(principal, leaf=replace(principal.leaf, assured=0))
    assert price(quote(used_up, 1, TARIFF, START_MS)) == CONSTANTS.base_q
    wider = replace(used_up, networks=(full, Level(owing, 16)))
    assert price(quote(wider, 1, TARIFF, START_MS)) > CONSTANTS.base_q


def test_an_identity_without_standing_is_charged_to_all_its_networks() -> None:
    around = tuple(Level(Account.new(CONSTANTS, START_MS), share) for share in (1, 16, 64))
    principal = Principal(Account.new(CONSTANTS, START_MS), around, identified=True)
    after = admit(principal, 1, TARIFF, START_MS).principal
    paid = [4 * UNIT - level.account.credit for level in after.networks]
    assert paid == [UNIT, UNIT // 16, UNIT // 64]


def test_200_known_users_behind_one_address_keep_the_base_price_under_attack() -> None:
    around = tuple(Level(Account.new(CONSTANTS, START_MS), share) for share in (1, 16))
    users = [standing(CONSTANTS, START_MS) for _ in range(200)]
    dearest = 0
    for minute in range(10):
        for index, user in enumerate(users):
            now_ms = START_MS + minute * 60_000 + index * 300
            here = replace(user, networks=around)
            dearest = max(dearest, price(quote(here, 1, CRAMPED, now_ms)))
            after = admit(here, 1, CRAMPED, now_ms).principal
            users[index], around = after, after.networks
    assert dearest == CONSTANTS.base_q


def test_200_new_users_behind_one_address_are_all_served_in_its_turn() -> None:
    around = tuple(Level(Account.new(CONSTANTS, START_MS), share) for share in (1, 16))
    now_ms, dearest = START_MS, 0
    for _ in range(200):
        user = Principal(Account.new(CONSTANTS, now_ms), around, identified=True)
        offered = quote(user, 1, TARIFF, now_ms)
        while not isinstance(offered, Quote) or offered.overdraft_q > 2048:
            now_ms += 100
            offered = quote(user, 1, TARIFF, now_ms)
        dearest = max(dearest, offered.q)
        around = admit(user, 1, TARIFF, now_ms).principal.networks
    assert now_ms - START_MS <= 200_000
    assert dearest <= CONSTANTS.base_q + 2048


def test_gates_without_a_common_store_give_out_their_part() -> None:
    alone = Tariff(Constants(replicas=4))
    leaf = Account.new(alone.constants, START_MS)
    principal = Principal(replace(leaf, credit=alone.constants.burst))
    calls = 0
    while price(quote(principal, 1, alone, START_MS)) == CONSTANTS.base_q:
        principal = admit(principal, 1, alone, START_MS).principal
        calls += 1
    assert calls == 60 // 4


@given(accounts, st.integers(0, 40 * 1024))
def test_who_counts_whole_zeros_has_paid_for_what_its_challenge_claims(
    account: Account, base_q: int
) -> None:
    dear = Tariff(Constants(base_q=base_q // 4 + 10 * 1024))
    offered = quote(Principal(account), 1, dear, START_MS)
    found = offered.quote if isinstance(offered, Beyond) else offered
    rounded = difficulty.to_whole_hex_zeros(found.q)
    claim = found.overdraft_at(rounded)
    assert 0 <= claim <= found.overdraft
    assert claim == 0 or rounded > found.base_q + (claim - 1) * 128
    assert may_redeem(claim, Principal(account), 1, dear, START_MS) == Redeemable()


def test_a_debtor_is_kept_until_a_new_account_has_no_more() -> None:
    account = replace(Account.new(CONSTANTS, START_MS), credit=-20 * UNIT)
    kept_ms = owing_ms(account, CONSTANTS)
    then = touch(account, CRAMPED, START_MS + kept_ms)
    assert then.credit >= CONSTANTS.burst_new
    assert touch(account, CRAMPED, START_MS + kept_ms - 1).credit < CONSTANTS.burst_new
    assert owing_ms(then, CONSTANTS) == 0


@given(accounts, weights, spans, spans)
def test_waiting_never_raises_a_price(account: Account, weight: int, one: int, more: int) -> None:
    principal = Principal(account)
    sooner = price(quote(principal, weight, TARIFF, START_MS + one))
    assert price(quote(principal, weight, TARIFF, START_MS + one + more)) <= sooner


@given(accounts, weights, spans, zs)
def test_use_never_lowers_a_price(account: Account, weight: int, span: int, z: int) -> None:
    tariff = Tariff(CONSTANTS, Climate(z=z))
    principal, now_ms = Principal(account), START_MS + span
    used = admit(principal, weight, tariff, now_ms).principal
    assert price(quote(used, 1, tariff, now_ms)) >= price(quote(principal, 1, tariff, now_ms))


@given(accounts, weights, spans, zs, zs)
def test_more_allowance_never_raises_a_price(
    account: Account, weight: int, span: int, one: int, other: int
) -> None:
    less, more = (Tariff(CONSTANTS, Climate(z=z)) for z in sorted((one, other)))
    principal, now_ms = Principal(account), START_MS + span
    assert price(quote(principal, weight, more, now_ms)) <= price(
        quote(principal, weight, less, now_ms)
    )


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 5)), max_size=20), zs)
def test_credit_below_the_cap_depends_on_time_and_total_alone(
    calls: list[tuple[int, int]], z: int
) -> None:
    tariff = Tariff(CONSTANTS, Climate(z=z))
    start = replace(Account.new(CONSTANTS, START_MS), credit=-100 * UNIT)
    principal, now_ms = Principal(start), START_MS
    for span_ms, weight in calls:
        now_ms += span_ms
        principal = admit(principal, weight, tariff, now_ms).principal
    total = sum(weight for _, weight in calls) * UNIT
    straight = touch(start, tariff, now_ms).credit - total
    assert 0 <= straight - principal.leaf.credit <= len(calls)


@given(accounts, weights, spans)
def test_the_moments_told_are_the_first_that_will_do(
    account: Account, weight: int, span: int
) -> None:
    principal, now_ms = Principal(account), START_MS + span
    offered = quote(principal, weight, TARIFF, now_ms)
    found = offered.quote if isinstance(offered, Beyond) else offered
    if found.free_in_ms:
        free = quote(principal, weight, TARIFF, now_ms + found.free_in_ms)
        early = quote(principal, weight, TARIFF, now_ms + found.free_in_ms - 1)
        assert isinstance(free, Quote)
        assert free.overdraft_q == 0 < price(early) - CONSTANTS.base_q - found.weight_q
    presented = may_redeem(0, principal, weight, TARIFF, now_ms)
    if isinstance(presented, Wait):
        then_ms = now_ms + presented.retry_after_ms
        assert may_redeem(0, principal, weight, TARIFF, then_ms) == Redeemable()
        assert may_redeem(0, principal, weight, TARIFF, then_ms - 1) != Redeemable()


@given(accounts, spans, zs)
def test_what_is_assured_grows_at_the_guaranteed_rate_whatever_the_climate(
    account: Account, span: int, z: int
) -> None:
    later = touch(account, Tariff(CONSTANTS, Climate(z=z)), START_MS + span)
    grown = account.assured + span * CONSTANTS.rate_min // 1000
    assert later.assured == min(CONSTANTS.burst_min, grown)
    assert later.at_ms == START_MS + span


@given(accounts, spans)
def test_a_clock_that_goes_back_gives_and_takes_nothing(account: Account, span: int) -> None:
    assert touch(account, TARIFF, START_MS - span) == touch(account, TARIFF, START_MS)


@given(accounts, st.integers(0, 10**8))
def test_past_use_halves_in_its_half_life(account: Account, span: int) -> None:
    left = touch(account, TARIFF, START_MS + span).served
    exact = account.served * 2 ** (-span / CONSTANTS.served_half_life_ms)
    assert exact * 2 ** (-1 / 64) - 2 <= left <= exact * 2 ** (1 / 64)


def test_the_less_served_and_the_longer_known_stand_nearer_the_front() -> None:
    fresh, used = after_calls(0).leaf, after_calls(30).leaf
    assert score(fresh, CONSTANTS, START_MS) < score(used, CONSTANTS, START_MS)
    young = replace(fresh, minutes=1)
    assert score(fresh, CONSTANTS, START_MS) < score(young, CONSTANTS, START_MS)
    assert score(young, CONSTANTS, START_MS) == -2 * 1024


class Watched(int):
    """An integer that keeps the largest product, sum or difference that it went into."""

    largest = 0

    @classmethod
    def seen(cls, result: int) -> "Watched":
        Watched.largest = max(Watched.largest, abs(result))
        return cls(result)

    def __add__(self, other: int) -> "Watched":
        return self.seen(int(self) + int(other))

    def __sub__(self, other: int) -> "Watched":
        return self.seen(int(self) - int(other))

    def __rsub__(self, other: int) -> "Watched":
        return self.seen(int(other) - int(self))

    def __mul__(self, other: int) -> "Watched":
        return self.seen(int(self) * int(other))

    def __floordiv__(self, other: int) -> "Watched":
        return self.seen(int(self) // int(other))

    def __neg__(self) -> "Watched":
        return self.seen(-int(self))

    def __rshift__(self, other: int) -> "Watched":
        return self.seen(int(self) >> int(other))

    __radd__ = __add__
    __rmul__ = __mul__


edges = st.sampled_from([0, 1, -1, 999, 1 << 20, 1 << 40, (1 << 41) - 1, 1 << 41])


@settings(max_examples=300)
@given(
    credit=edges,
    debt=st.booleans(),
    burst=st.sampled_from([UNIT, 1 << 30, 1 << 41]),
    rate=st.sampled_from([1, 33_333, 1 << 31]),
    weight=st.sampled_from([1, 65_535]),
    span=st.sampled_from([0, 1, 10**6, 10**12]),
)
def test_no_step_of_the_arithmetic_needs_more_than_a_double_holds(
    credit: int, debt: bool, burst: int, rate: int, weight: int, span: int
) -> None:
    constants = Constants(
        base_q=1024,
        burst=burst,
        burst_min=burst,
        burst_new=0,
        rate_max=rate,
        rate_min=rate,
        credit_per_bit=1 << 34,
        replicas=16,
        max_overdraft_q=24 * 1024,
    )
    Watched.largest = 0
    account = Account(
        *(Watched(value) for value in (-credit if debt else credit, credit, 1 << 32, 9, 0, 0, 0))
    )
    principal = Principal(account, (Level(account, 1), Level(account, 64)), identified=True)
    tariff, now_ms = Tariff(constants), Watched(span)
    quote(principal, Watched(weight), tariff, now_ms)
    may_redeem(255, principal, Watched(weight), tariff, now_ms)
    admit(principal, Watched(weight), tariff, now_ms)
    assert 0 < Watched.largest < 1 << 53


def test_the_watch_sees_what_is_too_large() -> None:
    Watched.largest = 0
    touch(Account(Watched(-(1 << 50)), 0, 0, 0, 0, 0, 0), Tariff(CONSTANTS), 0)
    assert Watched.largest > 1 << 53


@pytest.mark.parametrize("step", [0, 1, 511, 1023])
@pytest.mark.parametrize("whole", [0, 1, 20, 47])
def test_logarithms_are_exact_on_both_sides_of_a_step(step: int, whole: int) -> None:
    number = (1 << whole) * 2 ** (step / 1024)
    for near in {max(1, int(number)) + offset for offset in (0, 1, 2)}:
        assert powers.log2_q(near) == (near**1024).bit_length() - 1


def test_no_step_lies_so_near_to_a_number_that_the_table_could_mistake_it() -> None:
    for root in powers._ROOTS[1:]:
        assert 2 <= root % (1 << 14) <= (1 << 14) - 2


@pytest.mark.parametrize("number", [0, -1, (1 << 48) + 1])
def test_what_has_no_logarithm_is_refused(number: int) -> None:
    with pytest.raises(InvalidInputError, match=r"expected a number from 1 to 2\*\*48"):
        powers.log2_q(number)


def test_falling_is_exact_to_its_last_digit() -> None:
    for q in range(0, 21 * 1024, 37):
        left = powers.falling(q)
        # 2**20 * 2**(-q/1024) is at least `left`, and below `left` + 1.
        assert left**1024 << q <= 1 << 20 * 1024 < (left + 1) ** 1024 << q
    assert powers.falling(10**9) == 0


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("base_q", 1023, "from 1024 to 61440"),
        ("base_q", float("nan"), "got nan"),
        ("max_q", 23 * 1024, "from 24576 to 61440"),
        ("max_overdraft_q", 32 * 1024, "from 0 to 26496"),
        ("max_entry_q", 32 * 1024, "from 0 to 32640"),
        ("slack_q", -1, "from 0 to 8192"),
        ("rate_min", 0, "from 1 to 1000000"),
        ("rate_min", 2 * UNIT, "from 1 to 1000000"),
        ("burst", 3 * UNIT, "from 4000000 to"),
        ("burst_min", UNIT - 1, "from 1000000 to"),
        ("burst_new", 61 * UNIT, "from 0 to 60000000"),
        ("credit_per_bit", 0, "from 1024 to"),
        ("known_minutes", 0, "from 1 to"),
        ("standing_minutes", 0, "from 1 to"),
        ("served_half_life_ms", 63, "from 64 to"),
        ("newcomers_per_bit", 0, "from 1 to"),
        ("replicas", True, "from 1 to 16, got True"),
        ("replicas", 17, "from 1 to 16"),
    ],
)
def test_constants_that_cannot_be_are_refused_with_those_that_can(
    field: str, value: Any, says: str
) -> None:
    with pytest.raises(InvalidInputError, match=rf"expected {field} .*{says}"):
        replace(CONSTANTS, **{field: value})


def test_a_quota_makes_constants_of_its_own_size() -> None:
    usual = Constants.of_quota(60, 60_000, 18 * 1024)
    assert usual == CONSTANTS
    daily = Constants.of_quota(2, 86_400_000, 18 * 1024)
    assert (daily.rate_max, daily.rate_min, daily.burst_min) == (23, 1, UNIT)


@pytest.mark.parametrize(("calls", "period_ms"), [(0, 1000), (1, 0), (3_000_000, 1000)])
def test_what_is_no_quota_is_refused(calls: int, period_ms: int) -> None:
    with pytest.raises(InvalidInputError, match=r"expected (calls|period_ms|rate_max) from 1 to"):
        Constants.of_quota(calls, period_ms, 18 * 1024)


def test_a_climate_that_cannot_be_is_refused() -> None:
    for wrong in ({"z": 1}, {"z": -(1 << 27)}, {"entry_excess": -1}):
        with pytest.raises(InvalidInputError, match="expected "):
            Climate(**wrong)


@pytest.mark.parametrize(
    ("address", "prefixes"),
    [
        ("192.0.2.77", ["192.0.2.77/32 1", "192.0.2.0/24 16"]),
        ("::ffff:192.0.2.77", ["192.0.2.77/32 1", "192.0.2.0/24 16"]),
        (
            "2001:db8:1:2345::9",
            ["2001:db8:1:2345::/64 1", "2001:db8:1:2300::/56 16", "2001:db8:1::/48 64"],
        ),
        ("fe80::1%eth0", ["fe80::/64 1", "fe80::/56 16", "fe80::/48 64"]),
    ],
)
def test_an_address_lies_in_its_networks(address: str, prefixes: list[str]) -> None:
    assert [f"{network.prefix} {network.share}" for network in networks(address)] == prefixes


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="expected an IP address, got 'nowhere'"):
        networks("nowhere")

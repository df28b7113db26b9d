# SPDX-License-Identifier: Apache-2.0
"""Controllers that are wrong in one way each: the laws of pricing must catch them."""

from dataclasses import replace

from pypow import pricing
from pypow.pricing import (
    UNIT,
    Beyond,
    Climate,
    Constants,
    Offered,
    Presented,
    Principal,
    Quote,
    Redeemable,
    Tariff,
    Wait,
)

from .pricing_laws import Controller


def _clamped(principal: Principal, weight: int, tariff: Tariff, now_ms: int) -> Offered:
    offered = pricing.quote(principal, weight, tariff, now_ms)
    if isinstance(offered, Quote):
        return offered
    return replace(offered.quote, overdraft_q=tariff.constants.max_overdraft_q)


def _clamped_redeem(
    overdraft: int, principal: Principal, weight: int, tariff: Tariff, now_ms: int
) -> Presented:
    if overdraft * 128 >= tariff.constants.max_overdraft_q:
        return Redeemable()
    return pricing.may_redeem(overdraft, principal, weight, tariff, now_ms)


def _always(
    overdraft: int, principal: Principal, weight: int, tariff: Tariff, now_ms: int
) -> Presented:
    return Redeemable()


def _global_price(principal: Principal, weight: int, tariff: Tariff, now_ms: int) -> Offered:
    offered = pricing.quote(principal, weight, tariff, now_ms)
    found = offered.quote if isinstance(offered, Beyond) else offered
    return replace(found, overdraft_q=-tariff.climate.z // 1024)


def _priced_by_networks(principal: Principal, weight: int, tariff: Tariff, now_ms: int) -> Offered:
    unknown = replace(tariff.constants, standing_minutes=1 << 20)
    return pricing.quote(principal, weight, Tariff(unknown, tariff.climate), now_ms)


def _entry_for_all(principal: Principal, weight: int, tariff: Tariff, now_ms: int) -> Offered:
    shy = replace(tariff.constants, known_minutes=1 << 20, standing_minutes=1 << 20)
    return pricing.quote(principal, weight, Tariff(shy, tariff.climate), now_ms)


def _needs_the_whole_weight(
    overdraft: int, principal: Principal, weight: int, tariff: Tariff, now_ms: int
) -> Presented:
    lacking = weight * UNIT - pricing.touch(principal.leaf, tariff, now_ms).credit
    surcharge_q = max(0, lacking) * 1024 // tariff.constants.credit_per_bit
    if surcharge_q > overdraft * 128 + tariff.constants.slack_q:
        return Wait(0)
    return Redeemable()


def _entry_again(
    overdraft: int, principal: Principal, weight: int, tariff: Tariff, now_ms: int
) -> Presented:
    offered = pricing.quote(principal, weight, tariff, now_ms)
    if isinstance(offered, Beyond) or offered.overdraft * 128 > overdraft * 128 + 2048:
        return Wait(0)
    return Redeemable()


def _todays_policy(
    overdraft: int, principal: Principal, weight: int, tariff: Tariff, now_ms: int
) -> Presented:
    stricter = replace(tariff.constants, credit_per_bit=tariff.constants.credit_per_bit // 4)
    here = Tariff(stricter, tariff.climate)
    return pricing.may_redeem(overdraft, principal, weight, here, now_ms)


def _no_slack(
    overdraft: int, principal: Principal, weight: int, tariff: Tariff, now_ms: int
) -> Presented:
    strict: Constants = replace(tariff.constants, slack_q=0)
    here = Tariff(strict, Climate(tariff.climate.z, 0))
    return pricing.may_redeem(overdraft, principal, weight, here, now_ms)


BREAK_LOG_BOUND = {
    "clamps instead of refusing": Controller(_clamped, _clamped_redeem),
    "does not look again": Controller(may_redeem=_always),
}

LET_OTHERS_PRICE = {
    "one price for all": Controller(_global_price),
    "neighbours count": Controller(_priced_by_networks),
    "everybody pays for newcomers": Controller(_entry_for_all),
}

LOSE_WORK = {
    "needs the whole weight": Controller(may_redeem=_needs_the_whole_weight),
    "asks newcomers twice": Controller(may_redeem=_entry_again),
    "judges by today's policy": Controller(may_redeem=_todays_policy),
    "has no slack": Controller(may_redeem=_no_slack),
}

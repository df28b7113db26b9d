# SPDX-License-Identifier: Apache-2.0
"""A forecast in plain words: whom a price keeps waiting, whom it does not stop, and what does."""

import math
from collections.abc import Iterator

from pypow.advise import Advice
from pypow.calibrate import MAX_P99_MS, bits_within

from .figures import count, duration, money

TOO_LONG_S = MAX_P99_MS / 1000
_MOST_SAID = 500_000
"""Calls a second that a policy file takes for a capacity."""


def verdict(advice: Advice) -> tuple[str, ...]:
    """What an operator should know before setting the price, a sentence or two each."""
    return (
        *_callers(advice),
        _strongest(advice),
        _cheapest(advice),
        _as_one_caller(advice),
        *_in_turn(advice),
        *_limits(advice),
    )


def _callers(advice: Advice) -> Iterator[str]:
    slow = [one for one in advice.callers if one.times.p99_s > TOO_LONG_S]
    if slow:
        slowest = min(slow, key=lambda one: one.hashes_per_s)
        would_do = bits_within(MAX_P99_MS, hashes_per_s=slowest.hashes_per_s)
        yield (
            f"too slow for {', '.join(one.name for one in slow)}: one call in a hundred takes "
            f"more than {TOO_LONG_S:g} s; for {slowest.name} at most {would_do} bits would do"
        )
    hurt = [one for one in advice.callers if one.plain_p99_s > TOO_LONG_S and one not in slow]
    if hurt:
        yield (
            f"too slow for {', '.join(one.name for one in hurt)} where callers only count zeros: "
            "they get one puzzle of whole hex digits; have them ask for 16 sub-puzzles"
        )


def _strongest(advice: Advice) -> str:
    one = advice.strongest
    if one.times_capacity < 1:
        machines = math.ceil(1 / one.times_capacity)
        return (
            f"price alone holds one {one.attacker.name}, which pays for "
            f"{100 * one.times_capacity:.2g} % of your capacity; {machines} of them fill it"
        )
    slowest = min(advice.callers, key=lambda caller: caller.hashes_per_s)
    wait = duration(2**one.bits_to_hold / slowest.hashes_per_s)
    return (
        f"price alone does not hold: one {one.attacker.name} pays for "
        f"{count(one.times_capacity)} times your capacity; to hold it takes "
        f"{one.bits_to_hold:.1f} bits, which is {wait} a call on {slowest.name}"
    )


def _cheapest(advice: Advice) -> str:
    one = advice.cheapest
    return (
        f"filling your capacity costs {money(one.usd_per_hour_to_fill)} an hour "
        f"({one.attacker.name}, prices of {one.attacker.price_as_of})"
    )


def _as_one_caller(advice: Advice) -> str:
    one = advice.strongest
    return (
        f'with [pricing] quota = "{advice.burst}/60s" each network\'s price follows its own use: '
        f"one {one.attacker.name} at one address gets at most {one.calls_per_hour:,.0f} calls an "
        f"hour; everybody may make {advice.fair_calls_per_hour:,.0f}"
    )


def _in_turn(advice: Advice) -> Iterator[str]:
    capacity = advice.capacity_per_s
    said = f"{capacity:.0f}/s" if capacity % 1 == 0 else f"{math.floor(60 * capacity)}/m"
    if 1 / 60 <= capacity <= _MOST_SAID:
        yield (
            f'with capacity = "{said}" beside it, calls beyond what you can serve wait for their '
            "turn, and callers known before a flood go first"
        )


def _limits(advice: Advice) -> tuple[str, ...]:
    worth = money(advice.cheapest.usd_per_million)
    return (
        "work does not tell people from machines, nor many callers from one with many addresses; "
        "it makes calls cost something and forbids none",
        f"open the paid rail where a million calls are worth more than {worth} to whoever takes "
        "them, and the account rail where abuse comes back from other addresses",
    )

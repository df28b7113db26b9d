# SPDX-License-Identifier: Apache-2.0
"""Pricing inside a real Valkey and a real Redis finds the bits that `pypow.pricing` finds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis

from pypow import InvalidInputError
from pypow.accounts import owing_ms, vouched
from pypow.pricing import (
    UNIT,
    Account,
    Beyond,
    Constants,
    Level,
    Principal,
    Redeemable,
    Tariff,
    Wait,
    admit,
    is_known,
    may_redeem,
    quote,
)
from pypow_server.stores.accounts import read, stored
from pypow_server.stores.credit_script import (
    ASK,
    CHARGE,
    CHARGED,
    WAIT,
    paid,
    terms,
)
from pypow_server.stores.holder import Holder
from support.pricing_laws import START_MS, any_climate, any_constants
from support.redis_server import redis_binary, running, valkey_binary

TRACES = 500
DEEP_TRACES = 100_000
STEPS = 3


@pytest.fixture(scope="module", params=[valkey_binary, redis_binary], ids=["valkey", "redis"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[redis.Redis]:
    folder: Path = tmp_path_factory.mktemp("credit")
    with (
        running(folder, binary=request.param()) as server,
        redis.Redis(port=server.port, decode_responses=True) as client,
    ):
        yield client


class Accounts:
    """One principal's accounts as a store keeps them, and as they ought to be."""

    def __init__(self, client: redis.Redis, draw: Random, charge_script: str = CHARGE) -> None:
        self._draw = draw
        self._client = client
        self._ask = client.register_script(ASK)
        self._charge = client.register_script(charge_script)
        self._constants = any_constants(draw)
        self._keys = ["leaf", "net1", "net16", "net64"][: draw.randint(1, 4)]
        self._shares = [1, 16, 64][: len(self._keys) - 1]
        self._kept: dict[str, Account] = {}
        self._now_ms = START_MS
        self._holder = None
        if draw.random() < 0.8:
            self._holder = Holder(
                b"leaf",
                identified=draw.random() < 0.7,
                minutes=draw.choice((1, 9, 10, 500)),
                last_minute=draw.choice((0, START_MS // 60_000, START_MS // 60_000 + 1)),
                first_ms=START_MS - draw.choice((0, 30_000, 60_000, 10**9)),
            )
        client.flushdb()
        for key in self._keys:
            if draw.random() < 0.7:
                self._kept[key] = self._any_account(draw)
                client.set(key, stored(self._kept[key]))

    def _any_account(self, draw: Random) -> Account:
        constants = self._constants
        debt = constants.max_overdraft_q * constants.credit_per_bit // 1024
        return Account(
            credit=draw.choice((draw.randint(-debt, constants.burst), 1 << 41, -(1 << 41))),
            assured=draw.randint(0, constants.burst_min),
            served=draw.choice((0, draw.randint(0, 1 << 32))),
            minutes=draw.choice((0, 1, 9, 10, 500)),
            last_minute=START_MS // 60_000 - draw.randint(-1, 2),
            first_ms=START_MS - draw.choice((0, 59_999, 60_000, 10**9)),
            at_ms=START_MS - draw.choice((-500, 0, 999, 10**6, 10**10)),
        )

    def principal(self) -> Principal:
        blank = Account.new(self._constants, self._now_ms)
        leaf, *around = (self._kept.get(key, blank) for key in self._keys)
        identified = False
        if self._holder is not None:
            _, identified, minutes, last_minute, first_ms = self._holder
            if "leaf" not in self._kept:
                leaf = Account.new(self._constants, self._now_ms, credit=self._constants.burst)
            leaf = vouched(leaf, minutes=minutes, last_minute=last_minute, first_ms=first_ms)
        return Principal(leaf, tuple(map(Level, around, self._shares)), identified)

    def step(self) -> None:
        """Ask and charge once, by the script and by the rules."""
        draw = self._draw
        self._now_ms += draw.choice((0, 1, -300, draw.randint(0, 10**4), draw.randint(0, 10**9)))
        tariff = Tariff(self._constants, any_climate(draw, self._constants))
        weight = draw.choice((1, 1, 2, 7, 400, 65_535))
        overdraft = draw.choice((0, draw.randint(0, 255)))
        principal = self.principal()
        first_credit = self._constants.burst if self._holder else self._constants.burst_new
        given = terms(
            weight, tariff, self._now_ms,
            shares=self._shares, first_credit=first_credit, holder=self._holder,
        )  # fmt: skip
        missing, level, surcharge, known, *use = self._ask(self._keys, given)
        light = replace(tariff.constants, max_q=60 * 1024)  # any weight is sold
        offered = quote(principal, weight, Tariff(light, tariff.climate), self._now_ms)
        found = offered.quote if isinstance(offered, Beyond) else offered
        assert (level, surcharge) == (found.level, found.overdraft_q)
        assert -(-missing * 1000 // tariff.rate) == found.free_in_ms
        leaf = principal.leaf
        assert bool(known) == is_known(leaf, self._constants, self._now_ms)
        assert use == [leaf.served, leaf.minutes, leaf.at_ms]

        answer = self._charge(self._keys, [*given, *paid(overdraft, tariff)])
        expected = may_redeem(overdraft, principal, weight, tariff, self._now_ms)
        if isinstance(expected, Wait):
            assert answer == [WAIT, level, expected.retry_after_ms, missing, known]
        else:
            assert expected == Redeemable()
            admission = admit(principal, weight, tariff, self._now_ms)
            assert answer == [CHARGED, level, int(admission.newcomer)]
            after = [admission.principal.leaf]
            after += [around.account for around in admission.principal.networks]
            before = [principal.leaf, *(around.account for around in principal.networks)]
            for key, was, now in zip(self._keys, before, after, strict=True):
                if now is not was:
                    self._kept[key] = now
        for key in self._keys:
            text: Any = self._client.get(key)
            assert (None if text is None else read(text)) == self._kept.get(key)


def played(client: redis.Redis, seeds: range, charge_script: str = CHARGE) -> None:
    for seed in seeds:
        accounts = Accounts(client, Random(seed), charge_script)
        for _ in range(STEPS):
            accounts.step()


def test_the_script_finds_the_bits_that_the_rules_find(store: redis.Redis) -> None:
    played(store, range(TRACES))


@pytest.mark.deep
def test_the_script_finds_the_bits_that_the_rules_find_over_100_000_traces(
    store: redis.Redis,
) -> None:
    played(store, range(DEEP_TRACES))


WRONG: dict[str, Callable[[str], str]] = {
    "truncates": lambda text: text.replace(
        "local function div(a, b) return math.floor(a / b) end",
        "local function div(a, b) local q = a / b; return q - math.fmod(q, 1) end",
    ),
    "does not round at all": lambda text: text.replace(
        "div(elapsed * rate, 1000)", "elapsed * rate / 1000"
    ),
    "lets clocks go back": lambda text: text.replace("math.max(now, account[7])", "now"),
    "charges networks the whole": lambda text: text.replace("div(cost, shares[index])", "cost"),
    "charges the assured twice": lambda text: text.replace("not assured and not", "not"),
    "counts a minute twice": lambda text: text.replace("minute > leaf[5]", "minute >= leaf[5]"),
    "forgets decay": lambda text: text.replace("decay[steps % #decay + 1]", "decay[1]"),
    "charges though it refuses": lambda text: text.replace("overdraft <= allowed", "true"),
    "begins a holder's account as a newcomer's": lambda text: text.replace(
        "read(keys[1], fresh)", "read(keys[1], burst_new)"
    ),
    "takes no holder's word": lambda text: text.replace("if minutes > 0 then", "if false then"),
    "lets the token make the past shorter": lambda text: text.replace(
        "math.max(leaf[4], minutes)", "minutes"
    ),
    "lets a minute that the token counted be counted again": lambda text: text.replace(
        "math.max(leaf[5], last_minute)", "leaf[5]"
    ),
    "takes every holder to be where the token was issued": lambda text: text.replace(
        "identified == 1 and", ""
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_script_that_finds_other_bits_is_caught(
    store: redis.Redis, wrong: Callable[[str], str]
) -> None:
    assert wrong(CHARGE) != CHARGE
    with pytest.raises((AssertionError, InvalidInputError)):
        played(store, range(TRACES), wrong(CHARGE))


@pytest.mark.parametrize(
    ("credit", "first_credit", "kept_ms"),
    [
        (60 * UNIT, 4 * UNIT, 5_000),
        (-20 * UNIT, 4 * UNIT, 750_008),
        (60 * UNIT, 60 * UNIT, 30_001),
        (-20 * UNIT, 60 * UNIT, 2_430_025),
    ],
)
def test_what_nobody_uses_is_forgotten_when_that_helps_nobody(
    store: redis.Redis, credit: int, first_credit: int, kept_ms: int
) -> None:
    constants = Constants()
    account = replace(Account.new(constants, START_MS), credit=credit)
    store.set("leaf", stored(account))
    given = terms(1, Tariff(constants), START_MS, shares=[], first_credit=first_credit)
    charged = store.register_script(CHARGE)(["leaf"], [*given, 255 * 128, 255 * 128, 5_000])
    assert charged == [1, 0, 1]
    after = read(str(store.get("leaf")))
    assert max(5_000, owing_ms(after, constants, first_credit)) == kept_ms
    expires_at_ms, (seconds, micros) = store.pexpiretime("leaf"), store.time()
    left_ms = expires_at_ms - seconds * 1000 - micros // 1000
    assert kept_ms - 5_000 < left_ms <= kept_ms


def test_asking_writes_nothing_and_would_be_stopped() -> None:
    assert ASK.startswith("#!lua flags=no-writes\n")


@pytest.mark.parametrize("text", ["", "1 2 3", "1 2 3 4 5 6 x", "1 2 3 4 5 6 7 8"])
def test_what_is_no_account_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="expected seven numbers of an account"):
        read(text)

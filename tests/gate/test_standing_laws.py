# SPDX-License-Identifier: Apache-2.0
"""What holds of standing tokens however they are used."""

import asyncio
from random import Random
from typing import Final

import pytest

from pypow.challenge import Key
from pypow.pricing import Beyond, Tariff
from pypow_server import standing
from pypow_server.holders import COUNTS_FROM_MS, Event, Holders
from pypow_server.meter import STANDING_MS, Meter, Pricing
from pypow_server.presented import Form, Presented
from pypow_server.standing import StandingToken, decode
from pypow_server.stores import Charged, Quota
from pypow_server.stores.holder import Holder
from pypow_server.stores.memory import MemoryLedger
from support.challenges import KEYRING, NOW_MS

CLIENT: Final = "192.0.2.7/32"
BASE_Q: Final = 4 * 1024
TRACES: Final = 60
DEEP_TRACES: Final = 20_000


def meter(quota: Quota) -> Meter:
    return Meter(b"all ", 1, Tariff(Pricing().constants(quota, BASE_Q)))


def holder(number: int, minutes: int, *, identified: bool = True) -> Holder:
    account = b"standing:%d" % number
    return Holder(account, identified, minutes, NOW_MS // 60_000 - 1, NOW_MS - COUNTS_FROM_MS)


class Shop:
    """A store, and how callers pay in it."""

    def __init__(self, quota: Quota) -> None:
        self.ledger = MemoryLedger()
        self.meter = meter(quota)
        self._proofs = 0

    async def overdraft_q(self, now_ms: int, who: Holder | None) -> int:
        found = await self.ledger.quote(self.meter.charge(CLIENT, holder=who), now_ms=now_ms)
        return found.quote.overdraft_q if isinstance(found, Beyond) else found.overdraft_q

    async def pay(self, now_ms: int, who: Holder | None) -> None:
        """One call, at whatever it costs."""
        self._proofs += 1
        paid = await self.ledger.redeem(
            b"%d" % self._proofs,
            epoch=None,
            expires_at_ms=now_ms + 1000,
            now_ms=now_ms,
            charge=self.meter.charge(CLIENT, overdraft=255, holder=who),
        )
        assert isinstance(paid, Charged), paid

    async def free(self, now_ms: int, who: Holder) -> bool:
        charge = self.meter.charge(CLIENT, holder=who)
        return isinstance(await self.ledger.take_free(charge, now_ms=now_ms), Charged)


async def _who_sends_a_token_is_asked_no_more(seed: int) -> None:
    draw = Random(seed)
    quota = Quota(draw.choice((15, 60, 1000)), draw.choice((60_000, 3_600_000, 86_400_000)))
    without, with_token = Shop(quota), Shop(quota)
    mine = holder(1, draw.choice((1, 9, 10, 50)))
    now_ms = NOW_MS - draw.choice((COUNTS_FROM_MS, 10**8))
    for shop in (without, with_token):
        await shop.pay(now_ms, None)  # for which the token was given
    now_ms = NOW_MS
    for _ in range(60):
        now_ms += draw.choice((0, 0, 0, 1, draw.randint(0, 5_000), draw.randint(0, 600_000)))
        asked = await without.overdraft_q(now_ms, None)
        assert await with_token.overdraft_q(now_ms, mine) <= asked
        if asked < 16 * 1024:  # what nobody can pay for, nobody calls
            neighbours = draw.random() < 0.4
            await without.pay(now_ms, None)
            await with_token.pay(now_ms, None if neighbours else mine)


def test_who_sends_a_token_is_asked_no_more_than_without_it() -> None:
    for seed in range(TRACES):
        asyncio.run(_who_sends_a_token_is_asked_no_more(seed))


@pytest.mark.deep
def test_who_sends_a_token_is_asked_no_more_in_20_000_traces() -> None:
    for seed in range(DEEP_TRACES):
        asyncio.run(_who_sends_a_token_is_asked_no_more(seed))


def test_a_holder_whose_account_began_as_a_newcomers_would_be_asked_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "pypow_server.stores.accounts.first_credit",
        lambda charge: charge.tariff.constants.burst_new,
    )
    with pytest.raises(AssertionError):
        test_who_sends_a_token_is_asked_no_more_than_without_it()


async def _free_calls(tokens: list[Holder], seconds: int) -> int:
    """What an attacker at one address gets for nothing with tokens, in so many seconds."""
    shop, taken = Shop(Quota(60, 60_000)), 0
    for second in range(seconds):
        for token in tokens:
            while await shop.free(NOW_MS + 1000 * second, token):
                taken += 1
    return taken


@pytest.mark.parametrize("count", [1, 5, 40])
def test_farming_gives_what_the_page_says(count: int) -> None:
    """As docs/policy.md has it: four at once and two a minute each, and 16 quotas for all."""
    seconds = 60
    young = [holder(n, 1, identified=True) for n in range(count)]
    known = [holder(n, 10) for n in range(count)]
    shared = [holder(n, 1000, identified=False) for n in range(count)]
    own, assured = 60 + seconds, 4 + 2 * seconds // 60
    network = 4 + seconds  # which was never seen before
    assert asyncio.run(_free_calls(young, seconds)) <= network
    assert asyncio.run(_free_calls(shared, seconds)) <= network
    found = asyncio.run(_free_calls(known, seconds))
    assert found <= min(count * own, count * assured + 16 * own)
    assert found >= count * 4


def claimed_and_served() -> list[tuple[int, int]]:
    """By whoever shows old tokens again: minutes claimed at most, and minutes served so far."""
    draw = Random(1)
    holders = Holders(KEYRING, lifetime_ms=STANDING_MS)
    near = standing.near(CLIENT)
    tokens = [standing.issue(KEYRING.signing, identity=bytes(16), now_ms=NOW_MS, near=near)]
    now_ms, served, found = NOW_MS + COUNTS_FROM_MS, {NOW_MS // 60_000}, []
    for _ in range(1000):
        now_ms += draw.choice((0, 1, 20_000, 60_000, 60_000, -60_000))
        now_ms = max(now_ms, NOW_MS + COUNTS_FROM_MS)
        best = max(tokens, key=lambda one: one.minutes)
        token = draw.choice((best, best, draw.choice(tokens)))
        shown = [Presented(Form.STANDING, token.text.encode())]
        bearer = holders.bearer(shown, client=CLIENT, now_ms=now_ms)
        assert bearer is not None
        assert bearer.found is Event.GOOD
        served.add(now_ms // 60_000)
        for name, value in holders.thanks(bearer, client=CLIENT, now_ms=now_ms, paid=True):
            if name == b"x-pow-standing":
                tokens.append(decode(value.decode()))
        found.append((max(one.minutes for one in tokens), len(served)))
    return found


def test_what_a_minute_of_service_adds_is_claimed_once_whatever_is_shown_again() -> None:
    found = claimed_and_served()
    assert all(claimed <= served for claimed, served in found)
    assert found[-1][0] > 20


def test_a_token_that_forgets_its_last_minute_would_be_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renew = standing.renew

    def forgetful(key: Key, given: StandingToken, *, now_ms: int) -> StandingToken:
        return renew(key, renew(key, given, now_ms=now_ms), now_ms=now_ms - 120_000)

    monkeypatch.setattr(standing, "renew", forgetful)
    assert any(claimed > served for claimed, served in claimed_and_served())

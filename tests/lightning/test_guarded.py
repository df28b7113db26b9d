# SPDX-License-Identifier: Apache-2.0
"""A wallet that fails is left alone for a while; time is played."""

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow.bolt11 import Invoice
from pypow.errors import InvalidInputError
from pypow.lightning import Abilities, Reason, Standing, State, WalletError
from pypow.lightning.breaker import Breaker, Circuit, Limits
from pypow.lightning.checked import CheckedWallet
from pypow.lightning.guarded import PAY_TIMEOUT_S, TIMEOUT_S, GuardedWallet, Health
from support.lightning_node import NETWORK, made_invoice
from support.played_loop import played, played_ns

pytest.importorskip("coincurve", reason="signatures need the extra l402")

HASH = b"\1" * 32


class Moody:
    """A wallet that does as it is told, and counts how often it was asked."""

    abilities = Abilities(may_choose_preimage=True, can_pay=True, can_limit_fees=True)

    def __init__(self) -> None:
        self.mood: Reason | None = None
        self.is_silent = False
        self.asked = 0

    async def _answer(self) -> None:
        self.asked += 1
        if self.is_silent:
            await asyncio.Event().wait()
        if self.mood is not None:
            raise WalletError("so it is told", self.mood)

    async def create_invoice(
        self, amount_sat: int, *, memo: str, expiry_s: int, preimage: bytes | None = None
    ) -> Invoice:
        await self._answer()
        return made_invoice(1000 * amount_sat, preimage=secrets.token_bytes(32))

    async def state(self, payment_hash: bytes) -> Standing:
        await self._answer()
        return Standing(State.OPEN)

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:
        await self._answer()
        return HASH

    async def probe(self) -> None:
        await self._answer()

    async def aclose(self) -> None:
        self.mood = None


def circuit_of(wallet: GuardedWallet) -> Circuit:
    return wallet.health.circuit


def guarded(wallet: Moody, limits: Limits | None = None) -> GuardedWallet:
    return GuardedWallet(wallet, limits=limits, clock_ns=played_ns)


async def refused(asked: Coroutine[Any, Any, object]) -> str:
    with pytest.raises(WalletError) as caught:
        await asked
    return caught.value.reason


def test_a_wallet_that_fails_rests_is_tried_once_and_is_used_again() -> None:
    async def story() -> None:
        moody = Moody()
        wallet = guarded(moody, Limits(failures=3, rest_ms=5_000, most_rest_ms=12_000))
        moody.mood = Reason.FAILED
        for _ in range(3):
            assert circuit_of(wallet) is Circuit.CLOSED
            assert await refused(wallet.probe()) == Reason.FAILED
        for rest_s in (5, 10, 12, 12):
            assert circuit_of(wallet) is Circuit.OPEN
            assert wallet.health.retry_in_ms == 1000 * rest_s
            asked = moody.asked
            await asyncio.sleep(rest_s - 0.001)
            assert await refused(wallet.state(HASH)) == Reason.RESTING
            assert moody.asked == asked
            await asyncio.sleep(0.002)
            assert circuit_of(wallet) is Circuit.HALF_OPEN
            assert await refused(wallet.state(HASH)) == Reason.FAILED
            assert moody.asked == asked + 1
        assert wallet.health.failures == 7
        assert wallet.health.last_reason == Reason.FAILED
        await asyncio.sleep(12.001)
        moody.mood = None
        await wallet.probe()
        assert circuit_of(wallet) is Circuit.CLOSED
        assert wallet.health == Health(Circuit.CLOSED, 0, None, 0)

    played(story)


def test_one_call_alone_tries_a_wallet_that_rested() -> None:
    async def story() -> None:
        moody = Moody()
        wallet = guarded(moody, Limits(failures=1))
        moody.mood = Reason.FAILED
        await refused(wallet.probe())
        await asyncio.sleep(5.001)
        moody.is_silent = True
        calls = [asyncio.create_task(refused(wallet.probe())) for _ in range(100)]
        reasons = await asyncio.gather(*calls)
        assert sorted(reasons) == sorted([Reason.TIMED_OUT, *[Reason.RESTING] * 99])
        assert moody.asked == 2

    played(story)


def test_a_call_that_its_caller_left_says_nothing_and_leaves_the_trial_to_the_next() -> None:
    async def story() -> None:
        moody = Moody()
        wallet = guarded(moody, Limits(failures=1))
        moody.mood = Reason.FAILED
        await refused(wallet.probe())
        await asyncio.sleep(5.001)
        moody.is_silent = True
        trial = asyncio.create_task(wallet.probe())
        await asyncio.sleep(1)
        trial.cancel()
        await asyncio.gather(trial, return_exceptions=True)
        assert wallet.health.failures == 1
        moody.is_silent, moody.mood = False, None
        await wallet.probe()
        assert circuit_of(wallet) is Circuit.CLOSED

    played(story)


@pytest.mark.parametrize("reason", [Reason.UNKNOWN_INVOICE, Reason.NOT_PAID, Reason.NOT_SUPPORTED])
def test_what_a_healthy_wallet_says_too_is_no_failure(reason: Reason) -> None:
    async def story() -> None:
        moody = Moody()
        wallet = guarded(moody)
        moody.mood = reason
        for _ in range(10):
            assert await refused(wallet.state(HASH)) == reason
        assert circuit_of(wallet) is Circuit.CLOSED

    played(story)


def test_nobody_waits_longer_than_the_limit_and_three_who_did_are_enough() -> None:
    async def story() -> None:
        moody = Moody()
        moody.is_silent = True
        wallet = guarded(moody)
        loop = asyncio.get_running_loop()
        for _ in range(3):
            begun_s = loop.time()
            assert await refused(wallet.probe()) == Reason.TIMED_OUT
            assert loop.time() - begun_s == pytest.approx(TIMEOUT_S)
        begun_s = loop.time()
        asked = wallet.create_invoice(21, memo="tea", expiry_s=600)
        assert await refused(asked) == Reason.RESTING
        assert loop.time() == begun_s

    played(story)


def test_a_payment_without_an_answer_in_time_may_have_been_made() -> None:
    async def story() -> None:
        moody = Moody()
        moody.is_silent = True
        wallet = GuardedWallet(CheckedWallet(moody, network=NETWORK), clock_ns=played_ns)
        begun_s = asyncio.get_running_loop().time()
        asked = wallet.pay(made_invoice(), max_fee_msat=None)
        assert await refused(asked) == Reason.OUTCOME_UNKNOWN
        assert asyncio.get_running_loop().time() - begun_s == pytest.approx(PAY_TIMEOUT_S)

    played(story)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        *((reason, reason) for reason in (Reason.NOT_PAID, Reason.UNREACHABLE)),
        *((reason, Reason.OUTCOME_UNKNOWN) for reason in (Reason.BROKEN_OFF, Reason.TOO_MUCH)),
        (Reason.FAILED, Reason.OUTCOME_UNKNOWN),
    ],
)
def test_a_payment_whose_request_may_have_arrived_is_in_doubt(
    reason: Reason, expected: Reason
) -> None:
    async def story() -> None:
        moody = Moody()
        moody.mood = reason
        wallet = CheckedWallet(moody, network=NETWORK)
        assert await refused(wallet.pay(made_invoice(), max_fee_msat=None)) == expected

    played(story)


def test_bad_invoices_of_strangers_open_no_circuit() -> None:
    async def story() -> None:
        moody = Moody()
        wallet = GuardedWallet(CheckedWallet(moody, network=NETWORK), clock_ns=played_ns)
        for _ in range(10):
            with pytest.raises(InvalidInputError):
                await wallet.pay(made_invoice(age_s=9999), max_fee_msat=None)
        assert circuit_of(wallet) is Circuit.CLOSED
        assert moody.asked == 0

    played(story)


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 20_000), st.sampled_from(["ask", "good", "bad", "gone"])),
        max_size=60,
    )
)
def test_a_breaker_never_locks_up_and_never_lets_two_trials_through(
    steps: list[tuple[int, str]],
) -> None:
    limits = Limits(failures=2, rest_ms=5_000, most_rest_ms=20_000)
    breaker, now_ms, trials, under_way = Breaker(limits), 0, 0, 0
    for passed_ms, what in steps:
        now_ms += passed_ms
        if what == "ask":
            was = breaker.circuit(now_ms)
            if breaker.admits(now_ms):
                under_way += 1
                trials += was is Circuit.HALF_OPEN
                assert was is not Circuit.OPEN
                assert trials <= 1
        elif under_way:
            under_way -= 1
            if trials:
                trials = 0
            match what:
                case "good":
                    breaker.succeeded()
                case "bad":
                    breaker.failed(now_ms)
                case _:
                    breaker.left()
    while under_way:
        under_way -= 1
        breaker.left()
    now_ms += limits.most_rest_ms
    assert breaker.circuit(now_ms) is not Circuit.OPEN
    assert breaker.admits(now_ms)

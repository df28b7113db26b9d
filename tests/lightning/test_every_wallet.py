# SPDX-License-Identifier: Apache-2.0
"""What holds for every kind of wallet. LNbits and the Nostr relay are real."""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pypow import bolt11
from pypow.lightning import Reason, Standing, State, WalletError
from support.lightning_node import made_invoice
from support.lightning_stages import KINDS, Stage, staged

pytest.importorskip("coincurve", reason="signatures need the extra l402")

Play = Callable[[Callable[[Stage], Awaitable[None]]], None]


@pytest.fixture(params=KINDS)
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Plays a story on the stage of each kind of wallet."""
    kind = request.param
    server = request.getfixturevalue("lnbits_server") if kind == "lnbits" else None

    def play(story: Callable[[Stage], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with staged(kind, tmp_path, server) as stage:
                await story(stage)

        asyncio.run(whole())

    return play


async def refused(asked: Awaitable[object]) -> str:
    """Why a wallet did not do it."""
    with pytest.raises(WalletError) as caught:
        await asked
    return caught.value.reason


def test_an_invoice_is_what_was_asked_for_and_each_is_another(play: Play) -> None:
    async def story(stage: Stage) -> None:
        invoice = await stage.wallet.create_invoice(21, memo="one cup", expiry_s=300)
        other = await stage.wallet.create_invoice(21, memo="one cup", expiry_s=300)
        assert invoice == bolt11.decode(invoice.text)
        assert (invoice.amount_msat, invoice.network) == (21_000, stage.network)
        assert invoice.payment_hash != other.payment_hash

    play(story)


def test_an_invoice_is_open_until_it_is_paid(play: Play) -> None:
    async def story(stage: Stage) -> None:
        invoice = await stage.wallet.create_invoice(21, memo="tea", expiry_s=600)
        other = await stage.wallet.create_invoice(7, memo="tea", expiry_s=600)
        assert await stage.wallet.state(invoice.payment_hash) == Standing(State.OPEN)
        await stage.settle(invoice)
        standing = await stage.wallet.state(invoice.payment_hash)
        assert standing.state is State.SETTLED
        assert standing.amount_msat in (21_000, None)
        assert await stage.wallet.state(other.payment_hash) == Standing(State.OPEN)

    play(story)


def test_an_invoice_whose_time_is_over_has_expired(play: Play) -> None:
    async def story(stage: Stage) -> None:
        if stage.end is None:
            pytest.skip("its time cannot be played")
        invoice = await stage.wallet.create_invoice(21, memo="tea", expiry_s=600)
        stage.end(invoice)
        assert await stage.wallet.state(invoice.payment_hash) == Standing(State.EXPIRED)

    play(story)


def test_an_invoice_of_somebody_else_is_unknown_and_that_is_no_failure(play: Play) -> None:
    async def story(stage: Stage) -> None:
        for _ in range(5):
            reason = await refused(stage.wallet.state(secrets.token_bytes(32)))
            assert reason == Reason.UNKNOWN_INVOICE
        assert stage.wallet.health.failures == 0

    play(story)


def test_a_chosen_preimage_is_used_or_refused(play: Play) -> None:
    async def story(stage: Stage) -> None:
        preimage = secrets.token_bytes(32)
        asked = stage.wallet.create_invoice(21, memo="tea", expiry_s=600, preimage=preimage)
        if stage.wallet.abilities.may_choose_preimage:
            assert (await asked).payment_hash == hashlib.sha256(preimage).digest()
        else:
            assert await refused(asked) == Reason.NOT_SUPPORTED

    play(story)


def test_paying_yields_the_preimage_or_is_refused(play: Play) -> None:
    async def story(stage: Stage) -> None:
        can = stage.wallet.abilities
        if not can.can_pay:
            asked = stage.wallet.pay(made_invoice(), max_fee_msat=None)
            assert await refused(asked) == Reason.NOT_SUPPORTED
            return
        invoice = await stage.payable()
        limit = 10_000 if can.can_limit_fees else None
        preimage = await stage.wallet.pay(invoice, max_fee_msat=limit)
        assert hashlib.sha256(preimage).digest() == invoice.payment_hash
        if not can.can_limit_fees:
            asked = stage.wallet.pay(await stage.payable(), max_fee_msat=10_000)
            assert await refused(asked) == Reason.NOT_SUPPORTED

    play(story)


def test_a_payment_that_finds_no_way_is_surely_not_paid(play: Play) -> None:
    async def story(stage: Stage) -> None:
        if not stage.wallet.abilities.can_pay:
            pytest.skip("it pays nobody")
        asked = stage.wallet.pay(stage.unpayable, max_fee_msat=None)
        assert await refused(asked) == Reason.NOT_PAID
        assert stage.wallet.health.failures == 0

    play(story)


def test_a_probe_passes_and_a_wrong_credential_is_found_by_it(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.wallet.probe()
        if stage.stranger is not None:
            assert await refused(stage.stranger.probe()) == Reason.UNAUTHORIZED
            asked = stage.stranger.create_invoice(21, memo="tea", expiry_s=600)
            assert await refused(asked) == Reason.UNAUTHORIZED

    play(story)


def test_no_credential_is_shown(play: Play) -> None:
    async def story(stage: Stage) -> None:
        shown = repr(stage.wallet) + repr(vars(stage.wallet))
        assert not stage.credential or stage.credential not in shown

    play(story)

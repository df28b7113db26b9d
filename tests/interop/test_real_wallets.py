# SPDX-License-Identifier: Apache-2.0
"""pypow's own wallets, seller and buyer, at real Lightning nodes with a channel between them."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest

pytest.importorskip("coincurve", reason="signatures need the extra l402")

from pypow import bolt11
from pypow.bolt11 import Network
from pypow.errors import WireError
from pypow.lightning import Reason, Standing, State, Wallet, WalletError
from pypow.lightning.wallets import CREDENTIAL, open_wallet
from support.lightning import LightningPair
from support.waiting import wait_for

MEMO = "one call"
EXPIRY_S = 600
MAX_FEE_MSAT = 1000


@asynccontextmanager
async def opened(address: str, credential: str) -> AsyncIterator[Wallet]:
    wallet = open_wallet(address, network=Network.REGTEST, environment={CREDENTIAL: credential})
    try:
        yield wallet
    finally:
        await wallet.aclose()


@asynccontextmanager
async def seller_and_buyer(nodes: LightningPair, kind: str) -> AsyncIterator[tuple[Wallet, Wallet]]:
    """The gate's wallet, and a payer's of a kind."""
    payers = {
        "lnd": (f"lnd:{nodes.payer_lnd_url}", nodes.payer_macaroon),
        "cln": (f"cln:{nodes.payer_cln_url}", nodes.payer_rune),
    }
    async with (
        opened(f"lnd:{nodes.gate_url}", nodes.gate_macaroon) as seller,
        opened(*payers[kind]) as buyer,
    ):
        yield seller, buyer


async def sold(nodes: LightningPair, kind: str) -> None:
    preimage = os.urandom(32)
    async with seller_and_buyer(nodes, kind) as (seller, buyer):
        await seller.probe()
        invoice = await seller.create_invoice(21, memo=MEMO, expiry_s=EXPIRY_S, preimage=preimage)
        assert invoice.payment_hash == sha256(preimage).digest()
        assert await seller.state(invoice.payment_hash) == Standing(State.OPEN)
        assert await buyer.pay(invoice, max_fee_msat=MAX_FEE_MSAT) == preimage
        standing = await seller.state(invoice.payment_hash)
        assert (standing.state, standing.amount_msat) == (State.SETTLED, 21_000)


@pytest.mark.parametrize("kind", ["lnd", "cln"])
def test_what_a_wallet_sells_another_pays(nodes: LightningPair, kind: str) -> None:
    asyncio.run(sold(nodes, kind))


@pytest.mark.parametrize("kind", ["lnd", "cln"])
def test_an_expired_invoice_is_known_as_one_and_not_paid(nodes: LightningPair, kind: str) -> None:
    async def expire() -> None:
        async with seller_and_buyer(nodes, kind) as (seller, buyer):
            invoice = await seller.create_invoice(22, memo=MEMO, expiry_s=1)
            wait_for(lambda: nodes.found(invoice.payment_hash)["state"] == "CANCELED")
            assert (await seller.state(invoice.payment_hash)).state is State.CANCELED
            with pytest.raises(WireError) as refused:
                await buyer.pay(invoice, max_fee_msat=MAX_FEE_MSAT)
            assert refused.value.reason == bolt11.Reason.EXPIRED

    before = len(nodes.paid())
    asyncio.run(expire())
    assert len(nodes.paid()) == before


@pytest.mark.parametrize("kind", ["lnd", "cln"])
def test_a_payment_that_the_payee_refuses_is_known_as_not_paid(
    nodes: LightningPair, kind: str
) -> None:
    async def pay_too_late() -> None:
        async with seller_and_buyer(nodes, kind) as (seller, buyer):
            invoice = await seller.create_invoice(23, memo=MEMO, expiry_s=EXPIRY_S)
            assert nodes.pay(invoice.text, insist=True).status == 200
            with pytest.raises(WalletError) as refused:
                await buyer.pay(invoice, max_fee_msat=MAX_FEE_MSAT)
            assert refused.value.reason == Reason.NOT_PAID

    asyncio.run(pay_too_late())


def test_a_wallet_with_the_credential_of_another_node_is_told(nodes: LightningPair) -> None:
    async def probe() -> None:
        async with opened(f"lnd:{nodes.gate_url}", nodes.payer_macaroon) as wallet:
            await wallet.probe()

    with pytest.raises(WalletError) as refused:
        asyncio.run(probe())
    assert refused.value.reason == Reason.UNAUTHORIZED

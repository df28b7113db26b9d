# SPDX-License-Identifier: Apache-2.0
"""Wallets behind a Nostr relay that lie or refuse; the relay and the encryption are real."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pypow import bolt11
from pypow.bolt11 import Invoice
from pypow.lightning import Reason, State, Wallet, WalletError
from pypow.lightning.guarded import GuardedWallet
from pypow.lightning.wallets import CREDENTIAL, open_wallet
from support.lightning_node import NETWORK, Node, made_invoice
from support.nwc_service import Answering, answered, nwc_service

pytest.importorskip("coincurve", reason="signatures need the extra l402")
pytest.importorskip("nostr_sdk", reason="relays need the extra nwc")


def beside(answer: Answering, story: Callable[[GuardedWallet, Node], Awaitable[None]]) -> None:
    """Plays a story before a service that answers so."""

    async def whole() -> None:
        node = Node()
        async with nwc_service(node, answer) as connection:
            environment = {CREDENTIAL: connection}
            wallet = open_wallet("nwc:", network=NETWORK, environment=environment)
            try:
                await story(wallet, node)
            finally:
                await wallet.aclose()

    asyncio.run(whole())


def telling(**lies: object) -> Answering:
    """Right answers, but for these members."""

    def answer(node: Node, asked: dict[str, Any]) -> dict[str, Any]:
        right = answered(node, asked)
        return right | {"result": right["result"] | lies}

    return answer


def refusing(code: str) -> Answering:
    """An error for every request."""

    def answer(node: Node, asked: dict[str, Any]) -> dict[str, Any]:
        error = {"code": code, "message": "for reasons [of ours]"}
        return {"result_type": asked["method"], "error": error, "result": None}

    return answer


async def reason_of(asked: Awaitable[object]) -> str:
    with pytest.raises(WalletError) as caught:
        await asked
    assert "of ours" not in str(caught.value)
    return caught.value.reason


async def made(wallet: Wallet) -> Invoice:
    return await wallet.create_invoice(21, memo="tea", expiry_s=600)


@pytest.mark.parametrize(
    ("lies", "reason"),
    [
        ({"invoice": made_invoice(22_000).text, "payment_hash": None}, "wrong_amount"),
        ({"invoice": made_invoice(None).text, "payment_hash": None}, "no_amount"),
        ({"invoice": made_invoice(age_s=999).text, "payment_hash": None}, "expired"),
        ({"invoice": "lnbcrt1", "payment_hash": None}, "malformed"),
        ({"payment_hash": "05" * 32}, bolt11.Reason.WRONG_HASH),
        ({"payment_hash": "no hash"}, Reason.MALFORMED),
    ],
)
def test_an_invoice_that_is_not_what_was_asked_for_is_refused(
    lies: dict[str, object], reason: str
) -> None:
    async def story(wallet: GuardedWallet, node: Node) -> None:
        assert await reason_of(made(wallet)) == reason

    beside(telling(**lies), story)


def test_another_invoice_than_was_asked_for_is_refused() -> None:
    async def story(wallet: GuardedWallet, node: Node) -> None:
        node.add(21_000, "tea", 600)
        (payment_hash,) = node.made
        assert await reason_of(wallet.state(payment_hash)) == Reason.MALFORMED

    beside(telling(payment_hash="05" * 32), story)
    beside(telling(type="outgoing"), story)


def test_a_wallet_that_tells_no_state_tells_it_by_the_time_of_payment() -> None:
    async def story(wallet: GuardedWallet, node: Node) -> None:
        invoice = await made(wallet)
        assert (await wallet.state(invoice.payment_hash)).state is State.OPEN
        node.settle(invoice)
        assert (await wallet.state(invoice.payment_hash)).state is State.SETTLED

    beside(telling(state=None), story)


def test_a_wrong_preimage_proves_no_payment() -> None:
    async def story(wallet: GuardedWallet, node: Node) -> None:
        asked = wallet.pay(node.payable(), max_fee_msat=None)
        assert await reason_of(asked) == Reason.WRONG_PREIMAGE

    beside(telling(preimage="02" * 32), story)


@pytest.mark.parametrize(
    ("code", "for_an_invoice", "for_a_payment"),
    [
        ("UNAUTHORIZED", Reason.UNAUTHORIZED, Reason.UNAUTHORIZED),
        ("RESTRICTED", Reason.UNAUTHORIZED, Reason.UNAUTHORIZED),
        ("RATE_LIMITED", Reason.FAILED, Reason.NOT_PAID),
        ("QUOTA_EXCEEDED", Reason.FAILED, Reason.NOT_PAID),
        ("INSUFFICIENT_BALANCE", Reason.FAILED, Reason.NOT_PAID),
        ("INTERNAL", Reason.FAILED, Reason.OUTCOME_UNKNOWN),
        ("PAYMENT_FAILED", Reason.FAILED, Reason.OUTCOME_UNKNOWN),
        ("OTHER", Reason.FAILED, Reason.OUTCOME_UNKNOWN),
    ],
)
def test_an_error_of_the_wallet_has_a_reason_of_ours(
    code: str, for_an_invoice: Reason, for_a_payment: Reason
) -> None:
    async def story(wallet: GuardedWallet, node: Node) -> None:
        assert await reason_of(made(wallet)) == for_an_invoice
        asked = wallet.pay(node.payable(), max_fee_msat=None)
        assert await reason_of(asked) == for_a_payment

    beside(refusing(code), story)

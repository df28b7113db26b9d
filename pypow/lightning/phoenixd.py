# SPDX-License-Identifier: Apache-2.0
"""ACINQ's phoenixd (phoenix.acinq.co/server/api)."""

import secrets
from typing import Final

from pypow.bolt11 import Invoice

from . import Abilities, Reason, Standing, State, WalletError
from .answer import not_paid, read_invoice, unknown_invoice
from .exchange import Exchange

# What it charges for sending; there is no other fee, and no limit to give.
FEE_MSAT: Final = 4_000
FEE_PER_1000: Final = 4


class PhoenixdWallet:
    """A phoenixd.

    Args:
        exchange: its HTTP interface; its headers have the password.
    """

    abilities = Abilities(
        may_choose_preimage=False, can_pay=True, can_limit_fees=True, tells_what_was_paid=False
    )

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def create_invoice(
        self,
        amount_sat: int,
        *,
        memo: str,
        expiry_s: int,
        preimage: bytes | None = None,  # noqa: ARG002
    ) -> Invoice:
        """As `Wallet.create_invoice`: ``createinvoice``."""
        asked = {
            "amountSat": str(amount_sat),
            "description": memo,
            "expirySeconds": str(expiry_s),
        }
        said = (await self._exchange.ask("POST", "/createinvoice", form=asked)).fields()
        return read_invoice(said.text("serialized"), said.octets("paymentHash"))

    async def state(self, payment_hash: bytes) -> Standing:
        """As `Wallet.state`: ``payments/incoming``. The answer has the preimage; it stays here."""
        answer = await self._exchange.ask("GET", f"/payments/incoming/{payment_hash.hex()}")
        if answer.status == 404:
            raise unknown_invoice()
        said = answer.fields()
        if said.octets("paymentHash") != payment_hash:
            raise WalletError(
                "expected the payment that was asked for, got another one", Reason.MALFORMED
            )
        if said.flag("isPaid"):
            return Standing(
                State.SETTLED, 1000 * said.whole("receivedSat"), said.whole("completedAt") // 1000
            )
        return Standing(State.EXPIRED if said.flag("isExpired") else State.OPEN)

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:
        """As `Wallet.pay`: ``payinvoice``."""
        fee_msat = FEE_MSAT + -(-(invoice.amount_msat or 0) * FEE_PER_1000 // 1000)
        if max_fee_msat is not None and fee_msat > max_fee_msat:
            raise not_paid(f"phoenixd charges {fee_msat} msat for it, more than the limit")
        asked = {"invoice": invoice.text}
        said = (await self._exchange.ask("POST", "/payinvoice", form=asked)).fields()
        if said.has("reason"):
            raise not_paid()
        return said.octets("paymentPreimage")

    async def probe(self) -> None:
        """As `Wallet.probe`: a look-up, which the limited password permits."""
        try:
            await self.state(secrets.token_bytes(32))
        except WalletError as error:
            if error.reason != Reason.UNKNOWN_INVOICE:
                raise

    async def aclose(self) -> None:
        """As `Wallet.aclose`."""
        await self._exchange.aclose()

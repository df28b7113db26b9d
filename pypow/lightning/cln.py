# SPDX-License-Identifier: Apache-2.0
"""Core Lightning over clnrest (docs.corelightning.org/reference)."""

import secrets
from typing import Final

from pypow.bolt11 import Invoice

from . import Abilities, Reason, Standing, State, WalletError
from .answer import (
    Answer,
    Fields,
    not_paid,
    outcome_unknown,
    read_invoice,
    unknown_invoice,
)
from .exchange import Exchange

PAY_TIMEOUT_S: Final = 55
_STATES: Final = {"paid": State.SETTLED, "unpaid": State.OPEN, "expired": State.EXPIRED}
# Of lightning-pay(7), those that leave no part of the payment on its way.
_FINAL_ERRORS: Final = {203, 205, 206, 207, 210}


class ClnWallet:
    """A node of Core Lightning.

    Args:
        exchange: the node's clnrest; its headers have the rune.
    """

    abilities = Abilities(may_choose_preimage=True, can_pay=True, can_limit_fees=True)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def create_invoice(
        self, amount_sat: int, *, memo: str, expiry_s: int, preimage: bytes | None = None
    ) -> Invoice:
        """As `Wallet.create_invoice`: ``invoice``."""
        asked: dict[str, object] = {
            "amount_msat": 1000 * amount_sat,
            # What the node tells invoices apart by.
            "label": f"pypow-{secrets.token_hex(16)}",
            "description": memo,
            "expiry": expiry_s,
        }
        if preimage is not None:
            asked["preimage"] = preimage.hex()
        said = (await self._exchange.ask("POST", "/v1/invoice", document=asked)).fields()
        return read_invoice(said.text("bolt11"), said.octets("payment_hash"))

    async def state(self, payment_hash: bytes) -> Standing:
        """As `Wallet.state`: ``listinvoices``."""
        asked = {"payment_hash": payment_hash.hex()}
        answer = await self._exchange.ask("POST", "/v1/listinvoices", document=asked)
        found = answer.fields().parts("invoices")
        if not found:
            raise unknown_invoice()
        said = found[0]
        state = _STATES.get(said.text("status"))
        if len(found) != 1 or state is None or said.octets("payment_hash") != payment_hash:
            raise WalletError(
                "expected one invoice with the payment hash that was asked for, got others",
                Reason.MALFORMED,
            )
        if state is not State.SETTLED:
            return Standing(state)
        return Standing(state, said.whole("amount_received_msat"), said.whole("paid_at"))

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:
        """As `Wallet.pay`: ``pay``, which pays an invoice once however often it is asked."""
        asked: dict[str, object] = {"bolt11": invoice.text, "retry_for": PAY_TIMEOUT_S}
        if max_fee_msat is not None:
            asked["maxfee"] = max_fee_msat
        answer = await self._exchange.ask("POST", "/v1/pay", document=asked)
        if _is_final(answer):
            raise not_paid()
        said = answer.fields()
        if said.text("status") != "complete":
            raise outcome_unknown()
        return said.octets("payment_preimage")

    async def probe(self) -> None:
        """As `Wallet.probe`: a look-up, since the rune may permit nothing else."""
        try:
            await self.state(secrets.token_bytes(32))
        except WalletError as error:
            if error.reason != Reason.UNKNOWN_INVOICE:
                raise

    async def aclose(self) -> None:
        """As `Wallet.aclose`."""
        await self._exchange.aclose()


def _is_final(answer: Answer) -> bool:
    """Whether an answer says that nothing was paid, and nothing is on its way."""
    if answer.status < 400 or answer.status in (401, 403):
        return False
    try:
        return Fields.read(answer.body).whole("code") in _FINAL_ERRORS
    except WalletError:
        return False

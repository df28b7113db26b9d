# SPDX-License-Identifier: Apache-2.0
"""LNbits (its own description of its API is at /docs of every server)."""

import time
from collections.abc import Callable

from pypow.bolt11 import Invoice

from . import Abilities, Standing, State
from .answer import (
    Answer,
    Fields,
    not_paid,
    outcome_unknown,
    read_invoice,
    unauthorized,
    unknown_invoice,
)
from .exchange import Exchange

_FAILED_STATUS = 520
_NO_WALLET_STATUS = 404


class LnbitsWallet:
    """A wallet on a server of LNbits.

    Args:
        exchange: the server; its headers have the wallet's key.
        clock_s: Unix seconds.
    """

    abilities = Abilities(may_choose_preimage=False, can_pay=True, can_limit_fees=True)

    def __init__(self, exchange: Exchange, clock_s: Callable[[], float] = time.time) -> None:
        self._exchange = exchange
        self._clock_s = clock_s

    async def create_invoice(
        self,
        amount_sat: int,
        *,
        memo: str,
        expiry_s: int,
        preimage: bytes | None = None,  # noqa: ARG002
    ) -> Invoice:
        """As `Wallet.create_invoice`. The answer may have the preimage; it stays here."""
        asked = {"out": False, "unit": "sat", "amount": amount_sat, "memo": memo}
        asked["expiry"] = expiry_s
        said = _allowed(await self._exchange.ask("POST", "/api/v1/payments", document=asked))
        return read_invoice(said.text("bolt11"), said.octets("payment_hash"))

    async def state(self, payment_hash: bytes) -> Standing:
        """As `Wallet.state`."""
        answer = await self._exchange.ask("GET", f"/api/v1/payments/{payment_hash.hex()}")
        if answer.status == 404:
            raise unknown_invoice()
        said = answer.fields()
        if not said.has("details"):  # they are for the wallet's own key
            raise unknown_invoice()
        details = said.part("details")
        invoice = read_invoice(details.text("bolt11"), payment_hash)
        if said.flag("paid"):
            return Standing(State.SETTLED, details.whole("amount"))
        is_past = 1000 * self._clock_s() >= invoice.expires_at_ms
        is_over = is_past or (said.has("status") and said.text("status") == "failed")
        return Standing(State.EXPIRED if is_over else State.OPEN)

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:
        """As `Wallet.pay`; the fee is at most what LNbits keeps in reserve for it."""
        if max_fee_msat is not None:
            path = f"/api/v1/payments/fee-reserve?invoice={invoice.text}"
            reserve_msat = (await self._exchange.ask("GET", path)).fields().whole("fee_reserve")
            if reserve_msat > max_fee_msat:
                raise not_paid(f"LNbits keeps {reserve_msat} msat for fees, more than the limit")
        asked = {"out": True, "bolt11": invoice.text}
        answer = await self._exchange.ask("POST", "/api/v1/payments", document=asked)
        if answer.status == _FAILED_STATUS:
            raise not_paid() if _is_final(answer) else outcome_unknown()
        return _allowed(answer).octets("preimage")

    async def probe(self) -> None:
        """As `Wallet.probe`: the wallet that the key is of."""
        _allowed(await self._exchange.ask("GET", "/api/v1/wallet")).text("name")

    async def aclose(self) -> None:
        """As `Wallet.aclose`."""
        await self._exchange.aclose()


def _allowed(answer: Answer) -> Fields:
    """What an answer says; of a key that it does not know, LNbits finds no wallet."""
    if answer.status == _NO_WALLET_STATUS:
        raise unauthorized(answer.status)
    return answer.fields()


def _is_final(answer: Answer) -> bool:
    said = Fields.read(answer.body)
    return said.has("status") and said.text("status") == "failed"

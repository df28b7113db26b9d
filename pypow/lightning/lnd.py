# SPDX-License-Identifier: Apache-2.0
"""LND over its REST interface (lightning.engineering/api-docs/api/lnd)."""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

from pypow.base64_text import encode
from pypow.bolt11 import Invoice

from . import Abilities, Reason, Standing, State, WalletError
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

PAY_TIMEOUT_S: Final = 55
# What is wrong with a macaroon it says in words too, and before it does anything (lnd#2332).
_UNAUTHORIZED_IN_WORDS: Final = (
    "expected 1 macaroon",
    "verification failed",
    "permission denied",
    "cannot retrieve macaroon",
    "cannot get macaroon",
)
# Until it knew how to say 404 it said so in words, with status 500.
_UNKNOWN_IN_WORDS: Final = (b"unable to locate invoice", b"there are no existing invoices")


class LndWallet:
    """A node of LND.

    Args:
        exchange: the node's REST interface; its headers have the macaroon.
        clock_s: Unix seconds.
    """

    abilities = Abilities(may_choose_preimage=True, can_pay=True, can_limit_fees=True)

    def __init__(self, exchange: Exchange, clock_s: Callable[[], float] = time.time) -> None:
        self._exchange = exchange
        self._clock_s = clock_s

    async def create_invoice(
        self, amount_sat: int, *, memo: str, expiry_s: int, preimage: bytes | None = None
    ) -> Invoice:
        """As `Wallet.create_invoice`: ``AddInvoice``."""
        asked = {"value": str(amount_sat), "memo": memo, "expiry": str(expiry_s)}
        if preimage is not None:
            asked["r_preimage"] = encode(preimage)
        said = (await self._ask("POST", "/v1/invoices", document=asked)).fields()
        return read_invoice(said.text("payment_request"), said.octets("r_hash"))

    async def state(self, payment_hash: bytes) -> Standing:
        """As `Wallet.state`: ``LookupInvoice``."""
        answer = await self._ask("GET", f"/v1/invoice/{payment_hash.hex()}")
        if answer.status == 404 or _says_unknown(answer):
            raise unknown_invoice()
        said = answer.fields()
        match said.text("state"):
            case "SETTLED":
                return Standing(
                    State.SETTLED, said.whole("amt_paid_msat"), said.whole("settle_date")
                )
            case "CANCELED":
                return Standing(State.CANCELED)
            case "OPEN" | "ACCEPTED":
                ends_s = said.whole("creation_date") + said.whole("expiry")
                return Standing(State.OPEN if self._clock_s() < ends_s else State.EXPIRED)
            case _:
                raise WalletError(
                    'expected a "state" of LND\'s invoices, got another', Reason.MALFORMED
                )

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:
        """As `Wallet.pay`: ``SendPaymentV2``."""
        # LND reads no limit as no fee at all: the amount itself stands for none.
        limit = invoice.amount_msat if max_fee_msat is None else max_fee_msat
        asked = {
            "payment_request": invoice.text,
            "timeout_seconds": PAY_TIMEOUT_S,
            "fee_limit_msat": str(limit),
            "no_inflight_updates": True,
        }
        answer = await self._ask("POST", "/v2/router/send", document=asked)
        return _outcome(answer)

    async def probe(self) -> None:
        """As `Wallet.probe`: a look-up, since the macaroon may permit nothing else."""
        try:
            await self.state(secrets.token_bytes(32))
        except WalletError as error:
            if error.reason != Reason.UNKNOWN_INVOICE:
                raise

    async def aclose(self) -> None:
        """As `Wallet.aclose`."""
        await self._exchange.aclose()

    async def _ask(
        self, method: str, path: str, document: Mapping[str, object] | None = None
    ) -> Answer:
        answer = await self._exchange.ask(method, path, document=document)
        if _says_unauthorized(answer):
            raise unauthorized(answer.status)
        return answer


def _says_unauthorized(answer: Answer) -> bool:
    if answer.status != 500:
        return False
    try:
        return Fields.read(answer.body).text("message").startswith(_UNAUTHORIZED_IN_WORDS)
    except WalletError:
        return False


def _says_unknown(answer: Answer) -> bool:
    return answer.status == 500 and any(words in answer.body for words in _UNKNOWN_IN_WORDS)


def _outcome(answer: Answer) -> bytes:
    """What the last line of a stream of updates says of a payment."""
    lines = [line for line in answer.body.splitlines() if line.strip()]
    if answer.status != 200 or not lines:
        answer.fields()  # says what is wrong with a bad answer
        raise outcome_unknown()
    update = Fields.read(lines[-1])
    payment = update.part("result")
    match payment.text("status"):
        case "SUCCEEDED":
            return payment.octets("payment_preimage")
        case "FAILED":
            raise not_paid()
        case _:
            raise outcome_unknown()

# SPDX-License-Identifier: Apache-2.0
"""Any wallet that speaks Nostr Wallet Connect (NIP-47), by way of nostr-sdk: extra ``[nwc]``."""

import re
import secrets
from datetime import timedelta
from typing import Any, Final

import nostr_sdk
from nostr_sdk import NostrSdkError, TransactionState, TransactionType

from pypow.bolt11 import Invoice
from pypow.errors import InvalidInputError

from . import Abilities, Reason, Standing, State, WalletError
from .answer import Fields, not_paid, read_invoice, unknown_invoice

TIMEOUT_S: Final = 70
"""No call lasts longer, whoever made it; `guarded` gives up sooner."""

# The library puts the error's code behind the wallet's own words.
_CODE = re.compile(r".*\[(\w+)\]\W*", re.ASCII | re.DOTALL)
_UNAUTHORIZED: Final = {"Unauthorized", "Restricted"}
_SURELY_NOT_PAID: Final = {"InsufficientBalance", "QuotaExceeded", "RateLimited", "NotImplemented"}
_STATES: Final = {
    TransactionState.PENDING: State.OPEN,
    TransactionState.SETTLED: State.SETTLED,
    TransactionState.EXPIRED: State.EXPIRED,
    TransactionState.FAILED: State.CANCELED,
}


class NwcWallet:
    """A wallet behind Nostr relays.

    Args:
        connection: the URI that it gave us; all of it is secret.

    Raises:
        InvalidInputError: no such URI.
    """

    abilities = Abilities(may_choose_preimage=False, can_pay=True, can_limit_fees=False)

    def __init__(self, connection: str) -> None:
        try:
            uri = nostr_sdk.NostrWalletConnectUri.parse(connection)
        except NostrSdkError:
            raise InvalidInputError(
                "expected a connection such as "
                "nostr+walletconnect://KEY?relay=wss://HOST&secret=SECRET, got another text"
            ) from None
        builder = nostr_sdk.NostrWalletConnectBuilder(uri)
        self._connected = builder.timeout(timedelta(seconds=TIMEOUT_S)).build()

    async def create_invoice(
        self,
        amount_sat: int,
        *,
        memo: str,
        expiry_s: int,
        preimage: bytes | None = None,  # noqa: ARG002
    ) -> Invoice:
        """As `Wallet.create_invoice`: ``make_invoice``."""
        asked = nostr_sdk.MakeInvoiceRequest(
            amount=1000 * amount_sat, description=memo, description_hash=None, expiry=expiry_s
        )
        try:
            made = await self._connected.make_invoice(asked)
        except NostrSdkError as error:
            raise _failure(error) from None
        said = Fields({"hash": made.payment_hash})
        return read_invoice(made.invoice, said.octets("hash") if said.has("hash") else None)

    async def state(self, payment_hash: bytes) -> Standing:
        """As `Wallet.state`: ``lookup_invoice``."""
        asked = nostr_sdk.LookupInvoiceRequest(payment_hash=payment_hash.hex(), invoice=None)
        try:
            found = await self._connected.lookup_invoice(asked)
        except NostrSdkError as error:
            raise unknown_invoice() if _code(error) == "NotFound" else _failure(error) from None
        is_ours = found.transaction_type in (TransactionType.INCOMING, None)
        if not is_ours or Fields({"hash": found.payment_hash}).octets("hash") != payment_hash:
            raise WalletError(
                "expected the invoice that was asked for, got another", Reason.MALFORMED
            )
        return _standing(found)

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:  # noqa: ARG002
        """As `Wallet.pay`: ``pay_invoice``. NIP-47 knows no limit for fees."""
        asked = nostr_sdk.PayInvoiceRequest(id=None, invoice=invoice.text, amount=None)
        try:
            paid = await self._connected.pay_invoice(asked)
        except NostrSdkError as error:
            raise not_paid() if _code(error) in _SURELY_NOT_PAID else _failure(error) from None
        return Fields({"preimage": paid.preimage}).octets("preimage")

    async def probe(self) -> None:
        """As `Wallet.probe`: a look-up, since the connection may permit little else."""
        try:
            await self.state(secrets.token_bytes(32))
        except WalletError as error:
            if error.reason != Reason.UNKNOWN_INVOICE:
                raise

    async def aclose(self) -> None:
        """As `Wallet.aclose`."""
        await self._connected.client().shutdown()


def _standing(found: Any) -> Standing:
    """The state, or for wallets that do not say it, what follows from the time of settlement."""
    settled_at_s = None if found.settled_at is None else found.settled_at.as_secs()
    if found.state is None:
        state = State.OPEN if settled_at_s is None else State.SETTLED
    else:
        # A hold invoice that was paid and not yet taken is open.
        state = _STATES.get(found.state, State.OPEN)
    return (
        Standing(state, found.amount, settled_at_s) if state is State.SETTLED else Standing(state)
    )


def _code(error: NostrSdkError) -> str:
    match = _CODE.fullmatch(str(error))
    return "" if match is None else match[1]


def _failure(error: NostrSdkError) -> WalletError:
    """What an error means; its own words are the wallet's, and are not repeated."""
    code = _code(error)
    if code in _UNAUTHORIZED:
        return WalletError(
            "expected the wallet to permit this to our connection; give one that may make and "
            "look up invoices",
            Reason.UNAUTHORIZED,
        )
    if code:
        return WalletError(f"expected the wallet to answer, got its error {code}", Reason.FAILED)
    return WalletError(
        "expected the wallet to answer through its relay; nothing came", Reason.UNREACHABLE
    )

# SPDX-License-Identifier: Apache-2.0
"""Around a wallet: nothing it says is believed before it was held against what was asked for."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from pypow import bolt11
from pypow.bolt11 import Invoice, Network
from pypow.errors import InvalidInputError, WireError, require_int, shown

from . import Abilities, Reason, Standing, Wallet, WalletError
from .answer import not_supported, outcome_unknown

MAX_MEMO: Final = 100
MAX_EXPIRY_S: Final = 7 * 24 * 3600
MAX_LIFE_MS: Final = 366 * 24 * 3600 * 1000
"""Wallets may choose another expiry than was asked for, but all that is sold ends some day."""

MAX_AMOUNT_SAT: Final = bolt11.MAX_MSAT // 1000
_MOST_REMEMBERED: Final = 10_000

_SURELY_NOT_PAID: Final = {
    Reason.NOT_PAID,
    Reason.NOT_SUPPORTED,
    Reason.UNAUTHORIZED,
    Reason.UNREACHABLE,
    Reason.RESTING,
}
"""After any other failure a payment may be on its way."""


class CheckedWallet:
    """Offers only invoices that are what was asked for, and believes only preimages.

    An invoice whose payment hash was there before is refused: whoever paid the first has paid
    for it already. That is remembered of the last ten thousand.

    Args:
        wallet: what is checked.
        network: the chain that money is on.
        now_ms: the time, in Unix milliseconds.
    """

    def __init__(
        self,
        wallet: Wallet,
        *,
        network: Network,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._wallet = wallet
        self._network = network
        self._now_ms = now_ms
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    @property
    def abilities(self) -> Abilities:
        """As `Wallet.abilities`."""
        return self._wallet.abilities

    async def create_invoice(
        self, amount_sat: int, *, memo: str, expiry_s: int, preimage: bytes | None = None
    ) -> Invoice:
        """As `Wallet.create_invoice`.

        Raises:
            InvalidInputError: values that no invoice of ours has.
            WalletError: the wallet failed, or made another invoice.
        """
        _require_order(amount_sat, memo, expiry_s, preimage)
        if preimage is not None and not self.abilities.may_choose_preimage:
            raise not_supported("take a preimage; let it choose")
        invoice = await self._wallet.create_invoice(
            amount_sat, memo=memo, expiry_s=expiry_s, preimage=preimage
        )
        expected = invoice.payment_hash if preimage is None else hashlib.sha256(preimage).digest()
        try:
            self._require(invoice, amount_msat=1000 * amount_sat, payment_hash=expected)
        except WireError as error:
            raise WalletError(str(error), error.reason) from None
        if invoice.expires_at_ms > self._now_ms() + MAX_LIFE_MS:
            raise WalletError(
                f"expected an invoice from the wallet that ends within {MAX_LIFE_MS // 86_400_000} "
                "days, got one that lasts longer",
                Reason.MALFORMED,
            )
        if invoice.payment_hash in self._seen:
            raise WalletError(
                "expected a new invoice from the wallet, got a payment hash it used before",
                Reason.SEEN_BEFORE,
            )
        self._seen[invoice.payment_hash] = None
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        return invoice

    async def state(self, payment_hash: bytes) -> Standing:
        """As `Wallet.state`.

        Raises:
            InvalidInputError: not 32 bytes.
            WalletError: the wallet failed.
        """
        _require_octets("payment_hash", payment_hash)
        return await self._wallet.state(payment_hash)

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:
        """As `Wallet.pay`: after anything doubtful the outcome is unknown, not a failure.

        Raises:
            InvalidInputError: a limit that is no amount.
            WireError: an invoice that is not to be paid; ``reason`` is a `pypow.bolt11.Reason`.
            WalletError: the wallet cannot, or did not pay.
        """
        if max_fee_msat is not None:
            require_int("max_fee_msat", max_fee_msat, 0, bolt11.MAX_MSAT)
        if not self.abilities.can_pay:
            raise not_supported("pay")
        if max_fee_msat is not None and not self.abilities.can_limit_fees:
            raise not_supported("hold a limit for fees; give none, and limit them in the wallet")
        # An amount there must be; which one is for the payer to judge.
        self._require(
            invoice, amount_msat=invoice.amount_msat or 1, payment_hash=invoice.payment_hash
        )
        try:
            preimage = await self._wallet.pay(invoice, max_fee_msat=max_fee_msat)
        except WalletError as error:
            if error.reason in _SURELY_NOT_PAID:
                raise
            raise outcome_unknown() from error
        if hashlib.sha256(preimage).digest() != invoice.payment_hash:
            raise WalletError(
                "expected the preimage from the wallet that paid, got something else; "
                "the payment may have been made, and nothing proves it",
                Reason.WRONG_PREIMAGE,
            )
        return preimage

    async def probe(self) -> None:
        """As `Wallet.probe`."""
        await self._wallet.probe()

    async def aclose(self) -> None:
        """As `Wallet.aclose`."""
        await self._wallet.aclose()

    def _require(self, invoice: Invoice, *, amount_msat: int, payment_hash: bytes) -> None:
        bolt11.require(
            invoice,
            network=self._network,
            amount_msat=amount_msat,
            payment_hash=payment_hash,
            now_ms=self._now_ms(),
        )


def _require_order(amount_sat: int, memo: str, expiry_s: int, preimage: bytes | None) -> None:
    require_int("amount_sat", amount_sat, 1, MAX_AMOUNT_SAT)
    require_int("expiry_s", expiry_s, 1, MAX_EXPIRY_S)
    if not 1 <= len(memo) <= MAX_MEMO or not memo.isprintable():
        raise InvalidInputError(
            f"memo: expected 1 to {MAX_MEMO} printable characters, got {shown(memo)}"
        )
    if preimage is not None:
        _require_octets("preimage", preimage)


def _require_octets(name: str, given: bytes) -> None:
    if not isinstance(given, bytes) or len(given) != 32:
        raise InvalidInputError(f"{name}: expected 32 bytes, got others")

# SPDX-License-Identifier: Apache-2.0
"""A wallet for development: real invoices and preimages, no node and no money.

Its key is in this file. Anybody can compute the preimage of any of its invoices: it keeps nobody
out, and proves that a client pays. Its invoices are for regtest, where no real wallet pays.
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from pypow import bolt11
from pypow.bolt11 import Invoice, Network

from . import Abilities, Standing, State
from .answer import not_paid, not_supported, unknown_invoice

MARK: Final = "DEVELOPMENT, no money: "
_KEY: Final = hashlib.sha256(b"pypow: everybody knows this key").digest()
_MOST_REMEMBERED: Final = 10_000


def preimage_of(invoice: Invoice) -> bytes:
    """What paying an invoice of any development wallet reveals, 32 bytes."""
    return _preimage(invoice.payment_secret)


class DevelopmentWallet:
    """Makes invoices, and pays those of every other such wallet.

    It learns of a payment only where it made the payment itself.

    Args:
        network: the chain its invoices are for.
        clock_s: Unix seconds.
    """

    abilities = Abilities(
        may_choose_preimage=False, can_pay=True, can_limit_fees=True, knows_payments=False
    )

    def __init__(
        self, network: Network = Network.REGTEST, clock_s: Callable[[], float] = time.time
    ) -> None:
        self._network = network
        self._clock_s = clock_s
        self._made: OrderedDict[bytes, Invoice] = OrderedDict()
        self._settled: dict[bytes, int] = {}

    async def create_invoice(
        self, amount_sat: int, *, memo: str, expiry_s: int, preimage: bytes | None = None
    ) -> Invoice:
        """As `Wallet.create_invoice`; the memo says what it is."""
        if preimage is not None:
            raise not_supported("take a preimage")
        payment_secret = secrets.token_bytes(32)
        invoice = bolt11.issue(
            _KEY,
            network=self._network,
            amount_msat=1000 * amount_sat,
            payment_hash=hashlib.sha256(_preimage(payment_secret)).digest(),
            payment_secret=payment_secret,
            description=MARK + memo,
            created_at_s=int(self._clock_s()),
            expiry_s=expiry_s,
        )
        self._made[invoice.payment_hash] = invoice
        if len(self._made) > _MOST_REMEMBERED:
            oldest, _ = self._made.popitem(last=False)
            self._settled.pop(oldest, None)
        return invoice

    async def state(self, payment_hash: bytes) -> Standing:
        """As `Wallet.state`."""
        invoice = self._made.get(payment_hash)
        if invoice is None:
            raise unknown_invoice()
        settled_at_s = self._settled.get(payment_hash)
        if settled_at_s is not None:
            return Standing(State.SETTLED, invoice.amount_msat, settled_at_s)
        is_past = 1000 * self._clock_s() >= invoice.expires_at_ms
        return Standing(State.EXPIRED if is_past else State.OPEN)

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:  # noqa: ARG002
        """As `Wallet.pay`; there is no fee."""
        preimage = preimage_of(invoice)
        if hashlib.sha256(preimage).digest() != invoice.payment_hash:
            raise not_paid("a development wallet pays invoices of development wallets only")
        if invoice.payment_hash in self._made:
            self._settled.setdefault(invoice.payment_hash, int(self._clock_s()))
        return preimage

    async def probe(self) -> None:
        """As `Wallet.probe`: it is there."""

    async def aclose(self) -> None:
        """As `Wallet.aclose`: there is nothing to close."""


def _preimage(payment_secret: bytes) -> bytes:
    return hmac.digest(_KEY, payment_secret, "sha256")

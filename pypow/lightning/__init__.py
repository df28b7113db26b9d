# SPDX-License-Identifier: Apache-2.0
"""Lightning wallets and nodes behind one small interface; one module for each, one table of all.

`wallets.open_wallet` makes one from an address, within two others: what it says is checked
(`checked.py`), and it is asked no more while it fails (`guarded.py`). Needs the extra ``[l402]``.
"""

import enum
from dataclasses import dataclass
from typing import Protocol

from pypow.bolt11 import Invoice
from pypow.errors import PowError

__all__ = ["Abilities", "Invoice", "Reason", "Standing", "State", "Wallet", "WalletError"]


class State(enum.StrEnum):
    """How an invoice of ours stands."""

    OPEN = "open"
    SETTLED = "settled"
    CANCELED = "canceled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a wallet says of one of its invoices.

    Attributes:
        state: how it stands.
        amount_msat: thousandths of a satoshi that came, less what the wallet keeps for itself;
            None where it does not say, or nothing came.
        settled_at_s: Unix seconds; None likewise.
    """

    state: State
    amount_msat: int | None = None
    settled_at_s: int | None = None


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a kind of wallet can do beyond making invoices.

    Attributes:
        may_choose_preimage: `Wallet.create_invoice` takes the preimage.
        can_pay: `Wallet.pay` pays.
        can_limit_fees: `Wallet.pay` takes a limit, and holds it.
        knows_payments: `Wallet.state` tells of every invoice that was made, after a restart too.
        tells_what_was_paid: `Standing.amount_msat` is what the payer paid; others tell what is left
            of it.
    """

    may_choose_preimage: bool
    can_pay: bool
    can_limit_fees: bool
    knows_payments: bool = True
    tells_what_was_paid: bool = True


class Reason(enum.StrEnum):
    """Why a wallet did not do what it was asked; the values are stable and travel in logs.

    An invoice that is not what was asked for has a reason of `pypow.bolt11.Reason` instead.
    """

    UNREACHABLE = "unreachable"
    BROKEN_OFF = "broken_off"
    TIMED_OUT = "timed_out"
    TOO_MUCH = "too_much"
    UNAUTHORIZED = "unauthorized"
    FAILED = "failed"
    MALFORMED = "malformed"
    SEEN_BEFORE = "seen_before"
    WRONG_PREIMAGE = "wrong_preimage"
    UNKNOWN_INVOICE = "unknown_invoice"
    NOT_PAID = "not_paid"
    OUTCOME_UNKNOWN = "outcome_unknown"
    NOT_SUPPORTED = "not_supported"
    RESTING = "resting"


class WalletError(PowError):
    """A wallet did not do what it was asked. The text has no secrets and no words of the wallet.

    Attributes:
        reason: a `Reason`, or one of `pypow.bolt11.Reason`.
    """

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class Wallet(Protocol):
    """A wallet or node. Every method but ``aclose`` raises `WalletError`."""

    @property
    def abilities(self) -> Abilities:
        """What it can do."""
        ...

    async def create_invoice(
        self, amount_sat: int, *, memo: str, expiry_s: int, preimage: bytes | None = None
    ) -> Invoice:
        """A new invoice.

        Args:
            amount_sat: satoshis, at least 1.
            memo: what it is for, as payers see it; 1 to 100 characters.
            expiry_s: seconds that it can be paid; some wallets have a time of their own.
            preimage: 32 bytes; None lets the wallet choose. Not all wallets take one.
        """
        ...

    async def state(self, payment_hash: bytes) -> Standing:
        """How an invoice stands that this wallet made; ``Reason.UNKNOWN_INVOICE`` of others."""
        ...

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:
        """Pay an invoice; the preimage.

        ``Reason.NOT_PAID`` is final. After ``Reason.OUTCOME_UNKNOWN``, or when the call was
        cancelled, the payment may have gone out and may still arrive.

        Args:
            invoice: what to pay.
            max_fee_msat: what may go to others for carrying it; None leaves it to the wallet.
        """
        ...

    async def probe(self) -> None:
        """Whether it is there, and takes our credential; makes no invoice."""
        ...

    async def aclose(self) -> None:
        """Let go of its connections."""
        ...

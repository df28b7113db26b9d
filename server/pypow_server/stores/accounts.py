# SPDX-License-Identifier: Apache-2.0
"""What is charged to whom, within one step of a store that keeps accounts as Python has them."""

from collections.abc import Callable
from typing import Final, TypeAlias

from pypow.accounts import Account, Level, Principal, owing_ms, refund
from pypow.errors import InvalidInputError, shown
from pypow.pricing import (
    UNIT,
    Admission,
    Constants,
    Offered,
    Quote,
    Wait,
    admit,
    is_known,
    missing_credit,
    quote,
    redeem,
    score,
)
from pypow_server.stores import Charge, Charged, Early, Rank

Keep: TypeAlias = Callable[[bytes, Account, Constants], None]
"""Has a store keep an account; the constants say for how long (`forgotten_at_ms`)."""

KEPT_MS: Final = 3_600_000
"""How long an account is kept that nobody uses; one that owes is kept until it does not."""


class Accounts:
    """The accounts of a store, in one transaction of its."""

    def __init__(self, find: Callable[[bytes], Account | None], keep: Keep) -> None:
        """Work on a store.

        Args:
            find: what it has under a key; None for nothing.
            keep: has it keep an account.
        """
        self._find = find
        self._keep = keep

    def redeem(self, charge: Charge, now_ms: int) -> Charged | Early:
        """Charge a call that was paid for; or when that will be possible."""
        principal = self._principal(charge, now_ms)
        found = redeem(charge.overdraft, principal, charge.weight, charge.tariff, now_ms)
        if isinstance(found, Wait):
            return Early(found.retry_after_ms)
        return self._write(charge, found)

    def quote(self, charge: Charge, now_ms: int) -> Offered:
        """What a call costs."""
        return quote(self._principal(charge, now_ms), charge.weight, charge.tariff, now_ms)

    def rank(self, charge: Charge, now_ms: int) -> Rank:
        """How a caller stands among those who wait."""
        principal, constants = self._principal(charge, now_ms), charge.tariff.constants
        missing, _ = missing_credit(principal, charge.weight, charge.tariff, now_ms)
        leaf = principal.leaf
        known = is_known(leaf, constants, now_ms)
        return Rank(known, score(leaf, constants, now_ms), missing)

    def take_free(self, charge: Charge, now_ms: int) -> Charged | Offered:
        """Charge a call to a caller who owes nothing for it; else what it costs."""
        principal = self._principal(charge, now_ms)
        found = quote(principal, charge.weight, charge.tariff, now_ms)
        if not (isinstance(found, Quote) and found.is_base):
            return found
        return self._write(charge, admit(principal, charge.weight, charge.tariff, now_ms))

    def give_back(self, charge: Charge) -> None:
        """Undo a charge. Accounts that were forgotten meanwhile have nothing to get back."""
        cost = charge.weight * UNIT * charge.tariff.constants.replicas
        for key, share in zip(charge.keys, (1, *charge.shares), strict=True):
            account = self._find(key)
            if account is not None:
                self._keep(key, refund(account, cost // share), charge.tariff.constants)

    def _principal(self, charge: Charge, now_ms: int) -> Principal:
        find, constants = self._find, charge.tariff.constants
        leaf, *around = [find(key) or Account.new(constants, now_ms) for key in charge.keys]
        return Principal(leaf, tuple(map(Level, around, charge.shares)))

    def _write(self, charge: Charge, admission: Admission) -> Charged:
        keep, constants, principal = self._keep, charge.tariff.constants, admission.principal
        leaf, *around = charge.keys
        keep(leaf, principal.leaf, constants)
        for key, level in zip(around, principal.networks, strict=True):
            keep(key, level.account, constants)
        return Charged.FIRST if admission.newcomer else Charged.AGAIN


def forgotten_at_ms(account: Account, constants: Constants) -> int:
    """When an account may be forgotten, if nobody uses it meanwhile."""
    return account.at_ms + max(KEPT_MS, owing_ms(account, constants))


def stored(account: Account) -> str:
    """An account as stores keep it."""
    return (
        f"{account.credit} {account.assured} {account.served} {account.minutes} "
        f"{account.last_minute} {account.first_ms} {account.at_ms}"
    )


def read(text: str) -> Account:
    """An account out of what a store keeps.

    Raises:
        InvalidInputError: the text is none.
    """
    try:
        return Account(*map(int, text.split(" ")))
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"expected seven numbers of an account, got {shown(text)}"
        ) from None

# SPDX-License-Identifier: Apache-2.0
"""What is charged to whom, within one step of a store that keeps accounts as Python has them."""

from collections.abc import Callable
from typing import Final, TypeAlias

from pypow.accounts import Account, Level, Principal, owing_ms, refund, vouched
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

Keep: TypeAlias = Callable[[bytes, Account, Constants, int], None]
"""Has a store keep an account: at least as long as `forgotten_at_ms` says, which takes all but
the key."""

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
        return self._write(charge, principal, found)

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
        admission = admit(principal, charge.weight, charge.tariff, now_ms)
        return self._write(charge, principal, admission)

    def give_back(self, charge: Charge) -> None:
        """Undo a charge. Accounts that were forgotten meanwhile have nothing to get back."""
        constants = charge.tariff.constants
        cost = charge.weight * UNIT * constants.replicas
        leaf, *around = charge.keys
        found = self._find(leaf)
        if found is not None:
            self._keep(leaf, refund(found, cost), constants, first_credit(charge))
        alone_from = paid_alone_from(charge)
        if alone_from is not None and (found is None or found.minutes >= alone_from):
            return
        for key, share in zip(around, charge.shares, strict=True):
            account = self._find(key)
            if account is not None:
                self._keep(key, refund(account, cost // share), constants, constants.burst_new)

    def _principal(self, charge: Charge, now_ms: int) -> Principal:
        find, constants, holder = self._find, charge.tariff.constants, charge.holder
        leaf_key, *keys = charge.keys
        around = [find(key) or Account.new(constants, now_ms) for key in keys]
        networks = tuple(map(Level, around, charge.shares))
        leaf = find(leaf_key) or Account.new(constants, now_ms, credit=first_credit(charge))
        if holder is None:
            return Principal(leaf, networks)
        leaf = vouched(
            leaf,
            minutes=holder.minutes,
            last_minute=holder.last_minute,
            first_ms=holder.first_ms,
        )
        return Principal(leaf, networks, holder.identified)

    def _write(self, charge: Charge, before: Principal, admission: Admission) -> Charged:
        keep, constants, after = self._keep, charge.tariff.constants, admission.principal
        leaf, *around = charge.keys
        keep(leaf, after.leaf, constants, first_credit(charge))
        for key, was, level in zip(around, before.networks, after.networks, strict=True):
            if level is not was:  # it was charged
                keep(key, level.account, constants, constants.burst_new)
        return Charged.FIRST if admission.newcomer else Charged.AGAIN


def first_credit(charge: Charge) -> int:
    """With what an account begins that the store does not know and a charge is about.

    Newcomers begin with little. The account of a token's holder begins full: until it has standing
    the holder's network pays as well, and whoever sends a token must not be worse off for it.
    """
    constants = charge.tariff.constants
    return constants.burst_new if charge.holder is None else constants.burst


def forgotten_at_ms(account: Account, constants: Constants, credit: int) -> int:
    """When an account may be forgotten, if nobody uses it meanwhile.

    Args:
        account: as it is now.
        constants: by which it is charged.
        credit: with what it would begin again.
    """
    return account.at_ms + max(KEPT_MS, owing_ms(account, constants, credit))


def paid_alone_from(charge: Charge) -> int | None:
    """From how many minutes on the first of a charge's accounts may have paid alone; None: never.

    What the networks got back of that would be a gift.
    """
    identified = charge.holder is not None and charge.holder.identified
    return charge.tariff.constants.standing_minutes if identified else None


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

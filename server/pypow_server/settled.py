# SPDX-License-Identifier: Apache-2.0
"""Strict sellers ask their wallet whether a payment has come before it admits the first time.

A preimage proves that a payment was let through; a wallet that was read by others, or that lost
the money afterwards, knows better. It is asked once for each payment, however many callers present
that at once, and never again once it has said yes.
"""

import asyncio
import enum
import logging
from collections import OrderedDict
from typing import Final

from pypow.lightning import Reason, Standing, State, Wallet, WalletError

from . import problems
from .problems import Problem

_LOG: Final = logging.getLogger("pypow_server.invoices")

MOST_KEPT: Final = 10_000
"""Payments that are known to have come."""

AT_ONCE: Final = 64
"""Payments that the wallet is asked about at a time; others come back later."""

DEADLINE_S: Final = 3.0
"""How long a caller waits for the wallet's word."""

_FIRST_PAUSE_S: Final = 0.1
"""Some wallets note a payment a moment after its payer knows of it."""

_RETRY_AFTER_S: Final = 2


class _Word(enum.Enum):
    SETTLED = enum.auto()
    NOT_SETTLED = enum.auto()
    NONE = enum.auto()


class Settled:
    """What the wallet says of payments, for one gate."""

    def __init__(self, wallet: Wallet, *, deadline_s: float = DEADLINE_S) -> None:
        """Know of no payment yet.

        Args:
            wallet: made the invoices.
            deadline_s: how long a caller waits.
        """
        self._wallet = wallet
        self._deadline_s = deadline_s
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Word]] = {}

    async def hindrance(self, payment_hash: bytes, *, sats: int) -> Problem | None:
        """Why a payment does not count, or not yet; None where it does.

        Args:
            payment_hash: 32 bytes.
            sats: what its invoice asked for.
        """
        if payment_hash in self._known:
            return None
        match await self._ask(payment_hash, sats):
            case _Word.SETTLED:
                self._remember(payment_hash)
                return None
            case _Word.NOT_SETTLED:
                return problems.not_settled(
                    "the wallet has not seen this payment settle in full; nothing was spent, "
                    "so send the same credential again"
                )
            case _Word.NONE:
                return problems.wallet_unavailable(
                    "the wallet does not tell whether this payment has come; nothing was spent, "
                    "so send the same credential again",
                    retry_after_s=_RETRY_AFTER_S,
                )

    async def _ask(self, payment_hash: bytes, sats: int) -> _Word:
        """One question for all who present the same payment, whoever of them goes away."""
        asking = self._asking.get(payment_hash)
        if asking is None:
            if len(self._asking) >= AT_ONCE:
                return _Word.NONE
            asking = asyncio.create_task(self._in_time(payment_hash, sats))
            self._asking[payment_hash] = asking
            asking.add_done_callback(lambda _: self._asking.pop(payment_hash, None))
        return await asyncio.shield(asking)

    async def _in_time(self, payment_hash: bytes, sats: int) -> _Word:
        word = _Word.NONE
        try:
            async with asyncio.timeout(self._deadline_s):
                pause_s = _FIRST_PAUSE_S
                while True:
                    standing = await self._standing(payment_hash)
                    if standing.state is State.SETTLED and self._is_whole(standing, sats):
                        return _Word.SETTLED
                    word = _Word.NOT_SETTLED
                    if standing.state is not State.OPEN:
                        return word
                    await asyncio.sleep(pause_s)
                    pause_s *= 2
        except TimeoutError:
            return word
        except Exception as error:  # noqa: BLE001 - whatever a wallet does, it did not say yes
            reason = error.reason if isinstance(error, WalletError) else type(error).__name__
            _LOG.warning("the wallet does not tell whether a payment has come: %s", reason)
            return _Word.NONE

    async def _standing(self, payment_hash: bytes) -> Standing:
        try:
            return await self._wallet.state(payment_hash)
        except WalletError as error:
            if error.reason != Reason.UNKNOWN_INVOICE:
                raise
            return Standing(State.CANCELED)

    def _is_whole(self, standing: Standing, sats: int) -> bool:
        came = standing.amount_msat
        if came is None or not self._wallet.abilities.tells_what_was_paid:
            return True
        return came >= 1000 * sats

    def _remember(self, payment_hash: bytes) -> None:
        self._known[payment_hash] = None
        if len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)

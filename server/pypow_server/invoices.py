# SPDX-License-Identifier: Apache-2.0
"""Who gets an invoice: whoever did some work for one, and a few others.

Every invoice is a row at the wallet, so that whoever sends requests must not decide how many
there are. Without work each network gets a few, and all of them together some more; past that, a
caller gets again what its network was offered last, while that is unpaid, or hears of the work.
"""

import asyncio
import enum
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

from pypow.lightning import Invoice, State, Wallet, WalletError

from .rails import Offer
from .selling import Selling
from .stores import Limiter, Quota

_LOG: Final = logging.getLogger("pypow_server.invoices")
_T = TypeVar("_T")

MOST_KEPT: Final = 4096
"""Offers that may be made again; and networks for which one was counted and not made."""

AT_ONCE: Final = 16
"""Requests to the wallet at a time; callers beyond it are offered other rails only."""

DEADLINE_S: Final = 3.0
"""How long a refusal waits for its invoice."""

WALLET_TIMEOUT_S: Final = 2.5
"""How long the wallet has: less than a refusal waits, or it would count as left and not as failed,
and every refusal would wait for one that hangs."""

_CHECKED_FOR_MS: Final = 5_000
_LEFT_MS: Final = 60_000
"""An invoice is not offered again unless there is so much time left to pay it."""


class Wanted(NamedTuple):
    """What an invoice is for.

    Attributes:
        client: the network that asks.
        bought: names the call, and what is sold for its price.
        sats: what it costs this caller now.
        memo: what the payer's wallet shows.
    """

    client: str
    bought: Hashable
    sats: int
    memo: str


class Work(Protocol):
    """What a caller did for an invoice, if anything."""

    def take(self) -> bool:
        """Whether there is work that was not used before; now it was."""
        ...

    def give_back(self) -> None:
        """It bought nothing, and may be used again."""
        ...


class Without(enum.Enum):
    """Why there is no invoice."""

    WORK = enum.auto()
    """It takes work first."""
    WALLET = enum.auto()
    """The wallet is down, or has enough to do."""


@dataclass(slots=True)
class Figures:
    """How many invoices were made and offered again, asked for without work, and not to be had."""

    made: int = 0
    again: int = 0
    held_back: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Kept:
    offer: Offer
    payment_hash: bytes
    expires_at_ms: int
    checked_ms: int


class Invoices:
    """Asks the wallet for invoices, no more of them than the operator wants."""

    def __init__(
        self,
        wallet: Wallet,
        limiter: Limiter,
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """No invoice was made yet.

        Args:
            wallet: makes them.
            limiter: counts those that cost no work.
            deadline_s: how long a refusal waits for its invoice.
        """
        self.figures: Final = Figures()
        self._wallet = wallet
        self._limiter = limiter
        self._deadline_s = deadline_s
        self._kept: OrderedDict[tuple[str, Hashable, int], _Kept] = OrderedDict()
        self._wanted_by: dict[bytes, tuple[str, Hashable, int]] = {}
        self._unused: OrderedDict[str, int] = OrderedDict()
        self._asking = 0

    async def offer(
        self,
        wanted: Wanted,
        selling: Selling,
        compose: Callable[[Invoice], Offer],
        *,
        work: Work,
        now_ms: int,
    ) -> Offer | Without:
        """An offer with an invoice, or why there is none.

        Args:
            wanted: what for.
            selling: what the operator decided.
            compose: makes the offer of an invoice, once: one invoice is offered in one way.
            work: what the caller did for it.
            now_ms: Unix milliseconds.
        """
        has_worked = work.take()
        if has_worked or await self._is_free(wanted.client, selling, now_ms):
            found = await self._make(wanted, selling, compose, now_ms)
            if found is not None:
                return found
            if has_worked:
                work.give_back()
            else:
                self._keep_unused(wanted.client)
            return Without.WALLET
        kept = await self._again(wanted, now_ms)
        if kept is None:
            self.figures.held_back += 1
            return Without.WORK
        self.figures.again += 1
        return kept

    def paid(self, payment_hash: bytes) -> None:
        """An invoice was paid: it is offered no more."""
        key = self._wanted_by.get(payment_hash)
        if key is not None:
            self._forget(key)

    async def _is_free(self, client: str, selling: Selling, now_ms: int) -> bool:
        own, all_ = selling.free_invoices, selling.all_invoices
        if own is None or all_ is None:
            return False
        if not (self._has_unused(client) or await self._take(f"invoices {client}", own, now_ms)):
            return False
        if await self._take("all invoices", all_, now_ms):
            return True
        self._keep_unused(client)
        return False

    def _has_unused(self, client: str) -> bool:
        """Whether a network has one left that was counted and never made; now it has not."""
        left = self._unused.pop(client, 0)
        if left > 1:
            self._unused[client] = left - 1
        return left > 0

    def _keep_unused(self, client: str) -> None:
        """An invoice was counted for a network, and not made: no limiter takes that back."""
        self._unused[client] = self._unused.pop(client, 0) + 1
        if len(self._unused) > MOST_KEPT:
            self._unused.popitem(last=False)

    async def _take(self, key: str, quota: Quota, now_ms: int) -> bool:
        try:
            taken = await self._limiter.take(key.encode(), quota=quota, now_ms=now_ms)
        except Exception as error:  # noqa: BLE001 - any store's fault: without a count, work counts
            _LOG.warning("the limiter failed, invoices take work: %s", type(error).__name__)
            return False
        return taken.allowed

    async def _make(
        self,
        wanted: Wanted,
        selling: Selling,
        compose: Callable[[Invoice], Offer],
        now_ms: int,
    ) -> Offer | None:
        invoice = await self._ask(
            lambda: self._wallet.create_invoice(
                wanted.sats, memo=wanted.memo, expiry_s=selling.expiry_s
            )
        )
        if invoice is None:
            return None
        self.figures.made += 1
        offer = compose(invoice)
        self._keep(wanted, _Kept(offer, invoice.payment_hash, invoice.expires_at_ms, now_ms))
        return offer

    async def _again(self, wanted: Wanted, now_ms: int) -> Offer | None:
        """What was offered before, if it can still be paid; the wallet is asked now and then."""
        key = wanted[:3]
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.expires_at_ms - now_ms < _LEFT_MS:
            self._forget(key)
            return None
        if now_ms - kept.checked_ms >= _CHECKED_FOR_MS:
            kept.checked_ms = now_ms
            standing = await self._ask(lambda: self._wallet.state(kept.payment_hash))
            if standing is None or standing.state is not State.OPEN:
                self._forget(key)
                return None
        return kept.offer

    async def _ask(self, ask: Callable[[], Awaitable[_T]]) -> _T | None:
        """What the wallet says; None where it does not, or not in time."""
        if self._asking >= AT_ONCE:
            self.figures.failed += 1
            return None
        self._asking += 1
        try:
            async with asyncio.timeout(self._deadline_s):
                return await ask()
        except (WalletError, TimeoutError) as error:
            reason = error.reason if isinstance(error, WalletError) else "timed_out"
            _LOG.warning("the wallet gave no answer, so nothing is sold for sats: %s", reason)
        except Exception as error:  # noqa: BLE001 - whatever a wallet does, work is still offered
            _LOG.warning("the wallet failed: %s", type(error).__name__)
        finally:
            self._asking -= 1
        self.figures.failed += 1
        return None

    def _keep(self, wanted: Wanted, kept: _Kept) -> None:
        key = wanted[:3]
        self._forget(key)
        self._kept[key] = kept
        self._wanted_by[kept.payment_hash] = key
        if len(self._kept) > MOST_KEPT:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: tuple[str, Hashable, int]) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            del self._wanted_by[kept.payment_hash]

# SPDX-License-Identifier: Apache-2.0
"""Stores: they remember, for every process that shares them, what is spent, used up and revoked.

One module per store. All of them obey the contracts of `Ledger`, `Limiter` and `Revocations`, and
the test suite holds each of them to these with the same checks.
"""

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from pypow.errors import InvalidInputError
from pypow.pricing import Offered, Tariff
from pypow_server.fixable import FixableError
from pypow_server.stores.holder import Holder
from pypow_server.stores.payments import Payments
from pypow_server.stores.sales import Sales

SKEW_MS: Final = 10 * 60 * 1000
"""How long a record outlives its expiry: room for the clocks of several machines to disagree."""

_INT64_END: Final = 2**63
_USER: Final = re.compile(r"^([^:/@]*:)?(/*).*@", re.DOTALL)
_OPTION: Final = re.compile(r"(?<=[?&])(?!(?:deployment|ca)=)([^=&]*=)?[^&]+")


class StoreError(FixableError):
    """A store that cannot be opened, read or written; the text says what is wrong and the fix."""


class UnopenedStoreError(StoreError, InvalidInputError):
    """A store's URL that leads to no store that could be opened."""


class Spend(enum.Enum):
    """What a ledger answers to a spend. Only `WON` admits."""

    WON = enum.auto()
    """This caller is one of the `limit` that the key admits, and the record is durable."""
    LOST = enum.auto()
    """The key had been spent `limit` times already."""
    STALE = enum.auto()
    """The epoch is not the ledger's: what was spent under it may be forgotten. Solve anew."""
    HELD = enum.auto()
    """The same request took a use of a payment, or too many others did; see `Payments`."""
    UNKNOWN = enum.auto()
    """The store cannot tell. The caller must refuse; the key may or may not have been used."""


class Ledger(Protocol):
    """Claims a key once, or `limit` times.

    The contract, for all processes that share one store:

    - `WON` for exactly `limit` callers of a key, ever; `LOST` for every other. There is no way to
      ask whether a key is spent: between the question and the mark, another caller would fit.
    - `STALE` when an epoch is given and is not the ledger's, compared in the same transaction.
    - `UNKNOWN` whenever the store cannot tell. No fault ever becomes `WON`.
    - The ledger's clock is the highest `now_ms` that any spend brought; it never moves back. A
      record may be dropped only `SKEW_MS` after its expiry by that clock, and a spend whose record
      would be droppable is `UNKNOWN`: it may have been dropped.
    - A spend survives its caller: once submitted it completes, though the task that awaits it is
      cancelled.
    """

    async def epoch(self) -> int:
        """The epoch that new challenges carry: 0..2**32-1, random per life of the store."""
        ...

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        """Uses `key` once, if fewer than `limit` uses of it are recorded.

        Args:
            key: What names the value spent: a challenge id, a payment hash, a pass id.
            epoch: The epoch that the challenge carries; None for what outlives a lost ledger.
            expires_at_ms: When the credential expires, in Unix ms.
            now_ms: The time of the request, in Unix ms.
            limit: How many uses the key admits, at least 1.

        Raises:
            InvalidInputError: An argument that no well-formed credential can bring.
        """
        ...

    async def release(self, key: bytes) -> None:
        """Gives one use of `key` back. Only for a spend that won and bought nothing.

        Raises:
            StoreError: The use could not be given back.
        """
        ...

    async def probe(self) -> None:
        """Returns when the store can take spends.

        Raises:
            StoreError: It cannot; the text says what is wrong and the fix.
        """
        ...

    async def aclose(self) -> None:
        """Completes what was submitted and closes the store. Later spends are `UNKNOWN`."""
        ...


@dataclass(frozen=True, slots=True)
class Quota:
    """So many calls in so much time, for each principal.

    Attributes:
        calls: how many, at least 1; all of them may come at once.
        period_ms: in how many milliseconds they grow back, evenly.
    """

    calls: int
    period_ms: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a limiter answers.

    Attributes:
        allowed: whether the calls fit the quota; if so, they were taken from it.
        remaining: how many more would fit now.
        retry_after_ms: when the same request would fit; 0 if it did.
    """

    allowed: bool
    remaining: int
    retry_after_ms: int


class Limiter(Protocol):
    """Counts what principals use of a quota (the generic cell rate algorithm, GCRA).

    A limiter holds back a nuisance, and no money: a gate whose limiter fails lets the call
    pass that costs nothing, and counts that. What it forgets costs a few free calls.
    """

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        """Take `calls` from the quota of `key`, all or none.

        Args:
            key: names principal and quota; any octets.
            quota: what it grows back to; a changed one applies at once.
            now_ms: the time of the request, in Unix ms.
            calls: how many, at least 1.

        Raises:
            StoreError: It cannot tell.
        """
        ...

    async def aclose(self) -> None:
        """Forget, or close the store."""
        ...


class Charge(NamedTuple):
    """Whom a call is charged to, and how much; a tuple, because each call with a price makes one.

    Attributes:
        keys: of the accounts: that of the holder of a standing token, if there is one; the
            caller's own network; the networks around it.
        shares: of all but the first: how many callers' allowance each has.
        weight: of the call, 1 to 65535 units.
        tariff: by what it is charged.
        overdraft: what was paid for besides, in 1/8 bit.
        holder: whose account the first is; None where it is a network's.
    """

    keys: tuple[bytes, ...]
    shares: tuple[int, ...]
    weight: int
    tariff: Tariff
    overdraft: int = 0
    holder: Holder | None = None


class Charged(enum.Enum):
    """What credits answer of a call that was charged. Where there was a proof, it was spent too."""

    FIRST = enum.auto()
    """The first that this caller was charged, as far as the store remembers."""
    AGAIN = enum.auto()


@dataclass(frozen=True, slots=True)
class Early:
    """A proof that paid for less overdraft than there is now. It stays good.

    Attributes:
        retry_after_ms: when it will do, if nobody calls meanwhile.
    """

    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class Rank:
    """How a caller stands among those who wait.

    Attributes:
        known: whether it is no newcomer.
        score: `pypow.pricing.score` of its own account; the lowest goes first.
        missing: how much credit its call lacks most, in micro-credits.
    """

    known: bool
    score: int
    missing: int


class Credits(Protocol):
    """A ledger that charges as well: it keeps the accounts that `pypow.pricing` reckons with.

    What it forgets, or cannot tell, is never to a caller's gain: nothing is given away, and only
    what `Ledger.spend` would have won is charged.
    """

    async def redeem(
        self,
        key: bytes,
        *,
        epoch: int | None,
        expires_at_ms: int,
        now_ms: int,
        limit: int = 1,
        charge: Charge,
    ) -> Charged | Spend | Early:
        """Spend, and charge the call, both or neither, in one transaction.

        Returns:
            What `Ledger.spend` would; but where that is `Spend.WON`, `Charged`. Or, where the
            charge's overdraft pays for less than there is, `Early`: nothing was spent, and nothing
            charged.

        Raises:
            InvalidInputError: as `Ledger.spend`.
        """
        ...

    async def quote(self, charge: Charge, *, now_ms: int) -> Offered:
        """What such a call costs now. Changes nothing.

        Raises:
            StoreError: It cannot tell.
        """
        ...

    async def rank(self, charge: Charge, *, now_ms: int) -> Rank:
        """How whoever would be charged stands among those who wait. Changes nothing.

        Raises:
            StoreError: It cannot tell.
        """
        ...

    async def take_free(self, charge: Charge, *, now_ms: int) -> Charged | Offered:
        """Charge a call that presents nothing, if its caller owes nothing for it.

        Returns:
            Whether it was its caller's first; or what it costs, and nothing was changed.

        Raises:
            StoreError: It cannot tell.
        """
        ...

    async def give_back(self, key: bytes, charge: Charge) -> None:
        """Undo one `redeem` that won and bought nothing: the use, and what was charged.

        Raises:
            StoreError: They could not be given back.
        """
        ...


class Revocations(Protocol):
    """Passes that are worth nothing before their time is over. Few; read as a whole."""

    async def revoke(self, identity: bytes, *, expires_at_ms: int, now_ms: int) -> None:
        """Revoke the pass of this id, for every gate that shares the store.

        Raises:
            StoreError: It was not recorded.
        """
        ...

    async def revoked(self, *, now_ms: int) -> frozenset[bytes]:
        """The ids revoked, but for those expired for longer than `SKEW_MS`.

        Raises:
            StoreError: They cannot be read.
        """
        ...


class SharedRecord(Protocol):
    """One record that all gates of a store rewrite, each what it read a moment ago.

    It is small, and little is lost with it. The clock is the store's, one for all gates.
    """

    async def look(self) -> tuple[bytes, int]:
        """What is recorded, empty at first; and the time, in Unix ms.

        Raises:
            StoreError: It cannot be read.
        """
        ...

    async def replace(self, before: bytes, after: bytes) -> bool:
        """Record ``after`` where ``before`` is recorded; False, and no change, where it is not.

        Raises:
            StoreError: It is unknown which.
        """
        ...


@dataclass(frozen=True, slots=True)
class Store:
    """What one store URL opens; `ledger` and `limiter` are closed each by its own `aclose`.

    `credits`, `payments` and `sales` are the ledger's own, and closed with it. `climate` and
    `calibration` are two records that have nothing to do with each other.

    `entries` counts the spends that the ledger keeps, in whatever thread it is called; None where
    the store has a better one of its own.
    """

    ledger: Ledger
    credits: Credits
    limiter: Limiter
    revocations: Revocations
    climate: SharedRecord
    calibration: SharedRecord
    payments: Payments
    sales: Sales
    entries: Callable[[], int] | None = None


def check_spend(key: bytes, *, expires_at_ms: int, now_ms: int, limit: int) -> None:
    """Refuses what no store could keep; a limit below 1 would otherwise win once.

    Raises:
        InvalidInputError: An empty key, a limit below 1, or a number that does not fit 63 bits.
    """
    if not key:
        raise InvalidInputError("expected a spend key of at least one octet; got an empty one")
    if not 1 <= limit < _INT64_END:
        raise InvalidInputError(f"expected a limit of at least 1 use; got {limit}")
    if not (0 <= expires_at_ms < _INT64_END and 0 <= now_ms < _INT64_END):
        raise InvalidInputError(
            f"expected Unix milliseconds; got expires_at_ms={expires_at_ms}, now_ms={now_ms}"
        )


def check_calls(calls: int) -> None:
    """Refuses to take no call, or fewer: that would give some back.

    Raises:
        InvalidInputError: Fewer calls than 1.
    """
    if calls < 1:
        raise InvalidInputError(f"expected at least 1 call to take; got {calls}")


def without_secrets(url: str) -> str:
    """A URL as people may see it: its user, passwords, and what may be one of them, are dots.

    URLs that are written wrong are shown too, in the errors about them.

    >>> without_secrets("redis://:secret@cache.example/0?deployment=a&sentinel_password=secret")
    'redis://...@cache.example/0?deployment=a&sentinel_password=...'
    >>> without_secrets("Redis:secret@cache.example"), without_secrets("sqlite:/srv/a@b?c")
    ('Redis:...@cache.example', 'sqlite:/srv/a@b?c')
    """
    if url.startswith("sqlite:"):
        return url
    return _OPTION.sub(r"\1...", _USER.sub(r"\1\2...@", url))

# SPDX-License-Identifier: Apache-2.0
"""What can be asked of a store's records, as values that wait for the store's one writer."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from pypow.pricing import Beyond, Quote
from pypow_server.sale import Sale
from pypow_server.stores import Charge, Charged, Early, Quota, Rank, Spend
from pypow_server.stores.attempts import Attempt, Ending


class Claim(NamedTuple):
    """One spend, as `Ledger.spend` describes it; a tuple, because each admitted call makes one.

    With a charge it is what `Credits.redeem` describes; with sale and attempt, `Payments.take`.
    """

    key: bytes
    epoch: int | None
    expires_at_ms: int
    now_ms: int
    limit: int
    charge: Charge | None = None
    sale: Sale | None = None
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """One use of a key to give back, and what was charged for it.

    With an attempt only if that still has it, as `Payments.give_up` describes it.
    """

    key: bytes
    charge: Charge | None = None
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended, as `Payments.end` describes it."""

    key: bytes
    attempt: Attempt
    ending: Ending


@dataclass(frozen=True, slots=True)
class Live:
    """How long a life goes on, as `Payments.live` describes it."""

    life: bytes
    lasts_ms: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Asks what a call costs, as `Credits.quote` and `Credits.take_free` describe it."""

    charge: Charge
    now_ms: int
    take: bool


@dataclass(frozen=True, slots=True)
class FindRank:
    """Asks how a caller stands, as `Credits.rank` describes it."""

    charge: Charge
    now_ms: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Asks only that the store takes a write."""


@dataclass(frozen=True, slots=True)
class Revoke:
    """A pass to revoke, as `Revocations.revoke` describes it."""

    identity: bytes
    expires_at_ms: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class ListRevoked:
    """Asks for the ids revoked."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class FindSales:
    """Asks for a page of sales, as `Sales.sold` describes it.

    Attributes:
        after: time and payment hash of the last sale of the page before.
    """

    since_ms: int
    until_ms: int
    after: tuple[int, bytes] | None
    most: int


@dataclass(frozen=True, slots=True)
class ForgetSales:
    """Sales to drop, as `Sales.forget` describes it: some of them, and whether there are more."""

    before_ms: int


@dataclass(frozen=True, slots=True)
class Look:
    """Asks for the record of this name, as `SharedRecord.look` describes it."""

    record: str


@dataclass(frozen=True, slots=True)
class Replace:
    """A record in the place of another of its name, as `SharedRecord.replace` describes it."""

    record: str
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Take:
    """Calls to take from a quota, as `Limiter.take` describes it."""

    key: bytes
    quota: Quota
    now_ms: int
    calls: int


OtherOperation: TypeAlias = (
    Release
    | End
    | Live
    | Ask
    | FindRank
    | Probe
    | Revoke
    | ListRevoked
    | FindSales
    | ForgetSales
    | Look
    | Replace
)
"""All of a ledger but a spend."""

LedgerOperation: TypeAlias = Claim | OtherOperation

LedgerOutcome: TypeAlias = (
    Spend
    | Charged
    | Early
    | Quote
    | Beyond
    | Rank
    | frozenset[bytes]
    | list[Sale]
    | tuple[bytes, int]
    | bool
    | None
)
"""How a `Claim` went, what an `Ask`, a `FindRank`, a `ListRevoked`, a `FindSales` or a `Look`
found, whether an `End` or a `Replace` did, or a `ForgetSales` left some; None where there is
nothing to tell."""

# SPDX-License-Identifier: Apache-2.0
"""The rows of a policy file as values, and the price list that they make."""

from dataclasses import dataclass
from typing import Final

from pypow import difficulty
from pypow.calibrate import MAX_P99_MS, require_quick
from pypow.profiles import DEFAULT_DEVICE, device_of

from .access import Access
from .meter import STATIC, Pricing
from .policy import Entry, PassTerms, Price, relative_weight
from .stores import Quota


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One ``[[price]]``.

    Attributes:
        match: which calls it is about.
        q: difficulty in 1/1024 bit.
        free: what each principal may use without paying.
        sells: the pass that a proof buys.
        observe: decide, and let every call through.
    """

    match: str
    q: int
    free: Quota | None = None
    sells: PassTerms | None = None
    observe: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """What a policy file has that no single option could say.

    Attributes:
        prices: first match wins.
        allowed: who is let in for nothing.
        denied: who is kept out.
        default_free: free calls of what no row is about.
        default_sells: the pass that a proof of the default price buys.
        profile: whose speed made work of times; what `profiles.device_of` knows.
        pricing: how prices follow use.
        max_p99_ms: what all but one in a hundred of its solves may take, in milliseconds.
    """

    prices: tuple[PriceRow, ...] = ()
    allowed: tuple[Access, ...] = ()
    denied: tuple[Access, ...] = ()
    default_free: Quota | None = None
    default_sells: PassTerms | None = None
    profile: str = DEFAULT_DEVICE
    max_p99_ms: float = MAX_P99_MS
    pricing: Pricing = STATIC

    def require_quick(self, bits: float) -> None:
        """Refuse a default price that the profile does not pay in time.

        Raises:
            InvalidInputError: the text has the price that would do.
        """
        q = difficulty.from_bits(bits)
        require_quick(q, device=device_of(self.profile), most_ms=self.max_p99_ms)

    def default(self, bits: float) -> Price:
        """The price of what no row is about, at this many bits."""
        return Price(
            "default",
            difficulty.from_bits(bits),
            free=self.default_free,
            sells=self.default_sells,
            pricing=self.pricing,
        )

    def entries(self, default: Price) -> tuple[Entry, ...]:
        """The price list, weighed against the default price."""
        return tuple(Entry(row.match, _price(row, default)) for row in self.prices)


def _price(row: PriceRow, default: Price) -> Price:
    return Price(
        row.match,
        row.q,
        relative_weight(row.q, default=default),
        free=row.free,
        sells=row.sells,
        observe=row.observe,
        pricing=default.pricing,
    )


NO_ROWS: Final = Rows()
"""A policy of one price."""

# SPDX-License-Identifier: Apache-2.0
"""What one call costs: work, sats, or a login, and what it gives away and sells besides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pypow import difficulty
from pypow.errors import InvalidInputError

from .meter import STATIC, Meter, Pricing, meter_of
from .stores import Quota

DEFAULT_BITS: Final = 16
MAX_WEIGHT: Final = 0xFFFF
MAX_PASS_CALLS: Final = 0xFFFF
MAX_SATS: Final = 100_000_000
MAX_PASS_LIFETIME_S: Final = 30 * 24 * 3600

DEAREST: Final = "dearest"
"""The name of the price of an ambiguous path."""


@dataclass(frozen=True, slots=True)
class PassTerms:
    """What one proof buys, its own call included.

    Attributes:
        calls: how many calls, 1 to 65535; 0 for as many as fit in its time.
        lifetime_s: for how many seconds, 1 to `MAX_PASS_LIFETIME_S`.
    """

    calls: int
    lifetime_s: int

    def __post_init__(self) -> None:
        if not 0 <= self.calls <= MAX_PASS_CALLS:
            raise InvalidInputError(
                f"expected a pass of 1 to {MAX_PASS_CALLS} calls, or 0 for any number in its "
                f"time, got {self.calls}"
            )
        if not 1 <= self.lifetime_s <= MAX_PASS_LIFETIME_S:
            raise InvalidInputError(
                f"expected a pass for 1 to {MAX_PASS_LIFETIME_S} seconds, got {self.lifetime_s}"
            )


@dataclass(frozen=True, slots=True)
class Ways:
    """By which rails calls of a price are let in.

    Attributes:
        scopes: what a token must permit to be of use; empty where none is.
        login: whether one is needed in any case.
        takes_work: whether work pays.
    """

    scopes: frozenset[str] = frozenset()
    login: bool = False
    takes_work: bool = True


WORK: Final = Ways()


@dataclass(frozen=True, slots=True)
class Price:
    """What a call costs.

    Attributes:
        name: of the entry, in logs and for passes and free calls: what one price sells or gives
            away is good for every price of its name.
        q: difficulty in 1/1024 bit, 1 to 44 bits.
        weight: cost in units of the default price's work, 1 to 65535.
        free: what each principal may use of it without paying; None for nothing.
        sells: the pass that a proof of this price buys; None for a pass for one call.
        sats: the same price in satoshis; None where it is asked in work only.
        observe: decide about it, and let every call through.
        pricing: how it follows use.
        scopes: what an access token must permit to be of use here; empty where none is.
        login: whether a token is needed in any case; without it, one is as good as payment.
        takes_work: whether work pays for it.
        login_free: what the subject of a good token may use of it, in place of ``free``; None for
            the same.
        signed_in: the price for such a subject.
        meter: what its calls charge whom; None where it is the same whatever is used.
    """

    name: str
    q: int
    weight: int = 1
    free: Quota | None = None
    sells: PassTerms | None = None
    observe: bool = False
    pricing: Pricing = STATIC
    sats: int | None = None
    scopes: frozenset[str] = frozenset()
    login: bool = False
    takes_work: bool = True
    login_free: Quota | None = None
    signed_in: "Price" = field(init=False, repr=False, compare=False)
    meter: Meter | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not difficulty.MIN_Q <= self.q <= difficulty.MAX_SUB_Q:
            raise InvalidInputError(
                f"price {self.name!r}: expected 1 to 44 bits, got {difficulty.bits(self.q):g}"
            )
        if not 1 <= self.weight <= MAX_WEIGHT:
            raise InvalidInputError(
                f"price {self.name!r}: expected a weight of 1 to {MAX_WEIGHT}, got {self.weight}"
            )
        if self.sats is not None and not 1 <= self.sats <= MAX_SATS:
            raise InvalidInputError(
                f"price {self.name!r}: expected 1 to {MAX_SATS} sats, got {self.sats}"
            )
        if not (self.is_sold or self.login) or (self.login and not self.scopes):
            raise InvalidInputError(
                f"price {self.name!r}: expected work, sats, or the scopes of a login"
            )
        try:
            meter = meter_of(self.name, self.q, self.weight, free=self.free, pricing=self.pricing)
        except InvalidInputError as error:
            raise InvalidInputError(f"price {self.name!r}: {error}") from None
        object.__setattr__(self, "meter", meter)
        own = self
        if self.login_free is not None:
            own = replace(self, free=self.login_free, login_free=None)
        object.__setattr__(self, "signed_in", own)

    @property
    def is_sold(self) -> bool:
        """Whether anything can be paid for it; else only a login helps."""
        return self.takes_work or self.sats is not None


DEFAULT_PRICE = Price("default", DEFAULT_BITS * difficulty.STEPS_PER_BIT)


def dearest_of(prices: Sequence[Price]) -> Price:
    """What a call costs that could be any of those with these prices: all that one of them asks.

    A login where any of them needs one, with the scopes of them all; and what is paid for a login
    alone is not enough where another price is work or sats.
    """
    # Each the highest for itself: which price is the dearest may change with calibration, and what
    # weighs most does not.
    highest = max(prices, key=lambda price: (price.q, price.weight))
    sold = [price for price in prices if price.is_sold]
    with_login = [price.scopes for price in prices if price.login]
    takes_work = bool(sold) and all(price.takes_work for price in sold)
    sats = [price.sats for price in sold if price.sats is not None]
    # Sold only where all are: it may be one that work alone buys. Or one that sats alone buy.
    is_for_sats = bool(sats) and (len(sats) == len(sold) or not takes_work)
    return Price(
        DEAREST,
        highest.q,
        max(price.weight for price in prices),
        pricing=highest.pricing,
        sats=max(sats) if is_for_sats else None,
        scopes=frozenset[str]().union(*with_login),
        login=bool(with_login),
        takes_work=takes_work,
    )


def relative_weight(q: int, *, default: Price) -> int:
    """The work of ``q`` in units of the default price's, rounded up, 1 to 65535.

    >>> [relative_weight(bits * 1024, default=DEFAULT_PRICE) for bits in (1, 16, 20)]
    [1, 1, 16]
    """
    ratio = difficulty.expected_hashes(q) / difficulty.expected_hashes(default.q)
    return min(max(math.ceil(ratio), 1), MAX_WEIGHT)


def priced(name: str, *, bits: float, default: Price = DEFAULT_PRICE) -> Price:
    """A price of ``bits`` of work (1 to 44), weighed against the default price.

    Raises:
        InvalidInputError: bits out of range.
    """
    q = difficulty.from_bits(bits)
    return Price(name, q, relative_weight(q, default=default), pricing=default.pricing)

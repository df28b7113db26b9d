# SPDX-License-Identifier: Apache-2.0
"""The rows of a policy file as values, and the price list that they make."""

from dataclasses import dataclass
from typing import Final

from pypow import difficulty
from pypow.calibrate import MAX_P99_MS, require_quick
from pypow.errors import InvalidInputError
from pypow.profiles import DEFAULT_DEVICE, device_of
from pypow.solve_times import PUZZLES, quantile
from pypow.steering import Calibration

from .access import Access
from .logins import Logins
from .meter import STATIC, Pricing
from .policy import Entry, PassTerms, Price, relative_weight
from .price import WORK, Ways
from .selling import Selling
from .stores import Quota
from .token_sales import TokenSales


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One ``[[price]]``.

    Attributes:
        match: which calls it is about.
        q: difficulty in 1/1024 bit.
        free: what each principal may use without paying.
        sells: the pass that a proof buys.
        observe: decide, and let every call through.
        timed: whether the price was said as a time, and follows the callers' speed.
        sats: the same price in satoshis; None where it is asked in work only.
        ways: by which rails its calls are let in.
        login_free: what each subject of a good token may use without paying; None for ``free``.
    """

    match: str
    q: int
    free: Quota | None = None
    sells: PassTerms | None = None
    observe: bool = False
    timed: bool = False
    sats: int | None = None
    ways: Ways = WORK
    login_free: Quota | None = None


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
        timed_q: the default price in 1/1024 bit, where the file says it as a time.
        calibrate_ms: what 99 of 100 solves by the slow tenth of known callers shall stay below;
            None where prices said as times stay what they are.
        default_sats: the default price in satoshis; None where it is asked in work only.
        selling: how calls are sold for sats; None where none are.
        default_login_free: what a subject has free of what no row is about; None for the same.
        default_ways: by which rails calls of the default price are let in.
        logins: how callers sign in; None where nobody can.
        token_sales: how access tokens are given out here; None where none are.
    """

    prices: tuple[PriceRow, ...] = ()
    allowed: tuple[Access, ...] = ()
    denied: tuple[Access, ...] = ()
    default_free: Quota | None = None
    default_sells: PassTerms | None = None
    profile: str = DEFAULT_DEVICE
    max_p99_ms: float = MAX_P99_MS
    pricing: Pricing = STATIC
    timed_q: int | None = None
    calibrate_ms: int | None = None
    default_sats: int | None = None
    selling: Selling | None = None
    default_ways: Ways = WORK
    default_login_free: Quota | None = None
    logins: Logins | None = None
    token_sales: TokenSales | None = None

    def require_quick(self, bits: float) -> None:
        """Refuse a default price that the profile does not pay in time.

        Raises:
            InvalidInputError: the text has the price that would do.
        """
        q = difficulty.from_bits(bits)
        require_quick(q, device=device_of(self.profile), most_ms=self.max_p99_ms)

    def calibration(self, bits: float) -> Calibration | None:
        """How prices said as times follow the callers' speed; None where they do not.

        Args:
            bits: the default price, which the others move with.

        Raises:
            InvalidInputError: it was not said as a time; the text has the time that would do.
        """
        if self.calibrate_ms is None:
            return None
        anchor_q = difficulty.from_bits(bits)
        if anchor_q != self.timed_q:
            mean_ms = self.calibrate_ms / quantile(0.99, PUZZLES)
            raise InvalidInputError(
                f"expected the default price as a time, which the others move with; got {bits:.4g} "
                f'bits; [default] work = "{mean_ms:.0f}ms" would do'
            )
        return Calibration(anchor_q, target_ms=self.calibrate_ms)

    def default(self, bits: float, *, offset_q: int = 0) -> Price:
        """The price of what no row is about, at this many bits.

        Args:
            bits: what was said.
            offset_q: how far calibration has moved prices said as times, in 1/1024 bit.
        """
        q = difficulty.from_bits(bits)
        return Price(
            "default",
            self._moved(q, offset_q) if q == self.timed_q else q,
            free=self.default_free,
            sells=self.default_sells,
            pricing=self.pricing,
            sats=self.default_sats,
            scopes=self.default_ways.scopes,
            login=self.default_ways.login,
            takes_work=self.default_ways.takes_work,
            login_free=self.default_login_free,
        )

    def entries(self, default: Price, *, offset_q: int = 0) -> tuple[Entry, ...]:
        """The price list.

        Args:
            default: the default price that was said, which all are weighed against. Weights stay
                what they are while prices move: no proof that is out may be too light for a call.
            offset_q: as `default` has it.
        """
        return tuple(Entry(row.match, self._price(row, default, offset_q)) for row in self.prices)

    def _price(self, row: PriceRow, default: Price, offset_q: int) -> Price:
        return Price(
            row.match,
            self._moved(row.q, offset_q) if row.timed else row.q,
            relative_weight(row.q, default=default),
            free=row.free,
            sells=row.sells,
            observe=row.observe,
            pricing=default.pricing,
            sats=row.sats,
            scopes=row.ways.scopes,
            login=row.ways.login,
            takes_work=row.ways.takes_work,
            login_free=row.login_free,
        )

    def _moved(self, q: int, offset_q: int) -> int:
        """A price moved, but not to where it could not rise with use."""
        return max(difficulty.MIN_Q, min(q + offset_q, max(q, self.pricing.highest_q)))


NO_ROWS: Final = Rows()
"""A policy of one price."""

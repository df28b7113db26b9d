# SPDX-License-Identifier: Apache-2.0
"""How prices follow what their callers use: by what each price charges whom.

A price with free calls has accounts of its own, in which a call is a call. All others share one
account for each network, in which a call counts by its weight, if the operator says so.
"""

import functools
from dataclasses import dataclass, field, replace
from typing import Final

from pypow import difficulty, powers
from pypow.errors import InvalidInputError
from pypow.networks import Network, networks
from pypow.tariff import CALM, MAX_WEIGHT, Climate, Constants, Tariff

from .stores import Charge, Quota
from .stores.holder import Holder

MAX_BITS: Final = 40.0
"""Nothing harder is offered."""

MAX_CALLS: Final = 250_000
MAX_CALLS_A_SECOND: Final = 2_000
"""What accounts can be reckoned with."""

STANDING_MS: Final = 30 * 24 * 3_600_000
"""How long standing tokens count after they were renewed, unless the operator says otherwise."""

_USUAL: Final = Constants()


@dataclass(frozen=True, slots=True)
class Pricing:
    """What an operator decides of prices that follow use.

    Attributes:
        quota: what each caller may use, in calls of the default price, before calls cost more;
            None where only prices with free calls follow use.
        max_q: no call costs more, in 1/1024 bit.
        max_overdraft_q: how far use may raise a price; beyond, callers have to wait.
        replicas: gates that share callers and no store; each gives out its part alone.
        capacity: weight that the upstream serves in a second, in millionths of a call of the
            default price; None where calls need not wait for their turn.
        standing_ms: how long a standing token counts after it was renewed, where there is a
            quota; None for no tokens.

    Raises:
        InvalidInputError: a capacity without a quota.
    """

    quota: Quota | None = None
    max_q: int = _USUAL.max_q
    max_overdraft_q: int = _USUAL.max_overdraft_q
    replicas: int = 1
    capacity: int | None = None
    standing_ms: int | None = STANDING_MS

    def __post_init__(self) -> None:
        if self.capacity is not None and self.quota is None:
            raise InvalidInputError(
                'expected pricing.quota beside pricing.capacity, such as "60/60s": what callers '
                "used says whose turn it is"
            )

    @property
    def highest_q(self) -> int:
        """The highest price that can rise with use."""
        return self.max_q - _USUAL.max_entry_q

    def constants(self, quota: Quota, base_q: int) -> Constants:
        """What follows from a quota at a price.

        Raises:
            InvalidInputError: a price so high that it could not rise.
        """
        if quota.calls > MAX_CALLS or quota.calls * 1000 > MAX_CALLS_A_SECOND * quota.period_ms:
            raise InvalidInputError(
                f"expected at most {MAX_CALLS} calls, and {MAX_CALLS_A_SECOND} in a second; got "
                f"{quota.calls} in {quota.period_ms / 1000:g} s"
            )
        if base_q > (highest_q := self.highest_q):
            raise InvalidInputError(
                f"expected at most {difficulty.bits(highest_q):g} bits where the price follows "
                f"use: it may rise to {difficulty.bits(self.max_q):g}; got "
                f"{difficulty.bits(base_q):g}"
            )
        return replace(
            Constants.of_quota(quota.calls, quota.period_ms, base_q),
            max_q=self.max_q,
            max_overdraft_q=self.max_overdraft_q,
            replicas=self.replicas,
        )


STATIC: Final = Pricing()
"""Prices stay as they are, but for those with free calls."""


@dataclass(frozen=True, slots=True)
class Meter:
    """What calls of one price charge.

    Attributes:
        pool: names the accounts that they are charged to.
        weight: of one call.
        tariff: by what they are charged while it is calm.
    """

    pool: bytes
    weight: int
    tariff: Tariff
    _latest: list[Tariff] = field(default_factory=list, init=False, repr=False, compare=False)

    def charge(
        self,
        client: str,
        *,
        calls: int = 1,
        overdraft: int = 0,
        climate: Climate = CALM,
        holder: Holder | None = None,
    ) -> Charge:
        """What so many calls charge a caller and the networks around it.

        Args:
            client: the caller's own network, as `client_network` has it; empty where no network
                pays, but the holder alone.
            calls: how many.
            overdraft: what was paid for besides, in 1/8 bit.
            climate: of the moment.
            holder: who is known by a standing token or a login; None for nobody.
        """
        tariff = self.tariff if climate is CALM else self._under(climate)
        keys, shares = _accounts(self.pool, client)
        weight = min(MAX_WEIGHT, calls * self.weight)
        if holder is None:
            return Charge(keys, shares, weight, tariff, overdraft)
        if not client:
            return Charge((self.pool + holder.account,), (), weight, tariff, overdraft, holder)
        keys, shares = (self.pool + holder.account, *keys), (1, *shares)
        return Charge(keys, shares, weight, tariff, overdraft, holder)

    def _under(self, climate: Climate) -> Tariff:
        # Many calls are charged under one climate, so the last tariff is kept.
        if not self._latest or self._latest[0].climate is not climate:
            self._latest[:] = [Tariff(self.tariff.constants, climate)]
        return self._latest[0]


def meter_of(
    name: str, q: int, weight: int, *, free: Quota | None, pricing: Pricing
) -> Meter | None:
    """The meter of a price; None where it is the same whatever its callers use.

    Args:
        name: of the price.
        q: difficulty, in 1/1024 bit.
        weight: of its calls, in units of the default price's work.
        free: what each caller has free of it.
        pricing: what the operator decided.

    Raises:
        InvalidInputError: a quota or a price that no meter fits.
    """
    if free is not None:
        pool = f"free {name} ".encode("utf-8", "surrogatepass")
        return Meter(pool, 1, Tariff(pricing.constants(free, q)))
    if pricing.quota is not None:
        # The weight is in the price already, and what is left of it is everybody's base.
        base_q = max(difficulty.MIN_Q, q - powers.log2_q(weight))
        return Meter(b"all ", weight, Tariff(pricing.constants(pricing.quota, base_q)))
    return None


def networks_of(client: str) -> tuple[Network, ...]:
    """The networks that a caller's calls are charged to, its own first.

    Args:
        client: the caller's own network, as `client_network` has it.
    """
    address = client.partition("/")[0]
    return networks(address) if "/" in client else (Network(client, 1),)


@functools.lru_cache(maxsize=4096)
def _accounts(pool: bytes, client: str) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    found = networks_of(client)
    keys = tuple(pool + network.prefix.encode() for network in found)
    return keys, tuple(network.share for network in found[1:])

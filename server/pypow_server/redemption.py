# SPDX-License-Identifier: Apache-2.0
"""Proofs turned into passes, wherever callers bring them: judged, spent, charged."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pypow import wire
from pypow.pricing import Beyond, Quote

from . import charging, problems
from .api_decisions import Asked
from .crowd.conditions import Conditions
from .holders import Holders
from .meter import Meter
from .passes import Pass
from .policy import FREE, Policy, Price, Unpriced
from .problems import Problem
from .rails import Claim, Paid, Refuse
from .reply import Header
from .resource import Resource
from .settlement import guard, redeem, settle, store_unavailable
from .stores import Charged, Credits, Ledger

if TYPE_CHECKING:
    from .key_binding import Bound
    from .rails.work import WorkRail

Bind: TypeAlias = Callable[[Pass], "Bound | Problem"]
"""Binds a pass that is being sold to the key of its buyer."""

_LOG: Final = logging.getLogger("pypow_server.api")


class Given(NamedTuple):
    """A challenge that was given out.

    Attributes:
        challenge: it.
        price: what its call costs everybody.
        quote: what it costs this caller; None where that is the same.
    """

    challenge: wire.Challenge
    price: Price
    quote: Quote | None


class Redeemed(NamedTuple):
    """What a proof bought, whose spend was won.

    Attributes:
        bought: the pass.
        thanks: headers with what the caller earned besides, or needs to use it.
    """

    bought: Pass
    thanks: tuple[Header, ...] = ()


def _as_it_is_now(price: Price, _issued_at_ms: int) -> Meter | None:
    return price.meter


@dataclass(frozen=True, slots=True)
class Redemption:
    """Gives challenges out, and sells passes for their proofs.

    Attributes:
        rail: judges proofs.
        policy: what calls cost.
        ledger: where proofs are spent.
        credit: the ledger's; None where prices are the same whatever callers use.
        conditions: how crowded it is.
        holders: gives standing tokens out; None where there are none.
        meter_then: by what a challenge of a price, issued then (Unix ms), is charged.
    """

    rail: "WorkRail"
    policy: Policy
    ledger: Ledger
    credit: Credits | None = None
    conditions: Conditions = field(default_factory=Conditions)
    holders: Holders | None = None
    meter_then: Callable[[Price, int], Meter | None] = _as_it_is_now

    async def challenge(
        self, resource: Resource | None, asked: Asked, *, puzzles: int | None, now_ms: int
    ) -> Given | Problem:
        """A challenge for what `redeem` takes, at what it costs this caller. Writes nothing.

        Args:
            resource: the call that it is for; None for any call of the default price.
            asked: the request that asks for it.
            puzzles: the most sub-puzzles that the caller can do; None where it did not say.
            now_ms: Unix milliseconds.
        """
        price = price_asked(resource, self.policy, asked.client)
        if isinstance(price, Problem):
            return price
        asked.entry = price.name
        if not price.takes_work:
            return problems.bad_request("expected a call that work can pay for")
        try:
            epoch = await self.ledger.epoch()
        except Exception:  # noqa: BLE001 - any store's fault; without it none could be redeemed
            _LOG.exception("the ledger does not tell its epoch")
            return store_unavailable()
        quote = await self._quote(price, asked, now_ms)
        if isinstance(quote, Problem):
            return quote
        challenge = self.rail.challenge(
            resource,
            self.policy.any_call if resource is None else price,
            puzzles=puzzles,
            now_ms=now_ms,
            epoch=epoch,
            quote=quote,
        )
        return Given(challenge, price, quote)

    async def _quote(self, price: Price, asked: Asked, now_ms: int) -> Quote | Problem | None:
        """What a call of this price costs this caller; None where that is what it costs all."""
        if self.credit is None or price.meter is None:
            return None
        climate = self.conditions.climate
        try:
            found = await charging.quote(
                self.credit,
                price.meter,
                asked.client,
                now_ms=now_ms,
                climate=climate,
                holder=asked.holder,
            )
        except Exception as error:  # noqa: BLE001 - any store's fault
            found = charging.untold(price, error)
        if isinstance(found, Beyond):
            asked.quote = found.quote
            return charging.overdrawn(found)
        return found

    async def redeem(
        self,
        proof: wire.Proof,
        resource: Resource | None,
        asked: Asked,
        *,
        now_ms: int,
        in_cookie: bool = False,
        bind: Bind | None = None,
    ) -> Redeemed | Problem:
        """Spend a proof for the pass that it buys, and say so in ``asked``; else why not.

        Args:
            proof: as it was read.
            resource: the call that its challenge was for; None for any call.
            asked: the request that brings it.
            now_ms: Unix milliseconds.
            in_cookie: whether the standing token goes into a cookie.
            bind: for a buyer who proves a key; None for another.
        """
        price = price_asked(resource, self.policy, asked.client)
        if isinstance(price, Problem):
            return price
        if resource is not None:
            asked.entry = price.name
        metered = self.policy.is_metered
        exchange = self.rail.exchange(proof, resource, price, now_ms=now_ms, metered=metered)
        if isinstance(exchange, Refuse):
            return exchange.problem
        bought = Redeemed(exchange.bought)
        if bind is not None:
            found = await self._bound(bind(exchange.bought), now_ms)
            if isinstance(found, Problem):
                return found
            bought = found
        thanks = await self.settle(
            exchange.spend, exchange.paid, price, asked, now_ms=now_ms, in_cookie=in_cookie
        )
        if isinstance(thanks, Problem):
            return thanks
        asked.rail, asked.q = self.rail.name, exchange.q
        asked.solve_ms = max(0, now_ms - exchange.paid.issued_at_ms)
        if exchange.is_priced:
            asked.entry = price.name
        return Redeemed(bought.bought, bought.thanks + thanks)

    async def _bound(self, found: "Bound | Problem", now_ms: int) -> Redeemed | Problem:
        """The pass for the holder of a key, whose proof is then used up."""
        if isinstance(found, Problem):
            return found
        if found.guard is not None:
            replayed = await guard(self.ledger, found.guard, now_ms=now_ms)
            if replayed is not None:
                return replayed
        return Redeemed(found.bought, found.receipt)

    async def settle(
        self,
        spend: Claim,
        paid: Paid,
        price: Price,
        asked: Asked,
        *,
        now_ms: int,
        in_cookie: bool = False,
    ) -> tuple[Header, ...] | Problem:
        """Spend, and charge what that pays for; the headers that the caller earned, or why not."""
        meter = self.meter_then(price, paid.issued_at_ms)
        if meter is None or self.credit is None:
            return await settle(self.ledger, spend, now_ms=now_ms) or ()
        charge = meter.charge(
            asked.client,
            calls=paid.calls,
            overdraft=paid.overdraft,
            climate=self.conditions.climate,
            holder=asked.holder,
        )
        found = await redeem(self.credit, spend, charge, now_ms=now_ms)
        if isinstance(found, Problem):
            return found
        if found is Charged.FIRST and self.conditions.rules is not None:
            self.conditions.admitted(0, newcomer=True)  # its calls weigh when they are made
        if self.holders is None:
            return ()
        return self.holders.thanks(
            asked.bearer, client=asked.client, now_ms=now_ms, paid=True, in_cookie=in_cookie
        )


def price_asked(resource: Resource | None, policy: Policy, client: str) -> Price | Problem:
    """What a resource costs that a caller named, or (None) any call of the default price."""
    if resource is None:
        return policy.default
    if _is_envelope(resource, policy):
        return problems.bad_request(
            'MCP calls are paid for one by one: expected a resource like "tools/call search", '
            f"got {resource.text!a}"
        )
    if policy.terms_of(resource, client) is Unpriced.DENIED and not policy.observe:
        return problems.denied(problems.NOT_TAKEN)
    price = policy.price_of(resource)
    if price is FREE:
        return problems.bad_request(f"{resource.text!a} is free; call it without a challenge")
    return price


def _is_envelope(resource: Resource, policy: Policy) -> bool:
    """Whether a resource is the POST that carries MCP calls, which itself has no price."""
    named = (resource.kind, resource.method) == ("http", "POST")
    return named and policy.is_mcp_path(resource.name.encode())

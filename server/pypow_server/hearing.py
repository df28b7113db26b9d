# SPDX-License-Identifier: Apache-2.0
"""One request before the gate: what it is judged by, and what has been found of it so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pypow.admission import Lane
from pypow.pricing import Quote
from pypow.wire import MAX_LIFETIME_S

from . import carriers, paid_calls, request_body
from .call import Call, without_ours
from .decision import Decision, Outcome
from .holders import Bearer, Holders
from .mcp_message import Fault
from .meter import Meter
from .paid_calls import PaidCall
from .payment_fields import Paying, take_payments
from .policy import UNPRICED, Policy, Price
from .problems import Problem
from .rails import Admit, LoginRail, Offer, Rail
from .reply import Header, Reply
from .scope import Receive, Scope
from .stores import Charge
from .stores.holder import Holder
from .token_fields import Tokens, take_tokens

_MOST_FORMER: Final = 64


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What a gate decides by. Replaced as a whole: a request is judged by the one it began with.

    Attributes:
        policy: what is asked of whom.
        rails: ways to earn admission; the first that admits is charged.
        former: policies of which challenges may still be out, the latest first, and until when
            (Unix milliseconds) each was in force.
        holders: reads standing tokens and gives them out; None where there are none.
        login: says who calls; None where no issuer is trusted.
    """

    policy: Policy
    rails: tuple[Rail, ...]
    former: tuple[tuple[int, Policy], ...] = ()
    holders: Holders | None = None
    login: LoginRail | None = None

    def followed_by(
        self,
        policy: Policy,
        rails: tuple[Rail, ...],
        *,
        now_ms: int,
        holders: Holders | None = None,
        login: LoginRail | None = None,
    ) -> "Rulebook":
        """The rulebook that comes after this one."""
        out_ms = now_ms - 1000 * MAX_LIFETIME_S
        former = [(now_ms, self.policy), *(one for one in self.former if one[0] > out_ms)]
        return Rulebook(policy, rails, tuple(former[:_MOST_FORMER]), holders, login)

    def meter(self, price: Price, *, issued_at_ms: int) -> Meter | None:
        """By what a challenge of this price is charged: by the policy under which it was issued.

        So no change of policy makes finished work wait.
        """
        now = price.meter
        if now is None or not self.former:
            return now
        base = self.policy.named(price.name)
        is_base = base is None or price is not base.signed_in
        then = None
        for until_ms, policy in self.former:
            if issued_at_ms >= until_ms:
                break
            then = policy.named(price.name)
        if then is not None and not is_base:
            then = then.signed_in
        return now if then is None or then.meter is None else then.meter


@dataclass(slots=True)
class Hearing:
    """One request. The gate fills it in, step by step.

    Attributes:
        scope: as the server gave it.
        receive: what the app is to read, if it is reached.
        rulebook: what the request is judged by.
        now_ms: Unix milliseconds; later for a call that waited.
        call: None until the head is read.
        entry: what a `Decision` calls the price.
        price: None until there is one.
        admission: what was admitted, and by which rail; its spend was won.
        offers: what would earn admission.
        fault: what is wrong with the MCP message.
        limiter_failed: whether a limiter was asked and could not tell, or what callers used.
        quote: what the call costs this caller, or would if it were sold now; None where that is
            what it costs everybody.
        charge: what was charged with the spend; None for nothing.
        lane: where the call waited for its turn; None where it did not have to.
        waited_ms: how long.
        newcomer: whether that, or what was free, was the first that its caller was charged.
        bearer: what the caller is worth by its standing tokens; None where that was not asked.
        thanks: the headers by which the caller gets such a token.
        paying: what was sent to pay with; None where that is nothing, or is not looked for.
        paid: the call, where money was paid for it and its use was won.
        tokens: what was sent to sign in with; likewise.
        login: what the token that came is good for; None where none came that is good.
        subject: whose token that is.
        guarded: the key of the guard that this call has won; None for none.
    """

    scope: Scope = field(repr=False)
    receive: Receive
    rulebook: Rulebook
    now_ms: int
    call: Call | None = None
    entry: str = UNPRICED
    price: Price | None = None
    admission: Admit | None = None
    rail: str | None = None
    offers: Sequence[Offer] = ()
    fault: Fault | None = None
    limiter_failed: bool = False
    quote: Quote | None = None
    charge: Charge | None = None
    lane: Lane | None = None
    waited_ms: int = 0
    newcomer: bool = False
    bearer: Bearer | None = None
    thanks: tuple[Header, ...] = ()
    paying: Paying | None = field(default=None, repr=False)
    paid: PaidCall | None = None
    tokens: Tokens | None = field(default=None, repr=False)
    login: Admit | None = None
    subject: Holder | None = None
    guarded: bytes | None = None

    def take_fields(self) -> None:
        """Look for payments and access tokens, which neither the app nor the log may see."""
        policy, headers = self.rulebook.policy, self.scope["headers"]
        if policy.is_sold:
            headers, self.paying = take_payments(headers)
        if policy.takes_tokens:
            headers, self.tokens = take_tokens(headers, self.scope.get("query_string", b""))
        self.scope = {**self.scope, "headers": headers}

    async def digest(self) -> bytes:
        """What tells whether this request is the same when it returns."""
        assert self.call is not None
        query = self.scope.get("query_string", b"")
        return await request_body.again(self.call, partial(paid_calls.digest, self.call, query))

    @property
    def holder(self) -> Holder | None:
        """Whom priced calls are charged to; None for the caller's networks."""
        if self.subject is not None:
            return self.subject
        return None if self.bearer is None else self.bearer.holder

    @property
    def is_observed(self) -> bool:
        """Whether the policy lets this request through, whatever is found."""
        return self.rulebook.policy.observe or (self.price is not None and self.price.observe)

    @property
    def charged(self) -> str:
        """The network that priced calls are charged to as well; empty for none."""
        return "" if self.subject is not None else self.client

    @property
    def client(self) -> str:
        """The caller's network; a dash until the head is read."""
        return "-" if self.call is None else self.call.client

    def scope_for_app(self) -> Scope:
        """The scope as the app gets it."""
        admission = self.admission
        principal = None if admission is None else admission.principal
        if self.call is None:
            passed = without_ours(self.scope)
        else:
            passed = self.call.scope_for_app(self.scope, principal=principal)
        if self.tokens is not None:
            if self.rulebook.policy.forwards_tokens:
                passed["headers"] = [*passed["headers"], *self.tokens.fields]
            elif self.tokens.scheme == "DPoP":  # and so the proof is ours too
                passed["headers"] = [h for h in passed["headers"] if h[0] != b"dpop"]
        return passed

    def refusal(self, problem: Problem) -> Reply:
        """The problem in the envelope that fits this caller."""
        if self.fault is not None:
            return carriers.answer_fault(self.fault)
        if self.call is None:
            return problem.reply()
        return carriers.select(self.call, problem)(self.call, problem, self.offers)

    def decision(self, identity: str, problem: Problem | None, *, seconds: float) -> Decision:
        """What was decided, for those who count and record."""
        if problem is not None:
            outcome = Outcome.OBSERVED if self.is_observed else Outcome.REFUSED
        else:
            outcome = Outcome.FREE if self.admission is None else Outcome.ADMITTED
        call = self.call
        resource = None if call is None else call.resource
        admission = self.admission
        return Decision(
            id=identity,
            outcome=outcome,
            at_ms=self.now_ms,
            seconds=seconds - self.waited_ms / 1000,
            entry=self.entry,
            rail=None if admission is None else self.rail,
            problem=None if problem is None else problem.name,
            status=None if problem is None else problem.status,
            client=self.client,
            principal=None if admission is None else admission.principal,
            method="-" if resource is None else resource.method,
            name="-" if resource is None else resource.name,
            limiter_failed=self.limiter_failed,
            traceparent=None if call is None or call.mcp is None else call.mcp.traceparent,
            q=_asked(self.offers) if admission is None else admission.q,
            solve_ms=None if admission is None else admission.solve_ms,
            quote=self.quote,
            retry_after_s=None if problem is None else problem.retry_after_s,
            lane=None if self.lane is None else self.lane.name.lower(),
            waited_ms=self.waited_ms,
            holder=self.holder,
        )


def _asked(offers: Sequence[Offer]) -> int | None:
    """The work that a refusal asks for; None where it asks for none."""
    for offer in offers:
        if offer.q is not None:
            return offer.q
    return None

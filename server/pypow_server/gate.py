# SPDX-License-Identifier: Apache-2.0
"""The gate: pure ASGI, in front of any ASGI app.

Checks go from cheap to dear: shape, host, path, lists, MCP message, price, credential, work, and
last the ledger. The app is called from exactly one line; every other way through refuses, and
whatever fails on the way refuses too, unless the policy only observes. The app finds who was
charged in ``scope["pypow.principal"]``.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from . import problems
from .allowance import over_limit
from .answering import Answering, earned
from .call import Call, read_call
from .checkout import Checkout
from .crowd.conditions import Conditions
from .crowd.turns import Turns
from .decision import Recorder, tell
from .fresh import decision_id
from .hearing import Hearing, Rulebook
from .holders import Holders
from .mcp_message import Fault
from .meter import Meter
from .paid_calls import PaidCall, PaidCalls
from .policy import Entry, Policy, Price, Unpriced
from .problems import Problem
from .rails import Admit, LoginRail, Rail
from .reply import Header, Reply
from .request_body import MessageReader, Rewindable, replay
from .scope import ASGIApp, Receive, Scope, Send
from .stores import Charge, Credits, Ledger, Limiter

BODY_LIMIT = 4 * 1024 * 1024
"""Octets of an MCP message; as much as the SDKs' servers take."""

BODY_DEADLINE_S = 30.0
"""How long an MCP message may take to come in."""

_LOG = logging.getLogger("pypow_server.gate")
_FIELD_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]*")


def wall_clock_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Gate:
    """Lets a request through to ``app`` when it is free or has earned admission."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        rails: Sequence[Rail],
        ledger: Ledger,
        policy: Policy,
        credit: Credits | None = None,
        conditions: Conditions | None = None,
        turns: Turns | None = None,
        limiter: Limiter | None = None,
        holders: Holders | None = None,
        paid_calls: PaidCalls | None = None,
        login: LoginRail | None = None,
        recorders: Sequence[Recorder] = (),
        clock: Callable[[], int] = wall_clock_ms,
        body_limit: int = BODY_LIMIT,
        body_deadline_s: float = BODY_DEADLINE_S,
    ) -> None:
        """Put a gate in front of ``app``.

        Args:
            app: what is guarded.
            rails: ways to earn admission; the first that admits is charged.
            ledger: remembers what is spent.
            policy: what is asked of whom.
            credit: the ledger's; without them every price is the same whatever its callers use,
                and no priced call is free.
            conditions: how crowded it is; None where that counts for nothing.
            turns: of the upstream; None where no call has to wait.
            limiter: counts calls that cost nothing; without one none is held back.
            holders: reads standing tokens and gives them out; None where there are none.
            paid_calls: those of this process; None where nobody remembers what was sold.
            login: says who calls, for prices that have scopes; None where no issuer is trusted.
            recorders: are told of every decision.
            clock: Unix milliseconds; read once for each request.
            body_limit: the most octets of an MCP message.
            body_deadline_s: how long an MCP message may take to come in.
        """
        self._app = app
        self._rulebook = Rulebook(policy, tuple(rails), holders=holders, login=login)
        self._checkout = Checkout(
            ledger, credit, conditions or Conditions(), turns or Turns(), paid_calls
        )
        self._limiter = limiter
        self._recorders = tuple(recorders)
        self._clock = clock
        self._messages = MessageReader(limit=body_limit, deadline_s=body_deadline_s)

    def decide_by(
        self,
        *,
        policy: Policy,
        rails: Sequence[Rail],
        holders: Holders | None = None,
        login: LoginRail | None = None,
        recorders: Sequence[Recorder] | None = None,
    ) -> None:
        """Judge requests that begin from now on by these, and tell these; None for who is told."""
        if recorders is not None:
            self._recorders = tuple(recorders)
        self._rulebook = self._rulebook.followed_by(
            policy, tuple(rails), now_ms=self._clock(), holders=holders, login=login
        )

    @property
    def policy(self) -> Policy:
        """What requests that begin now are judged by."""
        return self._rulebook.policy

    def meter_then(self, price: Price, issued_at_ms: int) -> Meter | None:
        """By what a challenge of this price, issued then (Unix ms), is charged."""
        return self._rulebook.meter(price, issued_at_ms=issued_at_ms)

    def around(self, app: ASGIApp, *, price: Price) -> "Gate":
        """A gate in front of another app where all costs ``price``; the rest is as it is here."""
        rulebook = self._rulebook
        gate = Gate(
            app,
            rails=rulebook.rails,
            ledger=self._checkout.ledger,
            policy=replace(
                rulebook.policy, default=price, entries=(Entry("*", price),), mcp_paths=()
            ),
            credit=self._checkout.credit,
            conditions=self._checkout.conditions,
            turns=self._checkout.turns,
            limiter=self._limiter,
            holders=rulebook.holders,
            paid_calls=self._checkout.paid_calls,
            login=rulebook.login,
            recorders=self._recorders,
            clock=self._clock,
        )
        # Its bounds, and one count of the large bodies that both may be reading.
        gate._messages = self._messages
        return gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._pass_on(scope, receive, send, None)
            return
        began = time.perf_counter()
        hearing = Hearing(scope, receive, self._rulebook, self._clock())
        try:
            problem = await self._decide(hearing)
            answer = None if problem is None else hearing.refusal(problem)
        except Exception:  # noqa: BLE001 - whatever failed, nothing was proven: refuse
            problem = problems.internal_error("the gate failed; try again later")
            _LOG.exception("decision=%s problem=%s", problem.decision, problem.name)
            answer = problem.reply()
        if self._recorders:
            self._record(hearing, problem, seconds=time.perf_counter() - began)
        call = hearing.call
        if answer is None and call is not None and call.method == "OPTIONS":
            answer = _preflight(call)
        if answer is None or hearing.is_observed:
            await self._pass_on(
                hearing.scope_for_app(),
                hearing.receive,
                send,
                hearing.admission,
                hearing.charge,
                hearing.thanks,
                hearing.paid,
            )
        else:
            await answer(scope, receive, send)

    async def _pass_on(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        admission: Admit | None,
        charge: Charge | None = None,
        thanks: tuple[Header, ...] = (),
        paid: PaidCall | None = None,
    ) -> None:
        """Call the app; give back what was spent when the upstream was not reached."""
        answering: Answering | None = None
        spend, bought = None, None
        if admission is not None:
            spend, bought, thanks = admission.spend, admission.bought, thanks + admission.receipt
        if spend or bought or thanks:
            give_back = None
            if spend is not None:
                give_back = partial(self._checkout.give_back, spend, charge, paid)
            answering = Answering(give_back, scope, send, earned(bought, thanks), paid)
        try:
            await self._app(scope, receive, answering or send)
        finally:
            if answering is not None:
                await answering.end()

    def _record(self, hearing: Hearing, problem: Problem | None, *, seconds: float) -> None:
        identity = decision_id() if problem is None else problem.decision
        tell(self._recorders, hearing.decision(identity, problem, seconds=seconds))

    async def _decide(self, hearing: Hearing) -> Problem | None:
        """What keeps this request from the app; None for nothing."""
        policy = hearing.rulebook.policy
        if policy.takes_fields:
            hearing.take_fields()
        call = read_call(hearing.scope, policy.trusted)
        if isinstance(call, Problem):
            return call
        if hearing.paying is not None or hearing.tokens is not None:
            call = call._replace(paying=hearing.paying, tokens=hearing.tokens)
        hearing.call = call
        if not policy.is_named(call):
            return problems.misdirected(problems.NOT_NAMED)
        if call.method == "OPTIONS":
            hearing.entry = "free"
            return None
        if call.method == "POST" and policy.is_mcp(call):
            problem = await self._read_mcp(hearing, call)
            if problem is not None:
                return problem
            call = hearing.call
        terms = policy.terms(call)
        if isinstance(terms, Price):
            hearing.entry, hearing.price = terms.name, terms
            return await self._checkout.admit(hearing, call, terms)
        hearing.entry = terms.entry
        if terms is Unpriced.DENIED:
            return problems.denied(problems.NOT_TAKEN)
        if terms is Unpriced.HIDING:
            return problems.method_not_allowed(
                "expected no WebSocket where MCP is spoken: its calls are priced one by one; "
                "operators: a row `GET` and this path lets it through"
            )
        if terms is Unpriced.ALLOWED_NETWORK:
            return None
        return await over_limit(self._limiter, hearing, call.client)

    async def _read_mcp(self, hearing: Hearing, call: Call) -> Problem | None:
        observed = Rewindable(hearing.receive) if hearing.is_observed else None
        receive = observed or hearing.receive
        message = await self._messages.read(call, receive, is_sold=hearing.rulebook.policy.is_sold)
        if isinstance(message, Fault):
            hearing.fault = message
            hearing.receive = hearing.receive if observed is None else observed.again()
            return message.problem
        hearing.call = call.with_message(message)
        hearing.receive = replay(message.body, hearing.receive)
        return None


def _preflight(call: Call) -> Reply:
    """The answer to OPTIONS (the CORS protocol): any origin may ask, without cookies."""
    asked = b"".join(call.values(b"access-control-request-headers")[-1:])
    allowed = asked if asked and _FIELD_NAMES.fullmatch(asked) else b"*"
    return Reply(
        204,
        (
            (b"access-control-allow-origin", b"*"),
            (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
            (b"access-control-allow-headers", allowed),
            (b"access-control-expose-headers", b"WWW-Authenticate, Retry-After"),
            (b"access-control-max-age", b"600"),
        ),
    )

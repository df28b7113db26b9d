# SPDX-License-Identifier: Apache-2.0
"""What the callers' API decides, told as the gate's decisions are: redemptions, and refusals.

A challenge that is given out decides nothing, and nothing is told of it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pypow.pricing import Quote

from . import problems
from .call import read_call, tokens_in
from .client_address import client_network
from .decision import Decision, Outcome, Recorder, tell
from .fresh import decision_id
from .holders import Bearer, Holders
from .policy import UNPRICED, Policy, Unpriced
from .problems import Problem
from .scope import ASGIApp, Message, Receive, Scope, Send
from .stores.holder import Holder

_ASKED: Final = "pypow.asked"
_LOG: Final = logging.getLogger("pypow_server.api")


@dataclass(slots=True)
class Asked:
    """One request to the API. Its route fills in what it finds.

    Attributes:
        client: the network that the caller comes from.
        at_ms: when it came, Unix milliseconds.
        entry: what a `Decision` calls the price.
        quote: what the call costs this caller; None where that is what it costs everybody.
        rail: whose proof was redeemed, its spend won; None for none.
        q: work that was done for that, in 1/1024 bit.
        solve_ms: from the issue of the challenge to then.
        problem: why the request is refused.
        bearer: what the caller is worth by its standing tokens; None for nothing.
    """

    client: str
    at_ms: int
    entry: str = UNPRICED
    quote: Quote | None = None
    rail: str | None = None
    q: int | None = None
    solve_ms: int | None = None
    problem: Problem | None = None
    bearer: Bearer | None = None

    @property
    def holder(self) -> Holder | None:
        """Whom the call is charged to; None for the caller's networks."""
        return None if self.bearer is None else self.bearer.holder

    def decision(self, scope: Scope, *, seconds: float) -> Decision | None:
        """What was decided; None where nothing was."""
        problem = self.problem
        if problem is None and self.rail is None:
            return None
        return Decision(
            id=decision_id() if problem is None else problem.decision,
            outcome=Outcome.ADMITTED if problem is None else Outcome.REFUSED,
            at_ms=self.at_ms,
            seconds=seconds,
            entry=self.entry,
            rail=self.rail,
            problem=None if problem is None else problem.name,
            status=None if problem is None else problem.status,
            client=self.client,
            principal=None if self.rail is None else self.client,
            method=scope.get("method", "WEBSOCKET"),
            name=scope["path"],
            q=self.q,
            solve_ms=self.solve_ms,
            quote=self.quote,
            retry_after_s=None if problem is None else problem.retry_after_s,
            holder=self.holder,
        )


def asked_in(scope: Scope) -> Asked:
    """The request that a route of the API serves."""
    asked: Asked = scope[_ASKED]
    return asked


class Deciding:
    """Turns away whom the gate turns away, and tells of each decision (a middleware)."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        policy: Policy,
        clock: Callable[[], int],
        recorders: Sequence[Recorder],
        holders: Holders | None,
    ) -> None:
        """Stand before ``app``.

        Args:
            app: answers, and fills in what it finds of what was `Asked`.
            policy: whose names and deny list count here too.
            clock: Unix milliseconds.
            recorders: are told of every redemption and refusal, before its answer goes out.
            holders: reads standing tokens; None where there are none.
        """
        self._app = app
        self._policy = policy
        self._clock = clock
        self._recorders = recorders
        self._holders = holders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        began = time.perf_counter()
        client = client_network(scope.get("client"), scope["headers"], self._policy.trusted)
        asked = scope[_ASKED] = Asked(client, self._clock())
        if self._holders is not None:
            tokens = tokens_in(scope["headers"])
            asked.bearer = self._holders.bearer(tokens, client=client, now_ms=asked.at_ms)
        answered = False

        async def telling(message: Message) -> None:
            nonlocal answered
            if not answered:
                answered = True
                decision = asked.decision(scope, seconds=time.perf_counter() - began)
                if decision is not None:
                    tell(self._recorders, decision)
            await send(message)

        asked.problem = _turned_away(scope, self._policy)
        try:
            await (asked.problem or self._app)(scope, receive, telling)
        except Exception:
            if answered:
                raise
            problem = asked.problem = problems.internal_error("the gate failed; try again later")
            _LOG.exception("decision=%s problem=%s", problem.decision, problem.name)
            await problem(scope, receive, telling)


def _turned_away(scope: Scope, policy: Policy) -> Problem | None:
    """Why this caller gets no answer of the API, as it would get none of the gate."""
    if policy.observe:
        return None
    call = read_call(scope, policy.trusted)
    if isinstance(call, Problem):
        return call
    if not policy.is_named(call):
        return problems.misdirected(problems.NOT_NAMED)
    if policy.terms(call) is Unpriced.DENIED:
        return problems.denied(problems.NOT_TAKEN)
    return None

# SPDX-License-Identifier: Apache-2.0
"""The gate: pure ASGI, in front of any ASGI app.

Checks go from cheap to dear: shape, path, MCP message, price, credential, work, and last the
ledger. The app is called from exactly one line; every other way through refuses, and whatever
fails on the way refuses too. The app finds who was charged in ``scope["pypow.principal"]``.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from . import carriers, problems
from .call import Call, read_call
from .client_address import NOBODY, TrustedProxies
from .mcp_message import Fault, read_message
from .policy import FREE, Policy, Price
from .problems import Problem
from .rails import Absent, Admit, Claim, Offer, Rail, Refuse
from .reply import Reply
from .request_body import read_body, replay
from .scope import UPSTREAM_REACHED, ASGIApp, Message, Receive, Scope, Send
from .settlement import release, settle, store_unavailable
from .stores import Ledger

BODY_LIMIT = 4 * 1024 * 1024
"""Octets of an MCP message; as much as the SDKs' servers take."""

BODY_DEADLINE_S = 30.0
"""How long an MCP message may take to come in."""

_LOG = logging.getLogger("pypow_server.gate")
_FIELD_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]*")


@dataclass(frozen=True, slots=True)
class Passage:
    """The right to reach the app: what it gets, and what was spent for it."""

    scope: Scope
    receive: Receive
    spent: Claim | None = None


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
        clock: Callable[[], int] = wall_clock_ms,
        body_limit: int = BODY_LIMIT,
        body_deadline_s: float = BODY_DEADLINE_S,
        trusted: TrustedProxies = NOBODY,
    ) -> None:
        """Put a gate in front of ``app``.

        Args:
            app: what is guarded.
            rails: ways to earn admission; the first that admits is charged.
            ledger: remembers what is spent.
            policy: the price list.
            clock: Unix milliseconds; read once for each request.
            body_limit: the most octets of an MCP message.
            body_deadline_s: how long an MCP message may take to come in.
            trusted: proxies whose word on the client's address is taken.
        """
        self._app = app
        self._rails = tuple(rails)
        self._ledger = ledger
        self._policy = policy
        self._clock = clock
        self._body_limit = body_limit
        self._body_deadline_s = body_deadline_s
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        passage = await self._decide(scope, receive)
        if not isinstance(passage, Passage):
            await passage(scope, receive, send)
            return
        await self._pass_on(passage, send)

    async def _pass_on(self, passage: Passage, send: Send) -> None:
        """Call the app; give back what was spent when the upstream was not reached.

        Before the response starts, since a caller who has read it may send the same proof again;
        or at the end, since a caller who went away gets no response and comes back.
        """
        owed = passage.spent

        async def give_back() -> None:
            nonlocal owed
            claim, owed = owed, None
            if claim is not None and passage.scope.get(UPSTREAM_REACHED) is False:
                await release(self._ledger, claim)

        async def send_after_release(message: Message) -> None:
            if message["type"] == "http.response.start":
                await give_back()
            await send(message)

        try:
            await self._app(passage.scope, passage.receive, send_after_release)
        finally:
            await give_back()

    async def _decide(self, scope: Scope, receive: Receive) -> Passage | ASGIApp:
        if scope["type"] == "lifespan":
            return Passage(scope, receive)
        try:
            answer = await self._decide_request(scope, receive)
        except Exception:  # noqa: BLE001 - whatever failed, nothing was proven: refuse
            problem = problems.internal_error("the gate failed; try again later")
            _LOG.exception("decision=%s problem=%s", problem.decision, problem.name)
            answer = problem.reply()
        return answer

    async def _decide_request(self, scope: Scope, receive: Receive) -> Passage | Reply:
        call = read_call(scope, self._trusted)
        if isinstance(call, Problem):
            _log_refusal(call, None)
            return call.reply()
        if call.method == "OPTIONS":
            return _preflight(call)
        if call.method == "POST" and self._policy.is_mcp(call):
            read = await self._read_mcp(call, receive)
            if isinstance(read, Reply):
                return read
            assert read.mcp is not None
            call, receive = read, replay(read.mcp.body, receive)
        price = self._policy.price(call)
        if price is FREE:
            return Passage(call.scope_for_app(scope, principal=None), receive)
        return await self._earn(call, price, scope, receive)

    async def _read_mcp(self, call: Call, receive: Receive) -> Call | Reply:
        body = await read_body(
            call, receive, limit=self._body_limit, deadline_s=self._body_deadline_s
        )
        message = Fault(body) if isinstance(body, Problem) else read_message(body, call.routing)
        if isinstance(message, Fault):
            _log_refusal(message.problem, call)
            return carriers.answer_fault(message)
        return replace(call, mcp=message)

    async def _earn(
        self, call: Call, price: Price, scope: Scope, receive: Receive
    ) -> Passage | Reply:
        now_ms = self._clock()
        try:
            epoch = await self._ledger.epoch()
        except Exception:  # noqa: BLE001 - any store's fault; without an epoch nothing is judged
            _LOG.exception("the ledger does not tell its epoch")
            return _refuse(call, store_unavailable())
        judged = await self._judge(call, price, now_ms=now_ms, epoch=epoch)
        problem = (
            await settle(self._ledger, judged.spend, now_ms=now_ms)
            if isinstance(judged, Admit)
            else judged
        )
        if problem is None:
            assert isinstance(judged, Admit)
            passed = call.scope_for_app(scope, principal=judged.principal)
            return Passage(passed, receive, judged.spend)
        if problem.status != 402:
            return _refuse(call, problem)
        offers = [await rail.offer(call, price, now_ms=now_ms, epoch=epoch) for rail in self._rails]
        return _refuse(call, problem, offers)

    async def _judge(self, call: Call, price: Price, *, now_ms: int, epoch: int) -> Admit | Problem:
        admission: Admit | None = None
        for rail in self._rails:
            verdict = await rail.judge(call, price, now_ms=now_ms, epoch=epoch)
            match verdict:
                case Admit():
                    admission = admission or verdict
                case Refuse():
                    return verdict.problem
                case Absent():
                    pass
                case _:
                    assert_never(verdict)
        return admission or problems.work_required(
            "this call has a price and came without a proof or pass"
        )


def _refuse(call: Call, problem: Problem, offers: Sequence[Offer] = ()) -> Reply:
    _log_refusal(problem, call)
    return carriers.select(call)(call, problem, offers)


def _log_refusal(problem: Problem, call: Call | None) -> None:
    """One line for each refusal. Details quote what callers sent, so they stay out of it."""
    _LOG.info(
        "refused decision=%s problem=%s status=%d client=%s call=%s",
        problem.decision,
        problem.name,
        problem.status,
        "-" if call is None else call.client,
        "-" if call is None else ascii(f"{call.resource.method} {call.resource.name}"[:200]),
    )


def _preflight(call: Call) -> Reply:
    """The answer to OPTIONS (the CORS protocol): any origin may ask, without cookies."""
    asked = call.preflight_headers
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

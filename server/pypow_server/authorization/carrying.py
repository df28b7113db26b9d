# SPDX-License-Identifier: Apache-2.0
"""The way in for tokens of this gate: it gets what they stand for in their place.

So tokens are judged, spent and charged as the passes and payments are that they hold, by the same
rails, and none of them reaches the upstream.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pypow.auth_params import quoted
from pypow_server import problems
from pypow_server.api_decisions import asked_in
from pypow_server.identity import BadToken
from pypow_server.problems import Problem
from pypow_server.reply import Header
from pypow_server.resource import raw_path
from pypow_server.scope import ASGIApp, Message, Receive, Scope, Send
from pypow_server.token_fields import read_token

from .key_proofs import guard_of, use_up

if TYPE_CHECKING:
    from .assembly import Issuing

_Brought: TypeAlias = tuple[str, str]
"""Scheme and token."""


class Carrying:
    """Stands before a gate."""

    def __init__(
        self, gate: ASGIApp, *, issuing: Callable[[], "Issuing | None"], clock: Callable[[], int]
    ) -> None:
        """Take tokens for ``gate``.

        Args:
            gate: judges what is in them.
            issuing: the authorization server in force.
            clock: Unix milliseconds.
        """
        self._gate = gate
        self._issuing = issuing
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        issuing = self._issuing()
        brought: tuple[_Brought, ...] = ()
        if issuing is not None and scope["type"] in ("http", "websocket"):
            brought = _brought(scope, issuing)
        if issuing is None or not brought:
            await self._gate(scope, receive, send)
            return
        found = await self._taken(scope, brought, issuing)
        if isinstance(found, _Taken):
            await self._gate(found.scope, receive, found.sending(send))
            return
        for one in brought:
            scope = _instead(scope, one)
        # A gate that only observes lets the request through, and no token of ours.
        observes = issuing.redemption.policy.observe
        answer = self._gate if observes else issuing.told(_refusing(found))
        await answer(scope, receive, send)

    async def _taken(
        self, scope: Scope, brought: Sequence[_Brought], issuing: "Issuing"
    ) -> "_Taken | Problem":
        """The request with what its tokens stand for; what its caller hears if one is not good."""
        now_ms = self._clock()
        path = raw_path(scope).decode("latin-1")
        taken = _Taken(scope)
        # All of them: one that is taken must not cover another.
        for one in brought:
            scheme, token = one
            worth = issuing.tokens.worth(token, path=path, now_ms=now_ms)
            if isinstance(worth, BadToken):
                return _bad(worth, issuing.metadata_url)
            if worth.authorization is None:  # who it is, is for the rail of logins to judge
                continue
            proven = issuing.proofs.of_sender(scope, scheme, token, worth.bound_to, now_ms=now_ms)
            if isinstance(proven, Problem):
                return proven
            if proven is not None:
                ledger = issuing.redemption.ledger
                replayed = await use_up(ledger, guard_of(proven), now_ms=now_ms)
                if replayed is not None:
                    return replayed
                taken = _Taken(_without_proof(taken.scope), issuing.proofs.fields(now_ms))
            credential = (b"authorization", worth.authorization.encode("latin-1"))
            taken = taken._replace(scope=_instead(taken.scope, one, credential))
        return taken


class _Taken(NamedTuple):
    """A request whose token is good.

    Attributes:
        scope: with what the token stands for.
        fields: for its answer.
    """

    scope: Scope
    fields: tuple[Header, ...] = ()

    def sending(self, send: Send) -> Send:
        """Sends with the fields."""
        if not self.fields:
            return send

        async def with_fields(message: Message) -> None:
            if message["type"].endswith((".start", ".accept")):
                message = {**message, "headers": [*message.get("headers", ()), *self.fields]}
            await send(message)

        return with_fields


def _refusing(problem: Problem) -> ASGIApp:
    """Answers with a problem, and has it told."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        asked_in(scope).problem = problem
        lines = [(b"www-authenticate", line.encode("ascii")) for line in problem.authenticate]
        await problem.reply(headers=lines)(scope, receive, send)

    return refuse


def _bad(found: BadToken, metadata_url: str) -> Problem:
    said = (
        f"Bearer resource_metadata={quoted(metadata_url)}, "
        f"error={quoted(found.error)}, error_description={quoted(found.detail)}"
    )
    return replace(problems.invalid_token(found.detail), authenticate=(said,))


def _brought(scope: Scope, issuing: "Issuing") -> tuple[_Brought, ...]:
    """All tokens of ours, each once."""
    found = [read_token(name, value) for name, value in scope["headers"]]
    return tuple(dict.fromkeys(one for one in found if one and issuing.tokens.is_ours(one[1])))


def _instead(scope: Scope, one: _Brought, *fields: Header) -> Scope:
    """The request with these fields in the place of a token."""
    kept: list[Header] = []
    for name, value in scope["headers"]:
        kept += fields if read_token(name, value) == one else [(name, value)]
    return {**scope, "headers": kept}


def _without_proof(scope: Scope) -> Scope:
    """The request without a proof that was for us."""
    return {
        **scope,
        "headers": [field for field in scope["headers"] if field[0].lower() != b"dpop"],
    }

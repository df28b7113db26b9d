# SPDX-License-Identifier: Apache-2.0
"""The way in for tokens of this gate: it gets what they stand for in their place.

So tokens are judged, spent and charged as the passes and payments are that they hold, by the same
rails, and none of them reaches the upstream.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from pypow.auth_params import quoted
from pypow_server import problems
from pypow_server.api_decisions import asked_in
from pypow_server.identity import BadToken
from pypow_server.problems import Problem
from pypow_server.reply import Header
from pypow_server.resource import raw_path
from pypow_server.scope import ASGIApp, Message, Receive, Scope, Send

from .key_proofs import guard_of, use_up

if TYPE_CHECKING:
    from .assembly import Issuing

_SCHEMES: Final = {b"bearer": "Bearer", b"dpop": "DPoP"}


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
        brought = None
        if issuing is not None and scope["type"] in ("http", "websocket"):
            brought = _brought(scope, issuing)
        if issuing is None or brought is None:
            await self._gate(scope, receive, send)
            return
        found = await self._taken(scope, brought, issuing)
        if isinstance(found, Problem) and not issuing.redemption.policy.observe:
            await issuing.telling(_refusing(found))(scope, receive, send)
        elif isinstance(found, Problem):  # lets all through, and no token of ours
            await self._gate(_without(scope, brought), receive, send)
        else:
            await self._gate(found.scope, receive, found.sending(send))

    async def _taken(
        self, scope: Scope, brought: "_Brought", issuing: "Issuing"
    ) -> "_Taken | Problem":
        """The request with what its token stands for; what its caller hears if it is not good."""
        now_ms = self._clock()
        path = raw_path(scope).decode("latin-1")
        worth = issuing.tokens.worth(brought.token, path=path, now_ms=now_ms)
        if isinstance(worth, BadToken):
            said = f"Bearer error={quoted(worth.error)}, error_description={quoted(worth.detail)}"
            return replace(problems.invalid_token(worth.detail), authenticate=(said,))
        if worth.authorization is None:  # who it is, is for the rail of logins to judge
            return _Taken(scope)
        proven = issuing.proofs.of_sender(
            scope, brought.scheme, brought.token, worth.bound_to, now_ms=now_ms
        )
        if isinstance(proven, Problem):
            return proven
        credential = (b"authorization", worth.authorization.encode("latin-1"))
        if proven is None:
            return _Taken(_without(scope, brought, credential))
        # Here and not in the gate, for what is sealed may be of any rail.
        replayed = await use_up(issuing.redemption.ledger, guard_of(proven), now_ms=now_ms)
        if replayed is not None:
            return replayed
        taken = _without(scope, brought, credential)
        kept = [field for field in taken["headers"] if field[0].lower() != b"dpop"]
        return _Taken({**taken, "headers": kept}, issuing.proofs.fields(now_ms))


class _Brought(NamedTuple):
    """A token of ours, where it stands among the headers of a request."""

    at: int
    scheme: str
    token: str

    def __repr__(self) -> str:
        """Without the token: it is a secret."""
        return f"_Brought({self.at}, {self.scheme})"


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


def _brought(scope: Scope, issuing: "Issuing") -> _Brought | None:
    for at, (name, value) in enumerate(scope["headers"]):
        if name.lower() != b"authorization":
            continue
        given, _, rest = value.strip(b" \t").partition(b" ")
        scheme, token = _SCHEMES.get(given.lower()), rest.strip(b" \t").decode("latin-1")
        if scheme is not None and issuing.tokens.is_ours(token):
            return _Brought(at, scheme, token)
    return None


def _without(scope: Scope, brought: _Brought, *instead: Header) -> Scope:
    """The request without its token."""
    fields = scope["headers"]
    return {**scope, "headers": [*fields[: brought.at], *instead, *fields[brought.at + 1 :]]}

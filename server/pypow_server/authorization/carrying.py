# SPDX-License-Identifier: Apache-2.0
"""The way in for tokens of this gate: it gets what they stand for in their place.

So tokens are judged, spent and charged as the passes and payments are that they hold, by the same
rails, and none of them reaches the upstream.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pypow.auth_params import quoted
from pypow_server import problems
from pypow_server.api_decisions import asked_in
from pypow_server.identity import BadToken
from pypow_server.resource import raw_path
from pypow_server.scope import ASGIApp, Receive, Scope, Send
from pypow_server.token_fields import read_token

if TYPE_CHECKING:
    from .assembly import Issuing

_NOTHING: Final = (b"x-pow-token", b"")
"""In the place of what was not good and may not go on; the gate leaves such a field out."""


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
        if scope["type"] in ("http", "websocket"):
            issuing = self._issuing()
            found = scope if issuing is None else self._taken(scope, issuing)
            if isinstance(found, BadToken):
                assert issuing is not None
                await issuing.told(_Refusal(found))(scope, receive, send)
                return
            scope = found
        await self._gate(scope, receive, send)

    def _taken(self, scope: Scope, issuing: "Issuing") -> Scope | BadToken:
        """The request with what its tokens stand for; what is wrong with one that is not good."""
        fields = list(scope["headers"])
        # All of them: one that is taken must not cover another.
        for at, (name, value) in enumerate(scope["headers"]):
            scheme, token = read_token(name, value) or ("", "")
            if scheme != "Bearer" or not issuing.tokens.is_ours(token):
                continue
            found = issuing.tokens.credential(
                token, path=raw_path(scope).decode("latin-1"), now_ms=self._clock()
            )
            if isinstance(found, BadToken):
                if not issuing.observes:
                    return found
                fields[at] = _NOTHING
            elif found is not None:  # else who it is, is for the rail of logins to judge
                fields[at] = (b"authorization", found.encode("latin-1"))
        return {**scope, "headers": fields}


class _Refusal:
    """Answers whose token is not good."""

    def __init__(self, found: BadToken) -> None:
        self._found = found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._found
        problem = asked_in(scope).problem = problems.invalid_token(found.detail)
        said = f"Bearer error={quoted(found.error)}, error_description={quoted(found.detail)}"
        reply = problem.reply(headers=((b"www-authenticate", said.encode("ascii")),))
        await reply(scope, receive, send)

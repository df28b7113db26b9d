# SPDX-License-Identifier: Apache-2.0
"""The way in for tokens of this gate: it gets what they stand for in their place.

So tokens are judged, spent and charged as the passes and payments are that they hold, by the same
rails, and none of them reaches the upstream.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pypow.auth_params import quoted
from pypow_server import problems
from pypow_server.identity import BadToken
from pypow_server.reply import Reply
from pypow_server.resource import raw_path
from pypow_server.scope import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from .assembly import Issuing

_BEARER: Final = b"bearer "


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
            found = self._taken(scope)
            if isinstance(found, Reply):
                await found(scope, receive, send)
                return
            scope = found
        await self._gate(scope, receive, send)

    def _taken(self, scope: Scope) -> Scope | Reply:
        """The request with what its token stands for; what its caller hears if it is not good."""
        fields = list(scope["headers"])
        # All of them: one that is taken must not cover another.
        for at, (name, value) in enumerate(fields):
            if name.lower() != b"authorization" or value[: len(_BEARER)].lower() != _BEARER:
                continue
            token = value[len(_BEARER) :].strip(b" \t").decode("latin-1")
            issuing = self._issuing()
            if issuing is None or not issuing.tokens.is_ours(token):
                continue
            found = issuing.tokens.credential(
                token, path=raw_path(scope).decode("latin-1"), now_ms=self._clock()
            )
            if isinstance(found, BadToken):
                return _refused(found)
            if found is not None:  # else who it is, is for the rail of logins to judge
                fields[at] = (b"authorization", found.encode("latin-1"))
        return {**scope, "headers": fields}


def _refused(found: BadToken) -> Reply:
    said = f"Bearer error={quoted(found.error)}, error_description={quoted(found.detail)}"
    return problems.invalid_token(found.detail).reply(
        headers=((b"www-authenticate", said.encode("ascii")),)
    )

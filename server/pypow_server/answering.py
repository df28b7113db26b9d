# SPDX-License-Identifier: Apache-2.0
"""The way back for a call that spent something, or earned something."""

from collections.abc import Callable, Coroutine
from typing import Final

from pypow.errors import PowError

from . import problems
from .paid_calls import PaidCall
from .reply import Header
from .scope import UPSTREAM_FAILED, UPSTREAM_REACHED, Message, Scope, Send
from .settlement import release

_STARTS: Final = ("http.response.start", "websocket.accept")
_WHOLE: Final = ("websocket.accept", "http.response.pathsend", "http.response.zerocopysend")


class HandedOnError(PowError):
    """Somebody else may answer the call whose answer began; its connection must break off."""


class Answering:
    """Gives back what bought nothing, and tells when a paid call has its answer.

    What was spent goes back before the response starts, since a caller who has read it may send
    the same proof again; or at the end, since a caller who went away gets no response and comes
    back.
    """

    def __init__(
        self,
        give_back: Callable[[], Coroutine[None, None, None]] | None,
        scope: Scope,
        send: Send,
        earned: tuple[Header, ...],
        paid: PaidCall | None,
    ) -> None:
        """Nothing is answered yet.

        Args:
            give_back: undoes what was spent; None for nothing.
            scope: as the app gets it.
            send: to the caller.
            earned: headers with what the caller earned.
            paid: the call, where money was paid for it.
        """
        self._give_back = give_back
        self._scope = scope
        self._send = send
        self._earned = earned
        self._paid = paid
        self._withheld = False

    async def __call__(self, message: Message) -> None:
        """Send a message of the app's on.

        Raises:
            HandedOnError: the use was handed on between the start of the answer and its content.
        """
        if message["type"] in _STARTS:
            await self._before()
            message = self._with_earned(message)
        if self._withheld:
            return
        paid = self._paid if self._paid is not None and _says_something(message) else None
        if paid is not None and not await paid.may_be_answered():
            raise HandedOnError("this gate was cut off from its ledger within its answer")
        await self._send(message)
        if paid is not None:
            paid.answered()

    async def end(self) -> None:
        """The app is done."""
        await self._undo()
        if self._paid is not None:
            await self._paid.left()

    async def _before(self) -> None:
        await self._undo()
        paid = self._paid
        if paid is None:
            return
        if self._scope.get(UPSTREAM_FAILED):
            await paid.left()
        elif not await paid.may_be_answered():
            self._withheld = True
            await self._refuse()

    async def _undo(self) -> None:
        undo, self._give_back = self._give_back, None
        if undo is not None and self._scope.get(UPSTREAM_REACHED) is False:
            await release(undo)

    async def _refuse(self) -> None:
        if self._scope["type"] == "websocket":
            await self._send({"type": "websocket.close", "code": 1013})
            return
        problem = problems.in_progress(
            "this gate was cut off from its ledger, and another may have answered; send the same "
            "request again, with the same credential"
        )
        await problem(self._scope, _nothing, self._send)

    def _with_earned(self, message: Message) -> Message:
        """With what the caller earned, unless the upstream did nothing for it."""
        if not self._earned or self._scope.get(UPSTREAM_REACHED) is False:
            return message
        return {**message, "headers": [*message.get("headers", ()), *self._earned]}


async def _nothing() -> Message:
    raise AssertionError("a problem reads no request")


def _says_something(message: Message) -> bool:
    """Whether the caller has more by this than a status."""
    if message["type"] == "http.response.body":
        return bool(message.get("body")) or not message.get("more_body", False)
    return message["type"] in _WHOLE


def earned(bought: str | None, thanks: tuple[Header, ...]) -> tuple[Header, ...]:
    """Headers with the pass and the standing token that a caller gets; for no cache to keep."""
    if bought is None:
        return (*thanks, (b"cache-control", b"no-store")) if thanks else ()
    return (
        (b"x-pow-pass", bought.encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"access-control-expose-headers", b"X-PoW-Pass"),
        *thanks,
    )

# SPDX-License-Identifier: Apache-2.0
"""The calls that money was paid for, from the spend to the answer.

A payment is spent before its call travels on, and whoever dies in between must not keep it. So the
ledger remembers which request took a use and which process is to answer it. That process says when
the answer is given, and all the while that it is alive: when it is not, the same request gets the
use again. And it answers nobody when it may be taken for dead: then somebody else may answer.
"""

import asyncio
import hashlib
import itertools
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

from .call import Call
from .rails import Claim
from .sale import Sale
from .stores import Charge, Charged, Early, Spend
from .stores.attempts import Attempt, Ending
from .stores.payments import Payments
from .upkeep import Upkeep

LASTS_MS: Final = 10_000
"""How long a gate is taken to be alive that says nothing any more."""

PERIOD_S: Final = 2.0
_SURE_S: Final = LASTS_MS / 1000 - 2.0
"""How long after it said so a gate is sure to be taken for alive, by whatever clock."""

_LIFE_BYTES: Final = 8
_DIGEST_BYTES: Final = 16
_LOG: Final = logging.getLogger("pypow_server.gate")


async def _pause() -> None:
    await asyncio.sleep(PERIOD_S)


class PaidCalls:
    """The paid calls of one process."""

    def __init__(
        self,
        payments: Payments,
        *,
        life: bytes | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[], Awaitable[None]] = _pause,
    ) -> None:
        """There are none yet.

        Args:
            payments: the ledger's.
            life: 8 octets that name this process; random by default.
            monotonic: seconds, from any moment on.
            pause: returns when it is time to say again that this process is alive.
        """
        self._payments = payments
        self._life = os.urandom(_LIFE_BYTES) if life is None else life
        self._monotonic = monotonic
        self._sure_until = 0.0
        self._doubtful_to = 0
        self._numbers = itertools.count(1)
        self._open: dict[bytes, dict[int, None]] = {}
        self._unsaid: dict[PaidCall, Ending] = {}
        self._saying: set[asyncio.Task[None]] = set()
        self._upkeep = Upkeep(self._live_on, pause=pause)

    async def take(
        self, claim: Claim, sale: Sale, request: bytes, charge: Charge | None, *, now_ms: int
    ) -> "tuple[Charged | Spend | Early, PaidCall | None]":
        """Take a use for a request; see `Payments.take`. The call, where it has one.

        Raises:
            Exception: whatever a store raises; nobody knows then whether a use was taken.
        """
        number = next(self._numbers)
        under_way = self._open.setdefault(claim.key, {})
        under_way[number] = None
        attempt = Attempt(request, self._life, number, next(iter(under_way)), LASTS_MS)
        call, asked_at = PaidCall(self, claim.key, attempt), self._monotonic()
        found: Charged | Spend | Early = Spend.UNKNOWN
        try:
            found = await self._payments.take(
                claim.key,
                expires_at_ms=claim.expires_at_ms,
                now_ms=now_ms,
                limit=claim.limit,
                sale=sale,
                attempt=attempt,
                charge=charge,
            )
        finally:
            if found is Spend.UNKNOWN:
                self.say(call, Ending.UNTAKEN)
        if found is Spend.WON or isinstance(found, Charged):
            self._alive(asked_at, number - 1)
            self._upkeep.start()
            return found, call
        self._close(call)
        return found, None

    def is_sure(self, call: "PaidCall") -> bool:
        """Whether this process was taken for alive ever since: nobody else answers this call."""
        return self._monotonic() < self._sure_until and call.attempt.number > self._doubtful_to

    def say(self, call: "PaidCall", ending: Ending) -> "asyncio.Task[None]":
        """Have the ledger know how a call ended; again and again where it cannot be told."""
        if ending is Ending.UNTAKEN:
            self._close(call)
        saying = asyncio.create_task(self._say(call, ending))
        self._saying.add(saying)
        saying.add_done_callback(self._saying.discard)
        return saying

    async def say_now(self, call: "PaidCall") -> bool:
        """Whether the use of a call is still its own, and now recorded to be answered."""
        try:
            is_own = await self._payments.end(call.key, call.attempt, Ending.ANSWERED)
        except Exception:  # noqa: BLE001 - whatever a store raises, it did not say so
            _LOG.exception("the ledger cannot tell whose a paid call is")
            self.say(call, Ending.LEFT)
            return False
        self._close(call)
        return is_own

    async def give_up(self, call: "PaidCall", charge: Charge | None) -> None:
        """Give back a use that the upstream knows nothing of.

        Raises:
            Exception: whatever a store raises.
        """
        self._close(call)
        await self._payments.give_up(call.key, call.attempt, charge)

    async def aclose(self) -> None:
        """Say that this process answers no more."""
        await self._upkeep.aclose()
        if self._saying:
            await asyncio.wait(self._saying)
        if self._sure_until:
            self._sure_until = 0.0
            try:
                await self._payments.live(self._life, lasts_ms=0)
            except Exception:  # noqa: BLE001 - then it is taken for dead a little later
                _LOG.exception("the ledger was not told of the end")

    async def _say(self, call: "PaidCall", ending: Ending) -> None:
        try:
            await self._payments.end(call.key, call.attempt, ending)
        except Exception as error:  # noqa: BLE001 - any store's fault; it is told later
            _LOG.warning("how a paid call ended is told later: %s", type(error).__name__)
            self._unsaid[call] = ending
            if ending is Ending.ANSWERED:
                return
        else:
            self._unsaid.pop(call, None)
        # Not before: whoever comes back at once would have left without being counted.
        self._close(call)

    async def _live_on(self) -> None:
        if self._open:
            asked_at, last = self._monotonic(), next(self._numbers)
            await self._payments.live(self._life, lasts_ms=LASTS_MS)
            self._alive(asked_at, last)
        for call, ending in tuple(self._unsaid.items()):
            await self._say(call, ending)

    def _alive(self, asked_at: float, last: int) -> None:
        """The ledger was asked then, when this was the last number, to take this for alive."""
        if asked_at >= self._sure_until:  # somebody may have taken it for dead in between
            self._doubtful_to = max(self._doubtful_to, last)
        self._sure_until = max(self._sure_until, asked_at + _SURE_S)

    def _close(self, call: "PaidCall") -> None:
        under_way = self._open.get(call.key)
        if under_way is not None:
            under_way.pop(call.attempt.number, None)
            if not under_way:
                del self._open[call.key]


class PaidCall:
    """One call that took a use, until it is known how it ended."""

    def __init__(self, calls: PaidCalls, key: bytes, attempt: Attempt) -> None:
        """It is under way.

        Args:
            calls: those of the process.
            key: the ledger's.
            attempt: what took the use.
        """
        self._calls = calls
        self.key = key
        self.attempt = attempt
        self._saying: asyncio.Task[None] | None = None
        self._is_over = False

    async def may_be_answered(self) -> bool:
        """Whether nobody else may answer. False is the end of it: this process must not."""
        if self._is_over or self._calls.is_sure(self):
            return True
        self._is_over = True
        return await self._calls.say_now(self)

    def answered(self) -> None:
        """The caller has its answer, or as much of it as a gate can tell."""
        self._end(Ending.ANSWERED)

    async def left(self) -> None:
        """It ends here; without an answer, unless there was one."""
        self._end(Ending.LEFT)
        if self._saying is not None:
            await asyncio.shield(self._saying)

    async def give_up(self, charge: Charge | None) -> None:
        """The upstream knows nothing of it.

        Raises:
            Exception: whatever a store raises.
        """
        if not self._is_over:
            self._is_over = True
            await self._calls.give_up(self, charge)

    def _end(self, ending: Ending) -> None:
        if not self._is_over:
            self._is_over = True
            self._saying = self._calls.say(self, ending)


def digest(call: Call, query: bytes) -> bytes:
    """What tells whether a request is the same when it returns.

    An MCP message is by what it asks for: clients number what they send again anew.

    Args:
        call: the request.
        query: of its target.
    """
    asked = b"" if call.mcp is None else _asked(call.mcp.body)
    found = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in (call.method.encode(), call.path, query, asked):
        found.update(b"%d:%b" % (len(part), part))
    return found.digest()


def _asked(body: bytes) -> bytes:
    message = json.loads(body)
    params = message.get("params")
    if isinstance(params, dict):
        params = {name: value for name, value in params.items() if name != "_meta"}
    return json.dumps([message.get("method"), params], sort_keys=True).encode("ascii")

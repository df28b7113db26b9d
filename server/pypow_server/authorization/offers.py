# SPDX-License-Identifier: Apache-2.0
"""What would earn a code: a challenge for any call, and an invoice where one is sold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pypow.wire import Challenge
from pypow_server.api_decisions import Asked
from pypow_server.call import Call
from pypow_server.problems import Problem
from pypow_server.rails import Rail
from pypow_server.redemption import Given, Redemption


class Earning(NamedTuple):
    """What a caller may do for a code.

    Attributes:
        challenge: to be solved.
        sats: what the invoice is for; 0 without one.
        invoice: to be paid instead; None where nothing is sold, or not now.
        macaroon: to be sent with its preimage.
    """

    challenge: Challenge
    sats: int = 0
    invoice: str | None = None
    macaroon: str = ""

    @property
    def solve(self) -> str:
        """The command line that solves the challenge."""
        return f"pypow solve --challenge {self.challenge.text}"


@dataclass(frozen=True, slots=True)
class Offers:
    """Makes them. Writes nothing, but for the wallet's invoice.

    Attributes:
        redemption: gives challenges out.
        payments: offers invoices; None where nothing is sold for sats.
    """

    redemption: Redemption
    payments: Rail | None = None

    async def offer(self, asked: Asked, *, now_ms: int) -> Earning | Problem:
        """What the caller may do for a code."""
        given = await self._given(asked, now_ms=now_ms)
        if isinstance(given, Problem):
            return given
        price = given.price
        # A payment for one call would have to say for which.
        if self.payments is None or price.sats is None or price.sells is None:
            return Earning(given.challenge)
        offered = await self.payments.offer(
            Call("GET", b"/", asked.client, ()),
            price,
            now_ms=now_ms,
            epoch=given.challenge.epoch,
            quote=given.quote,
        )
        said: Mapping[str, Any] = {} if offered is None else offered.body
        if said.get("invoice") is None:
            return Earning(given.challenge)
        return Earning(given.challenge, said["sats"], said["invoice"], said["macaroon"])

    async def work(self, asked: Asked, *, now_ms: int) -> Earning | Problem:
        """What work the caller may do; no invoice is asked for."""
        given = await self._given(asked, now_ms=now_ms)
        return given if isinstance(given, Problem) else Earning(given.challenge)

    async def _given(self, asked: Asked, *, now_ms: int) -> Given | Problem:
        return await self.redemption.challenge(None, asked, puzzles=None, now_ms=now_ms)

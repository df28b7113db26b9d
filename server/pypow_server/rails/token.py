# SPDX-License-Identifier: Apache-2.0
"""The way in by tokens that the gate gives out itself: this rail only says where to get one.

A token stands for a pass or a payment, and the gate sees that in its place: so it is judged by the
rails of those.
"""

from dataclasses import replace
from typing import Final

from pypow.auth_params import quoted
from pypow.pricing import Quote
from pypow_server import problems
from pypow_server.call import Call
from pypow_server.price import Price
from pypow_server.reply import json_text

from . import Absent, Offer, Refuse, Verdict

RAIL: Final = "token"
_ABSENT: Final = Absent()


class TokenRail:
    """Tells OAuth's clients where tokens are."""

    name: Final = RAIL

    def __init__(self, *, issuer: str, resource: str, metadata_url: str, asks_first: bool) -> None:
        """Set up the rail.

        Args:
            issuer: who gives out tokens: this gate.
            resource: what they are for.
            metadata_url: where that is told (RFC 9728).
            asks_first: whether who brings nothing hears 401 instead of 402.
        """
        self._asks_first = asks_first
        self._line = f"Bearer resource_metadata={quoted(metadata_url)}"
        body = {
            "rail": RAIL,
            "resource": resource,
            "resource_metadata": metadata_url,
            "authorization_servers": [issuer],
            "send": "Authorization: Bearer <access token>",
        }
        ask = "Or get an access token for work where the offer says, and send it."
        self._offer = Offer(RAIL, (self._line,), json_text(body), ask)

    async def judge(self, call: Call, _price: Price, *, now_ms: int) -> Verdict:  # noqa: ARG002
        """Refuse who brings nothing, where that is to be asked for a token first."""
        brought = call.credentials or call.paying is not None or call.tokens is not None
        if not self._asks_first or brought:
            return _ABSENT
        problem = problems.login_required("expected an access token; the offer says where they are")
        return Refuse(replace(problem, authenticate=(self._line,)))

    async def offer(
        self,
        _call: Call,
        _price: Price,
        *,
        now_ms: int,  # noqa: ARG002
        epoch: int,  # noqa: ARG002
        quote: Quote | None,  # noqa: ARG002
    ) -> Offer:
        """Where to get a token."""
        return self._offer

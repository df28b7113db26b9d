# SPDX-License-Identifier: Apache-2.0
"""A decider for forward-auth with everything around it within reach, and questions to it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pypow_server import problems
from pypow_server.client_address import TrustedProxies
from pypow_server.fronts.dialects import DIALECTS
from pypow_server.fronts.forward_auth import ForwardAuth, vouch, without_bodies
from pypow_server.gate import Gate
from pypow_server.policy import Policy
from pypow_server.rails import Rail
from pypow_server.rails.work import WorkRail
from pypow_server.scope import ASGIApp
from pypow_server.stores import Ledger
from support.asgi_client import Answer, call
from support.challenges import KEYRING
from support.gated import EASY, HOST, CountingLedger, Headers

PROXY = ("10.0.0.1", 40000)
HEADERS = {"nginx": "X-Real-IP"}


def failure(status: int, detail: str) -> ASGIApp:
    """What the front answers by itself."""
    makers = {400: problems.bad_request, 403: problems.denied, 404: problems.not_found}
    return makers[status](detail)


class Decider:
    """A front with its two gates, over one ledger."""

    def __init__(
        self,
        dialect: str,
        *,
        policy: Policy | None = None,
        checked_headers: bool = True,
        networks: tuple[str, ...] = ("10.0.0.0/8",),
        host: str = HOST,
        ledger: Ledger | None = None,
        more_rails: Sequence[Rail] = (),
    ) -> None:
        trusted = TrustedProxies.parse(networks, HEADERS.get(dialect, "X-Forwarded-For"))
        self.policy = policy or Policy(default=EASY, trusted=trusted)
        self.ledger = CountingLedger() if ledger is None else ledger
        self.rails = (WorkRail(KEYRING, public_host=host), *more_rails)
        self.app = ForwardAuth(
            unseen=self._gate(without_bodies(self.policy)),
            named=self._gate(self.policy) if checked_headers else None,
            policy=lambda: replace(self.policy, trusted=trusted),
            dialect=DIALECTS[dialect],
            failure=failure,
        )

    def _gate(self, policy: Policy) -> Gate:
        return Gate(vouch, rails=self.rails, ledger=self.ledger, policy=policy)

    def ask(
        self,
        method: str,
        target: bytes,
        headers: Headers = (),
        *,
        peer: tuple[str, int] | None = PROXY,
    ) -> Answer:
        """One question."""
        return asyncio.run(call(self.app, method, target, headers=headers, client=peer))

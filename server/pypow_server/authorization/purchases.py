# SPDX-License-Identifier: Apache-2.0
"""What callers pay for tokens with: a proof of work, or a Lightning payment, as one text.

``challenge=<c>,nonce=<n>`` is a proof, as `X-PoW-Solution` has it, and
``<macaroon>:<preimage>`` a payment, as L402 has it. What was bought for one call or row of the
price list has its name behind it: ``,resource=tools/call search``.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from pypow import wire
from pypow.errors import InvalidInputError, WireError
from pypow_server import problems
from pypow_server.api_decisions import Asked
from pypow_server.call import Call
from pypow_server.key_binding import Bound
from pypow_server.mcp_message import Kind, McpMessage
from pypow_server.payment_fields import Paying
from pypow_server.problems import Problem
from pypow_server.rails import Admit, Claim, Rail, Refuse
from pypow_server.redemption import Redemption, price_asked
from pypow_server.resource import Resource

from .key_proofs import use_up
from .tokens import Bought

MAX_TEXT: Final = 8192
MAX_PAYMENT: Final = 2048
"""Characters of a payment: it travels in a token, with every call."""

PROOF: Final = "challenge="
_RESOURCE: Final = ",resource="
_MOST_CALLS: Final = 0xFFFF
"""A payment for more is one for any number."""


class Secret(NamedTuple):
    """What somebody pays with; not yet read.

    Attributes:
        text: the proof or the payment.
        resource: the call that it was made for; None for any call of the default price.
    """

    text: str
    resource: Resource | None

    def __repr__(self) -> str:
        """Without the text: it is a secret."""
        return f"Secret({self.resource})"


def read_secret(text: str) -> Secret | Problem:
    """What a client sends as its secret."""
    if len(text) > MAX_TEXT:
        return problems.malformed_proof(f"expected at most {MAX_TEXT} characters")
    paid, comma, named = text.partition(_RESOURCE)
    try:
        return Secret(paid, Resource.parse(named) if comma else None)
    except InvalidInputError as error:
        return problems.malformed_proof(str(error))


@dataclass(frozen=True, slots=True)
class Purchases:
    """Takes proofs and payments for what tokens stand for.

    Attributes:
        redemption: sells passes for proofs.
        payments: judges payments; None where nothing is sold for sats.
    """

    redemption: Redemption
    payments: Rail | None = None

    async def buy(
        self, secret: Secret, asked: Asked, *, now_ms: int, first: Claim | None = None
    ) -> Bought | Problem:
        """Take what somebody pays with. A proof is spent, and buys a pass.

        A payment is what admits its calls, in a token as without: so it is spent call by call.

        Args:
            secret: what that is.
            asked: the request that brings it; is told what was sold.
            now_ms: Unix milliseconds.
            first: what must be won before anything is spent; None for nothing.
        """
        if not secret.text.startswith(PROOF):
            paid = await self._paid(secret, asked, now_ms=now_ms)
            if isinstance(paid, Problem):
                return paid
            replayed = await use_up(self.redemption.ledger, first, now_ms=now_ms)
            if replayed is not None:
                return replayed
            assert self.payments is not None
            asked.rail = self.payments.name
            calls = paid.limit if paid.limit <= _MOST_CALLS else 0
            return Bought(f"L402 {secret.text}", "sats", calls, paid.expires_at_ms)
        proof = _proof(secret.text)
        if isinstance(proof, Problem):
            return proof
        found = await self.redemption.redeem(
            proof,
            secret.resource,
            asked,
            now_ms=now_ms,
            # The token is bound, and holds the pass sealed: nobody has that without the token.
            bind=None if first is None else lambda sold: Bound(sold, first, ()),
        )
        if isinstance(found, Problem):
            return found
        sold = found.bought
        return Bought(f"Bearer {sold.text}", "work", sold.calls, sold.expires_at_ms)

    async def until(self, secret: Secret, asked: Asked, *, now_ms: int) -> int | Problem:
        """Until when `buy` would take this, in Unix milliseconds; or why not. Spends nothing."""
        if not secret.text.startswith(PROOF):
            paid = await self._paid(secret, asked, now_ms=now_ms)
            return paid if isinstance(paid, Problem) else paid.expires_at_ms
        price = price_asked(secret.resource, self.redemption.policy, asked.client)
        if isinstance(price, Problem):
            return price
        proof = _proof(secret.text)
        if isinstance(proof, Problem):
            return proof
        metered = self.redemption.policy.is_metered
        found = self.redemption.rail.exchange(
            proof, secret.resource, price, now_ms=now_ms, metered=metered
        )
        return found.problem if isinstance(found, Refuse) else found.spend.expires_at_ms

    async def _paid(self, secret: Secret, asked: Asked, *, now_ms: int) -> Claim | Problem:
        """What a payment admits to, held against the call that it is said to be for."""
        price = price_asked(secret.resource, self.redemption.policy, asked.client)
        if isinstance(price, Problem):
            return price
        if self.payments is None:
            return problems.unpaid("expected challenge=...,nonce=...: no payment is taken for this")
        if price.sells is None and secret.resource is None:
            return problems.wrong_resource(
                "expected the name of the call that was paid for, such as "
                ",resource=tools/call search"
            )
        asked.entry = price.name
        if len(secret.text) > MAX_PAYMENT:
            return problems.malformed_payment(
                f"expected a payment of at most {MAX_PAYMENT} characters, got {len(secret.text)}; "
                "send it with the call instead: Authorization: L402 ..."
            )
        paying = Paying(((b"authorization", f"L402 {secret.text}".encode()),))
        call = _call(secret.resource, asked.client)._replace(paying=paying)
        verdict = await self.payments.judge(call, price, now_ms=now_ms)
        if isinstance(verdict, Refuse):
            return verdict.problem
        if not isinstance(verdict, Admit) or verdict.spend is None:
            return problems.unpaid("expected a paid L402, macaroon:preimage")
        return verdict.spend


def _call(resource: Resource | None, client: str) -> Call:
    """A call that is only named."""
    if resource is None:
        return Call("GET", b"/", client, ())
    if resource.kind == "http":
        return Call(resource.method, resource.name.encode(), client, ())
    message = McpMessage(
        Kind.REQUEST, 0, resource.method, resource.name, modern=False, proof=(), body=b""
    )
    return Call("POST", b"/mcp", client, (), mcp=message)


def _proof(text: str) -> wire.Proof | Problem:
    try:
        return wire.proof_from_header(text)
    except WireError as error:
        return problems.malformed_proof(str(error))

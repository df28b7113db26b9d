# SPDX-License-Identifier: Apache-2.0
"""What callers pay for tokens with: a proof of work, or a Lightning payment, as one text.

``challenge=<c>,nonce=<n>`` is a proof, as `X-PoW-Solution` has it, and
``<macaroon>:<preimage>`` a payment, as L402 has it. What was bought for one call or row of the
price list has its name behind it: ``,resource=tools/call search``.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pypow import l402, wire
from pypow.challenge import Keyring
from pypow.errors import InvalidInputError, WireError
from pypow.l402_wire import credential_from_authorization
from pypow_server import problems
from pypow_server.api_decisions import Asked
from pypow_server.policy import Price
from pypow_server.problems import Problem
from pypow_server.rails import Claim, Paid, Refuse
from pypow_server.rails.l402 import bought_by
from pypow_server.rails.l402_credential import SERVICE
from pypow_server.redemption import Redemption, price_asked
from pypow_server.resource import Resource

from .tokens import Bought

if TYPE_CHECKING:
    from pypow_server.passes import Pass

MAX_TEXT: Final = 8192
PROOF: Final = "challenge="
_RESOURCE: Final = ",resource="
_MOST_OVERDRAFT: Final = 0xFF


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
        keyring: the deployment's secrets.
        host: of the public URL.
    """

    redemption: Redemption
    keyring: Keyring
    host: str

    async def buy(self, secret: Secret, asked: Asked, *, now_ms: int) -> Bought | Problem:
        """Take what somebody pays with: a proof is spent, a payment where it buys time."""
        if not secret.text.startswith(PROOF):
            return await self._buy_for_sats(secret, asked, now_ms=now_ms)
        proof = _proof(secret.text)
        if isinstance(proof, Problem):
            return proof
        found = await self.redemption.redeem(proof, secret.resource, asked, now_ms=now_ms)
        return found if isinstance(found, Problem) else _of_pass(found.bought, "work")

    def hold(self, secret: Secret, asked: Asked, *, now_ms: int) -> int | Problem:
        """Until when `buy` would take this, in Unix milliseconds; or why not. Spends nothing."""
        price = price_asked(secret.resource, self.redemption.policy, asked.client)
        if isinstance(price, Problem):
            return price
        if not secret.text.startswith(PROOF):
            paid = self._paid(secret, price, now_ms=now_ms)
            return paid if isinstance(paid, Problem) else 1000 * paid.valid_until_s
        proof = _proof(secret.text)
        if isinstance(proof, Problem):
            return proof
        metered = self.redemption.policy.is_metered
        found = self.redemption.rail.exchange(
            proof, secret.resource, price, now_ms=now_ms, metered=metered
        )
        return found.problem if isinstance(found, Refuse) else found.spend.expires_at_ms

    async def _buy_for_sats(self, secret: Secret, asked: Asked, *, now_ms: int) -> Bought | Problem:
        price = price_asked(secret.resource, self.redemption.policy, asked.client)
        if isinstance(price, Problem):
            return price
        paid = self._paid(secret, price, now_ms=now_ms)
        if isinstance(paid, Problem):
            return paid
        if price.sells is None or price.sells.calls:
            # The payment is what admits its calls, so that nothing is spent before they are made.
            return Bought(
                f"L402 {secret.text}", "sats", paid.uses or 1, 1000 * paid.valid_until_s
            )
        claim = Claim(b"ln:" + paid.payment_hash, None, 1000 * paid.valid_until_s)
        charged = Paid(_MOST_OVERDRAFT, now_ms)
        thanks = await self.redemption.settle(claim, charged, price, asked, now_ms=now_ms)
        if isinstance(thanks, Problem):
            return thanks
        asked.rail, asked.entry = "l402", price.name
        sold = self.redemption.rail.sell(price, now_ms=now_ms, used=0)
        assert sold is not None
        return _of_pass(sold, "sats")

    def _paid(self, secret: Secret, price: Price, *, now_ms: int) -> l402.Checked | Problem:
        """The payment, held against what it is said to be for."""
        resource = secret.resource
        if price.sats is None:
            return problems.unpaid("nothing is sold for sats here; send a proof of work")
        if price.sells is None and resource is None:
            return problems.wrong_resource(
                "a payment here buys one call: expected its name behind it, such as "
                ",resource=tools/call search"
            )
        try:
            credential = credential_from_authorization(secret.text)
        except WireError as error:
            return problems.malformed_payment(str(error))
        named = resource or Resource("entry", "", "")
        path = named.name if named.kind == "http" else ""
        expected = l402.Expected(
            service=SERVICE,
            capability=bought_by(named, price),
            audience=self.host + path,
            tool=named.name if named.method == "tools/call" else "",
        )
        found = l402.check(
            credential.macaroons[0],
            credential.preimage or b"",
            self.keyring,
            expected,
            now_s=now_ms // 1000,
        )
        return problems.unpaid(found.detail) if isinstance(found, l402.Refusal) else found


def _proof(text: str) -> wire.Proof | Problem:
    try:
        return wire.proof_from_header(text)
    except WireError as error:
        return problems.malformed_proof(str(error))


def _of_pass(bought: "Pass", kind: str) -> Bought:
    assert kind in ("work", "sats")
    return Bought(
        f"Bearer {bought.text}",
        "work" if kind == "work" else "sats",
        bought.calls,
        bought.expires_at_ms,
    )

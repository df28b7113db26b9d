# SPDX-License-Identifier: Apache-2.0
"""A gate that sells for sats, with the development wallet, and the smallest clients that pay."""

from dataclasses import dataclass, field, replace
from typing import Any

from pypow import bolt11, payment_lightning, payment_wire
from pypow.base64_text import decode_either, encode
from pypow.bolt11 import Invoice
from pypow.l402_wire import read_l402_challenges
from pypow.lightning import Reason, Standing, WalletError
from pypow.lightning.development import DevelopmentWallet, preimage_of
from pypow.macaroon import macaroon_of_octets
from pypow.payment_headers import METADATA_NAMES
from pypow_server.invoices import Invoices
from pypow_server.policy import Policy, Price
from pypow_server.rails.l402 import L402Rail
from pypow_server.rails.work import WorkRail
from pypow_server.selling import Selling
from pypow_server.settled import Settled
from pypow_server.stores import Quota
from pypow_server.stores.memory import MemoryLimiter
from support.asgi_client import Answer
from support.challenges import KEYRING
from support.gated import HOST, Bench, Clock, Headers

SATS = Price("sold", 4 * 1024, sats=5)


@dataclass
class Worked:
    """A caller who worked for an invoice, or did not; what was given back is counted."""

    has_worked: bool
    given_back: int = 0

    def take(self) -> bool:
        return self.has_worked

    def give_back(self) -> None:
        self.given_back += 1


SELLING = Selling("development:", stamp_q=4 * 1024)


@dataclass
class PlayedWallet:
    """A development wallet under the gate's clock, that counts, and can be told what to say."""

    clock: Clock
    is_down: bool = False
    say: Standing | WalletError | None = None
    made: list[Invoice] = field(default_factory=list)
    looked_up: int = 0

    def __post_init__(self) -> None:
        self.inner = DevelopmentWallet(clock_s=lambda: self.clock.now_ms / 1000)
        self.abilities = self.inner.abilities

    async def create_invoice(
        self, amount_sat: int, *, memo: str, expiry_s: int, preimage: bytes | None = None
    ) -> Invoice:
        if self.is_down:
            raise WalletError("no answer", Reason.UNREACHABLE)
        made = await self.inner.create_invoice(
            amount_sat, memo=memo, expiry_s=expiry_s, preimage=preimage
        )
        self.made.append(made)
        return made

    async def state(self, payment_hash: bytes) -> Standing:
        self.looked_up += 1
        if isinstance(self.say, WalletError):
            raise self.say
        if self.say is not None:
            return self.say
        return await self.inner.state(payment_hash)

    async def pay(self, invoice: Invoice, *, max_fee_msat: int | None) -> bytes:
        return await self.inner.pay(invoice, max_fee_msat=max_fee_msat)

    async def probe(self) -> None:
        await self.inner.probe()

    async def aclose(self) -> None:
        await self.inner.aclose()


class Stall(Bench):
    """A gate that sells for sats."""

    def __init__(
        self, policy: Policy | None = None, *, selling: Selling = SELLING, **options: Any
    ) -> None:
        self.wallet = PlayedWallet(Clock())
        self.invoices = Invoices(self.wallet, MemoryLimiter())
        work = WorkRail(KEYRING, public_host=HOST)
        self.work, self.selling = work, selling
        self.l402 = self.rail_of(selling)
        super().__init__(policy=policy or Policy(default=SATS), rails=[work, self.l402], **options)
        # One clock for the wallet, the gate and the test.
        self.wallet.clock = self.clock

    def rail_of(
        self, selling: Selling, host: str = HOST, settled: Settled | None = None
    ) -> L402Rail:
        """Another rail with the same keys and wallet."""
        return L402Rail(
            KEYRING,
            selling,
            self.invoices,
            public_host=host,
            grant=self.work.grant,
            settled=settled,
        )

    def reload(self, policy: Policy) -> None:
        """Go on by another price list."""
        self.policy = policy
        self.gate.decide_by(policy=policy, rails=[self.work, self.l402])

    def buy(self, method: str = "GET", target: str = "/x", headers: Headers = ()) -> bytes:
        """The L402 credential for a call, paid for."""
        refusal = self.send(method, target, headers)
        assert refusal.status == 402, refusal.body
        return l402_credential(refusal)


def sats_rail(host: str = HOST) -> L402Rail:
    """A rail that sells calls, and no passes, for the money of a development wallet."""
    invoices = Invoices(DevelopmentWallet(), MemoryLimiter())
    plenty = replace(SELLING, free_invoices=Quota(300, 60_000))
    grant = WorkRail(KEYRING, public_host=host).grant
    return L402Rail(KEYRING, plenty, invoices, public_host=host, grant=grant)


def l402_credential(refusal: Answer) -> bytes:
    """What a client of L402 sends that has paid."""
    lines = [line.decode() for line in refusal.values(b"www-authenticate")]
    (offer,) = read_l402_challenges(lines)
    return offer.authorization(paid(offer.invoice)).encode()


def narrowed(credential: bytes, *caveats: bytes) -> bytes:
    """The same L402 credential with more caveats."""
    token, _, preimage = credential.removeprefix(b"L402 ").partition(b":")
    found = macaroon_of_octets(decode_either(token.decode())).narrowed(*caveats)
    return b"L402 " + encode(found.octets).encode() + b":" + preimage


def payment_credential(refusal: Answer) -> bytes:
    """What a client of the `Payment` scheme sends that has paid."""
    lines = [line.decode() for line in refusal.values(b"www-authenticate")]
    (offer,) = payment_wire.read_payment_challenges(lines)
    preimage = paid(payment_lightning.asked(offer).invoice)
    credential = payment_wire.PaymentCredential(offer, {"preimage": preimage.hex()})
    return credential.authorization().encode()


def paid(invoice: str) -> bytes:
    """The preimage of an invoice of a development wallet."""
    return preimage_of(bolt11.decode(invoice))


def as_sent(place: bytes, credential: bytes) -> tuple[bytes, bytes]:
    """A credential of L402 in the header of this name."""
    if place.lower() not in METADATA_NAMES:
        return place, credential
    token, _, preimage = credential.removeprefix(b"L402 ").partition(b":")
    whole = macaroon_of_octets(decode_either(token.decode()))
    return place, whole.narrowed(b"preimage=" + preimage).octets.hex().encode()


def authorized(credential: bytes) -> list[tuple[bytes, bytes]]:
    """The header that carries a payment."""
    return [(b"authorization", credential)]

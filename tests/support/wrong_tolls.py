# SPDX-License-Identifier: Apache-2.0
"""Servers that sell calls and say so wrongly, each in one way; and a wallet that pays them."""

import hashlib
import json
import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from pypow import bolt11, payment_lightning, payment_wire
from pypow.bolt11 import Invoice
from pypow.l402_wire import L402Challenge
from pypow_server.scope import Receive, Scope, Send
from support.serving import served
from support.toll import Toll

SATS: Final = 7
MOST_OFFERS: Final = 4
"""After so many a server stops, so that who pays again and again ends somewhere."""


@dataclass(frozen=True, slots=True)
class Sale:
    """What a toll offers a caller.

    Attributes:
        invoice: to be paid.
        challenge: of L402, for it.
        payment: a challenge of the ``Payment`` scheme for it.
        members: of the body.
    """

    invoice: Invoice
    challenge: L402Challenge
    payment: payment_wire.PaymentChallenge
    members: Mapping[str, Any]

    @property
    def l402(self) -> str:
        """The line that all clients read."""
        return self.challenge.www_authenticate()

    @property
    def paid_by(self) -> str:
        """The line of the `Payment` scheme."""
        return self.payment.www_authenticate()


@dataclass(frozen=True, slots=True)
class Wrong:
    """One way to say it.

    Attributes:
        name: of the way.
        lines: of ``WWW-Authenticate``.
        body: members; None for the right ones.
        asks_again: whether an `Authorization` of no known scheme gets another invoice.
        sats: the price; None for an invoice of any amount.
        opaque: of the `Payment` challenge.
        status: of a refusal.
    """

    name: str
    lines: Callable[[Sale], list[str]]
    body: Callable[[Sale], Any] = lambda sale: sale.members
    asks_again: bool = False
    sats: int | None = SATS
    opaque: Mapping[str, str] | None = None
    status: int = 402


def _nothing(_sale: Sale) -> dict[str, Any]:
    return {}


def _bare(sale: Sale) -> str:
    return f'macaroon="{sale.challenge.token}", invoice="{sale.invoice.text}"'


def _url_safe(sale: Sale) -> str:
    token = sale.challenge.token.translate(str.maketrans("+/", "-_")).rstrip("=")
    return f'L402 macaroon="{token}", invoice="{sale.invoice.text}"'


def _of_no_macaroon(sale: Sale) -> str:
    said = json.dumps({"payment_hash": sale.invoice.payment_hash.hex()}).encode()
    return f'L402 macaroon="{urlsafe_b64encode(said).decode()}", invoice="{sale.invoice.text}"'


RIGHT: Final = Wrong("right", lambda sale: [sale.l402, sale.paid_by])
WRONG: Final = (
    Wrong("header only", lambda sale: [sale.l402], _nothing),
    Wrong(
        "as the specification has it",
        lambda sale: [
            f'L402 version="0", token="{sale.challenge.token}", invoice="{sale.invoice.text}"'
        ],
        _nothing,
    ),
    Wrong(
        "a comma missing",
        lambda sale: [
            f'L402 version="0" token="{sale.challenge.token}", invoice="{sale.invoice.text}"'
        ],
        _nothing,
    ),
    Wrong(
        "as aperture has it",
        lambda sale: [f"LSAT {_bare(sale)}", f"L402 {_bare(sale)}"],
        _nothing,
    ),
    Wrong("invoice first", lambda sale: [
        f'L402 invoice="{sale.invoice.text}", macaroon="{sale.challenge.token}"'
    ], _nothing),
    Wrong("without quotes", lambda sale: [
        f"L402 macaroon={sale.challenge.token}, invoice={sale.invoice.text}"
    ], _nothing),
    Wrong("lower case", lambda sale: [f"l402 {_bare(sale)}"], _nothing),
    Wrong("lower case, asking again", lambda sale: [f"l402 {_bare(sale)}"], _nothing, True),
    Wrong("Payment first", lambda sale: [sale.paid_by, sale.l402], _nothing),
    Wrong("Payment first, asking again", lambda sale: [sale.paid_by, sale.l402], _nothing, True),
    Wrong("Bearer first", lambda sale: ['Bearer realm="r"', sale.l402, sale.paid_by], _nothing),
    Wrong("in one line", lambda sale: [f"{sale.l402}, {sale.paid_by}"], _nothing),
    Wrong("Payment only", lambda sale: [sale.paid_by], _nothing),
    Wrong("Payment only, opaque", lambda sale: [sale.paid_by], _nothing, opaque={"for": "it"}),
    Wrong("body only", lambda _: []),
    Wrong("nothing", lambda _: [], _nothing),
    Wrong("url-safe macaroon", lambda sale: [_url_safe(sale)], _nothing),
    Wrong("two spaces", lambda sale: [f"L402  {_bare(sale)}"], _nothing),
    Wrong("capital invoice", lambda sale: [
        f'L402 macaroon="{sale.challenge.token}", invoice="{sale.invoice.text.upper()}"'
    ], _nothing),
    Wrong("any amount", lambda sale: [sale.l402], _nothing, sats=None),
    Wrong("dear", lambda sale: [sale.l402], sats=150),
    Wrong("very dear", lambda sale: [sale.l402], sats=1500),
    Wrong("401", lambda sale: [sale.l402, sale.paid_by], status=401),
    Wrong("403, Payment only", lambda sale: [sale.paid_by], status=403),
    Wrong("a body that is a list", lambda sale: [sale.l402], lambda _: ["payment required"]),
)  # fmt: skip


class Purse:
    """Makes invoices and pays them, with no money; counts."""

    payer_rune = "rune"

    def __init__(self) -> None:
        self.paid: list[bytes] = []
        """The hashes of all payments."""
        self.payer_cln_url = ""
        self._secret = os.urandom(32)
        self._preimages: dict[bytes, bytes] = {}

    def make(self, sats: int | None, *, expiry_s: int = 600) -> Invoice:
        """A new invoice; of any amount for None."""
        preimage = os.urandom(32)
        made = bolt11.issue(
            self._secret,
            network=bolt11.Network.REGTEST,
            amount_msat=None if sats is None else 1000 * sats,
            payment_hash=hashlib.sha256(preimage).digest(),
            payment_secret=os.urandom(32),
            description="what was paid for",
            created_at_s=int(time.time()),
            expiry_s=expiry_s,
        )
        self._preimages[made.payment_hash] = preimage
        return made

    def invoice(self, sats: int, *, expiry_s: int) -> str:
        """As a node's."""
        return self.make(sats, expiry_s=expiry_s).text

    def pay(self, text: str) -> bytes | None:
        """The preimage; None for what was not made here."""
        invoice = bolt11.decode(text)
        if invoice.payment_hash not in self._preimages:
            return None
        self.paid.append(invoice.payment_hash)
        return self._preimages[invoice.payment_hash]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Core Lightning's ``/v1/pay``."""
        text = json.loads((await receive())["body"])["bolt11"]
        preimage = self.pay(text)
        said = {"code": 210, "message": "not paid"} if preimage is None else _paid(text, preimage)
        status = 500 if preimage is None else 200
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})


def _paid(text: str, preimage: bytes) -> dict[str, object]:
    invoice = bolt11.decode(text)
    return {
        "payment_hash": invoice.payment_hash.hex(),
        "payment_preimage": preimage.hex(),
        "status": "complete",
        "parts": 1,
        "amount_msat": invoice.amount_msat or 1000,
        "amount_sent_msat": invoice.amount_msat or 1000,
    }


@contextmanager
def purse() -> Iterator[Purse]:
    """A wallet that clients reach, for as long as a block lasts."""
    made = Purse()
    with served(made) as url:
        made.payer_cln_url = url
        yield made


class WrongToll(Toll):
    """Says what it sells in one way, whatever is right."""

    def __init__(self, wrong: Wrong, purse: Purse, *, most_offers: int = MOST_OFFERS) -> None:
        super().__init__(purse, wrong.sats or 0)
        self.purse = purse
        self.wrong = wrong
        self.most_offers = most_offers
        self.made: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = scope["headers"]
        is_foreign = any(
            name == b"authorization" and not value.lower().startswith((b"l402 ", b"lsat ", b"pay"))
            for name, value in fields
        )
        if is_foreign and self.wrong.asks_again:
            await self._ask(send)
        else:
            await super().__call__(scope, receive, send)

    def sale(self) -> Sale:
        """A new one."""
        invoice = self.purse.make(self.wrong.sats)
        self.made.add(invoice.payment_hash)
        challenge = self._l402(invoice)
        payment = payment_wire.issue(
            self._secret,
            realm="toll.example",
            request=_request(invoice),
            method=payment_lightning.METHOD,
            intent=payment_lightning.INTENT,
            expires_at_ms=invoice.expires_at_ms,
            opaque=self.wrong.opaque,
        )
        return Sale(invoice, challenge, payment, self._body(invoice, challenge))

    @property
    def payments(self) -> int:
        """How often somebody paid here."""
        return sum(paid in self.made for paid in self.purse.paid)

    async def _ask(self, send: Send) -> None:
        self.offered += 1
        if self.offered > self.most_offers:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body"})
            return
        sale = self.sale()
        lines = [(b"www-authenticate", line.encode()) for line in self.wrong.lines(sale)]
        lines += [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        body = json.dumps(self.wrong.body(sale)).encode()
        await send({"type": "http.response.start", "status": self.wrong.status, "headers": lines})
        await send({"type": "http.response.body", "body": body})


def _request(invoice: Invoice) -> dict[str, object]:
    """What is asked for; where the invoice says no amount, the request does."""
    return payment_lightning.request(replace(invoice, amount_msat=invoice.amount_msat or 1000))

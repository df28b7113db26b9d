# SPDX-License-Identifier: Apache-2.0
"""The smallest server that sells calls over Lightning, for clients to be tried on."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Protocol

from pypow import bolt11, l402, payment_lightning, payment_wire
from pypow.challenge import Key, Keyring
from pypow.l402_wire import L402Challenge, L402Credential
from pypow.payment_headers import LightningCredential, read_credential
from pypow.payment_receipt import Receipt
from pypow.payment_wire import PaymentChallenge
from pypow_server.scope import Receive, Scope, Send

SERVICE: Final = "toll"
EXPIRY_S: Final = 600
BODY: Final = b"what was paid for"


class Invoicing(Protocol):
    """A node that makes invoices."""

    def invoice(self, sats: int, *, expiry_s: int) -> str:
        """A new one."""
        ...


Lines = list[tuple[bytes, bytes]]


@dataclass
class Toll:
    """Sells each call for a price, by L402 and by the ``Payment`` scheme, for one invoice.

    Attributes:
        lightning: whose gate's node makes the invoices.
        sats: the price.
        schemes: what is offered, in this order.
        accepted: the name of the header and the scheme of each payment that was taken.
        offered: how many invoices were made.
        calls: how many a payment is said to buy.
    """

    lightning: Invoicing
    sats: int
    schemes: tuple[str, ...] = ("L402", "Payment")
    accepted: list[tuple[str, str]] = field(default_factory=list)
    offered: int = 0
    calls: int = 1
    _spent: set[bytes] = field(default_factory=set)
    _secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = scope["headers"]
        credential = read_credential(fields)
        paid = None if credential is None else self._payment(credential)
        if paid is not None and paid not in self._spent:
            self._spent.add(paid)
            self.accepted.append(_form(fields))
            receipt = Receipt(paid.hex(), "2026-01-01T00:00:00Z", payment_lightning.METHOD)
            await _answer(send, 200, [(b"payment-receipt", receipt.header().encode())], BODY)
        elif credential is None and any(name == b"authorization" for name, _ in fields):
            # A client that sends what is no payment would pay again and again for an answer of 402.
            await _answer(send, 401, [], b"{}")
        else:
            await self._ask(send)

    def _payment(self, credential: LightningCredential) -> bytes | None:
        """The hash of the payment that a credential proves; None for none of ours."""
        if isinstance(credential, L402Credential):
            expected = l402.Expected(SERVICE)
            preimage = credential.preimage or b""
            checks = (
                l402.check(macaroon, preimage, self._keyring, expected, now_s=int(time.time()))
                for macaroon in credential.macaroons
            )
            return next((one.payment_hash for one in checks if isinstance(one, l402.Checked)), None)
        digest = sha256(payment_lightning.preimage(credential)).digest()
        is_ours = credential.challenge.is_ours(self._secret)
        asked = payment_lightning.asked(credential.challenge)
        return digest if is_ours and digest == asked.payment_hash else None

    async def _ask(self, send: Send) -> None:
        self.offered += 1
        text = await asyncio.to_thread(self.lightning.invoice, self.sats, expiry_s=EXPIRY_S)
        invoice = bolt11.decode(text)
        challenge = self._l402(invoice)
        ways = {
            "L402": challenge.www_authenticate(),
            "Payment": self._payment_challenge(invoice).www_authenticate(),
        }
        lines = [(b"www-authenticate", ways[scheme].encode()) for scheme in self.schemes]
        lines += [(b"cache-control", b"no-store"), (b"content-type", b"application/problem+json")]
        body = self._body(invoice, challenge) if "L402" in self.schemes else {}
        await _answer(send, 402, lines, json.dumps(body).encode())

    @property
    def _keyring(self) -> Keyring:
        return Keyring([Key(id=1, secret=self._secret)])

    def _l402(self, invoice: bolt11.Invoice) -> L402Challenge:
        terms = l402.Terms(SERVICE, valid_until_s=int(time.time()) + EXPIRY_S, uses=self.calls)
        macaroon = l402.issue(
            self._keyring.signing,
            terms,
            payment_hash=invoice.payment_hash,
            identity=os.urandom(30),
        )
        return L402Challenge.of(macaroon.octets, invoice.text)

    def _payment_challenge(self, invoice: bolt11.Invoice) -> PaymentChallenge:
        return payment_wire.issue(
            self._secret,
            realm="toll.example",
            request=payment_lightning.request(invoice),
            method=payment_lightning.METHOD,
            intent=payment_lightning.INTENT,
            expires_at_ms=invoice.expires_at_ms,
        )

    def _body(self, invoice: bolt11.Invoice, challenge: L402Challenge) -> Mapping[str, object]:
        """The members that clients look for; some read no header."""
        return {
            "type": "https://paymentauth.org/problems/payment-required",
            "status": 402,
            "invoice": invoice.text,
            "macaroon": challenge.token,
            "payment_hash": invoice.payment_hash.hex(),
            "amountSats": self.sats,
            "price_sats": self.sats,
        }


def _form(fields: Lines) -> tuple[str, str]:
    """In which header a payment came, and under which scheme."""
    name, value = next((n, v) for n, v in fields if n.endswith(b"authorization"))
    return name.decode(), value.decode().partition(" ")[0]


async def _answer(send: Send, status: int, headers: Lines, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})

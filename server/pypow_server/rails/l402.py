# SPDX-License-Identifier: Apache-2.0
"""The L402 rail: a Lightning invoice that was paid admits the call that it was made for.

The preimage proves the payment, so that no wallet is asked when a call is let in. One invoice is
offered both as L402 and by the `Payment` scheme, and counts once: the ledger's key is its hash.
"""

import functools
import hashlib
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from pypow import moments
from pypow.bolt11 import Invoice
from pypow.challenge import Key, Keyring, hkdf_sha256
from pypow.errors import WireError
from pypow.l402 import Expected
from pypow.payment_headers import read_credential
from pypow.payment_lightning import METHOD
from pypow.payment_receipt import Receipt
from pypow.pricing import Quote
from pypow_server import problems, request_body
from pypow_server.call import Call
from pypow_server.invoice_stamp import Stamp, Stamps
from pypow_server.invoices import Invoices, Wanted, Without
from pypow_server.passes import Pass
from pypow_server.policy import Price
from pypow_server.problems import Problem
from pypow_server.reply import Header
from pypow_server.sale import Sale
from pypow_server.selling import Selling
from pypow_server.settled import Settled

from . import (
    Absent,
    Admit,
    Claim,
    Denial,
    Offer,
    Paid,
    Refuse,
    Verdict,
    l402_credential,
    l402_offer,
    nobody,
)
from .l402_credential import ANY_NUMBER, SERVICE, Bought, Sold
from .l402_offer import RAIL

if TYPE_CHECKING:
    from pypow_server.key_binding import KeyBinding

_MOST_OVERDRAFT: Final = 0xFF
"""Money that was taken buys its call at once: what was used since makes no payer wait."""

_PASS_PURPOSE: Final = b"pypow 1 pass of a payment "
_PASS_ID_BYTES: Final = 16
_STAMP_LIFETIME_S: Final = 120
_MAX_MEMO: Final = 80
_LONGEST_REMEMBERED: Final = 256
_ABSENT: Final = Absent()

PAYMENT: Final = "payment"
"""How a sale is called that was shown by the `Payment` scheme."""


class Grant(Protocol):
    """Makes passes for a time."""

    def __call__(self, price: Price, key: Key, *, identity: bytes, expires_at_ms: int) -> Pass:
        """The pass of this id for all calls of this price until then, signed by this key."""
        ...


class L402Rail:
    """Offers invoices, and judges payments."""

    name: Final = RAIL

    def __init__(
        self,
        keyring: Keyring,
        selling: Selling,
        invoices: Invoices,
        *,
        public_host: str,
        grant: Grant,
        settled: Settled | None = None,
        denial: Denial = nobody,
        binding: "KeyBinding | None" = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Set up the rail.

        Args:
            keyring: the deployment's secrets.
            selling: what the operator decided.
            invoices: whom to ask for one.
            public_host: host of the public URL.
            grant: makes passes.
            settled: asks for payments before they count; None asks for none.
            denial: why a pass with this id is refused though it stands; None for no reason.
            binding: binds passes to keys; None where they are bound to none.
            random: so many fresh random bytes.
        """
        self._keyring = keyring
        self._selling = selling
        self._invoices = invoices
        self._host = public_host.lower()
        self._grant = grant
        self._settled = settled
        self._denial = denial
        self._binding = binding
        self._random = random
        self._stamps = Stamps(
            keyring,
            host=self._host.encode(),
            q=selling.stamp_q,
            lifetime_s=_STAMP_LIFETIME_S,
        )
        self._known = functools.lru_cache(maxsize=1024)(self._expected)

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        """Read the payment that the call presents, if any, and hold it against the price."""
        paying = call.paying
        if paying is None or not paying.fields:
            if price.sats is None:
                return _ABSENT
            foreign = None if call.credentials else self._foreign(call)
            return _ABSENT if foreign is None else Refuse(foreign)
        found = await request_body.again(
            call,
            functools.partial(
                l402_credential.judge,
                paying,
                self._keyring,
                self._asked(call, price),
                realm=self._host,
                body=functools.partial(_digest, call),
                now_ms=now_ms,
            ),
        )
        if found is None:
            return _ABSENT
        if isinstance(found, Problem):
            # What was sold before its price was taken back is good; other payments are not ours.
            return _ABSENT if price.sats is None else Refuse(found)
        if self._settled is not None:
            not_yet = await self._settled.hindrance(found.payment_hash, sats=found.sold.sats)
            if not_yet is not None:
                return Refuse(not_yet)
        self._invoices.paid(found.payment_hash)
        return await self._admit(found, call, price, now_ms)

    async def offer(
        self, call: Call, price: Price, *, now_ms: int, epoch: int, quote: Quote | None
    ) -> Offer | None:
        """An invoice, or the work for one; None where calls are not sold for sats, or not now.

        The one rail whose offer is known to somebody else: the wallet. `Invoices` says how often.
        """
        if price.sats is None or self._may_loop(call):
            return None
        sold, client = await self._sold(call, price, quote), call.client
        bought = sold.bought
        memo = "".join(c for c in f"{self._host}: {price.name}" if " " <= c <= "~")[:_MAX_MEMO]
        stamp = None if call.paying is None else call.paying.stamp
        found = await self._invoices.offer(
            Wanted(client, (*sold.form, call.mcp is None), sold.sats, memo),
            self._selling,
            functools.partial(self._compose, call, price, sold),
            work=Stamp(self._stamps, stamp, client=client, bought=bought, now_ms=now_ms),
            now_ms=now_ms,
        )
        if found is Without.WALLET:
            return None
        if found is Without.WORK:
            made = self._stamps.challenge(client=client, bought=bought, now_ms=now_ms, epoch=epoch)
            return l402_offer.for_work(made, sats=sold.sats, in_mcp=call.mcp is not None)
        return found

    async def _admit(self, found: Bought, call: Call, price: Price, now_ms: int) -> Verdict:
        """What a payment admits to: what was offered for it, whatever is sold by now."""
        sold, granted, guard, receipt = found.sold, None, None, _receipt(found, now_ms)
        uses = min(found.uses or ANY_NUMBER, ANY_NUMBER)
        if sold.lasts_s:
            ends_ms = 1000 * (sold.expires_s + sold.lasts_s)
            if now_ms >= ends_ms:
                # Paid in time and here late: the first that comes begins the time, and no other.
                ends_ms, uses = now_ms + 1000 * sold.lasts_s, 1
            identity = _pass_id(found)
            denied = await self._denial(identity)
            if denied is not None:
                return Refuse(denied)
            # A part of what was bought must not open the whole.
            if found.is_whole:
                granted = self._grant(price, found.key, identity=identity, expires_at_ms=ends_ms)
                if self._binding is not None:
                    bound = self._binding.bound(granted, call, now_ms=now_ms)
                    if isinstance(bound, Problem):
                        return Refuse(bound)
                    granted, guard, receipt = bound.bought, bound.guard, receipt + bound.receipt
        scheme = RAIL if found.challenge_id is None else PAYMENT
        sale = Sale(found.payment_hash, sold.sats, price.name, sold.uses or 0, scheme, now_ms)
        return Admit(
            found.principal,
            Claim(b"ln:" + found.payment_hash, None, 1000 * sold.until_s, uses, sale),
            None if granted is None else granted.text,
            paid=Paid(_MOST_OVERDRAFT, now_ms),
            receipt=receipt,
            goes_first=True,
            guard=guard,
        )

    def _compose(self, call: Call, price: Price, sold: Sold, invoice: Invoice) -> Offer:
        sells = price.sells
        is_narrow = sells is None and call.mcp is None and call.canonical
        return l402_offer.with_invoice(
            invoice,
            sold._replace(expires_s=invoice.expires_at_ms // 1000),
            self._keyring.signing,
            host=self._host,
            path=call.path.decode("ascii") if is_narrow else "",
            tool=_tool(call) if sells is None else "",
            random=self._random(32),
            in_mcp=call.mcp is not None,
            beside_logins=bool(self._selling.foreign_schemes or price.scopes),
        )

    async def _sold(self, call: Call, price: Price, quote: Quote | None) -> Sold:
        """What a payment for this call would buy, were it not for when."""
        sells = price.sells
        sats, bought = self._selling.asked(price.sats or 0, quote), bought_by(call, price)
        if sells is None:
            body = b""
            if self._selling.binds_bodies:
                body = await request_body.again(call, functools.partial(_digest, call))
            return Sold(bought, sats, 0, self._selling.grace_s, body=body)
        after_s = max(self._selling.grace_s, sells.lifetime_s)
        if sells.calls:
            return Sold(bought, sats, 0, after_s, sells.calls)
        return Sold(bought, sats, 0, after_s, None, sells.lifetime_s)

    def _asked(self, call: Call, price: Price) -> tuple[Expected, ...]:
        """The demand of a call: for a payment for it, and for one for its row of the price list.

        What is sold now comes first; the other was sold before the row changed.
        """
        size = len(call.path) + len(call.resource.method) + len(call.resource.name)
        find = self._known if size <= _LONGEST_REMEMBERED else self._expected
        path, tool = call.path if call.canonical else b"", _tool(call)
        own, row = _one_call(call, price), _row(price)
        forms = (own, row) if price.sells is None else (row, own)
        return tuple(find(bought, path, tool) for bought in forms)

    def _expected(self, bought: str, path: bytes, tool: str) -> Expected:
        return Expected(
            service=SERVICE,
            capability=bought,
            audience=self._host + path.decode("ascii"),
            tool=tool,
        )

    def _may_loop(self, call: Call) -> bool:
        """Whether the caller sent what some clients send again for every invoice that they pay."""
        if self._foreign(call) is not None:
            return True
        try:
            read_credential(() if call.paying is None else call.paying.fields)
        except WireError:
            return True
        return False

    def _foreign(self, call: Call) -> Problem | None:
        for value in call.values(b"authorization"):
            scheme = value.strip(b" \t").partition(b" ")[0].lower().decode("latin-1")
            if scheme not in self._selling.foreign_schemes:
                return problems.unknown_authorization(
                    "expected Authorization: L402 <macaroon>:<preimage>, or none; got another "
                    "scheme. Operators: gate.pass_authorization names those of the upstream"
                )
        return None


def bought_by(call: Call, price: Price) -> str:
    """Names what a payment for this call buys: it, or calls of its row where that sells passes."""
    return _row(price) if price.sells is not None else _one_call(call, price)


def _row(price: Price) -> str:
    return _named("row", price.name)


def _one_call(call: Call, price: Price) -> str:
    resource = call.resource
    return _named("row", price.name, resource.kind, resource.method, resource.name)


def _named(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:32]


def _pass_id(found: Bought) -> bytes:
    """The id of the one pass that a payment buys."""
    info = _PASS_PURPOSE + found.payment_hash
    return hkdf_sha256(found.key.secret, info=info, length=_PASS_ID_BYTES)


def _digest(call: Call) -> bytes:
    return b"" if call.mcp is None else call.mcp.arguments_digest()


def _tool(call: Call) -> str:
    if call.mcp is None or call.resource.method != "tools/call":
        return ""
    return call.resource.name


def _receipt(found: Bought, now_ms: int) -> tuple[Header, ...]:
    """For whoever paid by the `Payment` scheme, which has receipts."""
    if found.challenge_id is None:
        return ()
    receipt = Receipt(
        reference=found.payment_hash.hex(),
        timestamp=moments.text_of(now_ms),
        method=METHOD,
        challenge_id=found.challenge_id,
    )
    return (
        (b"payment-receipt", receipt.header().encode("ascii")),
        (b"access-control-expose-headers", b"Payment-Receipt"),
    )

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
from typing import Final, Protocol

from pypow import moments
from pypow.bolt11 import Invoice
from pypow.challenge import Keyring
from pypow.errors import WireError
from pypow.l402 import Expected
from pypow.payment_headers import read_credential
from pypow.payment_lightning import METHOD
from pypow.payment_receipt import Receipt
from pypow.powers import risen
from pypow.pricing import Quote
from pypow_server import problems
from pypow_server.call import Call
from pypow_server.invoice_stamp import Stamps
from pypow_server.invoices import Invoices, Wanted, Without
from pypow_server.passes import Pass
from pypow_server.policy import Price
from pypow_server.problems import Problem
from pypow_server.reply import Header
from pypow_server.resource import Resource
from pypow_server.selling import Selling

from . import Absent, Admit, Claim, Offer, Paid, Refuse, Verdict, l402_credential, l402_offer
from .l402_credential import SERVICE, Bought, Sold
from .l402_offer import RAIL

_MOST_OVERDRAFT: Final = 0xFF
"""Money that was taken buys its call at once: what was used since makes no payer wait."""

_STAMP_LIFETIME_S: Final = 120
_MAX_MEMO: Final = 80
_LONGEST_REMEMBERED: Final = 256
_ABSENT: Final = Absent()


class Seller(Protocol):
    """Sells passes."""

    def __call__(self, price: Price, *, now_ms: int) -> Pass | None:
        """The pass that a call of this price buys, less the call; None for none."""
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
        sell: Seller,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Set up the rail.

        Args:
            keyring: the deployment's secrets.
            selling: what the operator decided.
            invoices: whom to ask for one.
            public_host: host of the public URL.
            sell: sells passes.
            random: so many fresh random bytes.
        """
        self._keyring = keyring
        self._selling = selling
        self._invoices = invoices
        self._host = public_host.lower()
        self._sell = sell
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
        if price.sats is None:
            return _ABSENT
        paying = call.paying
        if paying is None or not paying.fields:
            foreign = None if call.credentials else self._foreign(call)
            return _ABSENT if foreign is None else Refuse(foreign)
        found = l402_credential.judge(
            paying, self._keyring, self._asked(call, price), realm=self._host, now_ms=now_ms
        )
        if found is None:
            return _ABSENT
        if isinstance(found, Problem):
            return Refuse(found)
        self._invoices.paid(found.payment_hash)
        return self._admit(found, price, now_ms)

    async def offer(
        self, call: Call, price: Price, *, now_ms: int, epoch: int, quote: Quote | None
    ) -> Offer | None:
        """An invoice, or the work for one; None where calls are not sold for sats, or not now.

        The one rail whose offer is known to somebody else: the wallet. `Invoices` says how often.
        """
        if price.sats is None or self._may_loop(call):
            return None
        bought, client = bought_by(call.resource, price), call.client
        sats = self._sats(price.sats, quote)
        memo = "".join(c for c in f"{self._host}: {price.name}" if " " <= c <= "~")[:_MAX_MEMO]
        stamp = None if call.paying is None else call.paying.stamp
        found = await self._invoices.offer(
            Wanted(client, bought, sats, memo),
            self._selling,
            functools.partial(self._compose, call, price, bought),
            has_worked=lambda: (
                stamp is not None
                and self._stamps.take(stamp, client=client, bought=bought, now_ms=now_ms)
            ),
            now_ms=now_ms,
        )
        if found is Without.WALLET:
            return None
        if found is Without.WORK:
            made = self._stamps.challenge(client=client, bought=bought, now_ms=now_ms, epoch=epoch)
            return l402_offer.for_work(made, sats=sats)
        return found

    def _admit(self, found: Bought, price: Price, now_ms: int) -> Admit:
        claim = Claim(b"ln:" + found.payment_hash, None, 1000 * found.until_s, found.uses)
        # A pass of N calls is the payment itself, which is good for N; one for a time is given.
        sells = price.sells
        sold = self._sell(price, now_ms=now_ms) if sells is not None and sells.calls == 0 else None
        return Admit(
            found.principal,
            claim,
            None if sold is None else sold.text,
            paid=Paid(_MOST_OVERDRAFT, now_ms),
            receipt=_receipt(found, now_ms),
            goes_first=True,
        )

    def _compose(self, call: Call, price: Price, bought: str, invoice: Invoice) -> Offer:
        selling, sells = self._selling, price.sells
        uses = sells.calls if sells is not None and sells.calls else 1
        after_s = max(selling.grace_s, sells.lifetime_s if sells is not None else 0)
        is_narrow = sells is None and call.mcp is None and call.canonical
        return l402_offer.with_invoice(
            invoice,
            Sold(bought, uses, invoice.expires_at_ms // 1000 + after_s),
            self._keyring.signing,
            host=self._host,
            path=call.path.decode("ascii") if is_narrow else "",
            tool=_tool(call) if sells is None else "",
            random=self._random(32),
        )

    def _sats(self, sats: int, quote: Quote | None) -> int:
        """The price for this caller: it rises with use by as much as the work does."""
        if quote is None:
            return sats
        return min(
            max(sats, self._selling.max_sats), risen(sats, quote.overdraft_q + quote.entry_q)
        )

    def _asked(self, call: Call, price: Price) -> Expected:
        size = len(call.path) + len(call.resource.method) + len(call.resource.name)
        find = self._known if size <= _LONGEST_REMEMBERED else self._expected
        return find(
            bought_by(call.resource, price), call.path if call.canonical else b"", _tool(call)
        )

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


def bought_by(resource: Resource, price: Price) -> str:
    """Names what a payment for a call buys: it, or calls of its row where that sells passes."""
    row = ["row", price.name]
    said = row if price.sells is not None else [*row, resource.kind, resource.method, resource.name]
    return hashlib.sha256(json.dumps(said).encode("ascii")).hexdigest()[:32]


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

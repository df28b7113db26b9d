# SPDX-License-Identifier: Apache-2.0
"""What a refusal offers: macaroon, invoice and `Payment` challenge, and whether they agree."""

import re
from collections.abc import Iterator
from typing import Final

from pypow import bolt11, payment_lightning
from pypow.bolt11 import Invoice, Network
from pypow.errors import WireError
from pypow.findings import Finding, fail, ok, warn
from pypow.payment_wire import PaymentChallenge

from .observed import Answer, Offered, decoded_macaroon, payment_hash_of

_SHORT_S: Final = 60
_LONG_S: Final = 24 * 3600
_LONG_MEMO: Final = 100
_WEAK_ID: Final = 16
"""Characters of an id that somebody could guess."""

_DIGEST = re.compile(r"[a-z0-9-]+=:[A-Za-z0-9+/]+=*:", re.ASCII)


def check(refusal: Answer, offers: Offered, *, is_near: bool, now_ms: int) -> Iterator[Finding]:
    """Whether what is offered can be paid, and is worth it.

    Args:
        refusal: where it is offered.
        offers: what was read of it.
        is_near: whether the server is on this machine or a private network.
        now_ms: Unix milliseconds.
    """
    for text in offers.invoices:
        yield from _invoice(text, is_near=is_near, now_ms=now_ms)
    for challenge in offers.l402:
        yield from _macaroon(challenge.token, challenge.invoice)
    for payment in offers.payments:
        yield from _payment(payment, now_ms)
    has_other = any(line.strip()[:7].lower() == "payment" for line in refusal.challenges)
    if has_other and not offers.payments:
        yield fail(
            "payment",
            "there is a Payment challenge that is not whole, or not over Lightning",
            fix="say id, realm, method, intent and request (draft-httpauth-payment section 5.1)",
        )
    if len(offers.invoices) > 1:
        yield warn(
            "invoices",
            f"{len(offers.invoices)} invoices for one call: a caller may pay two of them",
            fix="offer one invoice by all schemes, and count it once",
        )


def _invoice(text: str, *, is_near: bool, now_ms: int) -> Iterator[Finding]:
    try:
        invoice = bolt11.decode(text)
    except WireError as error:
        yield fail("invoice", str(error), fix="offer an invoice just as the wallet makes it")
        return
    if text != invoice.text:
        yield fail("invoice", "it is in capitals", fix="send it in lower case: some read no other")
    try:
        # All but these are held against itself: amount, kind and time are left.
        bolt11.require(
            invoice,
            network=invoice.network,
            amount_msat=invoice.amount_msat or 1,
            payment_hash=invoice.payment_hash,
            now_ms=now_ms,
        )
    except WireError as error:
        yield fail("invoice", str(error), fix="make a fresh one of one amount for every offer")
        return
    wrong = _unusual(invoice, now_ms)
    if invoice.network is not Network.MAINNET and not is_near:
        yield fail(
            "network",
            f"the invoice is for {invoice.network}: nobody's money pays it",
            fix="sell with a wallet on mainnet",
        )
    if wrong is None:
        left_s = (invoice.expires_at_ms - now_ms) // 1000
        yield ok(
            "invoice",
            f"{(invoice.amount_msat or 0) // 1000} sats on {invoice.network}, good for {left_s} s",
        )
    else:
        yield warn("invoice", wrong[0], fix=wrong[1])


def _unusual(invoice: Invoice, now_ms: int) -> tuple[str, str] | None:
    """What surprises in an invoice that can be paid, and the fix."""
    left_s = (invoice.expires_at_ms - now_ms) // 1000
    if (invoice.amount_msat or 0) % 1000:
        return "it asks for parts of a satoshi", "ask for whole satoshis: budgets count those"
    if left_s < _SHORT_S:
        return f"it can be paid for {left_s} s only", "give payments two minutes or more"
    if left_s > _LONG_S:
        return f"it can be paid for {left_s // 3600} h", "let it expire: each stays in the wallet"
    if len(invoice.description or "") > _LONG_MEMO:
        return "its description is long", f"say in {_LONG_MEMO} characters what is sold"
    return None


def _macaroon(token: str, text: str) -> Iterator[Finding]:
    whole = decoded_macaroon(token)
    bought = payment_hash_of(token)
    if whole is None:
        yield fail(
            "macaroon",
            "the token is no macaroon of version 2 with first-party caveats",
            fix="mint macaroons: clients that look into them refuse other tokens",
        )
    elif bought is None:
        yield fail(
            "macaroon",
            f"its identifier has {len(whole.identifier)} bytes, and is not L402's",
            fix="two zero bytes, the payment hash, and 32 bytes of your own",
        )
    else:
        try:
            is_its_own = bolt11.decode(text).payment_hash == bought
        except WireError:
            return  # told of the invoice
        if is_its_own:
            yield ok("macaroon", f"for this invoice, with {len(whole.caveats)} caveats")
        else:
            yield fail(
                "macaroon",
                "it is for another payment than the invoice beside it",
                fix="put the invoice's payment hash into the identifier",
            )


def _payment(challenge: PaymentChallenge, now_ms: int) -> Iterator[Finding]:
    wrong = _misfit(challenge, now_ms)
    if wrong is not None:
        yield fail("payment", wrong[0], fix=wrong[1])
    elif challenge.expires is None:
        yield warn("payment", "it says no end", fix='send expires="..." as RFC 3339 writes it')
    elif len(challenge.id) < _WEAK_ID:
        yield warn("payment", "its id is short", fix="make the id a MAC over what it is for")
    else:
        yield ok("payment", f"method {challenge.method}, until {challenge.expires}")


def _misfit(challenge: PaymentChallenge, now_ms: int) -> tuple[str, str] | None:
    """What keeps a challenge from being paid, and the fix."""
    try:
        asked = payment_lightning.asked(challenge)
        ends_ms = challenge.expires_at_ms
    except WireError as error:
        return str(error), "write the request as draft-lightning-charge-00 does"
    if "=" in challenge.request:
        return "its request has padding", "send base64url without padding"
    if challenge.digest is not None and not _DIGEST.fullmatch(challenge.digest):
        return "its digest is not written as RFC 9530 has it", "send sha-256=:...:, or none"
    if ends_ms is not None and ends_ms <= now_ms:
        return "it has expired", "send a fresh one with every refusal"
    try:
        invoice = bolt11.decode(asked.invoice)
    except WireError:
        return None  # told of the invoice
    agrees = "make the request of the invoice: amount, paymentHash and network"
    if invoice.amount_msat is not None and invoice.amount_msat != 1000 * asked.amount_sat:
        return f"it asks for {asked.amount_sat} sats, its invoice for others", agrees
    if asked.payment_hash not in (None, invoice.payment_hash):
        return "its paymentHash is not its invoice's", agrees
    if asked.network != invoice.network:
        return f"it says {ascii(asked.network)[:40]}, its invoice {invoice.network}", agrees
    if ends_ms is not None and ends_ms > invoice.expires_at_ms + 1000:
        return "it is good for longer than its invoice", "let both expire at once"
    return None

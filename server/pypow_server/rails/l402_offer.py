# SPDX-License-Identifier: Apache-2.0
"""What an offer of an invoice says: to L402's clients, to those of `Payment`, and to readers."""

from typing import Final

from pypow import l402, payment_lightning, payment_wire
from pypow.bolt11 import Invoice
from pypow.challenge import Key
from pypow.l402_wire import L402Challenge
from pypow.wire import Challenge
from pypow_server import invoice_stamp
from pypow_server.mcp_message import PAYMENT_META
from pypow_server.reply import json_text

from . import Offer
from .l402_credential import Sold

RAIL: Final = "l402"
_TOO_LONG: Final = 256
"""Octets of names that a macaroon repeats for readers; what it is bound to says them all."""


def with_invoice(
    invoice: Invoice,
    sold: Sold,
    key: Key,
    *,
    host: str,
    path: str,
    tool: str,
    random: bytes,
    in_mcp: bool,
    beside_logins: bool,
) -> Offer:
    """One invoice, offered in both schemes.

    Args:
        invoice: what is to be paid.
        sold: what that buys.
        key: what signs.
        host: of the public URL.
        path: canonical, or "".
        tool: the MCP tool that is called, or "".
        random: 10 fresh random bytes or more.
        in_mcp: whether the caller speaks MCP.
        beside_logins: whether ``Authorization`` belongs to others.
    """
    terms = sold.terms(
        audience=host + path if len(path) <= _TOO_LONG else host,
        tool=tool if len(tool.encode(errors="surrogatepass")) <= _TOO_LONG else "",
    )
    macaroon = l402.issue(
        key, terms, payment_hash=invoice.payment_hash, identity=sold.identity(random)
    )
    challenge = L402Challenge.of(macaroon.octets, invoice.text)
    request = payment_lightning.request(invoice, description=invoice.description)
    payment = payment_wire.issue(
        key.payment_mac,
        realm=host,
        request=request,
        method=payment_lightning.METHOD,
        intent=payment_lightning.INTENT,
        expires_at_ms=invoice.expires_at_ms,
        opaque=sold.opaque(key),
        header=payment_wire.CREDENTIAL_HEADER if beside_logins else None,
    )
    sats = sold.sats
    said = {
        "invoice": invoice.text,
        "payment_request": invoice.text,
        "macaroon": challenge.token,
        "token": challenge.token,
        "payment_hash": invoice.payment_hash.hex(),
        "paymentHash": invoice.payment_hash.hex(),
        "amount_sats": sats,
        "amountSats": sats,
        "price_sats": sats,
        "priceSats": sats,
        "expires_at": invoice.expires_at_ms // 1000,
        "description": invoice.description or "",
    }
    credential = f"L402 {challenge.token}:<preimage in hex>"
    body = {
        "rail": RAIL,
        "sats": sats,
        "uses": sold.uses,
        "lasts": sold.lasts_s or None,
        "network": str(invoice.network),
        "invoice": invoice.text,
        "macaroon": challenge.token,
        "payment_hash": invoice.payment_hash.hex(),
        "expires_at": invoice.expires_at_ms // 1000,
        "valid_until": sold.until_s,
        "send": f"{payment.header or 'Authorization'}: {credential}",
        "payment": {**payment.to_json(), "request": request},
    }
    if in_mcp:
        body["send_mcp"] = {"_meta": {PAYMENT_META: credential}}
    return Offer(
        RAIL,
        (challenge.www_authenticate(), payment.www_authenticate()),
        json_text(body),
        f"Pay the Lightning invoice of {sats} sats and send macaroon and preimage as `send` says.",
        beside=json_text(said)[1:-1],
        challenges=f"[{json_text(payment.to_mcp())}]" if in_mcp else "",
    )


def for_work(stamp: Challenge, *, sats: int, in_mcp: bool) -> Offer:
    """No invoice yet, and how to get one."""
    how = (
        "No invoice was made: too many were asked for without work. Solve `work`, and send the "
        "call again with what its `send` names."
    )
    body = {
        "rail": RAIL,
        "sats": sats,
        "invoice": None,
        "how": how,
        "work": invoice_stamp.asked(stamp, in_mcp=in_mcp),
    }
    return Offer(RAIL, (), json_text(body), how)

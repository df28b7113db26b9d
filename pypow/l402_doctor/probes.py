# SPDX-License-Identifier: Apache-2.0
"""What else is asked of a server, for nothing: credentials that are worth none, and other methods.

None of these is a payment. A server that answers one of them with 2xx sells for nothing.
"""

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pypow import base64_json, base64_text, macaroon, payment_lightning
from pypow.errors import WireError
from pypow.l402 import TOKEN_ID_BYTES
from pypow.payment_wire import PaymentChallenge, PaymentCredential

from .observed import Offered, decoded_macaroon, payment_hash_of

ORIGIN: Final = "https://page.example"
_LIFE_MS: Final = 3600 * 1000


class Probe(enum.StrEnum):
    """What is asked; the values are words for people."""

    UNKNOWN_SCHEME = "an Authorization of an unknown scheme"
    NO_SCHEME = "a credential without its scheme"
    MALFORMED = "a credential without a preimage"
    WRONG_PREIMAGE = "a preimage that is wrong"
    HASH_AS_PREIMAGE = "the payment hash, which everybody sees, as the preimage"
    MADE_UP_MACAROON = "a macaroon that nobody here issued, with its preimage"
    MADE_UP_TOKEN = "an unsigned token with its preimage"  # noqa: S105 - words
    MADE_UP_PAYMENT = "a Payment challenge that nobody here issued, with its preimage"
    FROM_A_PAGE = "a call from a page of another site"
    HEAD = "HEAD"
    OPTIONS = "OPTIONS"


MUST_NOT_LOOP: Final = (Probe.UNKNOWN_SCHEME, Probe.NO_SCHEME, Probe.MALFORMED)
MUST_NOT_ADMIT: Final = (
    *MUST_NOT_LOOP,
    Probe.WRONG_PREIMAGE,
    Probe.HASH_AS_PREIMAGE,
    Probe.MADE_UP_MACAROON,
    Probe.MADE_UP_TOKEN,
    Probe.MADE_UP_PAYMENT,
)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request.

    Attributes:
        method: HTTP method; "" for the one that is sold.
        headers: of the request.
    """

    method: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def asks(offers: Offered, *, now_ms: int) -> dict[Probe, Ask]:
    """What to ask of a server that makes these offers, in order."""
    found = {Probe.UNKNOWN_SCHEME: _authorized("Doctor x")}
    for challenge in offers.l402[:1]:
        found |= _for_l402(challenge.token, now_ms)
    for payment in offers.payments[:1]:
        found[Probe.MADE_UP_PAYMENT] = _authorized(_made_up_payment(payment))
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    return found | {
        Probe.FROM_A_PAGE: Ask(headers={"Origin": ORIGIN}),
        Probe.HEAD: Ask("HEAD"),
        Probe.OPTIONS: Ask("OPTIONS", preflight),
    }


def _for_l402(token: str, now_ms: int) -> dict[Probe, Ask]:
    preimage = _preimage(token)
    found = {
        Probe.NO_SCHEME: _authorized(f"{token}:{preimage.hex()}"),
        Probe.MALFORMED: _authorized(f"L402 {token}"),
        Probe.WRONG_PREIMAGE: _authorized(f"L402 {token}:{preimage.hex()}"),
        Probe.MADE_UP_MACAROON: _authorized(f"L402 {_made_up_macaroon(token)}:{preimage.hex()}"),
        Probe.MADE_UP_TOKEN: _authorized(
            f"L402 {_made_up_token(preimage, now_ms)}:{preimage.hex()}"
        ),
    }
    bought = payment_hash_of(token)
    if bought is not None:
        found[Probe.HASH_AS_PREIMAGE] = _authorized(f"L402 {token}:{bought.hex()}")
    return found


def _authorized(credential: str) -> Ask:
    return Ask(headers={"Authorization": credential})


def _preimage(token: str) -> bytes:
    """One that nobody paid for."""
    return hashlib.sha256(b"nobody paid for this" + token.encode(errors="replace")).digest()


def _made_up_macaroon(token: str) -> str:
    """One that says what the issued one says, of a payment of our own, under a key of our own."""
    preimage = _preimage(token)
    issued = decoded_macaroon(token)
    bought = hashlib.sha256(preimage).digest()
    identifier = b"\0\0" + bought + hashlib.sha256(bought).digest()[:TOKEN_ID_BYTES]
    caveats = () if issued is None else issued.caveats
    return macaroon.mint(preimage, identifier, caveats).text


def _made_up_token(preimage: bytes, now_ms: int) -> str:
    """As one kit takes it: JSON that says its payment hash and its end, and has no signature."""
    said = {"hash": hashlib.sha256(preimage).hexdigest(), "exp": now_ms + _LIFE_MS}
    return base64_text.encode(json.dumps(said).encode())


def _made_up_payment(challenge: PaymentChallenge) -> str:
    preimage = _preimage(challenge.id)
    try:
        request = base64_json.loads(challenge.request, "a request")
    except WireError:
        request = {}
    details = request.get("methodDetails")
    details = dict(details) if isinstance(details, dict) else {}
    details["paymentHash"] = hashlib.sha256(preimage).hexdigest()
    forged = replace(
        challenge,
        method=payment_lightning.METHOD,
        request=base64_json.dumps({**request, "methodDetails": details}),
    )
    return PaymentCredential(forged, {"preimage": preimage.hex()}).authorization()

# SPDX-License-Identifier: Apache-2.0
"""Every parser of payments, held against a second reading of what it is fed."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

from fuzz import invoice_readings, payment_readings
from fuzz.agreement import or_none, same
from pypow import (
    accept_payment,
    auth_params,
    base64_text,
    bech32,
    bolt11,
    canonical_json,
    l402,
    l402_wire,
    macaroon,
    payment_headers,
    payment_lightning,
    payment_receipt,
    payment_wire,
    secp256k1,
    strict_json,
)
from pypow.errors import InvalidInputError, WireError
from pypow.l402_wire import L402Credential
from pypow.payment_wire import PaymentCredential
from support import macaroon_reference
from support import secp256k1_reference as curve
from support.macaroon_cases import CALL, KEYRING, NOW_S, PREIMAGE, SECRETS, expected, signed

_INVOICE: Final = attrgetter(*(field.name for field in fields(invoice_readings.Read)))
_CHALLENGE: Final = attrgetter(
    "id", "realm", "method", "intent", "request", "expires", "digest", "description", "opaque",
    "header",
)  # fmt: skip
_CALL: Final = expected(CALL)
_RECEIPT: Final = attrgetter("reference", "timestamp", "method", "challenge_id")


def _some_by_the_equations(digest: bytes, signature: bytes) -> bytes | None:
    """Who signed; by equations that take long for one input in thirty-two."""
    find = secp256k1.signer if digest[0] % 32 else curve.signer
    return find(digest, signature)


def _invoice(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    found = or_none(bolt11.decode, text, WireError)
    read = invoice_readings.invoice(text, _some_by_the_equations)
    same(None if found is None else _INVOICE(found), None if read is None else _INVOICE(read))
    if found is not None:
        same(found.text, text.lower())
    return found is not None


def _invoice_without_checksum(octets: bytes) -> bool:
    """An invoice whose checksum is made anew: otherwise it is where nearly all inputs end."""
    prefix, one, data = octets.decode("latin-1").rpartition("1")
    if one and set(data) <= set(invoice_readings.CHARACTERS) and prefix.isascii():
        groups = bytes(map(invoice_readings.CHARACTERS.index, data))
        return _invoice(bech32.encode(prefix, groups).encode("latin-1"))
    return _invoice(octets)


def _l402(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    found = or_none(l402_wire.credential_from_authorization, text, WireError)
    same(_told(found), payment_readings.credential(text))
    return found is not None


def _macaroon(octets: bytes) -> bool:
    """A macaroon in any form and a preimage, as they are checked, and as they are only read."""
    text, _, preimage = octets.decode("latin-1").rpartition(":")
    read = or_none(macaroon.decode, text, WireError)
    if read is not None:
        for form in (read.text, read.hex, read.json):
            same(macaroon.decode(form), read)
    written = read.text if read is not None and text[:1] in ("{", "e") else text
    right = macaroon_reference.judge(written, preimage, SECRETS, CALL, NOW_S)
    outcome = l402.check(text, preimage, KEYRING, _CALL, now_s=NOW_S)
    same(outcome.reason.value if isinstance(outcome, l402.Refusal) else None, right)
    return right is None


def _caveats(octets: bytes) -> bool:
    """The caveats of a macaroon, a line each, signed as the issuer would."""
    sold = or_none(signed, octets.split(b"\n"), WireError)
    return sold is not None and _macaroon(f"{sold.text}:{PREIMAGE.hex()}".encode())


def _metadata(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    found = l402_wire.credential_from_metadata(text)
    same(_told(found), payment_readings.metadata(text))
    return found is not None


def _payment(octets: bytes) -> bool:
    """JSON, fed in base64url as it travels."""
    text = base64_text.encode_url(octets)
    found = or_none(payment_wire.credential_from_authorization, text, WireError)
    same(_told(found), payment_readings.payment(text))
    if found is None:
        return False
    same(
        or_none(payment_lightning.preimage, found, WireError),
        payment_readings.preimage(dict(found.payload)),
    )
    again = found.authorization().removeprefix("Payment ")
    same(payment_wire.credential_from_authorization(again), found)
    return True


def _receipt(octets: bytes) -> bool:
    text = base64_text.encode_url(octets)
    found = or_none(payment_receipt.read_receipt, text, WireError)
    same(None if found is None else _RECEIPT(found), payment_readings.receipt(text))
    if found is not None:
        same(payment_receipt.read_receipt(found.header()), found)
    return found is not None


def _base64(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    found = or_none(base64_text.decode_url, text, WireError)
    either = or_none(base64_text.decode_either, text, WireError)
    same(found, payment_readings.base64_octets(text))
    same(either, payment_readings.base64_octets(text, either=True))
    return found is not None


def _challenges(octets: bytes) -> bool:
    """Challenges of any scheme, and those among them that ask for payments."""
    text = octets.decode("latin-1")
    found = or_none(auth_params.read_challenges, text, WireError)
    told = None if found is None else [(one.scheme, dict(one.parameters)) for one in found]
    read = payment_readings.challenges(text)
    same(told, read)
    asked = [payment_readings.challenge(said) for scheme, said in read or () if scheme == "payment"]
    offers = payment_wire.read_payment_challenges([text])
    same([_CHALLENGE(one) for one in offers], [one for one in asked if one is not None])
    for offer in offers:
        same(payment_wire.read_payment_challenges([offer.www_authenticate()]), (offer,))
    for one in l402_wire.read_l402_challenges([text]):
        same(l402_wire.read_l402_challenges([one.www_authenticate()]), (one,))
    return bool(found)


def _accepts(octets: bytes) -> bool:
    text = octets.decode("latin-1")
    found = or_none(accept_payment.read_accept_payment, text, WireError)
    same(None if found is None else found.weights, payment_readings.weights(text))
    return found is not None


def _headers(octets: bytes) -> bool:
    """Header lines, of which at most one payment is taken."""
    lines = [line.partition(b":") for line in octets.split(b"\n")]
    pairs = [(name.lower(), value) for name, _, value in lines]
    expected = payment_readings.payments(pairs)
    try:
        found = payment_headers.read_credential(pairs)
    except WireError:
        same("refused", expected)
        return False
    same(_told(found), expected)
    return found is not None


def _canonical(octets: bytes) -> bool:
    try:
        document = strict_json.loads(octets)
    except InvalidInputError:
        return False
    found = or_none(canonical_json.dumps, document)
    same(found, payment_readings.canonical(document))
    if found is not None:
        same(canonical_json.dumps(strict_json.loads(found)), found)
    return found is not None


def _told(found: L402Credential | PaymentCredential | None) -> tuple[Any, ...] | None:
    match found:
        case None:
            return None
        case L402Credential():
            return found.macaroons, found.preimage
        case PaymentCredential():
            return _CHALLENGE(found.challenge), found.payload, found.source


OF_INVOICES: Final[Mapping[str, Callable[[bytes], bool]]] = {
    "an invoice": _invoice,
    "what an invoice says": _invoice_without_checksum,
}
CAN_READ_INVOICES: Final = importlib.util.find_spec("coincurve") is not None

PARSERS: Final[Mapping[str, Callable[[bytes], bool]]] = {
    "Authorization: L402": _l402,
    "Macaroon": _metadata,
    "a macaroon": _macaroon,
    "caveats": _caveats,
    "a payment in JSON": _payment,
    "a receipt in JSON": _receipt,
    "base64url": _base64,
    "WWW-Authenticate": _challenges,
    "Accept-Payment": _accepts,
    "a request's payments": _headers,
    "canonical JSON": _canonical,
    **(OF_INVOICES if CAN_READ_INVOICES else {}),
}
"""By what they read; those of invoices where signatures can be checked."""

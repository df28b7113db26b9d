# SPDX-License-Identifier: Apache-2.0
"""What the ``Payment`` scheme asks for and takes over Lightning (draft-lightning-charge-00)."""

import re
from dataclasses import dataclass
from typing import Final

from . import base64_json
from .bolt11 import Invoice
from .errors import InvalidInputError, WireError, shown
from .payment_reasons import Reason
from .payment_wire import PaymentChallenge, PaymentCredential

METHOD: Final = "lightning"
INTENT: Final = "charge"

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_AMOUNT = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


def request(invoice: Invoice, *, description: str | None = None) -> dict[str, object]:
    """What is asked for: an invoice, and what it says.

    Raises:
        InvalidInputError: an invoice for any amount, or for parts of a satoshi.
    """
    sats, rest = divmod(invoice.amount_msat or 0, 1000)
    if not sats or rest:
        raise InvalidInputError(
            f"expected an invoice of whole satoshis, got {invoice.amount_msat} msat"
        )
    said: dict[str, object] = {"amount": str(sats), "currency": "sat"}
    if description is not None:
        said["description"] = description
    said["methodDetails"] = {
        "invoice": invoice.text,
        "network": str(invoice.network),
        "paymentHash": invoice.payment_hash.hex(),
    }
    return said


@dataclass(frozen=True, slots=True)
class Asked:
    """What a challenge asks for.

    Attributes:
        amount_sat: satoshis.
        invoice: as BOLT 11 writes it; not yet read, and what counts.
        payment_hash: 32 bytes; None where only the invoice says it.
        network: the chain's name; ``mainnet`` where nobody says it.
    """

    amount_sat: int
    invoice: str
    payment_hash: bytes | None
    network: str


def asked(challenge: PaymentChallenge) -> Asked:
    """Read what a challenge asks for.

    Raises:
        WireError: something else than a payment over Lightning.
    """
    if (challenge.method, challenge.intent) != (METHOD, INTENT):
        raise WireError(
            f"expected {METHOD} and {INTENT}, got {shown(challenge.method)} "
            f"and {shown(challenge.intent)}",
            reason=Reason.WRONG_METHOD,
        )
    said = base64_json.loads(challenge.request, "a request")
    amount, details = said.get("amount"), said.get("methodDetails")
    if not isinstance(amount, str) or not _AMOUNT.fullmatch(amount):
        raise WireError(f'expected an "amount" in digits, got {shown(amount)}')
    if said.get("currency") != "sat":
        raise WireError(f'expected the "currency" sat, got {shown(said.get("currency"))}')
    if not isinstance(details, dict) or not isinstance(details.get("invoice"), str):
        raise WireError('expected "methodDetails" with an "invoice" in the request')
    digest, network = details.get("paymentHash"), details.get("network", "mainnet")
    if not isinstance(network, str):
        raise WireError(f'expected a "network" by its name, got {shown(network)}')
    return Asked(
        int(amount),
        details["invoice"],
        None if digest is None else _digest(digest, '"paymentHash"', Reason.MALFORMED),
        network,
    )


def preimage(credential: PaymentCredential) -> bytes:
    """What proves the payment, 32 bytes.

    Raises:
        WireError: there is none of 64 lower-case hex digits.
    """
    return _digest(credential.payload.get("preimage"), '"preimage"', Reason.BAD_PREIMAGE)


def _digest(given: object, what: str, reason: Reason) -> bytes:
    if not isinstance(given, str) or not _DIGEST.fullmatch(given):
        raise WireError(f"expected {what} to be 64 lower-case hex digits, got others", reason)
    return bytes.fromhex(given)

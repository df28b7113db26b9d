# SPDX-License-Identifier: Apache-2.0
"""What a server answered, and what it offers in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pypow import bolt11, macaroon, payment_lightning
from pypow.bolt11 import Invoice
from pypow.errors import WireError
from pypow.l402 import IDENTIFIER_BYTES, PAYMENT_HASH_BYTES
from pypow.l402_wire import L402Challenge, read_l402_challenges
from pypow.macaroon import Macaroon
from pypow.payment_wire import PaymentChallenge, read_payment_challenges

PAYMENT_REQUIRED: Final = 402
_V0: Final = b"\0\0"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response.

    Attributes:
        status: HTTP status code.
        fields: names in lower case, and values, as they came.
        body: its octets, or the first of them.
        seconds: until the last of these octets was here.
        is_whole: whether the body ended there.
    """

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""
    seconds: float = 0.0
    is_whole: bool = True

    def values(self, name: str) -> tuple[str, ...]:
        """The values of the fields of this name, which is in lower case."""
        return tuple(value for found, value in self.fields if found == name)

    @property
    def header_size(self) -> int:
        """Characters of its lines, with what stands between and after their parts."""
        return sum(len(name) + len(value) + len(": \r\n") for name, value in self.fields)

    @property
    def challenges(self) -> tuple[str, ...]:
        """The lines of ``WWW-Authenticate``."""
        return self.values("www-authenticate")

    @property
    def document(self) -> Any:
        """The JSON in the body; None for none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def members(self) -> Mapping[str, Any]:
        """Those of the JSON object in the body; none where there is none."""
        document = self.document
        return document if isinstance(document, dict) else {}

    @property
    def admits(self) -> bool:
        """Whether it is what a caller wants."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No response, or none that is one.

    Attributes:
        why: in words.
    """

    why: str


Outcome: TypeAlias = Answer | Unanswered


@dataclass(frozen=True, slots=True)
class Offered:
    """What a refusal offers, to the most lenient reader there is.

    Attributes:
        l402: the challenges of L402; of the body where no header has one.
        payments: those of the ``Payment`` scheme over Lightning.
    """

    l402: tuple[L402Challenge, ...]
    payments: tuple[PaymentChallenge, ...]

    @property
    def invoices(self) -> tuple[str, ...]:
        """All of them, each once."""
        said = [challenge.invoice for challenge in self.l402]
        said += [asked for asked in map(invoice_of, self.payments) if asked is not None]
        return tuple(dict.fromkeys(said))


def offered(answer: Answer) -> Offered:
    """Read what a refusal offers."""
    l402 = read_l402_challenges(answer.challenges)
    members = answer.members
    token, invoice = members.get("macaroon"), members.get("invoice")
    if not l402 and isinstance(token, str) and isinstance(invoice, str) and token and invoice:
        l402 = (L402Challenge(token, invoice),)
    found = read_payment_challenges(answer.challenges)
    return Offered(l402, tuple(one for one in found if one.method == payment_lightning.METHOD))


def invoice_of(challenge: PaymentChallenge) -> str | None:
    """The invoice that a ``Payment`` challenge asks to pay; None where it cannot be read."""
    try:
        return payment_lightning.asked(challenge).invoice
    except WireError:
        return None


def decoded_invoice(text: str) -> Invoice | None:
    """What an invoice says; None where no wallet would read it."""
    try:
        return bolt11.decode(text)
    except WireError:
        return None


def decoded_macaroon(text: str) -> Macaroon | None:
    """What a macaroon says; None for another kind of token."""
    try:
        return macaroon.decode(text)
    except WireError:
        return None


def payment_hash_of(token: str) -> bytes | None:
    """The payment that a token is for; None where it is no macaroon with L402's identifier."""
    whole = decoded_macaroon(token)
    if whole is None or len(whole.identifier) != IDENTIFIER_BYTES or whole.identifier[:2] != _V0:
        return None
    return whole.identifier[2 : 2 + PAYMENT_HASH_BYTES]


def sats_of(text: str) -> int | None:
    """What an invoice asks for, in whole satoshis, rounded up; None for any amount."""
    invoice = decoded_invoice(text)
    if invoice is None or invoice.amount_msat is None:
        return None
    return -(-invoice.amount_msat // 1000)

# SPDX-License-Identifier: Apache-2.0
"""Reads what wallets answer: strictly, and without quoting it, since preimages may be in it."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pypow import bolt11, strict_json
from pypow.bolt11 import Invoice
from pypow.errors import InvalidInputError, WireError

from . import Reason, WalletError

_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
_HEX = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{43}=", re.ASCII)
_TO_STANDARD: Final = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object that a wallet sent."""

    said: Mapping[str, object] = field(repr=False)

    @classmethod
    def read(cls, document: bytes | str) -> "Fields":
        """The object in a document.

        Raises:
            WalletError: it is anything else.
        """
        try:
            return cls.of(strict_json.loads(document))
        except InvalidInputError:
            raise _malformed("a JSON object") from None

    @classmethod
    def of(cls, value: object) -> "Fields":
        """A value that must be an object."""
        if not isinstance(value, dict):
            raise _malformed("a JSON object")
        return cls(value)

    def has(self, name: str) -> bool:
        """Whether it says anything by this name."""
        return self.said.get(name) is not None

    def text(self, name: str) -> str:
        """A string that is not empty."""
        value = self.said.get(name)
        if not isinstance(value, str) or not value:
            raise _malformed(f'a text "{name}"')
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.said.get(name)
        if not isinstance(value, bool):
            raise _malformed(f'true or false as "{name}"')
        return value

    def whole(self, name: str) -> int:
        """A number that is not negative; LND writes such as strings."""
        value = self.said.get(name)
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise _malformed(f'a whole number "{name}"')
        return value

    def octets(self, name: str) -> bytes:
        """32 bytes, in hex or base64; those cannot be taken for one another."""
        value = self.said.get(name)
        if isinstance(value, str) and _HEX.fullmatch(value):
            return bytes.fromhex(value)
        if isinstance(value, str) and _BASE64.fullmatch(value):
            return base64.b64decode(value.translate(_TO_STANDARD))
        raise _malformed(f'32 bytes as "{name}"')

    def part(self, name: str) -> "Fields":
        """An object within."""
        return Fields.of(self.said.get(name))

    def parts(self, name: str) -> list["Fields"]:
        """A list of objects."""
        value = self.said.get(name)
        if not isinstance(value, list):
            raise _malformed(f'a list "{name}"')
        return [Fields.of(each) for each in value]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer over HTTP."""

    status: int
    body: bytes = field(repr=False)

    def fields(self) -> Fields:
        """What a good answer says.

        Raises:
            WalletError: it was none, or no JSON object.
        """
        if self.status in (401, 403):
            raise unauthorized(self.status)
        if not 200 <= self.status < 300:
            raise WalletError(
                f"expected the wallet to answer, got HTTP status {self.status}; see its log",
                Reason.FAILED,
            )
        return Fields.read(self.body)


def read_invoice(text: str, payment_hash: bytes | None = None) -> Invoice:
    """The invoice that a wallet made.

    Args:
        text: as it sent it.
        payment_hash: what it says that the invoice's is, 32 bytes; None where it says nothing.

    Raises:
        WalletError: no invoice, or another one.
    """
    try:
        invoice = bolt11.decode(text)
    except WireError as error:
        raise WalletError(
            f"expected a Lightning invoice from the wallet, got another text ({error.reason})",
            error.reason,
        ) from None
    if payment_hash not in (None, invoice.payment_hash):
        raise WalletError(
            "expected an invoice with the payment hash that the wallet named, got another one",
            bolt11.Reason.WRONG_HASH,
        )
    return invoice


def unauthorized(status: int) -> WalletError:
    """A wallet does not take our credential, or not for this."""
    return WalletError(
        f"expected the wallet to take our credential, got HTTP status {status}; "
        "give one that may create and look up invoices",
        Reason.UNAUTHORIZED,
    )


def unknown_invoice() -> WalletError:
    """A wallet knows no invoice by this payment hash."""
    return WalletError(
        "expected the payment hash of an invoice of this wallet, got another one",
        Reason.UNKNOWN_INVOICE,
    )


def not_paid(why: str = "") -> WalletError:
    """A wallet says for certain that it did not pay, and will not."""
    return WalletError(
        "expected the payment to arrive; it did not, and no money left" + (why and f": {why}"),
        Reason.NOT_PAID,
    )


def outcome_unknown() -> WalletError:
    """A payment may have gone out."""
    return WalletError(
        "the payment's outcome is unknown: it may still arrive; ask the wallet before paying again",
        Reason.OUTCOME_UNKNOWN,
    )


def not_supported(what: str) -> WalletError:
    """This kind of wallet cannot do that."""
    return WalletError(f"this kind of wallet cannot {what}", Reason.NOT_SUPPORTED)


def _malformed(expected: str) -> WalletError:
    return WalletError(
        f"expected {expected} from the wallet, got something else; is it what the address says?",
        Reason.MALFORMED,
    )

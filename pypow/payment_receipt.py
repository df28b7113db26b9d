# SPDX-License-Identifier: Apache-2.0
"""The ``Payment-Receipt`` of a payment that was taken (draft-httpauth-payment-00 section 5.3)."""

from collections.abc import Mapping
from dataclasses import dataclass

from . import base64_json
from .errors import WireError, shown


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a server says of a payment; it never holds a preimage, which others could present.

    Attributes:
        reference: what names the payment: over Lightning its payment hash, in hex.
        timestamp: when it was taken, RFC 3339.
        method: how it was paid.
        challenge_id: of what was asked for; None where that had none.
    """

    reference: str
    timestamp: str
    method: str
    challenge_id: str | None = None

    def header(self) -> str:
        """The value of ``Payment-Receipt``."""
        said = {
            "status": "success",
            "method": self.method,
            "timestamp": self.timestamp,
            "reference": self.reference,
        }
        if self.challenge_id is not None:
            said["challengeId"] = self.challenge_id
        return base64_json.dumps(said)


def read_receipt(value: str) -> Receipt:
    """Read a ``Payment-Receipt``; members that are not known are nobody's business.

    Raises:
        WireError: anything but the receipt of a success.
    """
    said = base64_json.loads(value, "a receipt")
    if said.get("status") != "success":
        raise WireError(f'expected the "status" success, got {shown(said.get("status"))}')
    return Receipt(
        _text(said, "reference"),
        _text(said, "timestamp"),
        _text(said, "method"),
        _text(said, "challengeId") if said.get("challengeId") else None,
    )


def _text(said: Mapping[str, object], name: str) -> str:
    text = said.get(name)
    if not isinstance(text, str) or not text:
        raise WireError(f'expected "{name}" to be text, got {shown(text)}')
    return text

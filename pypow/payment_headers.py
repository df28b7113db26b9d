# SPDX-License-Identifier: Apache-2.0
"""The one payment over Lightning that a request's headers carry, in whichever form it came."""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from . import l402_wire, payment_lightning, payment_wire
from .errors import WireError
from .l402_wire import L402Credential
from .payment_reasons import Reason
from .payment_wire import PaymentCredential

LightningCredential: TypeAlias = L402Credential | PaymentCredential

NAMES: Final = (b"authorization", payment_wire.CREDENTIAL_HEADER.lower().encode())
METADATA_NAMES: Final = (b"grpc-metadata-macaroon", b"macaroon")
"""Read where no other header holds a payment; Lightning nodes know credentials of these names."""

# As a proxy joins the values of two lines; nothing in a payment has a comma before such a word.
_SCHEME = re.compile(rb"[ \t]*(?:l402|lsat|payment)(?:[ \t]|$)", re.IGNORECASE)
_JOINED = re.compile(rb",[ \t]*(?=(?:l402|lsat|payment)[ \t])", re.IGNORECASE)


def read_credential(fields: Iterable[tuple[bytes, bytes]]) -> LightningCredential | None:
    """The credential in header fields; None where there is none.

    The same credential may come several times. What cannot be read gives way to what can: clients
    have sent both.

    Args:
        fields: names in lower case, and values, as ASGI has them.

    Raises:
        WireError: none can be read, or (``conflicting``) several are different.
    """
    found: list[LightningCredential] = []
    wrong: list[WireError] = []
    metadata: list[LightningCredential] = []
    for name, value in fields:
        if name in METADATA_NAMES:
            _add(metadata, l402_wire.credential_from_metadata(value.decode("latin-1")))
        elif name in NAMES:
            for one in _JOINED.split(value):
                try:
                    _add(found, _authorized(one))
                except WireError as error:
                    wrong.append(error)
    if not found and wrong:
        raise wrong[0]
    found = found or metadata
    if len(found) > 1:
        raise WireError(
            f"expected one payment, got {len(found)} different ones; send one", Reason.CONFLICTING
        )
    return found[0] if found else None


def split_authorization(value: bytes) -> tuple[list[bytes], bytes | None]:
    """The payments in a value of ``Authorization``, by their schemes, and what else there is."""
    payments: list[bytes] = []
    others: list[bytes] = []
    for one in _JOINED.split(value):
        (payments if _SCHEME.match(one) else others).append(one)
    return payments, b", ".join(others) if others else None


def _add(found: list[LightningCredential], credential: LightningCredential | None) -> None:
    if credential is not None and credential not in found:
        found.append(credential)


def _authorized(value: bytes) -> LightningCredential | None:
    """The credential in a value of ``Authorization``; None for another scheme or way of paying."""
    scheme, _, rest = value.strip(b" \t").replace(b"\t", b" ").partition(b" ")
    named = scheme.lower().decode("latin-1")
    if named not in l402_wire.SCHEMES and named != payment_wire.SCHEME:
        return None
    parameters = rest.strip(b" ")
    if not parameters.isascii():
        raise WireError(f"expected {named} and ASCII characters, got others")
    text = parameters.decode("ascii")
    if named in l402_wire.SCHEMES:
        return l402_wire.credential_from_authorization(text)
    credential = payment_wire.credential_from_authorization(text)
    return credential if credential.challenge.method == payment_lightning.METHOD else None

# SPDX-License-Identifier: Apache-2.0
"""What callers pay with: taken out of a request before anything else reads it.

Only a gate that sells for sats does so. What was taken out reaches no upstream and no log.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from pypow import payment_wire
from pypow.errors import WireError
from pypow.l402_wire import PREIMAGE_CAVEAT
from pypow.payment_headers import METADATA_NAMES, split_authorization

from . import problems
from .mcp_message import INVOICE_META, PAYMENT_META
from .problems import Problem
from .reply import Header

MAX_FIELDS: Final = 8
MAX_OCTETS: Final = 32 * 1024

STAMP_HEADER: Final = "X-PoW-Invoice"
"""Brings the work for which a caller gets an invoice."""

_AUTHORIZATION: Final = b"authorization"
_CREDENTIAL: Final = b"payment-authorization"
_STAMP: Final = STAMP_HEADER.lower().encode()
_UNREADABLE: Final = payment_wire.SCHEME.encode()
_PREIMAGE_HEX: Final = PREIMAGE_CAVEAT.hex().encode()
_NAMES: Final = frozenset({_AUTHORIZATION, _CREDENTIAL, _STAMP, *METADATA_NAMES})


class Paying(NamedTuple):
    """What a request brings besides proofs and passes; not yet read.

    Attributes:
        fields: that hold a payment, names in lower case.
        stamp: the work for an invoice, octets of a header or JSON of a message; None for none.
        in_header: whether any of it came in a header.
    """

    fields: tuple[Header, ...] = ()
    stamp: object = None
    in_header: bool = True

    def __repr__(self) -> str:
        """Without the values: they are secrets."""
        return f"Paying({len(self.fields)} fields)"


def take_payments(headers: Sequence[Header]) -> tuple[list[Header], Paying | None]:
    """What is left of the headers of a request, and how it pays; None where it does not."""
    kept: list[Header] = []
    taken: list[Header] = []
    stamp: bytes | None = None
    for field in headers:
        name, value = field[0].lower(), field[1]
        folded = name.replace(b"_", b"-")
        if folded not in _NAMES:
            kept.append(field)
        elif name in (_AUTHORIZATION, _CREDENTIAL):
            payments, others = split_authorization(value)
            taken += [(name, one) for one in payments]
            if others is not None:
                (kept if name == _AUTHORIZATION else taken).append((name, others))
        elif name != folded:  # some servers fold it into the header that was judged
            continue
        elif name == _STAMP:
            stamp = value
        elif _PREIMAGE_HEX in value.lower():
            taken.append((name, value))
        else:
            kept.append(field)
    if not taken and stamp is None:
        return kept, None
    return kept, Paying(tuple(taken), stamp)


def with_message(paying: Paying | None, members: Sequence[tuple[str, object]]) -> Paying:
    """What a request pays with, its MCP message counted in.

    Args:
        paying: what its headers hold.
        members: of ``_meta``, as `McpMessage.paying` has them.
    """
    known = paying or Paying(in_header=False)
    written = tuple(
        (_AUTHORIZATION, _written(name, value)) for name, value in members if name != INVOICE_META
    )
    stamps = [value for name, value in members if name == INVOICE_META]
    stamp = known.stamp if known.stamp is not None or not stamps else stamps[0]
    return known._replace(fields=known.fields + written, stamp=stamp)


def _written(name: str, value: object) -> bytes:
    """A payment as the header has it; what cannot be one is written so that it is none."""
    match value:
        case str():
            text = value.encode(errors="replace")
            return _UNREADABLE if split_authorization(text)[1] is not None else text
        case {"macaroon": str(macaroon), "preimage": str(preimage)} if name == PAYMENT_META:
            return f"L402 {macaroon}:{preimage}".encode(errors="replace")
    try:
        return payment_wire.credential_from_json(value).authorization().encode()
    except (WireError, UnicodeEncodeError):
        return _UNREADABLE


def too_much(paying: Paying) -> Problem | None:
    """What is wrong with payments that are too many or too long to read."""
    octets = sum(len(value) for _, value in paying.fields)
    if len(paying.fields) <= MAX_FIELDS and octets <= MAX_OCTETS:
        return None
    return problems.headers_too_large(
        f"expected at most {MAX_FIELDS} payments of {MAX_OCTETS} octets together, got "
        f"{len(paying.fields)} of {octets}"
    )

# SPDX-License-Identifier: Apache-2.0
"""The door's fourth part: L402 credentials, one and many.

Reasons are numbers here, those of ``enum pypow_macaroon_reason``; 0 is a credential that stands.
"""

import struct
from dataclasses import dataclass, field
from typing import Any

from ._bridge import _check, _name
from ._bridge_checks import Column, MacKeys
from ._native import ffi, lib
from .errors import InvalidInputError, shown

MAX_BYTES = lib.PYPOW_MAX_MACAROON_BYTES
MAX_CAVEATS = lib.PYPOW_MAX_CAVEATS
MAX_LISTED = lib.PYPOW_MAX_LISTED
STANDS = lib.PYPOW_MACAROON_STANDS

# struct pypow_macaroon_terms, as the compiler lays it out.
_LAYOUT = struct.Struct("=32s32sQII")
# ffi.new is quicker with a type than with its name.
_TERMS = ffi.typeof("struct pypow_macaroon_terms *")
_BYTES = ffi.typeof("uint8_t *")
assert _LAYOUT.size == ffi.sizeof("struct pypow_macaroon_terms")
_OFFSETS = "expected offsets that never descend and lie within their data"


@dataclass(frozen=True, slots=True)
class DemandSpec:
    """What a call asks for, as bytes; nothing stands for none, but for the service."""

    service: bytes
    capability: bytes
    audience: bytes
    tool: bytes
    body: bytes
    holder: bytes
    native: Any = field(init=False, repr=False, compare=False)
    _kept: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        native = ffi.new("struct pypow_macaroon_expected *")
        kept = []
        for name in ("service", "capability", "audience", "tool", "body", "holder"):
            text = getattr(self, name)
            buffer = ffi.from_buffer(text)
            kept.append(buffer)
            part = getattr(native, name)
            part.at, part.len = ffi.cast(_BYTES, buffer), len(text)
        object.__setattr__(self, "native", native)
        object.__setattr__(self, "_kept", kept)


def check_macaroon(
    keys: MacKeys, now_s: int, demand: DemandSpec, given: str | bytes, preimage: str | bytes
) -> tuple[int, Any]:
    """Hold a credential against everything: a reason, and the terms of one that stands.

    Raises:
        InvalidInputError: a value of another type, or a time beyond 64 bits.
    """
    terms = ffi.new(_TERMS)
    try:
        # What is not ASCII becomes "?", which neither base64 nor hex holds.
        macaroon = given.encode("ascii", "replace") if isinstance(given, str) else given
        proof = preimage.encode("ascii", "replace") if isinstance(preimage, str) else preimage
        reason = lib.pypow_macaroon_check(
            terms,
            keys.native,
            keys.count,
            now_s,
            demand.native,
            macaroon,
            len(macaroon),
            proof,
            len(proof),
        )
    except (TypeError, OverflowError):
        raise InvalidInputError(
            "expected a macaroon and a preimage, as text or bytes, and an integer of Unix seconds, "
            f"got {type(given).__name__}, {type(preimage).__name__} and {shown(now_s)}"
        ) from None
    return reason, terms


def read_terms(terms: Any) -> tuple[bytes, bytes, int, int | None, int]:
    """Payment hash, token id, end in Unix seconds, uses if it says so, and tier."""
    payment_hash, token_id, valid_until_s, uses, tier = _LAYOUT.unpack(ffi.buffer(terms))
    return payment_hash, token_id, valid_until_s, uses or None, tier


def check_macaroon_batch(
    reasons: int,
    keys: MacKeys,
    now_s: int,
    demand: DemandSpec,
    texts: Column,
    preimages: Column,
    count: int,
    kernel: str | None,
) -> None:
    """Write at address ``reasons`` what `check_macaroon` finds, for each of ``count`` credentials.

    Raises:
        InvalidInputError: offsets that descend or leave their data, or a time beyond 64 bits.
        KernelUnavailableError: no such kernel.
    """
    each = ffi.cast(_BYTES, reasons)
    columns = texts.native, preimages.native
    name = _name(kernel)
    try:
        status = lib.pypow_macaroon_check_batch(
            each, keys.native, keys.count, now_s, demand.native, *columns, count, name
        )
    except (TypeError, OverflowError):
        raise InvalidInputError(
            f"expected an integer of Unix seconds, got {shown(now_s)}"
        ) from None
    _check(status, _OFFSETS, kernel)

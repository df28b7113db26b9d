# SPDX-License-Identifier: Apache-2.0
"""The door's other half: proofs of native challenges, one at a time.

Reasons are numbers here, those of ``enum pypow_reason``; 0 is a proof that stands.
"""

from collections.abc import Iterable
from typing import Any

from ._bridge import _check
from ._native import ffi, lib
from .errors import InvalidInputError

MAX_CLOCK_SKEW_MS = lib.PYPOW_MAX_CLOCK_SKEW_MS
STANDS = lib.PYPOW_STANDS

_SCOPE_BYTES = lib.PYPOW_SCOPE_BYTES
_CHALLENGE_BYTES = lib.PYPOW_CHALLENGE_BYTES
_CHALLENGE_TEXT = lib.PYPOW_CHALLENGE_TEXT
# ffi.new is quicker with a type than with its name.
_OCTETS = ffi.typeof("uint8_t[]")
_INDEX = ffi.typeof("uint32_t *")


class MacKeys:
    """The keys that sign challenges, prepared once: ids and secrets, the first id wins."""

    __slots__ = ("count", "native")

    def __init__(self, keys: Iterable[tuple[int, bytes]]) -> None:
        listed = tuple(keys)
        self.count = len(listed)
        self.native: Any = ffi.new("struct pypow_mac_key[]", self.count)
        for place, (identity, secret) in enumerate(listed):
            lib.pypow_mac_key_init(self.native + place, identity, secret, len(secret))


def highest_digest(q: int) -> int:
    """The highest winning digest at difficulty ``q``, 0 to 61440, as an integer."""
    highest = ffi.new(_OCTETS, lib.PYPOW_DIGEST_BYTES)
    _check(lib.pypow_target(highest, q), f"expected a difficulty q of 0 to 61440, got {q}")
    return int.from_bytes(ffi.buffer(highest))


def decode_challenge(text: str) -> Any | None:
    """The 78 octets of a challenge, as a buffer; None where the text is not one's."""
    if len(text) != _CHALLENGE_TEXT:
        return None
    octets = ffi.new(_OCTETS, _CHALLENGE_BYTES)
    ascii_text = text.encode("ascii", "replace")
    if lib.pypow_challenge_decode(octets, ascii_text, _CHALLENGE_TEXT) != STANDS:
        return None
    return ffi.buffer(octets)


def check_work(text: str, nonces: tuple[bytes, ...]) -> tuple[int, int]:
    """Whether nonces win their challenge: a reason, and the first nonce that does not."""
    failed = ffi.new(_INDEX)
    ascii_text, joined = _proof(text, nonces)
    reason = lib.pypow_challenge_work(
        failed, ascii_text, len(ascii_text), joined, len(joined), len(nonces)
    )
    return reason, failed[0]


def check_challenge(
    keys: MacKeys,
    now_ms: int,
    epoch: int,
    weight: int,
    resource: bytes,
    principal: bytes,
    text: str,
    nonces: tuple[bytes, ...],
) -> tuple[int, Any]:
    """Hold a whole proof against everything: a reason, and the challenge's octets as a buffer.

    Raises:
        InvalidInputError: a value of another type, or too large; scopes not of 12 bytes.
    """
    if not len(resource) == len(principal) == _SCOPE_BYTES:
        raise InvalidInputError(
            f"expected 12 bytes of resource and principal, got {len(resource)}, {len(principal)}"
        )
    octets = ffi.new(_OCTETS, _CHALLENGE_BYTES)
    ascii_text, joined = _proof(text, nonces)
    try:
        reason = lib.pypow_challenge_check(
            octets,
            keys.native,
            keys.count,
            now_ms,
            epoch,
            weight,
            resource,
            principal,
            ascii_text,
            len(ascii_text),
            joined,
            len(joined),
            len(nonces),
        )
    except (TypeError, OverflowError) as error:
        raise InvalidInputError(f"expected integers and bytes as documented: {error}") from None
    return reason, ffi.buffer(octets)


def _proof(text: str, nonces: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    try:
        # What is not ASCII becomes "?", which no challenge holds.
        return text.encode("ascii", "replace"), b".".join(nonces)
    except TypeError:
        raise InvalidInputError("expected nonces as bytes") from None

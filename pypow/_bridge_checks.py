# SPDX-License-Identifier: Apache-2.0
"""The door's other half: proofs of native challenges, and batches of anything.

Reasons are numbers here, those of ``enum pypow_reason``; 0 is a proof that stands.
"""

from collections.abc import Iterable
from typing import Any

from ._bridge import HashSpec, RuleSpec, _check, _name
from ._native import ffi, lib
from .errors import InvalidInputError, shown

MAX_CLOCK_SKEW_MS = lib.PYPOW_MAX_CLOCK_SKEW_MS
STANDS = lib.PYPOW_STANDS

_SCOPE_BYTES = lib.PYPOW_SCOPE_BYTES
_CHALLENGE_BYTES = lib.PYPOW_CHALLENGE_BYTES
_CHALLENGE_TEXT = lib.PYPOW_CHALLENGE_TEXT
# ffi.new is quicker with a type than with its name.
_OCTETS = ffi.typeof("uint8_t[]")
_INDEX = ffi.typeof("uint32_t *")
_BYTES = ffi.typeof("uint8_t *")
_OFFSETS = ffi.typeof("int64_t *")
_COLUMN = ffi.typeof("struct pypow_column *")

_EXPECTED = "expected integers and bytes as documented"
_ROWS = "expected rows of 104 characters, and of up to 64 nonces of 15"


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


def wins(rule: RuleSpec, hash: HashSpec, prefix: bytes, nonce: bytes, suffix: bytes) -> bool:
    """Whether the digest of ``prefix + nonce + suffix`` wins; `pypow._bridge.verify` for one.

    Raises:
        InvalidInputError: a nonce of more than 64 bytes, or a message too long.
    """
    length = len(nonce)
    around = prefix, len(prefix), suffix, len(suffix)
    status = lib.pypow_verify(
        ffi.NULL,
        ffi.new(_INDEX),
        hash.native,
        rule.native,
        *around,
        nonce,
        bytes((min(length, 255),)),
        1,
    )
    _check(status, "expected a nonce of up to 64 bytes, in a message that SHA-256 allows")
    return status == lib.PYPOW_OK


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
    _require_scopes(resource, principal)
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
        raise InvalidInputError(f"{_EXPECTED}: {error}") from None
    return reason, ffi.buffer(octets)


def _require_scopes(*scopes: object) -> None:
    for scope in scopes:
        if not isinstance(scope, bytes) or len(scope) != _SCOPE_BYTES:
            raise InvalidInputError(
                f"expected 12 bytes of resource and of principal, got {shown(scope)}"
            )


def _proof(text: str, nonces: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    try:
        # What is not ASCII becomes "?", which no challenge holds.
        return text.encode("ascii", "replace"), b".".join(nonces)
    except TypeError:
        raise InvalidInputError("expected nonces as bytes") from None


class Column:
    """One part of each of many messages, where it lies in memory; the caller keeps that alive.

    Item i is the ``width`` bytes at address ``data + i * stride``, less the zeros at its end if
    ``padded``; or with the address of ``offsets`` those between two of them, within ``data_len``.
    """

    __slots__ = ("native",)

    def __init__(
        self,
        data: int,
        *,
        width: int = 0,
        stride: int = 0,
        padded: bool = False,
        offsets: int = 0,
        data_len: int = 0,
    ) -> None:
        native = ffi.new(_COLUMN)
        native.data = ffi.cast(_BYTES, data)
        native.width, native.stride, native.padded = width, stride, padded
        native.offsets, native.data_len = ffi.cast(_OFFSETS, offsets), data_len
        self.native: Any = native


def column_of_bytes(same: bytes) -> Column:
    """The same bytes for every message; the caller keeps them alive."""
    return Column(int(ffi.cast("uintptr_t", ffi.from_buffer(same))), width=len(same))


def verify_batch(
    wins: int,
    rule: RuleSpec,
    prefixes: Column,
    nonces: Column,
    suffix: bytes,
    count: int,
    kernel: str | None,
) -> None:
    """Write 1 or 0 at address ``wins`` for each of ``count`` messages.

    Raises:
        InvalidInputError: offsets that descend or leave their data.
        KernelUnavailableError: no such kernel.
    """
    each = ffi.cast(_BYTES, wins)
    columns = prefixes.native, nonces.native
    name = _name(kernel)
    status = lib.pypow_verify_batch(each, rule.native, *columns, suffix, len(suffix), count, name)
    _check(status, "expected offsets that never descend and lie within their data", kernel)


def check_work_batch(
    reasons: int,
    challenges: Column,
    nonces: Column,
    nonces_each: int,
    count: int,
    kernel: str | None,
) -> None:
    """Write at address ``reasons`` what `check_work` finds, for each of ``count`` proofs."""
    each = ffi.cast(_BYTES, reasons)
    status = lib.pypow_challenge_work_batch(
        each, challenges.native, nonces.native, nonces_each, count, _name(kernel)
    )
    _check(status, _ROWS, kernel)


def check_challenge_batch(
    reasons: int,
    keys: MacKeys,
    now_ms: int,
    epoch: int,
    weight: int,
    resource: bytes,
    principal: bytes,
    challenges: Column,
    nonces: Column,
    nonces_each: int,
    count: int,
    kernel: str | None,
) -> None:
    """Write at address ``reasons`` what `check_challenge` finds, for each of ``count`` proofs."""
    _require_scopes(resource, principal)
    each = ffi.cast(_BYTES, reasons)
    try:
        status = lib.pypow_challenge_check_batch(
            each,
            keys.native,
            keys.count,
            now_ms,
            epoch,
            weight,
            resource,
            principal,
            challenges.native,
            nonces.native,
            nonces_each,
            count,
            _name(kernel),
        )
    except (TypeError, OverflowError) as error:
        raise InvalidInputError(f"{_EXPECTED}: {error}") from None
    _check(status, _ROWS, kernel)

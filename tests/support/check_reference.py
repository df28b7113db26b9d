# SPDX-License-Identifier: Apache-2.0
"""Checking a proof a second time, from its description only: slow, obvious, one step a line."""

import base64
import hashlib
import hmac
import re
import string
import struct
from collections.abc import Mapping, Sequence

from pypow.challenge import Expected, Reason
from support import challenge_reference

BASE64URL = set(string.ascii_letters + string.digits + "-_")
MAX_SKEW_MS = 5000

MacKeys = Mapping[int, bytes]
"""The keys under which challenges are signed, by id."""


def judge(
    text: str | None, nonces: Sequence[bytes], mac_keys: MacKeys, expected: Expected
) -> Reason | None:
    """Why a proof does not stand, or None; docs/protocol.md, "Proof"."""
    if text is None or len(text) != 104 or not set(text) <= BASE64URL:
        return Reason.MALFORMED
    octets = base64.b64decode(text, altchars=b"-_", validate=True)
    version, algorithm, log2, _, q, weight, key, epoch = struct.unpack(">BBBBHHHI", octets[:14])
    issued_ms = int.from_bytes(octets[14:20], "big")
    lifetime_s = int.from_bytes(octets[20:22], "big")
    sub_q = q - 1024 * log2
    ranges = [
        version == 1, algorithm == 1, log2 <= 6, 1024 <= q <= 61440, 0 <= sub_q <= 44 * 1024,
        weight >= 1, 1 <= lifetime_s <= 600,
    ]  # fmt: skip
    if not all(ranges):
        return Reason.MALFORMED
    if key not in mac_keys:
        return Reason.UNKNOWN_KEY
    if hmac.new(mac_keys[key], octets[:62], hashlib.sha256).digest()[:16] != octets[62:]:
        return Reason.BAD_MAC
    terms = {
        Reason.NOT_YET_VALID: expected.now_ms >= issued_ms - MAX_SKEW_MS,
        Reason.EXPIRED: expected.now_ms < issued_ms + 1000 * lifetime_s,
        Reason.STALE_EPOCH: epoch == expected.epoch,
        Reason.WRONG_RESOURCE: octets[38:50] in (bytes(12), expected.resource),
        Reason.UNDERWEIGHT: weight >= expected.weight,
        Reason.WRONG_PRINCIPAL: octets[50:62] in (bytes(12), expected.principal),
        Reason.WRONG_NONCES: well_formed(nonces, 2**log2),
    }
    for reason, holds in terms.items():
        if not holds:
            return reason
    return None if wins(text, nonces, sub_q) else Reason.NOT_ENOUGH_WORK


def well_formed(nonces: Sequence[bytes], puzzles: int) -> bool:
    """Whether there is one nonce for each sub-puzzle, of the form that it must have."""
    if len(nonces) != puzzles:
        return False
    if puzzles == 1:
        return re.fullmatch(rb"[0-9A-Za-z_-]{1,15}", nonces[0]) is not None
    return all(
        re.fullmatch(rb"%02x[0-9a-f]{13}" % index, nonce) is not None
        for index, nonce in enumerate(nonces)
    )


def wins(text: str, nonces: Sequence[bytes], sub_q: int) -> bool:
    """Whether every digest is below the target."""
    target = challenge_reference.target(sub_q)
    digests = (hashlib.sha256(text.encode("ascii") + nonce).digest() for nonce in nonces)
    return all(int.from_bytes(digest, "big") < target for digest in digests)

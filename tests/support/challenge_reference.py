# SPDX-License-Identifier: Apache-2.0
"""The native challenge a second time, from its description only: slow, obvious, no pypow import.

The golden vectors were made with it, and a test holds it against them as well.
"""

import base64
import hashlib
import hmac
import struct
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

Json = Mapping[str, Any]

PURPOSES = ("challenge", "pass", "resource", "principal")


def target(q: int) -> int:
    """round(2**63 * 2**(-f/1024)) * 2**(193 - whole bits), with 80 decimal digits."""
    whole, fraction = divmod(q, 1024)
    context = Context(prec=80, rounding=ROUND_HALF_EVEN)
    exponent = Decimal(63) - context.divide(Decimal(fraction), Decimal(1024))
    mantissa = context.power(Decimal(2), exponent).to_integral_value(ROUND_HALF_EVEN)
    return int(mantissa) << (193 - whole)


def hkdf(secret: bytes, info: bytes) -> bytes:
    """HKDF-SHA256, RFC 5869: extract with a zero salt, then the first block of expand."""
    pseudo_random_key = hmac.new(b"\0" * 32, secret, hashlib.sha256).digest()
    return hmac.new(pseudo_random_key, info + b"\1", hashlib.sha256).digest()


def scope_digest(key: bytes, parts: list[str]) -> bytes:
    """HMAC over the parts, each behind its length; twelve bytes."""
    message = b""
    for part in parts:
        encoded = part.encode("utf-8")
        message += struct.pack(">I", len(encoded)) + encoded
    return hmac.new(key, message, hashlib.sha256).digest()[:12]


def entry(name: str, secret: bytes, fields: Json) -> dict[str, Any]:
    """One golden vector: everything that follows from a secret and a challenge's fields."""
    keys = {purpose: hkdf(secret, f"pypow 1 {purpose}".encode()) for purpose in PURPOSES}
    resource = (
        scope_digest(keys["resource"], fields["resource"]) if fields["resource"] else bytes(12)
    )
    principal = (
        scope_digest(keys["principal"], fields["principal"]) if fields["principal"] else bytes(12)
    )
    signed = struct.pack(
        ">BBBBHHHI", 1, 1, fields["puzzles"].bit_length() - 1, fields["overdraft"],
        fields["q"], fields["weight"], fields["key"], fields["epoch"],
    )  # fmt: skip
    signed += fields["issued_at_ms"].to_bytes(6, "big") + struct.pack(">H", fields["lifetime_s"])
    signed += bytes.fromhex(fields["id"]) + resource + principal
    octets = signed + hmac.new(keys["challenge"], signed, hashlib.sha256).digest()[:16]
    text = base64.b64encode(octets, altchars=b"-_").decode("ascii")
    sub_target = target(fields["q"] - 1024 * (fields["puzzles"].bit_length() - 1))
    nonces = [lowest_nonce(text, index, sub_target) for index in range(fields["puzzles"])]
    return {
        "name": name,
        "secret": secret.hex(),
        "keys": {purpose: key.hex() for purpose, key in keys.items()},
        "fields": dict(fields),
        "resource": resource.hex(),
        "principal": principal.hex(),
        "octets": octets.hex(),
        "challenge": text,
        "sub_target": f"{sub_target:064x}",
        "nonces": nonces,
        "digests": [sha256(text + nonce).hex() for nonce in nonces],
    }


def lowest_nonce(text: str, index: int, sub_target: int) -> str:
    """Two hex digits of index, then the lowest thirteen that win."""
    free = 0
    while int.from_bytes(sha256(text + f"{index:02x}{free:013x}"), "big") >= sub_target:
        free += 1
    return f"{index:02x}{free:013x}"


def sha256(text: str) -> bytes:
    """SHA-256 of ASCII text."""
    return hashlib.sha256(text.encode("ascii")).digest()

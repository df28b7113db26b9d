# SPDX-License-Identifier: Apache-2.0
"""Reads a JSON Web Token (RFC 7519) in compact form, and believes nothing of what it says.

Two readers never find two meanings in what passes: base64url has one text for each value, JSON no
member twice. Nothing that a token could ask of its reader is granted: no extension (``crit``, RFC
7515 section 4.1.11), no unencoded payload (``b64``, RFC 7797), no encryption. Keys and places of
keys that it brings along (``jwk``, ``jku``, ``x5u``, ``x5c``) are not looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pypow import strict_json
from pypow.base64_text import decode_url
from pypow.errors import InvalidInputError

from . import BadToken

MAX_OCTETS: Final = 8192
"""Of a token; most servers take no longer header fields."""

_MAX_HEADER: Final = 2048
_MAX_KEY_ID: Final = 256
_TYPE_PREFIX: Final = "application/"


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself, whoever wrote it.

    Attributes:
        algorithm: ``alg``.
        kind: ``typ`` in lower case without ``application/`` (RFC 7515 section 4.1.9); empty for
            none.
        key_id: ``kid``; None for none.
        claims: the payload.
        signed: what the signature is of.
        signature: its octets.
    """

    algorithm: str
    kind: str
    key_id: str | None
    claims: Mapping[str, object] = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def is_jwt(token: str) -> bool:
    """Whether a token has the three parts of a JWT; one that has not may mean something else."""
    return token.count(".") == 2


def read(token: str) -> Unverified | BadToken:
    """What a token says, or why it is none."""
    if len(token) > MAX_OCTETS:
        return _bad(f"expected a token of at most {MAX_OCTETS} octets, got {len(token)}")
    parts = token.split(".")
    if len(parts) != 3:
        return _bad(f"expected a signed JWT of 3 parts, got {len(parts)}")
    if len(parts[0]) > _MAX_HEADER:
        return _bad(f"expected a header of at most {_MAX_HEADER} characters")
    if "=" in token:
        return _bad("expected base64url without padding")
    try:
        header, claims = (strict_json.loads(decode_url(part)) for part in parts[:2])
        signature = decode_url(parts[2])
    except InvalidInputError:
        return _bad("expected a JWT of base64url and JSON without repeated members")
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return _bad("expected a JWT whose header and payload are JSON objects")
    fault = _fault(header)
    if fault is not None:
        return fault
    return Unverified(
        algorithm=header["alg"],
        kind=header.get("typ", "").lower().removeprefix(_TYPE_PREFIX),
        key_id=header.get("kid"),
        claims=claims,
        signed=f"{parts[0]}.{parts[1]}".encode("ascii"),
        signature=signature,
    )


def _fault(header: dict[str, object]) -> BadToken | None:
    if not isinstance(header.get("alg"), str):
        return _bad("expected a token that names its algorithm (alg)")
    if not isinstance(header.get("typ", ""), str):
        return _bad("expected a text as typ")
    if "crit" in header:
        return _bad("expected a token without critical extensions (crit): none is understood")
    if "b64" in header:
        return _bad("expected a token with an encoded payload (no b64)")
    key_id = header.get("kid", "")
    if not isinstance(key_id, str) or len(key_id) > _MAX_KEY_ID:
        return _bad(f"expected a text of at most {_MAX_KEY_ID} characters as kid")
    return None


def _bad(detail: str) -> BadToken:
    return BadToken("invalid_token", detail)

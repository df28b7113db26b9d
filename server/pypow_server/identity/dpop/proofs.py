# SPDX-License-Identifier: Apache-2.0
"""A DPoP proof as it comes, read: a JWS in its compact form (RFC 9449 section 4.2).

What is read here is only well written. Nobody has signed it yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pypow import strict_json
from pypow.base64_text import decode_url
from pypow.errors import InvalidInputError

from .faults import DpopError, DpopFault
from .keys import HolderKey, read_key

TYPE: Final = "dpop+jwt"
MAX_JTI: Final = 256
"""Characters."""

_END_OF_TIME_S: Final = 2**40


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof says of itself.

    Attributes:
        algorithm: that it is signed with.
        key: that it brings.
        jti: that names it among all of its key.
        method: ``htm``.
        target: ``htu``, as written.
        issued_at_ms: ``iat`` in Unix milliseconds.
        token_digest: ``ath``; None for none.
        nonce: None for none.
        signed: what the signature is over.
        signature: not yet looked at.
    """

    algorithm: str
    key: HolderKey
    jti: str
    method: str
    target: str
    issued_at_ms: int
    token_digest: str | None
    nonce: str | None
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def read_proof(
    fields: Sequence[bytes | str], *, algorithms: Sequence[str], max_octets: int
) -> Proof | DpopFault:
    """The one proof of a request.

    Args:
        fields: the value of every ``DPoP`` header there is.
        algorithms: that it may be signed with.
        max_octets: that it may have.
    """
    if len(fields) != 1:
        return _bad(f"expected one DPoP header, got {len(fields)}")
    text = _text(fields[0])
    if len(text) > max_octets:
        return _bad(f"expected a proof of at most {max_octets} octets, got {len(text)}")
    signed, _, signature = text.rpartition(".")
    header_text, _, claims_text = signed.partition(".")
    header, claims = _document(header_text), _document(claims_text)
    octets = _octets(signature)
    if header is None or claims is None or octets is None:
        return _bad("expected a JWT: two objects of JSON and a signature, each in base64url")
    key = _signer(header, algorithms)
    if isinstance(key, DpopFault):
        return key
    return _claimed(claims, key, header["alg"], signed.encode("ascii"), octets)


def _signer(header: dict[str, object], algorithms: Sequence[str]) -> HolderKey | DpopFault:
    algorithm = header.get("alg")
    if header.get("typ") != TYPE:
        return _bad(f"expected typ {TYPE}")
    if "crit" in header or "b64" in header:
        return _bad("expected no crit and no b64 in the header of a proof")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        return _bad(f"expected alg to be one of {', '.join(algorithms)}")
    key = read_key(header.get("jwk"), algorithm)
    return key or _bad(f"expected jwk to be a public key for {algorithm}, with nothing private")


def _claimed(
    claims: dict[str, object], key: HolderKey, algorithm: object, signed: bytes, signature: bytes
) -> Proof | DpopFault:
    jti, method, target = claims.get("jti"), claims.get("htm"), claims.get("htu")
    digest, nonce, issued_at = claims.get("ath"), claims.get("nonce"), claims.get("iat")
    if not isinstance(jti, str) or not 1 <= len(jti) <= MAX_JTI:
        return _bad(f"expected jti, a text of 1 to {MAX_JTI} characters")
    if not isinstance(method, str) or not isinstance(target, str):
        return _bad("expected htm and htu, the request's method and URL")
    if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
        return _bad("expected iat, the seconds since 1970")
    if not 0 <= issued_at < _END_OF_TIME_S:
        return _bad("expected iat, the seconds since 1970")
    if not isinstance(digest, str | None) or not isinstance(nonce, str | None):
        return _bad("expected ath and nonce to be texts where they are sent")
    if ("ath" in claims and digest is None) or ("nonce" in claims and nonce is None):
        return _bad("expected ath and nonce to be texts where they are sent")
    assert isinstance(algorithm, str)
    issued_at_ms = int(issued_at * 1000)
    return Proof(
        algorithm, key, jti, method, target, issued_at_ms, digest, nonce, signed, signature
    )


def _text(value: bytes | str) -> str:
    text = value if isinstance(value, str) else value.decode("latin-1")
    return text.strip(" \t")


def _octets(text: str) -> bytes | None:
    """What a part of a JWS is (RFC 7515 section 2: no padding)."""
    try:
        return None if not text or text.endswith("=") else decode_url(text)
    except InvalidInputError:
        return None


def _document(text: str) -> dict[str, object] | None:
    octets = _octets(text)
    try:
        document = None if octets is None else strict_json.loads(octets)
    except InvalidInputError:
        return None
    return document if isinstance(document, dict) else None


def _bad(detail: str) -> DpopFault:
    return DpopFault(DpopError.INVALID_PROOF, detail)

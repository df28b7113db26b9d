# SPDX-License-Identifier: Apache-2.0
"""The keys that sign access tokens: derived from the gate's secrets, and so rotated with them."""

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from pypow.challenge import Key, Keyring, hkdf_sha256
from pypow.errors import InvalidInputError
from pypow.strict_json import loads
from pypow_server.fixable import FixableError
from pypow_server.reply import json_text

try:
    from cryptography.hazmat.primitives.asymmetric import ec
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey
    from joserfc.jws import JWSRegistry
except ModuleNotFoundError as error:
    raise FixableError(
        "tokens need the joserfc package", fix="pip install 'pypow-engine[oauth]'"
    ) from error

ALGORITHM: Final = "ES256"
TYPE: Final = "at+jwt"
MAX_OCTETS: Final = 8192
"""Of an access token; the longest that holds a payment is shorter."""

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_HEADER: Final = frozenset({"typ", "alg", "kid"})
_REGISTRY: Final = JWSRegistry(algorithms=[ALGORITHM])


class SigningKeys:
    """Signs with the key of the first secret; what any of them signed stands.

    Attributes:
        jwks: the public halves (RFC 7517 section 5), the signing one first.
    """

    def __init__(self, keyring: Keyring) -> None:
        """Derive a key of each secret."""
        self._names = hkdf_sha256(keyring.keys[-1].secret, info=b"pypow 1 subject")
        derived = [_derived(key) for key in keyring.keys]
        self._signing = derived[0]
        self._by_name = {key.thumbprint(): key for key in derived}
        self.jwks: Mapping[str, object] = {
            "keys": [
                {**key.as_dict(private=False), "kid": name, "use": "sig", "alg": ALGORITHM}
                for name, key in self._by_name.items()
            ]
        }

    def sign(self, claims: Mapping[str, object]) -> str:
        """An access token that says this (RFC 9068 section 2)."""
        header = {"typ": TYPE, "alg": ALGORITHM, "kid": self._signing.thumbprint()}
        payload = json_text(claims)
        return jws.serialize_compact(header, payload, self._signing, registry=_REGISTRY)

    def pseudonym(self, issuer: str, subject: str) -> str:
        """A name for somebody whom an issuer knows; the oldest key makes it, so that it stays."""
        # Lengths keep two pairs apart that read alike together.
        said = f"{len(issuer)} {issuer} {subject}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._names, said, "sha256")[:16].hex()

    def is_named_in(self, token: str) -> bool:
        """Whether a token says that one of these keys signed it; it may have been somebody else."""
        header = _header(token)
        return header is not None and str(header.get("kid")) in self._by_name

    def read(self, token: str) -> dict[str, Any] | None:
        """What a token says that was signed here; None where it was not, or was changed."""
        header = _header(token)
        if header is None or header.keys() != _HEADER:
            return None
        key = self._by_name.get(str(header["kid"]))
        if key is None or (header["typ"], header["alg"]) != (TYPE, ALGORITHM):
            return None
        try:
            found = jws.deserialize_compact(token, key, registry=_REGISTRY)
            claims = json.loads(found.payload)
        except (JoseError, ValueError):
            return None
        return claims if isinstance(claims, dict) else None


def _derived(key: Key) -> ECKey:
    # Eight bytes more than the order has: so the remainder has no bias (FIPS 186-5, A.4.1).
    long = hkdf_sha256(key.secret, info=b"pypow 1 access token") + hkdf_sha256(
        key.secret, info=b"pypow 1 access token, more", length=8
    )
    secret = int.from_bytes(long) % (_ORDER - 1) + 1
    return ECKey.import_key(ec.derive_private_key(secret, ec.SECP256R1()))


def unverified(token: str) -> dict[str, Any]:
    """What a token says, whoever wrote it; nothing where that cannot be read."""
    return _part(token, 1) or {}


def _header(token: str) -> dict[str, Any] | None:
    return _part(token, 0)


def _part(token: str, number: int) -> dict[str, Any] | None:
    if len(token) > MAX_OCTETS or not token.isascii() or token.count(".") != 2:
        return None
    try:
        found = loads(_decoded(token.split(".")[number]))
    except (ValueError, InvalidInputError):
        return None
    return found if isinstance(found, dict) else None


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

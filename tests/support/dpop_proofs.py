# SPDX-License-Identifier: Apache-2.0
"""Holders of keys who sign DPoP proofs (RFC 9449), good ones and others."""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from pypow.base64_text import encode_url

ABSENT = object()
"""A member that a proof does not have."""

Private = ECKey | OKPKey | RSAKey


def document(members: dict[str, Any]) -> str:
    """A part of a JWS."""
    kept = {name: value for name, value in members.items() if value is not ABSENT}
    return encode_url(json.dumps(kept, separators=(",", ":")).encode())


def jws(header: str, claims: str, key: Private, algorithm: str) -> str:
    """The two parts, signed."""
    signed = f"{header}.{claims}"
    signature = JWSRegistry.algorithms[algorithm].sign(signed.encode(), key)
    return f"{signed}.{encode_url(signature)}"


@dataclass(frozen=True)
class KeyHolder:
    """Signs proofs with one key."""

    key: Private = field(default_factory=lambda: ECKey.generate_key("P-256"))
    algorithm: str = "ES256"

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key."""
        return dict(self.key.as_dict(private=False))

    @property
    def thumbprint(self) -> str:
        """By joserfc, not by what is tested."""
        return self.key.thumbprint()

    def proof(
        self,
        method: str,
        url: str,
        *,
        now_ms: int,
        token: str | None = None,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A proof; ``header`` and ``claims`` change what it says."""
        said: dict[str, Any] = {
            "jti": secrets.token_urlsafe(12),
            "htm": method,
            "htu": url,
            "iat": now_ms // 1000,
        }
        if token is not None:
            said["ath"] = encode_url(hashlib.sha256(token.encode()).digest())
        head = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": self.jwk} | (header or {})
        return jws(document(head), document(said | claims), self.key, self.algorithm)

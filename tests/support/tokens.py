# SPDX-License-Identifier: Apache-2.0
"""Tokens of a made-up issuer, good ones and every wrong one, signed by joserfc's algorithms."""

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from joserfc.jwa import JWS_ALGORITHMS
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from pypow_server.identity.issuers import Issuer
from pypow_server.identity.judging import TokensOfIssuers, Trusted
from pypow_server.identity.jwks import IssuerKeys

NOW_MS: Final = 1_800_000_000_000
NOW_S: Final = NOW_MS // 1000
ISSUER: Final = "https://login.example/tenant"
RESOURCE: Final = "https://mcp.example.com/mcp"

MODELS: Final = {model.name: model for model in JWS_ALGORITHMS}


def ec_key(key_id: str = "one", curve: Any = "P-256") -> ECKey:
    """A fresh key."""
    return ECKey.generate_key(curve, parameters={"kid": key_id})


def rsa_key(key_id: str = "rsa") -> RSAKey:
    """A fresh key of the least size that is taken."""
    return RSAKey.generate_key(2048, parameters={"kid": key_id})


def okp_key(key_id: str = "okp") -> OKPKey:
    """A fresh Ed25519 key."""
    return OKPKey.generate_key("Ed25519", parameters={"kid": key_id})


def published(*keys: Key) -> dict[str, object]:
    """The set that an issuer publishes."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def claims(**changed: object) -> dict[str, object]:
    """What a good access token says; a change to None leaves a claim out."""
    said: dict[str, object] = {
        "iss": ISSUER,
        "aud": RESOURCE,
        "sub": "somebody",
        "client_id": "an-agent",
        "scope": "tools:search tools:read",
        "iat": NOW_S - 10,
        "exp": NOW_S + 300,
        "jti": "token-1",
    }
    return {name: value for name, value in (said | changed).items() if value is not None}


def minted(
    said: Mapping[str, object] | bytes,
    key: Key | bytes,
    *,
    algorithm: str = "ES256",
    header: Mapping[str, object] | bytes | None = None,
    **more: object,
) -> str:
    """A signed token.

    Args:
        said: its claims, or the octets of its payload.
        key: signs it, whatever `header` says; octets are a secret of HMAC.
        algorithm: signs it so.
        header: all of its header, or its octets.
        more: members of the header; None leaves one out.
    """
    if header is None:
        key_id = None if isinstance(key, bytes) else key.get("kid")
        usual = {"typ": "at+jwt", "alg": algorithm, "kid": key_id}
        header = {name: value for name, value in (usual | more).items() if value is not None}
    signed = f"{encoded(_octets(header))}.{encoded(_octets(said))}"
    return f"{signed}.{encoded(_signature(signed.encode(), key, algorithm))}"


def encoded(octets: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def known_keys(*keys: Key) -> IssuerKeys:
    """Keys that are had without asking anybody."""

    async def read() -> dict[str, object]:
        return published(*keys)

    return IssuerKeys(read, name=ISSUER)


def judge_of(*keys: Key, issuer: Issuer | None = None) -> TokensOfIssuers:
    """A judge who trusts one issuer with these keys."""
    trusted = issuer or Issuer(url=ISSUER, audiences=frozenset((RESOURCE,)))
    return TokensOfIssuers([Trusted(trusted, known_keys(*keys))])


def _signature(signed: bytes, key: Key | bytes, algorithm: str) -> bytes:
    if isinstance(key, bytes):
        return hmac.digest(key, signed, "sha256")
    return MODELS[algorithm].sign(signed, key)


def _octets(said: Mapping[str, object] | bytes) -> bytes:
    return said if isinstance(said, bytes) else json.dumps(dict(said)).encode()

# SPDX-License-Identifier: Apache-2.0
"""Signatures of tokens, by way of joserfc: asymmetric keys and algorithms only.

What is symmetric has no place here: a public key can never be taken for a secret of HMAC, as there
is no HMAC.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from pypow import base64_text, strict_json
from pypow.errors import InvalidInputError, WireError, shown
from pypow_server.fixable import FixableError

try:
    from joserfc.errors import JoseError
    from joserfc.jwa import JWS_ALGORITHMS, JWSAlgModel
    from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
except ModuleNotFoundError as error:
    raise FixableError(
        "tokens need the joserfc package", fix="pip install 'pypow-engine[oauth]'"
    ) from error

_BY_RSA: Final = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))
_BY_CURVE: Final = {
    ("EC", "P-256"): frozenset(("ES256",)),
    ("EC", "P-384"): frozenset(("ES384",)),
    ("EC", "P-521"): frozenset(("ES512",)),
    # RFC 8037's name and RFC 9864's.
    ("OKP", "Ed25519"): frozenset(("EdDSA", "Ed25519")),
}
ALGORITHMS: Final = _BY_RSA.union(*_BY_CURVE.values())
"""All that tokens may be signed by."""

_USUAL: Final = ("ES256", "ES384", "ES512", "EdDSA", "RS256", *sorted(_BY_RSA))
_MODELS: Final[dict[str, JWSAlgModel]] = {
    model.name: model for model in JWS_ALGORITHMS if model.name in ALGORITHMS
}
_KINDS: Final[dict[str, type[RSAKey | ECKey | OKPKey]]] = {
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}
_PRIVATE: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_RSA_BITS: Final = (2048, 8192)
_MAX_EXPONENT_BITS: Final = 32
_MAX_MEMBER: Final = 2048


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with.

    Attributes:
        key_id: ``kid``; None if it has none.
        algorithms: what it may be used with.
        thumbprint: RFC 7638, SHA-256, base64url.
    """

    key_id: str | None
    algorithms: frozenset[str]
    thumbprint: str
    _key: Key = field(repr=False, compare=False)

    def has_signed(self, octets: bytes, signature: bytes, *, algorithm: str) -> bool:
        """Whether a signature of these octets was made with the private half of this key."""
        if algorithm not in self.algorithms:
            return False
        return _MODELS[algorithm].verify(octets, signature, self._key)


def public_key(jwk: object) -> PublicKey:
    """Read a public key for signatures (RFC 7517, RFC 7518 section 6, RFC 8037).

    Raises:
        InvalidInputError: it is symmetric, private, of another kind or for another use, or weak.
    """
    if not isinstance(jwk, dict):
        raise InvalidInputError("expected a JSON Web Key, which is an object")
    if _PRIVATE & jwk.keys():
        raise InvalidInputError("expected a public key, got a private or symmetric one")
    if jwk.get("use", "sig") not in ("sig", "jwt-svid"):
        raise InvalidInputError("expected a key for signatures (use)")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise InvalidInputError("expected a key that verifies (key_ops)")
    key_id = jwk.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        raise InvalidInputError("expected a text as kid")
    algorithms = _algorithms(jwk)
    # What certificates a key brings along is not looked at.
    bare = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    if not all(isinstance(value, str) and len(value) <= _MAX_MEMBER for value in bare.values()):
        raise InvalidInputError("expected members of a key that are texts of sane length")
    try:
        _require_strength(bare)
        key = _KINDS[bare["kty"]].import_key(bare)
        return PublicKey(key_id, algorithms, key.thumbprint(), key)
    except InvalidInputError:
        raise
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"expected a key, got none ({type(error).__name__})") from None


def _algorithms(jwk: dict[str, object]) -> frozenset[str]:
    kind = jwk.get("kty")
    possible = _BY_RSA if kind == "RSA" else _BY_CURVE.get((str(kind), str(jwk.get("crv"))))
    if possible is None:
        raise InvalidInputError(
            f"expected a key of RSA, P-256, P-384, P-521 or Ed25519, got {shown(kind)}"
        )
    named = jwk.get("alg")
    if named is None:
        return possible
    if not isinstance(named, str) or named not in possible:
        raise InvalidInputError(f"expected an algorithm that fits the key, got {shown(named)}")
    # Two names of one algorithm, where it is Ed25519's.
    return possible if kind == "OKP" else frozenset((named,))


def _require_strength(jwk: dict[str, str]) -> None:
    if jwk["kty"] != "RSA":
        return
    try:
        modulus, exponent = (base64_text.decode_url(jwk[name]) for name in ("n", "e"))
    except WireError:
        raise InvalidInputError("expected modulus and exponent in base64url") from None
    low, high = _RSA_BITS
    if not low <= int.from_bytes(modulus).bit_length() <= high:
        raise InvalidInputError(f"expected an RSA key of {low} to {high} bits")
    if int.from_bytes(exponent).bit_length() > _MAX_EXPONENT_BITS:
        raise InvalidInputError(f"expected an exponent of at most {_MAX_EXPONENT_BITS} bits")


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that signs.

    Attributes:
        key_id: ``kid``; None if it has none.
        algorithm: what it signs by.
    """

    key_id: str | None
    algorithm: str
    _key: Key = field(repr=False, compare=False)

    def sign(self, octets: bytes) -> bytes:
        """The signature of these octets."""
        return _MODELS[self.algorithm].sign(octets, self._key)


def private_key(text: str) -> PrivateKey:
    """Read a private key: a JSON Web Key, or PEM.

    Raises:
        InvalidInputError: it is none that signs.
    """
    for kind in _KINDS.values():
        try:
            key = kind.import_key(_jwk_or_pem(text))
            public = public_key(key.as_dict(private=False))
        except (JoseError, ValueError, KeyError, TypeError):
            continue
        if key.is_private:
            return PrivateKey(public.key_id, _usual(public.algorithms), key)
    raise InvalidInputError("expected a private key of RSA, P-256, P-384, P-521 or Ed25519")


def _jwk_or_pem(text: str) -> dict[str, Any] | bytes:
    if not text.lstrip().startswith("{"):
        return text.encode()
    jwk = strict_json.loads(text)
    assert isinstance(jwk, dict)
    return jwk


def _usual(algorithms: frozenset[str]) -> str:
    """The one of a key's algorithms that servers are sure to know."""
    return next(name for name in _USUAL if name in algorithms)

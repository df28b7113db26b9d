# SPDX-License-Identifier: Apache-2.0
"""The public keys that proofs bring along, and the algorithms that fit them.

Only what makes up the key is read (RFC 7638 section 3.2): a ``kid``, certificate or URL beside it
says nothing here.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from pypow.base64_text import decode_url, encode_url
from pypow.errors import WireError

PublicKey = ECKey | OKPKey | RSAKey

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}
"""Of each kind of key, in the order of its thumbprint."""

_KINDS: Final[Mapping[str, tuple[str, str | None]]] = {
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
}
ALGORITHMS: Final = frozenset(_KINDS)
"""All that can be allowed; none of them is symmetric."""

_COORDINATE_OCTETS: Final = 32
_RSA_OCTETS: Final = (256, 512)
_EXPONENT_OCTETS: Final = (1, 4)


@dataclass(frozen=True, slots=True)
class HolderKey:
    """The key that a proof is signed with.

    Attributes:
        public: for one algorithm.
        digest: SHA-256 thumbprint (RFC 7638), 32 bytes.
    """

    public: PublicKey
    digest: bytes

    @property
    def thumbprint(self) -> str:
        """What ``cnf.jkt`` says of the key."""
        return encode_url(self.digest)

    def has_signed(self, message: bytes, signature: bytes, algorithm: str) -> bool:
        """Whether this is its signature."""
        try:
            return JWSRegistry.algorithms[algorithm].verify(message, signature, self.public)
        except ValueError:  # a signature that cannot even be read
            return False


def read_key(jwk: object, algorithm: str) -> HolderKey | None:
    """The key of a ``jwk`` header (RFC 7515 section 4.1.3); None where it is not fit.

    It must be public, of the algorithm's kind and curve, written in the one way there is, and of
    a sound size: RSA of 2048 to 4096 bits with an odd exponent of at most 32.
    """
    if not isinstance(jwk, dict) or not _PRIVATE.isdisjoint(jwk):
        return None
    kind, curve = _KINDS[algorithm]
    members = tuple(jwk.get(name) for name in _MEMBERS[kind])
    if jwk.get("kty") != kind or jwk.get("crv", None if curve is None else "") != curve:
        return None
    texts = tuple(one for one in members if isinstance(one, str))
    return _key(kind, texts) if len(texts) == len(members) else None


@functools.lru_cache(maxsize=1024)
def _key(kind: str, members: tuple[str, ...]) -> HolderKey | None:
    """The key, read once: its holder signs every request with it."""
    named = dict(zip(_MEMBERS[kind], members, strict=True))
    try:
        octets = {name: decode_url(named[name]) for name in named if name not in ("crv", "kty")}
        if any(encode_url(value) != named[name] for name, value in octets.items()):
            return None
        if not (_is_sound_rsa(**octets) if kind == "RSA" else _are_coordinates(octets)):
            return None
        public = JWKRegistry.import_key(dict(named))
        assert isinstance(public, PublicKey)
        # The point is looked at now: it may lie on no curve.
        public.get_op_key("verify")
    except (WireError, ValueError):
        return None
    text = ",".join(f'"{name}":"{value}"' for name, value in named.items())
    return HolderKey(public, hashlib.sha256(f"{{{text}}}".encode("ascii")).digest())


def _are_coordinates(octets: Mapping[str, bytes]) -> bool:
    return all(len(value) == _COORDINATE_OCTETS for value in octets.values())


def _is_sound_rsa(*, n: bytes, e: bytes) -> bool:
    return (
        _RSA_OCTETS[0] <= len(n) <= _RSA_OCTETS[1]
        and _EXPONENT_OCTETS[0] <= len(e) <= _EXPONENT_OCTETS[1]
        and n[0] >= 0x80
        and e[0] > 0
        and n[-1] % 2 == e[-1] % 2 == 1
        and e != b"\1"
    )


def thumbprint(jwk: Mapping[str, object]) -> str:
    """The thumbprint of a public key (RFC 7638, SHA-256), as ``cnf.jkt`` says it.

    Raises:
        WireError: no public key that could sign a proof.
    """
    for algorithm, (kind, _) in _KINDS.items():
        if jwk.get("kty") == kind:
            key = read_key(jwk, algorithm)
            if key is not None:
                return key.thumbprint
    raise WireError("expected a public key (JWK): EC on P-256, OKP on Ed25519, or RSA")

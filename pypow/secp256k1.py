# SPDX-License-Identifier: Apache-2.0
"""Signatures of Lightning nodes, over secp256k1 and by way of libsecp256k1.

A signature is 65 octets: R and S, 32 octets each, and which of four possible keys made it. A
public key is 33 octets, compressed (SEC 1 section 2.3.3).
"""

from typing import Any

from .errors import InvalidInputError, PowError

SIGNATURE_BYTES = 65
PUBLIC_KEY_BYTES = 33
_HIGHEST_LOW_S = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def signer(digest: bytes, signature: bytes) -> bytes | None:
    """The public key that made a signature; None where nobody can have made it."""
    try:
        key = _coincurve().PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except ValueError:
        return None
    public: bytes = key.format()
    return public


def is_signed_by(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether this key made the signature, and S is low; which of four keys it names is not read.

    Low S: of two signatures that anybody can turn into each other, one counts.
    """
    if int.from_bytes(signature[32:64]) > _HIGHEST_LOW_S:
        return False
    return any(signer(digest, signature[:64] + bytes([which])) == public_key for which in range(4))


def sign(digest: bytes, secret: bytes) -> bytes:
    """Sign a digest of 32 octets; the same each time (RFC 6979), with a low S.

    Raises:
        InvalidInputError: the secret is not a private key of 32 octets.
    """
    signature: bytes = _private_key(secret).sign_recoverable(digest, hasher=None)
    return signature


def public_key(secret: bytes) -> bytes:
    """The public key for a private one.

    Raises:
        InvalidInputError: the secret is not a private key of 32 octets.
    """
    public: bytes = _private_key(secret).public_key.format()
    return public


def _private_key(secret: bytes) -> Any:
    library = _coincurve()
    try:
        if len(secret) == 32:  # it would fill up a shorter one
            return library.PrivateKey(secret)
    except ValueError:
        pass
    raise InvalidInputError("expected a private key: 32 bytes, from 1 to the order less one")


def require_library() -> None:
    """Say early what would fail late.

    Raises:
        PowError: coincurve is not there; the text has the fix.
    """
    _coincurve()


def _coincurve() -> Any:
    try:
        import coincurve
    except ModuleNotFoundError:
        raise PowError(
            "signatures of Lightning invoices need the coincurve package; "
            "pip install 'pypow-engine[l402]'"
        ) from None
    return coincurve

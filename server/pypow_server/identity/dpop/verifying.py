# SPDX-License-Identifier: Apache-2.0
"""Whether a request comes from whoever holds a key (RFC 9449 sections 4.3 and 7).

A pure function of octets, a policy and a clock value. What it cannot tell is whether a proof was
used before: whoever verifies spends `Proven.spend_key` last, as `once.spend_once` does.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pypow.base64_text import encode_url
from pypow.errors import InvalidInputError

from .faults import DpopError, DpopFault
from .keys import ALGORITHMS
from .nonces import Nonces
from .proofs import Proof, read_proof
from .targets import normal_target

_SPEND_PURPOSE: Final = b"pypow 1 dpop proof\0"


@dataclass(frozen=True, slots=True)
class DpopRules:
    """What proofs are held to.

    Attributes:
        algorithms: that they may be signed with, of `ALGORITHMS`.
        window_s: how far a proof's time may lie before and after now.
        max_octets: that one may have.
    """

    algorithms: tuple[str, ...] = ("ES256", "EdDSA", "Ed25519")
    window_s: int = 300
    max_octets: int = 4096

    def __post_init__(self) -> None:
        if not self.algorithms or not ALGORITHMS.issuperset(self.algorithms):
            raise InvalidInputError(
                f"algorithms: expected some of {', '.join(sorted(ALGORITHMS))}, got "
                f"{', '.join(self.algorithms) or 'none'}"
            )
        if not 1 <= self.window_s <= 600:
            raise InvalidInputError(f"window_s: expected 1 to 600, got {self.window_s}")


DEFAULT_RULES: Final = DpopRules()


@dataclass(frozen=True, slots=True)
class Proven:
    """A request that comes from whoever holds a key, unless it was sent before.

    Attributes:
        thumbprint: of the key (RFC 7638, SHA-256), as ``cnf.jkt`` says it.
        digest: the same as 32 bytes.
        algorithm: that the proof is signed with.
        jti: that names the proof; no more than its holder says.
        issued_at_ms: when the holder says that it was made, in Unix milliseconds.
        expires_at_ms: until then it would be taken again.
        spend_key: 32 bytes that name the proof among all proofs of all keys.
        token_digest: of the token that it is for (``ath``); None where it names none.
    """

    thumbprint: str
    digest: bytes
    algorithm: str
    jti: str
    issued_at_ms: int
    expires_at_ms: int
    spend_key: bytes
    token_digest: str | None = None


def verify(
    proofs: Sequence[bytes | str],
    *,
    method: str,
    url: str,
    now_ms: int,
    access_token: str | None = None,
    bound_to: str | None = None,
    nonces: Nonces | None = None,
    rules: DpopRules = DEFAULT_RULES,
) -> Proven | DpopFault:
    """Hold the proof of a request against the request. The cheap checks come first.

    Args:
        proofs: the value of every ``DPoP`` header of the request.
        method: of the request.
        url: of the request, as callers write it. Take its origin from configuration: a ``Host``
            header is the caller's word.
        now_ms: Unix milliseconds.
        access_token: that came with the scheme ``DPoP``; None where none did, as at a token
            endpoint.
        bound_to: ``cnf.jkt`` of that token, or the key that is expected; None for none. A token
            that is bound to none is refused.
        nonces: None where nonces count for nothing.
        rules: all else.

    Returns:
        Who holds which key, or what is found wrong first.
    """
    if access_token is not None and bound_to is None:
        return DpopFault(
            DpopError.INVALID_TOKEN, "the token is bound to no key; send it with Bearer"
        )
    proof = read_proof(proofs, algorithms=rules.algorithms, max_octets=rules.max_octets)
    if isinstance(proof, DpopFault):
        return proof
    fault = (
        _target_fault(proof, method, url)
        or _age_fault(proof, now_ms, rules)
        or _token_fault(proof, access_token)
        or _nonce_fault(proof, nonces, now_ms)
        or _signature_fault(proof)
        or _binding_fault(proof, bound_to)
    )
    if fault is not None:
        return fault
    key = proof.key
    name = hashlib.sha256(_SPEND_PURPOSE + key.digest + proof.jti.encode("utf-8", "surrogatepass"))
    return Proven(
        thumbprint=key.thumbprint,
        digest=key.digest,
        algorithm=proof.algorithm,
        jti=proof.jti,
        issued_at_ms=proof.issued_at_ms,
        expires_at_ms=proof.issued_at_ms + 1000 * rules.window_s,
        spend_key=name.digest(),
        token_digest=proof.token_digest,
    )


def scheme_fault(scheme: str, bound_to: str | None) -> DpopFault | None:
    """What is wrong with the scheme by which a token came (RFC 9449 section 7.2).

    Args:
        scheme: of ``Authorization``, such as ``Bearer``.
        bound_to: ``cnf.jkt`` of the token; None for none.
    """
    if (scheme.lower() == "dpop") == (bound_to is not None):
        return None
    wanted = "Bearer" if bound_to is None else "DPoP and a proof, since it is bound to a key"
    return DpopFault(DpopError.INVALID_TOKEN, f"expected this token with the scheme {wanted}")


def _target_fault(proof: Proof, method: str, url: str) -> DpopFault | None:
    if proof.method != method:
        return _bad("expected htm to be the method of the request")
    target = normal_target(url)
    if target is None or normal_target(proof.target) != target:
        return _bad("expected htu to be the URL of the request")
    return None


def _age_fault(proof: Proof, now_ms: int, rules: DpopRules) -> DpopFault | None:
    if abs(now_ms - proof.issued_at_ms) <= 1000 * rules.window_s:
        return None
    return _bad(f"expected iat to be now, give or take {rules.window_s} s; look at the clock")


def _token_fault(proof: Proof, access_token: str | None) -> DpopFault | None:
    if access_token is None:
        return None
    digest = hashlib.sha256(access_token.encode("utf-8", "surrogatepass")).digest()
    if proof.token_digest == encode_url(digest):
        return None
    return _bad("expected ath, the SHA-256 of the token that was sent, in base64url")


def _nonce_fault(proof: Proof, nonces: Nonces | None, now_ms: int) -> DpopFault | None:
    if nonces is None or (proof.nonce is None and not nonces.required):
        return None
    if proof.nonce is not None and nonces.recognises(proof.nonce, now_ms):
        return None
    return DpopFault(DpopError.USE_NONCE, "expected the nonce that DPoP-Nonce says; sign again")


def _signature_fault(proof: Proof) -> DpopFault | None:
    if proof.key.has_signed(proof.signed, proof.signature, proof.algorithm):
        return None
    return _bad("expected the signature of the key in jwk")


def _binding_fault(proof: Proof, bound_to: str | None) -> DpopFault | None:
    if bound_to in (None, proof.key.thumbprint):
        return None
    return DpopFault(DpopError.INVALID_TOKEN, "the token is bound to another key than the proof's")


def _bad(detail: str) -> DpopFault:
    return DpopFault(DpopError.INVALID_PROOF, detail)

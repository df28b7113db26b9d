# SPDX-License-Identifier: Apache-2.0
"""Passes that are bound to a key: who asks for one, and whether its holder sends it (RFC 9449).

Loaded where the operator wants such passes, since it needs joserfc.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from pypow.base64_text import encode_url
from pypow.challenge import Keyring

from . import passes, problems
from .call import Call
from .identity import dpop
from .identity.dpop import DpopError, DpopFault, Nonces, Proven
from .passes import Pass
from .problems import Problem
from .rails import Admit, Claim
from .reply import Header

_RULES: Final = dpop.DEFAULT_RULES


class Bound(NamedTuple):
    """What is sold to whoever proved a key, or wants no binding.

    Attributes:
        bought: the pass.
        guard: what must be won before anything is spent; None for nothing.
        receipt: headers for the answer.
    """

    bought: Pass
    guard: Claim | None
    receipt: tuple[Header, ...]


class KeyBinding:
    """Holds proofs of keys against the requests that they came with."""

    def __init__(self, url: str, keyring: Keyring, nonces: Nonces | None = None) -> None:
        """Set it up.

        Args:
            url: the gate's, as callers see it; proofs are for URLs of its origin.
            keyring: what signs passes.
            nonces: None where proofs need none.
        """
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._keyring = keyring
        self._nonces = nonces

    def bound(self, sold: Pass, call: Call, *, now_ms: int) -> Bound | Problem:
        """A pass as it is sold with this call; as it is where the call proves no key.

        A proof beside an ``Authorization`` that travels on is the upstream's, and none of ours.
        """
        proofs = [] if call.values(b"authorization") else call.values(b"dpop")
        return self.bound_at(call.method, call.path, proofs, sold, now_ms=now_ms)

    def bound_at(
        self, method: str, path: bytes, proofs: Sequence[bytes], sold: Pass, *, now_ms: int
    ) -> Bound | Problem:
        """The same for any request.

        Args:
            method: of the request.
            path: raw, without the query.
            proofs: the value of every ``DPoP`` header.
            sold: the pass.
            now_ms: Unix milliseconds.
        """
        if not proofs:
            return Bound(sold, None, ())
        found = self._verified(method, path, proofs, now_ms=now_ms)
        if isinstance(found, DpopFault):
            return self._problem(found, now_ms)
        if found.token_digest is not None:  # the proof of a token, at which others look
            return Bound(sold, None, ())
        key = self._keyring.find(sold.key)
        assert key is not None, "what is sold is signed by a key of ours"
        bought = passes.bound(key, sold, found.digest)
        return Bound(bought, _guard(found), self.receipt(now_ms))

    def held(self, given: Pass, admit: Admit, call: Call, *, now_ms: int) -> Admit | Problem:
        """What a bound pass admits to that came with a proof, or what is wrong with that.

        Args:
            given: the pass; all else of it stands.
            admit: what it admits to without a binding.
            call: that it came with.
            now_ms: Unix milliseconds.
        """
        found = self._verified(
            call.method,
            call.path,
            call.values(b"dpop"),
            now_ms=now_ms,
            token=given.text,
            bound_to=encode_url(given.thumbprint),
        )
        if isinstance(found, DpopFault):
            return self._problem(found, now_ms)
        return admit._replace(guard=_guard(found), receipt=self.receipt(now_ms))

    def receipt(self, now_ms: int) -> tuple[Header, ...]:
        """The nonce for the next proof, where they need one (RFC 9449 section 8.2)."""
        return dpop.nonce_fields(self._nonces, now_ms)

    def _verified(
        self,
        method: str,
        path: bytes,
        proofs: Sequence[bytes],
        *,
        now_ms: int,
        token: str | None = None,
        bound_to: str | None = None,
    ) -> Proven | DpopFault:
        return dpop.verify(
            proofs,
            method="GET" if method == "WEBSOCKET" else method,
            url=self._origin + path.decode("latin-1"),
            now_ms=now_ms,
            access_token=token,
            bound_to=bound_to,
            nonces=self._nonces,
            rules=_RULES,
        )

    def _problem(self, fault: DpopFault, now_ms: int) -> Problem:
        challenge = dpop.challenge(_RULES.algorithms, fault)
        match fault.error:
            case DpopError.INVALID_PROOF:
                problem = problems.invalid_dpop_proof(fault.detail)
            case DpopError.USE_NONCE:
                problem = problems.use_dpop_nonce(fault.detail)
            case DpopError.INVALID_TOKEN:
                problem = problems.wrong_principal(fault.detail)
        return replace(problem, authenticate=(challenge,), fields=self.receipt(now_ms))


def _guard(found: Proven) -> Claim:
    return Claim(found.spend_key, None, found.expires_at_ms)

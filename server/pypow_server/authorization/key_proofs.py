# SPDX-License-Identifier: Apache-2.0
"""Tokens that are bound to a key (RFC 9449): who asks for one, and whether its holder sends it.

What is found here is not used up yet: whoever asked spends its `guard` last, before what it guards.
"""

from dataclasses import replace
from typing import Final

from pypow_server import problems
from pypow_server.identity import dpop
from pypow_server.identity.dpop import DpopError, DpopFault, Nonces, Proven
from pypow_server.problems import Problem
from pypow_server.rails import Claim
from pypow_server.reply import Header
from pypow_server.resource import raw_path
from pypow_server.resource_metadata import metadata_url
from pypow_server.scope import Scope
from pypow_server.settlement import guard
from pypow_server.stores import Ledger

from .place import TOKEN, Place

ALGORITHMS: Final = dpop.DEFAULT_RULES.algorithms


class KeyProofs:
    """Holds proofs of keys against the requests that they came with."""

    def __init__(self, place: Place, nonces: Nonces | None) -> None:
        """Judge proofs for URLs of this place; without nonces where these are None."""
        self._place = place
        self._nonces = nonces

    def of_asker(self, scope: Scope, *, now_ms: int) -> Proven | Problem | None:
        """The key to which a token is to be bound that is asked for; None for none (section 5)."""
        proofs = _proofs(scope)
        if not proofs:
            return None
        found = dpop.verify(
            proofs, method="POST", url=self._place.url(TOKEN), now_ms=now_ms, nonces=self._nonces
        )
        return self._problem(found, now_ms) if isinstance(found, DpopFault) else found

    def of_sender(
        self, scope: Scope, scheme: str, token: str, bound_to: str | None, *, now_ms: int
    ) -> Proven | Problem | None:
        """Whether a token's holder sends it; None where that is whoever has it (section 7).

        Args:
            scope: of the request.
            scheme: by which the token came.
            token: as it came; it is good.
            bound_to: its ``cnf.jkt``; None for none.
            now_ms: Unix milliseconds.
        """
        fault = dpop.scheme_fault(scheme, bound_to)
        if fault is not None:
            return self._problem(fault, now_ms)
        if bound_to is None:
            return None
        found = dpop.verify(
            _proofs(scope),
            method=scope.get("method", "GET"),  # a WebSocket's handshake is one
            url=self._place.url(raw_path(scope).decode("latin-1")),
            now_ms=now_ms,
            access_token=token,
            bound_to=bound_to,
            nonces=self._nonces,
        )
        return self._problem(found, now_ms) if isinstance(found, DpopFault) else found

    def fields(self, now_ms: int) -> tuple[Header, ...]:
        """The nonce for the next proof, where they need one (section 8.2)."""
        return dpop.nonce_fields(self._nonces, now_ms)

    def _problem(self, fault: DpopFault, now_ms: int) -> Problem:
        match fault.error:
            case DpopError.INVALID_TOKEN:
                problem = problems.invalid_token(fault.detail)
            case DpopError.INVALID_PROOF:
                problem = problems.invalid_dpop_proof(fault.detail)
            case DpopError.USE_NONCE:
                problem = problems.use_dpop_nonce(fault.detail)
        where = metadata_url(self._place.default)
        line = dpop.challenge(ALGORITHMS, fault, resource_metadata=where)
        return replace(problem, authenticate=(line,), fields=self.fields(now_ms))


async def use_up(ledger: Ledger, first: Claim | None, *, now_ms: int) -> Problem | None:
    """Win what must be won before anything is spent; what the caller hears if it was won before."""
    return None if first is None else await guard(ledger, first, now_ms=now_ms)


def guard_of(proven: Proven) -> Claim:
    """What must be won so that a proof counts once."""
    return Claim(proven.spend_key, None, proven.expires_at_ms)


def _proofs(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name.lower() == b"dpop"]

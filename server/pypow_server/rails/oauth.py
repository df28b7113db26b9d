# SPDX-License-Identifier: Apache-2.0
"""The OAuth rail: an access token of an issuer that the operator trusts says who calls.

What a token is worth is found out by a `TokenJudge`; here it is held against the price of the
call. Its holder is known under a name that says nothing of him to whoever does not know him.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, assert_never
from urllib.parse import urlsplit

from pypow.auth_params import quoted
from pypow_server import problems
from pypow_server.call import Call
from pypow_server.identity import BadToken, Identity, TokenJudge, Unavailable, dpop
from pypow_server.identity.dpop import DpopError, DpopFault, Nonces, Proven
from pypow_server.price import Price
from pypow_server.problems import Problem
from pypow_server.reply import Header, json_text
from pypow_server.token_fields import Tokens

from . import LOGIN, Absent, Admit, Claim, Denial, Offer, Refuse, Verdict, nobody

MAX_TOKEN: Final = 8192
"""Characters of the longest access token that is looked at."""

_ABSENT: Final = Absent()


def subject_id(issuer: str, subject: str) -> bytes:
    """The 16 bytes that name a subject of an issuer, here and in the list of who is denied."""
    # Lengths keep two pairs apart that read alike together.
    said = f"pypow subject {len(issuer)} {issuer} {subject}"
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()[:16]


class OAuthRail:
    """Judges access tokens, and says where to get one."""

    name: Final = LOGIN

    def __init__(
        self,
        judge: TokenJudge,
        *,
        resource: str,
        public_url: str,
        metadata_url: str,
        issuers: Sequence[str],
        denial: Denial = nobody,
        nonces: Nonces | None = None,
    ) -> None:
        """Set up the rail.

        Args:
            judge: finds out what tokens are worth.
            resource: what they must be for (RFC 8707).
            public_url: of the gate; proofs of keys are for URLs of its origin.
            metadata_url: where that is told (RFC 9728).
            issuers: who may have made them.
            denial: why the subject with this id is refused; None for no reason.
            nonces: that proofs of keys need; None where they need none.
        """
        self._judge = judge
        self._resource = resource
        url = urlsplit(public_url)
        self._origin = f"{url.scheme}://{url.netloc}"
        self._metadata_url = metadata_url
        self._issuers = tuple(issuers)
        self._denial = denial
        self._nonces = nonces

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        """Find out whose the token is that the call presents, and whether it permits the call."""
        tokens = call.tokens
        if tokens is None or not price.scopes:
            return _ABSENT
        wrong = _misplaced(tokens)
        if wrong is not None:
            return Refuse(replace(wrong, authenticate=(self._line(error="invalid_request"),)))
        found = await self._judge.judge(tokens.token, now_ms=now_ms)
        match found:
            case BadToken():
                return self._refused(found.detail, price)
            case Unavailable():
                unavailable = problems.issuer_unavailable
                return Refuse(unavailable(found.detail, retry_after_s=found.retry_after_s))
            case Identity():
                return await self._admit(found, call, tokens, price, now_ms)
            case _:
                assert_never(found)

    def offer(self, price: Price) -> Offer:
        """Where to get a token for calls of this price, and with which scopes."""
        scope = _scope(price)
        body = {
            "rail": LOGIN,
            "scope": scope,
            "resource": self._resource,
            "resource_metadata": self._metadata_url,
            "authorization_servers": list(self._issuers),
            "send": "Authorization: Bearer <access token>",
        }
        ask = "Sign in: send an access token with the scopes that the offer names."
        return Offer(LOGIN, (self.challenge(price),), json_text(body), ask)

    def challenge(self, price: Price) -> str:
        """The ``WWW-Authenticate`` line of a call that came without a token."""
        return self._line(scope=_scope(price))

    async def _admit(
        self, found: Identity, call: Call, tokens: Tokens, price: Price, now_ms: int
    ) -> Verdict:
        guard: Claim | None = None
        receipt: tuple[Header, ...] = ()
        if tokens.scheme == "DPoP" or found.key_thumbprint is not None:
            proven = self._proven(found, call, tokens, now_ms)
            if isinstance(proven, DpopFault):
                return self._unproven(proven, price, now_ms)
            receipt = dpop.nonce_fields(self._nonces, now_ms)
            guard = Claim(proven.spend_key, None, proven.expires_at_ms)
        subject = subject_id(found.issuer, found.subject)
        denied = await self._denial(subject)
        if denied is not None and denied.status == 503:
            return Refuse(denied)
        if denied is not None:
            return self._refused("the operator of this server has revoked it", price)
        if not price.scopes <= found.scopes:
            problem = problems.insufficient_scope(f"expected a token with scope {_scope(price)}")
            line = self._line(error="insufficient_scope", scope=_scope(price))
            return Refuse(replace(problem, authenticate=(line,)))
        return Admit(f"{LOGIN}:{subject.hex()}", None, receipt=receipt, guard=guard)

    def _proven(
        self, found: Identity, call: Call, tokens: Tokens, now_ms: int
    ) -> Proven | DpopFault:
        """Whether the holder of the token's key sent this request."""
        bound_to = found.key_thumbprint
        return dpop.scheme_fault(tokens.scheme, bound_to) or dpop.verify(
            call.values(b"dpop"),
            method="GET" if call.method == "WEBSOCKET" else call.method,
            url=self._origin + call.path.decode("latin-1"),
            now_ms=now_ms,
            access_token=tokens.token,
            bound_to=bound_to,
            nonces=self._nonces,
        )

    def _unproven(self, fault: DpopFault, price: Price, now_ms: int) -> Refuse:
        said = {"scope": _scope(price), "resource_metadata": self._metadata_url}
        line = dpop.challenge(dpop.DEFAULT_RULES.algorithms, fault, **said)
        match fault.error:
            case DpopError.INVALID_TOKEN:
                problem = self._refused(fault.detail, price).problem
                return Refuse(replace(problem, authenticate=(*problem.authenticate, line)))
            case DpopError.INVALID_PROOF:
                problem = problems.invalid_dpop_proof(fault.detail)
            case DpopError.USE_NONCE:
                problem = problems.use_dpop_nonce(fault.detail)
        nonce = dpop.nonce_fields(self._nonces, now_ms)
        lines = (self.challenge(price), line)
        return Refuse(replace(problem, authenticate=lines, fields=nonce))

    def _refused(self, detail: str, price: Price) -> Refuse:
        problem = problems.invalid_token(detail)
        line = self._line(error="invalid_token", detail=detail, scope=_scope(price))
        return Refuse(replace(problem, authenticate=(line,)))

    def _line(self, *, error: str = "", detail: str = "", scope: str = "") -> str:
        """RFC 6750 section 3, RFC 9728 section 5.1."""
        said = {
            "resource_metadata": self._metadata_url,
            "scope": scope,
            "error": error,
            "error_description": "".join(c for c in detail if " " <= c <= "~" and c not in '"\\'),
        }
        return "Bearer " + ", ".join(
            f"{name}={quoted(text)}" for name, text in said.items() if text
        )


def _misplaced(tokens: Tokens) -> Problem | None:
    if tokens.in_query:
        return problems.bad_request(
            "expected the access token in the Authorization header, got one in the URL, where "
            "others can read it; get a new one"
        )
    if tokens.several:
        return problems.conflicting_credentials("expected one access token, got several")
    if len(tokens.token) > MAX_TOKEN:
        return problems.headers_too_large(
            f"expected an access token of at most {MAX_TOKEN} characters, got {len(tokens.token)}"
        )
    return None


def _scope(price: Price) -> str:
    return " ".join(sorted(price.scopes))

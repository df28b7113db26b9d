# SPDX-License-Identifier: Apache-2.0
"""Refusals as RFC 9457 problems: one constructor for each type, all listed in docs/errors.md.

The status says whether trying again can help: 402 means that work would, and every 402 carries
fresh offers. ``detail`` is public; what the operator needs besides is found in the log under the
same ``decision``.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from .fresh import decision_id
from .reply import Header, Reply, json_reply
from .scope import Receive, Scope, Send

_quoted = json.encoder.encode_basestring_ascii

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602
HEADER_MISMATCH = -32020
"""JSON-RPC 2.0 section 5.1; the last one is MCP 2026-07-28's own."""

NOT_TAKEN = "the operator of this server does not take this call"
NOT_NAMED = "expected a Host header with a name of this gate; operators: add it to hosts"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request is refused. An ASGI app, for where no carrier has to be chosen.

    Attributes:
        name: the last part of the problem's type, ``urn:pypow:error:<name>``; stable.
        title: the type in words.
        status: HTTP status code.
        detail: what was expected, what came, what to do.
        retry_after_s: seconds after which the same request may succeed as it is, if it can.
        rpc_code: the code in a JSON-RPC error; the HTTP status where none is given.
        authenticate: challenges of RFC 9110 section 11.6.1 that go before those of the offers;
            whoever gets one reads HTTP.
        fields: response headers that it needs besides.
        decision: random, one for each refusal; the log line carries the same.
    """

    name: str
    title: str
    status: int
    detail: str
    retry_after_s: int | None = None
    rpc_code: int | None = None
    authenticate: tuple[str, ...] = ()
    fields: tuple[Header, ...] = ()
    decision: str = field(default_factory=decision_id, compare=False)

    @property
    def code(self) -> int:
        """What a JSON-RPC error carries as ``code``."""
        return self.status if self.rpc_code is None else self.rpc_code

    @property
    def headers(self) -> tuple[Header, ...]:
        """Response headers that this problem needs in whatever carrier."""
        if self.retry_after_s is None:
            return self.fields
        return ((b"retry-after", b"%d" % self.retry_after_s), *self.fields)

    def json(self, offers: Sequence[str] = (), *, beside: str = "") -> str:
        """The members of the problem (RFC 9457 section 3) as JSON.

        Args:
            offers: the texts of JSON objects.
            beside: more members, as JSON without braces.
        """
        # Put together by hand: a refusal must not cost more than what it refuses.
        text = (
            f'{{"type":"urn:pypow:error:{self.name}","title":"{self.title}",'
            f'"status":{self.status},"detail":{_quoted(self.detail)},"decision":"{self.decision}"'
        )
        if self.retry_after_s is not None:
            text += f',"retry_after":{self.retry_after_s}'
        if offers:
            text += f',"offers":[{",".join(offers)}]'
        if beside:
            text += f",{beside}"
        return text + "}"

    def document(self, offers: Sequence[str] = (), *, beside: str = "") -> dict[str, object]:
        """What `json` says."""
        members: dict[str, object] = json.loads(self.json(offers, beside=beside))
        return members

    def reply(
        self, *, offers: Sequence[str] = (), beside: str = "", headers: Sequence[Header] = ()
    ) -> Reply:
        """The problem as an ``application/problem+json`` answer."""
        return json_reply(
            self.status,
            self.json(offers, beside=beside),
            media_type="application/problem+json",
            headers=(*self.headers, *headers),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request with this problem."""
        await self.reply()(scope, receive, send)


def work_required(detail: str) -> Problem:
    """The call has a price and came without a credential."""
    return Problem("work-required", "Proof of work is required", 402, detail)


def payment_required(detail: str) -> Problem:
    """The call has a price in work and in sats, and came without a credential."""
    return Problem("payment-required", "Payment or proof of work is required", 402, detail)


def unpaid(detail: str) -> Problem:
    """The preimage is not that of the credential's invoice."""
    return Problem("unpaid", "The invoice is not proven to be paid", 402, detail)


def bad_caveat(detail: str) -> Problem:
    """Somebody added a caveat that cannot be held to, or that would widen the macaroon."""
    return Problem("bad-caveat", "The macaroon has a caveat that is not taken", 402, detail)


def malformed_payment(detail: str) -> Problem:
    """A payment that cannot be read. 401, so that no client pays again for its own mistake."""
    return Problem("malformed-payment", "The payment is malformed", 401, detail)


def not_settled(detail: str) -> Problem:
    """The wallet has not seen the payment. No offer goes with it: nobody is to pay twice."""
    return Problem("not-settled", "The payment has not settled", 409, detail, retry_after_s=2)


def unknown_authorization(detail: str) -> Problem:
    """An Authorization that nothing here reads; no invoice, so that no client pays in a loop."""
    return Problem("unknown-authorization", "The Authorization is of no known scheme", 401, detail)


def login_required(detail: str) -> Problem:
    """The call needs a login, and came without one."""
    return Problem("login-required", "A login is required", 401, detail)


def invalid_token(detail: str) -> Problem:
    """An access token that is expired, revoked, meant for somebody else, or no token at all."""
    return Problem("invalid-token", "The access token is not good", 401, detail)


def insufficient_scope(detail: str) -> Problem:
    """An access token that does not permit this call."""
    return Problem("insufficient-scope", "The access token does not permit this", 403, detail)


def issuer_unavailable(detail: str, *, retry_after_s: int = 5) -> Problem:
    """Nobody can tell whether the access token is good."""
    return Problem(
        "issuer-unavailable", "The issuer cannot be asked", 503, detail, retry_after_s=retry_after_s
    )


def invalid_dpop_proof(detail: str) -> Problem:
    """The proof of a key is not good, or was used before (RFC 9449 section 7.1)."""
    challenge = 'DPoP error="invalid_dpop_proof"'
    return Problem(
        "invalid-dpop-proof", "The DPoP proof is not good", 401, detail, authenticate=(challenge,)
    )


def use_dpop_nonce(detail: str) -> Problem:
    """The proof of a key lacks a nonce that counts now (RFC 9449 section 9)."""
    challenge = 'DPoP error="use_dpop_nonce"'
    return Problem(
        "use-dpop-nonce", "The DPoP proof needs a nonce", 401, detail, authenticate=(challenge,)
    )


def malformed_proof(detail: str) -> Problem:
    """A credential that cannot be read."""
    return Problem("malformed-proof", "The credential is malformed", 400, detail)


def conflicting_credentials(detail: str) -> Problem:
    """Two different credentials where one is expected."""
    return Problem("conflicting-credentials", "More than one credential was sent", 400, detail)


def already_spent(detail: str) -> Problem:
    """The challenge or the pass was used up before."""
    return Problem("already-spent", "The credential is already spent", 402, detail)


def expired(detail: str) -> Problem:
    """The challenge or the pass is past its time."""
    return Problem("expired", "The credential has expired", 402, detail)


def revoked(detail: str) -> Problem:
    """The operator has revoked the pass."""
    return Problem("revoked", "The pass was revoked", 402, detail)


def not_yet_valid(detail: str) -> Problem:
    """The challenge is dated in the future."""
    return Problem("not-yet-valid", "The credential is not valid yet", 402, detail)


def wrong_resource(detail: str) -> Problem:
    """The credential was issued for another call."""
    return Problem("wrong-resource", "The credential is for another call", 402, detail)


def wrong_principal(detail: str) -> Problem:
    """The credential was issued to another caller."""
    return Problem("wrong-principal", "The credential is for another caller", 402, detail)


def underweight(detail: str) -> Problem:
    """The credential is good for a cheaper call than this one."""
    return Problem("underweight", "The credential is too small for this call", 402, detail)


def not_enough_work(detail: str) -> Problem:
    """A nonce whose digest does not win."""
    return Problem("not-enough-work", "The proof does not hold enough work", 402, detail)


def bad_signature(detail: str) -> Problem:
    """The credential was not issued here, or was changed."""
    return Problem("bad-signature", "The credential was not issued here", 402, detail)


def unknown_key(detail: str) -> Problem:
    """The credential names a secret that this gate does not hold."""
    return Problem("unknown-key", "The credential is signed with an unknown key", 402, detail)


def stale_epoch(detail: str) -> Problem:
    """The ledger was renewed since the challenge was issued."""
    return Problem("stale-epoch", "The challenge is from before the ledger's renewal", 402, detail)


def denied(detail: str) -> Problem:
    """A row of the operator's deny list keeps the call out."""
    return Problem("denied", "The call is not let in", 403, detail)


def misdirected(detail: str) -> Problem:
    """The Host header names another server than this gate."""
    return Problem("misdirected", "The request is for another host", 421, detail)


def rate_limited(detail: str, *, retry_after_s: int = 1) -> Problem:
    """The network made more free calls than it may."""
    return Problem("rate-limited", "Too many free calls", 429, detail, retry_after_s=retry_after_s)


def overdrawn(detail: str, *, retry_after_s: int = 1) -> Problem:
    """The caller used so much that the call is not sold for a while."""
    return Problem(
        "overdrawn", "Too much was used to go on now", 429, detail, retry_after_s=retry_after_s
    )


def early(detail: str, *, retry_after_s: int = 1) -> Problem:
    """The proof stands, and pays for less overdraft than there is now."""
    return Problem(
        "early", "The proof pays for less than was used", 429, detail, retry_after_s=retry_after_s
    )


def store_unavailable(detail: str) -> Problem:
    """The ledger cannot tell whether the credential is spent; nothing is admitted."""
    return Problem("store-unavailable", "The ledger is not available", 503, detail, retry_after_s=1)


def in_progress(detail: str, *, retry_after_s: int = 2) -> Problem:
    """The same paid request is being answered, or was until a moment ago; the payment is kept."""
    return Problem(
        "in-progress",
        "The same request may still be answered",
        503,
        detail,
        retry_after_s=retry_after_s,
    )


def busy(detail: str, *, retry_after_s: int = 1) -> Problem:
    """Too much is being read, or waits for its turn, already; nothing was spent."""
    return Problem("busy", "The gate is busy", 503, detail, retry_after_s=retry_after_s)


def wallet_unavailable(detail: str, *, retry_after_s: int = 1) -> Problem:
    """The wallet cannot tell whether a payment has come; nothing was spent."""
    return Problem(
        "wallet-unavailable",
        "The wallet is not available",
        503,
        detail,
        retry_after_s=retry_after_s,
    )


def too_large(detail: str) -> Problem:
    """The request body is above the limit."""
    return Problem("too-large", "The request body is too large", 413, detail)


def headers_too_large(detail: str) -> Problem:
    """The request's headers are above the limit."""
    return Problem("headers-too-large", "The request headers are too large", 431, detail)


def request_timeout(detail: str) -> Problem:
    """The request body did not come in time."""
    return Problem("request-timeout", "The request body was too slow", 408, detail)


def unsupported_media_type(detail: str) -> Problem:
    """A body on an MCP path that is not said to be plain JSON."""
    return Problem("unsupported-media-type", "The body is not plain JSON", 415, detail)


def malformed_mcp(detail: str, *, rpc_code: int = INVALID_REQUEST) -> Problem:
    """A body on an MCP path that is not one JSON-RPC 2.0 message."""
    return Problem("malformed-mcp", "The MCP message is malformed", 400, detail, rpc_code=rpc_code)


def header_mismatch(detail: str) -> Problem:
    """An MCP header disagrees with the body that it mirrors."""
    return Problem(
        "header-mismatch",
        "An MCP header does not match the body",
        400,
        detail,
        rpc_code=HEADER_MISMATCH,
    )


def bad_request(detail: str) -> Problem:
    """A request that is wrong in a way that no other type names."""
    return Problem("bad-request", "The request is malformed", 400, detail)


def not_found(detail: str) -> Problem:
    """Nothing is served under this path."""
    return Problem("not-found", "There is nothing here", 404, detail)


def method_not_allowed(detail: str) -> Problem:
    """The path exists and does not take this method."""
    return Problem("method-not-allowed", "The method is not allowed here", 405, detail)


def internal_error(detail: str) -> Problem:
    """A fault in the gate itself; nothing was admitted."""
    return Problem("internal-error", "The gate failed", 500, detail)


def bad_gateway(detail: str) -> Problem:
    """The upstream could not be reached, or broke off before it answered."""
    return Problem("bad-gateway", "The upstream did not answer", 502, detail)


def gateway_timeout(detail: str) -> Problem:
    """The upstream did not take the connection in time."""
    return Problem("gateway-timeout", "The upstream did not answer in time", 504, detail)

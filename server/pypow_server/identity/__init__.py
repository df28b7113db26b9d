# SPDX-License-Identifier: Apache-2.0
"""Who calls, as somebody else attests: values that the parts of this package share.

Nothing here knows a store, a rail or the gate. What reads signatures needs joserfc, which comes
with the extra ``oauth``; these values do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

TokenError = Literal["invalid_request", "invalid_token", "insufficient_scope"]
"""The error codes of RFC 6750 section 3.1."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a token that was found good says.

    Attributes:
        issuer: who attests it (``iss``), exactly as the operator wrote it.
        subject: whom it is about (``sub``); means something only together with the issuer.
        client_id: the OAuth client that got the token; empty if it names none.
        scopes: what it permits.
        expires_at_ms: Unix milliseconds; good before, not at.
        issued_at_ms: Unix milliseconds.
        token_id: ``jti``; empty if it has none.
        key_thumbprint: the key (RFC 7638, SHA-256) whose holder alone may use it
            (``cnf.jkt``, RFC 9449 section 6.1); None where whoever has it may.
        claims: all that it says, personal data among it: not shown, and not for logs.
    """

    issuer: str
    subject: str = field(repr=False)
    client_id: str
    scopes: frozenset[str]
    expires_at_ms: int
    issued_at_ms: int
    token_id: str = ""
    key_thumbprint: str | None = None
    claims: Mapping[str, object] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True, slots=True)
class BadToken:
    """A token that is not good.

    Attributes:
        error: of RFC 6750 section 3.1.
        detail: one sentence: what was expected and what came; never the token.
    """

    error: TokenError
    detail: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody can tell whether a token is good, as its issuer does not answer: 503.

    Attributes:
        detail: one sentence for the operator and the caller.
        retry_after_s: when to ask again.
    """

    detail: str
    retry_after_s: int = 5


Judgement = Identity | BadToken | Unavailable


class TokenJudge(Protocol):
    """Finds out what tokens are worth."""

    async def judge(self, token: str, *, now_ms: int) -> Judgement:
        """What a token says, or why it is not good.

        Args:
            token: as it came behind ``Bearer`` or ``DPoP``; any text whatever.
            now_ms: Unix milliseconds.

        Whether a token with a `key_thumbprint` is used by the key's holder is for the caller to
        find out: an `Identity` that has one is worth nothing without a proof.
        """
        ...

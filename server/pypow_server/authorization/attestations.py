# SPDX-License-Identifier: Apache-2.0
"""Callers for whom somebody answers: their platform (RFC 7523), or an issuer that is trusted.

They get a token of this gate with the scopes that the operator gives them, or that theirs has.
What may be shown once is spent, after all else was found good.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pypow_server.identity import BadToken, Identity, TokenJudge, Unavailable
from pypow_server.rails import Claim
from pypow_server.settlement import settle
from pypow_server.stores import Ledger

from .key_proofs import use_up
from .oauth_error import Code, OAuthError, of_problem
from .place import TOKEN, Place

if TYPE_CHECKING:
    from pypow_server.identity.trust import TrustedWorkloads

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLIENT_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SHORTEST_MS: Final = 1000
"""Clocks of others may differ from ours, but what they vouch for ends by ours."""


@dataclass(frozen=True, slots=True)
class Attestations:
    """Finds out who a caller is by what others say.

    Attributes:
        place: whom assertions must be for.
        ledger: where those are spent that may be shown once.
        workloads: judges assertions; None where no platform is trusted.
        issuers: judges access tokens of others; None where no issuer is trusted.
    """

    place: Place
    ledger: Ledger
    workloads: "TrustedWorkloads | None" = None
    issuers: TokenJudge | None = None

    async def of_assertion(
        self, text: str, code: Code, *, now_ms: int, first: Claim | None = None
    ) -> Identity | OAuthError:
        """Who shows an assertion (RFC 7523 section 3), or why nobody is let in for it.

        Args:
            text: the assertion.
            code: what is answered where it is not good.
            now_ms: Unix milliseconds.
            first: what must be won before anything is spent; None for nothing.
        """
        if self.workloads is None:
            return OAuthError(code, "no platform's assertions are taken here", _status(code))
        place = self.place
        audiences = frozenset((place.issuer, f"{place.issuer}/", place.url(TOKEN)))
        found = await self.workloads.judge(text, audiences=audiences, now_ms=now_ms)
        if isinstance(found, BadToken | Unavailable):
            return _refused(found, code)
        if found.identity.expires_at_ms < now_ms + _SHORTEST_MS:
            return _ended(code)
        problem = await use_up(self.ledger, first, now_ms=now_ms)
        if problem is None and found.once is not None:
            claim = Claim(found.once, None, found.until_ms)
            problem = await settle(self.ledger, claim, now_ms=now_ms)
        return found.identity if problem is None else of_problem(problem, code)

    async def of_token(
        self, text: str, *, now_ms: int, first: Claim | None = None
    ) -> Identity | OAuthError:
        """Whose access token this is that another issuer gave out (RFC 8693 section 2.1).

        The arguments are those of `of_assertion`.
        """
        if self.issuers is None:
            return OAuthError("invalid_request", "no other issuer's tokens are taken here")
        found = await self.issuers.judge(text, now_ms=now_ms)
        if isinstance(found, BadToken | Unavailable):
            return _refused(found, "invalid_request")
        if found.key_thumbprint is not None:
            return OAuthError("invalid_request", "expected a token that is bound to no key")
        if found.expires_at_ms < now_ms + _SHORTEST_MS:
            return _ended("invalid_request")
        problem = await use_up(self.ledger, first, now_ms=now_ms)
        return found if problem is None else of_problem(problem, "invalid_request")


def _refused(found: BadToken | Unavailable, code: Code) -> OAuthError:
    if isinstance(found, Unavailable):
        return OAuthError("temporarily_unavailable", found.detail, 503, found.retry_after_s)
    return OAuthError(code, found.detail, _status(code))


def _ended(code: Code) -> OAuthError:
    return OAuthError(code, "expected one that has not ended (exp); get a new one", _status(code))


def _status(code: Code) -> int:
    return 401 if code == "invalid_client" else 400

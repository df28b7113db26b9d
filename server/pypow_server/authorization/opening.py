# SPDX-License-Identifier: Apache-2.0
"""The authorization server of a gate, if its operator wants one; else nothing, which costs nothing.

Whoever gives out no tokens needs none of what signs them: the rest of this package is loaded here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pypow.errors import InvalidInputError
from pypow_server.decision import Recorder
from pypow_server.fixable import FixableError
from pypow_server.gate_nonces import gate_nonces
from pypow_server.identity import BadToken, Judgement, TokenJudge
from pypow_server.rails import Rail
from pypow_server.redemption import Redemption
from pypow_server.resource_metadata import documents, metadata_url
from pypow_server.revoked import RevokedPasses
from pypow_server.scope import ASGIApp
from pypow_server.settings import Settings
from pypow_server.stores import Limiter
from pypow_server.token_sales import TokenSales

from .place import PATHS, Place

if TYPE_CHECKING:
    from pypow_server.identity.trust import TrustedWorkloads

    from .assembly import Issuing
    from .client_documents import ClientDocuments


class TokenDesk:
    """Gives out tokens, and takes them, by the settings that are in force."""

    def __init__(
        self,
        settings: Settings,
        limiter: Limiter,
        revoked: RevokedPasses,
        *,
        clock: Callable[[], int],
    ) -> None:
        """Nothing is given out before `answers`.

        Args:
            settings: all of it.
            limiter: counts what each network asks.
            revoked: where approvals of devices are kept.
            clock: Unix milliseconds.

        Raises:
            InvalidInputError: a public URL that no token may be for.
        """
        self._sales = settings.rows.token_sales
        self._limiter = limiter
        self._revoked = revoked
        self._clock = clock
        self._issuing: Issuing | None = None
        self._documents: ClientDocuments | None = None
        self._workloads: TrustedWorkloads | None = None
        self._others: TokenJudge | None = None
        if self._sales is not None:
            self._place = Place.of(settings.url, settings.mcp_paths)

    def require_same(self, settings: Settings) -> None:
        """Refuse to begin or end this, or to move, while the gate runs.

        Raises:
            InvalidInputError: that is wanted.
        """
        before, after = self._sales, settings.rows.token_sales
        if before != after or (
            after is not None and Place.of(settings.url, settings.mcp_paths) != self._place
        ):
            raise InvalidInputError("oauth.server: another one, or another place, takes a restart")

    def rails(self) -> tuple[Rail, ...]:
        """What tells callers of tokens, where there are any."""
        if self._sales is None:
            return ()
        from pypow_server.rails.token import TokenRail

        rail = TokenRail(
            issuer=self._place.issuer,
            resource=self._place.default,
            metadata_url=metadata_url(self._place.default),
            asks_first=self._sales.asks_first,
        )
        return (rail,)

    def judging(self, others: TokenJudge | None) -> TokenJudge | None:
        """Who judges tokens: of others, and those given out here for theirs; None for nobody.

        Args:
            others: judges the tokens of other issuers; None where none is trusted.
        """
        self._others = others
        return others if self._sales is None or others is None else self

    def issuers(self, settings: Settings) -> list[str]:
        """Whose tokens are taken."""
        logins = settings.rows.logins
        others = [] if logins is None else [one.url for one in logins.issuers]
        return others if self._sales is None else [*others, self._place.issuer]

    async def judge(self, token: str, *, now_ms: int) -> Judgement:
        """What a token says, whoever gave it out (a `TokenJudge`)."""
        if self._issuing is not None and self._issuing.tokens.is_ours(token):
            return await self._issuing.tokens.judge(token, now_ms=now_ms)
        if self._others is None:
            return BadToken("invalid_token", "expected a token that was given out here")
        return await self._others.judge(token, now_ms=now_ms)

    def answers(
        self,
        settings: Settings,
        redemption: Redemption,
        rails: Sequence[Rail],
        recorders: Sequence[Recorder],
    ) -> Mapping[bytes, ASGIApp]:
        """What is answered here, by path; from now on by these.

        Raises:
            InvalidInputError: joserfc is not there; the text has the fix.
        """
        if self._sales is None:
            return {}
        try:
            from pypow_server.identity.dpop import DEFAULT_RULES

            from .approvals import Approvals
            from .assembly import issuing
            from .attestations import Attestations
        except FixableError as error:
            raise InvalidInputError(f"oauth.server: {error}") from None
        if self._sales.fetches_clients and self._documents is None:
            self._documents = _client_documents(self._clock)
        if self._sales.workloads and self._workloads is None:
            self._workloads = _trusted_workloads(self._sales)
        self._issuing = issuing(
            self._place,
            redemption,
            payments=next((rail for rail in rails if rail.name == "l402"), None),
            documents=self._documents,
            attestations=Attestations(
                self._place, redemption.ledger, self._workloads, self._others
            ),
            approvals=Approvals(self._revoked),
            nonces=gate_nonces(redemption.rail.keyring) if _wants_nonces(settings) else None,
            limiter=self._limiter,
            recorders=recorders,
            clock=self._clock,
        )
        told = documents(
            redemption.policy,
            resource=settings.resource or self._place.default,
            issuers=self.issuers(settings),
            dpop_algorithms=DEFAULT_RULES.algorithms,
        )
        return {**dict.fromkeys(PATHS, self._issuing.app), **told}

    def carrying(self, gate: ASGIApp) -> ASGIApp:
        """The gate, for callers who bring tokens of its own, where there are such."""
        if self._sales is None:
            return gate
        from .carrying import Carrying

        return Carrying(gate, issuing=lambda: self._issuing, clock=self._clock)

    async def aclose(self) -> None:
        """Stop asking anybody."""
        if self._documents is not None:
            await self._documents.aclose()
        if self._workloads is not None:
            await self._workloads.aclose()


def _wants_nonces(settings: Settings) -> bool:
    logins = settings.rows.logins
    return settings.bound_passes == "nonces" or (logins is not None and logins.dpop_nonces)


def _trusted_workloads(sales: TokenSales) -> "TrustedWorkloads":
    from pypow_server.identity.trust import TrustedWorkloads

    return TrustedWorkloads([row.trusted() for row in sales.workloads])


def _client_documents(clock: Callable[[], int]) -> "ClientDocuments":
    from pypow_server.identity.fetching import Fetcher

    from .client_documents import ClientDocuments

    return ClientDocuments(Fetcher(), clock=clock)

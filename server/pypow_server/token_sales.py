# SPDX-License-Identifier: Apache-2.0
"""What an operator decides of access tokens that the gate gives out itself."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .identity.workload import Workloads


@dataclass(frozen=True, slots=True)
class WorkloadRow:
    """One ``[[oauth.workload]]``: jobs of a platform that get tokens for what it says of them.

    Attributes:
        platform: its name.
        claims: what its JWTs must say, by claim.
        scopes: what such jobs get.
        issuer: of the JWTs; None for the one that the platform's tenants share.
        jwks_uri: where its keys are; None to find out.
        near: whether its hosts may be in a private network.
    """

    platform: str
    claims: tuple[tuple[str, str], ...]
    scopes: frozenset[str]
    issuer: str | None = None
    jwks_uri: str | None = None
    near: bool = False

    def trusted(self) -> "Workloads":
        """The same, for whoever judges.

        Raises:
            InvalidInputError: a claim that cannot be so.
            FixableError: they could be anybody's, or joserfc is not there.
        """
        from .identity.claim_rules import ClaimRule
        from .identity.workload import Workloads

        return Workloads(
            self.platform,
            tuple(ClaimRule(*claim) for claim in self.claims),
            self.scopes,
            issuer=self.issuer,
            jwks_uri=self.jwks_uri,
            near=self.near,
        )


@dataclass(frozen=True, slots=True)
class TokenSales:
    """They are given out, for work and sats.

    Attributes:
        asks_first: whether who brings nothing is asked for one (401), as stock OAuth clients need
            it to begin.
        fetches_clients: whether a client may name the URL of a document about it, which the gate
            then asks for.
        workloads: who gets them for nothing.
    """

    asks_first: bool = False
    fetches_clients: bool = False
    workloads: tuple[WorkloadRow, ...] = ()

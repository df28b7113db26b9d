# SPDX-License-Identifier: Apache-2.0
"""Where callers sign in: the issuers that are trusted, and what is said to their clients."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pypow.errors import InvalidInputError

from .fixable import FixableError
from .issuer_figures import IssuerFigures
from .logins import Logins
from .metrics import Metrics
from .policy import Policy
from .resource_metadata import documents
from .scope import ASGIApp
from .settings import Settings

if TYPE_CHECKING:
    from .identity.trust import TrustedIssuers


class LoginDesk:
    """The judge of all access tokens, for as long as a gate runs.

    Attributes:
        judge: of them; None where nobody can sign in.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Trust the issuers of these settings; asks them nothing yet.

        Args:
            settings: of the gate.
            metrics: show how the issuers answer.

        Raises:
            InvalidInputError: issuers that cannot be trusted, or no secret where one is said.
        """
        self._opened = _where(settings)
        self.judge: TrustedIssuers | None = None
        logins, resource = settings.rows.logins, settings.resource
        if logins is not None and resource is not None:
            figures = IssuerFigures()
            metrics.show(figures)
            self.judge = _trusted(logins, resource, figures)

    def require_same(self, settings: Settings) -> None:
        """Refuse settings with other issuers, or another name of the gate.

        Raises:
            InvalidInputError: they have them.
        """
        if _where(settings) != self._opened:
            raise InvalidInputError(
                "oauth: other issuers, and another resource or public URL, take a restart"
            )

    def documents(self, settings: Settings, policy: Policy) -> Mapping[bytes, ASGIApp]:
        """What is said to OAuth clients, by path; nothing where nobody can sign in."""
        logins, resource = settings.rows.logins, settings.resource
        if logins is None or resource is None:
            return {}
        from .identity.dpop import DEFAULT_RULES

        return documents(
            policy,
            resource=resource,
            issuers=[issuer.url for issuer in logins.issuers],
            dpop_algorithms=DEFAULT_RULES.algorithms,
        )

    async def aclose(self) -> None:
        """Close all connections to issuers."""
        if self.judge is not None:
            await self.judge.aclose()


def _where(settings: Settings) -> object:
    logins = settings.rows.logins
    return None if logins is None else (logins.issuers, settings.resource, settings.public_url)


def _trusted(logins: Logins, resource: str, figures: IssuerFigures) -> "TrustedIssuers":
    from .identity.trust import TrustedIssuers

    issuers = [one.trusted(resource, one.read_secret(os.environ)) for one in logins.issuers]
    try:
        return TrustedIssuers(issuers, told=figures.count)
    except FixableError as error:
        raise InvalidInputError(f"oauth.issuer: {error}") from None

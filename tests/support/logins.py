# SPDX-License-Identifier: Apache-2.0
"""A gate that takes logins, and an issuer whose tokens are told apart by their text alone."""

from dataclasses import dataclass, field
from typing import Any

from pypow_server.identity import BadToken, Identity, Judgement, Unavailable
from pypow_server.identity.dpop import Nonces
from pypow_server.issuer_figures import IssuerFigures
from pypow_server.policy import Policy, Price
from pypow_server.rails import Denial, nobody
from pypow_server.rails.oauth import OAuthRail
from support.challenges import NOW_MS
from support.gated import EASY, Bench

ISSUER = "https://issuer.example"
RESOURCE = "https://gate.example/mcp"
METADATA = "https://gate.example/.well-known/oauth-protected-resource/mcp"
READ = frozenset({"tools:read"})

GOOD, OTHER, NARROW, BOUND = "good-token", "other-token", "narrow-token", "bound-token"
EXPIRED, UNTOLD = "expired-token", "untold-token"


def identity(subject: str, *scopes: str, **rest: Any) -> Identity:
    """What a token says."""
    until_ms = NOW_MS + 60_000
    permits = frozenset(scopes)
    return Identity(ISSUER, subject, "client", permits, until_ms, NOW_MS, f"id-{subject}", **rest)


@dataclass
class PlayedIssuer:
    """Finds tokens good or bad by their text, and counts what it is asked."""

    asked: list[str] = field(default_factory=list)
    known: dict[str, Judgement] = field(
        default_factory=lambda: {
            GOOD: identity("alice", "tools:read", "other"),
            OTHER: identity("bob", "tools:read"),
            NARROW: identity("alice", "profile"),
            BOUND: identity("alice", "tools:read", key_thumbprint="k" * 43),
            EXPIRED: BadToken("invalid_token", 'expected a "fresh" token, got an old one'),
            UNTOLD: Unavailable("the issuer does not answer", 7),
        }
    )

    async def judge(self, token: str, *, now_ms: int) -> Judgement:
        self.asked.append(token)
        return self.known.get(token, BadToken("invalid_token", "expected a token"))


def login_rail(
    issuer: PlayedIssuer | None = None,
    *,
    denial: Denial = nobody,
    nonces: Nonces | None = None,
) -> OAuthRail:
    """The rail of a gate that trusts one issuer."""
    return OAuthRail(
        issuer or PlayedIssuer(),
        resource=RESOURCE,
        public_url="https://gate.example",
        metadata_url=METADATA,
        issuers=[ISSUER],
        denial=denial,
        nonces=nonces,
    )


def issuer_figures() -> IssuerFigures:
    """Figures of a gate that asked one issuer."""
    figures = IssuerFigures()
    figures.count(ISSUER, "read")
    return figures


ANY_OF = Price("either", EASY.q, scopes=READ)
"""A login or work."""
ONLY = Price("members", EASY.q, scopes=READ, login=True, takes_work=False)
ALL_OF = Price("both", EASY.q, scopes=READ, login=True)


class Desk(Bench):
    """A gate that takes logins."""

    def __init__(
        self,
        price: Price,
        *,
        denial: Denial = nobody,
        nonces: Nonces | None = None,
        policy: Any = None,
        **options: Any,
    ) -> None:
        self.issuer = PlayedIssuer()
        said = {"takes_tokens": True, **(policy or {})}
        super().__init__(
            policy=Policy(default=price, **said),
            login=login_rail(self.issuer, denial=denial, nonces=nonces),
            **options,
        )


def bearer(token: str, scheme: str = "Bearer") -> list[tuple[bytes, bytes]]:
    """The header that carries an access token."""
    return [(b"authorization", f"{scheme} {token}".encode())]

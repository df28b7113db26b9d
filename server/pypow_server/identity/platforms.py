# SPDX-License-Identifier: Apache-2.0
"""Platforms that tell their workloads' identity by JWTs, and what tells their tenants apart.

Many tenants share one issuer on most of them: whoever may run a job there gets a token of that
issuer for any audience. So the rules for each must pin what no other tenant can have.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .claim_rules import ClaimRule

EXACT: Final = None
"""A claim tells tenants apart only if it is written without a star."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What is known of one.

    Attributes:
        name: what operators call it.
        issuer: the one that all its tenants share; None where each has its own.
        issuer_like: what the operator's issuer must look like.
        pins: claims that tell tenants apart, with what a rule's beginning must look like for
            that; None if the rule must be exact.
        also: rules that one of its claims brings along.
        algorithms: what it signs by.
        lifetime_s: how long its tokens live at most.
        is_single_use: whether each job gets a token of its own, so that one comes once.
    """

    name: str
    issuer: str | None
    pins: Mapping[str, str | None] = field(hash=False)
    issuer_like: str = ".*"
    also: Mapping[str, ClaimRule] = field(default_factory=dict, hash=False)
    algorithms: frozenset[str] = frozenset(("RS256", "ES256"))
    lifetime_s: int = 3600
    is_single_use: bool = False

    def is_pinned_by(self, rule: ClaimRule) -> bool:
        """Whether a rule shuts all other tenants out."""
        if rule.claim not in self.pins:
            return False
        begins = self.pins[rule.claim]
        if begins is EXACT:
            return rule.is_exact
        return re.fullmatch(begins, rule.beginning) is not None


_ACCOUNT: Final = r"system:serviceaccount:[^:*]+:.*"

PLATFORMS: Final[Mapping[str, Platform]] = {
    platform.name: platform
    for platform in (
        Platform(
            name="github-actions",
            issuer="https://token.actions.githubusercontent.com",
            pins={
                "repository_owner_id": EXACT,
                "repository_id": EXACT,
                "repository_owner": EXACT,
                "repository": r"[^/]+/.*",
                "sub": r"repo:[^/:]+/.*",
            },
            lifetime_s=900,
            is_single_use=True,
        ),
        Platform(
            name="kubernetes",
            issuer=None,
            pins={"sub": _ACCOUNT, "kubernetes.io/namespace": EXACT},
            lifetime_s=86_400,
        ),
        Platform(
            name="spiffe",
            issuer=None,
            pins={"sub": r"spiffe://[^/]+/.*"},
            algorithms=frozenset(
                ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
            ),
        ),
        Platform(
            name="google",
            issuer="https://accounts.google.com",
            pins={"sub": EXACT, "email": EXACT, "google/compute_engine/project_id": EXACT},
            also={"email": ClaimRule("email_verified", "true")},
        ),
        Platform(
            name="aws",
            issuer=None,
            issuer_like=r"https://(oidc\.eks\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/id/[0-9A-Z]+"
            r"|[^/]+\.api\.aws)",
            # IAM principals; service accounts of EKS, whose clusters have issuers of their own.
            pins={"sub": rf"arn:aws[a-z-]*:(iam|sts)::[0-9]{{12}}:.*|{_ACCOUNT}"},
            algorithms=frozenset(("RS256", "ES384")),
            lifetime_s=86_400,
        ),
        Platform(
            name="azure",
            issuer=None,
            issuer_like=r"https://(login\.microsoftonline\.com/[0-9a-f-]{36}/v2\.0"
            r"|sts\.windows\.net/[0-9a-f-]{36}/)",
            pins={"sub": EXACT, "oid": EXACT, "appid": EXACT, "azp": EXACT},
            lifetime_s=90_000,
        ),
    )
}

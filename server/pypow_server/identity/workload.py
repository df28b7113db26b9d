# SPDX-License-Identifier: Apache-2.0
"""Workloads that prove who they are with their platform's JWT (RFC 7523 section 3).

For the ``assertion`` of the jwt-bearer grant and for ``client_assertion`` alike.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pypow.errors import shown
from pypow_server.fixable import FixableError

from . import BadToken, Identity, Unavailable, claims, unverified
from .claim_rules import ClaimRule
from .claims import Span, expected, invalid
from .issuers import Issuer
from .judging import signature_fault
from .jwks import IssuerKeys
from .platforms import PLATFORMS, Platform
from .unverified import Unverified

SKEW_S: Final = 60
_KINDS: Final = ("jwt", "jose", "")
_MAX_SUBJECT: Final = 1024


class WorkloadError(FixableError):
    """Workloads that cannot be let in so; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Workloads:
    """Workloads of one platform that are let in, as the operator wrote them.

    Attributes:
        platform: a name of `PLATFORMS`.
        rules: all of which must hold; one at least shuts other tenants out.
        scopes: what they get.
        issuer: theirs; None for the one that the platform's tenants share.
        jwks_uri: where its keys are; None to find out.
        near: whether its hosts may be in a private network.

    Raises:
        WorkloadError: they could be anybody's, or the issuer is not that of the platform.
        IssuerError: the issuer cannot be trusted.
    """

    platform: str
    rules: tuple[ClaimRule, ...]
    scopes: frozenset[str]
    issuer: str | None = None
    jwks_uri: str | None = None
    near: bool = False
    on: Platform = field(init=False, repr=False, compare=False)
    trusted: Issuer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        on = PLATFORMS.get(self.platform)
        if on is None:
            raise WorkloadError(
                f"no platform is called {shown(self.platform)}",
                fix=f"choose one of {', '.join(PLATFORMS)}",
            )
        url = self.issuer or on.issuer
        if url is None:
            raise WorkloadError(
                f"workloads of {on.name} have no issuer, and every tenant has one of his own",
                fix="set issuer as its tokens name it (iss)",
            )
        if re.fullmatch(on.issuer_like, url) is None:
            raise WorkloadError(
                f"{url} is no issuer of one tenant of {on.name}",
                fix="set issuer as its tokens name it (iss), with the tenant in it",
            )
        if not any(on.is_pinned_by(rule) for rule in self.rules):
            raise WorkloadError(
                f"workloads of {on.name} are let in whoever's they are",
                fix=f"add a rule that no other tenant fits: on {', '.join(on.pins)},"
                " without a star before the tenant's name ends",
            )
        object.__setattr__(self, "on", on)
        # The audience depends on where the assertion is shown, and is checked there.
        issuer = Issuer(
            url,
            frozenset((url,)),
            algorithms=on.algorithms,
            jwks_uri=self.jwks_uri,
            near=self.near,
            skew_s=SKEW_S,
        )
        object.__setattr__(self, "trusted", issuer)

    def fits(self, said: claims.Claims) -> bool:
        """Whether claims are those of such a workload."""
        also = [rule for name, rule in self.on.also.items() if name in self._named()]
        return all(rule.holds(said) for rule in (*self.rules, *also))

    def _named(self) -> set[str]:
        return {rule.claim for rule in self.rules}


@dataclass(frozen=True, slots=True)
class Attested:
    """A workload that its platform answers for.

    Attributes:
        identity: who it is; its scopes are those that the operator gives.
        platform: whose.
        once: what the ledger is to spend so that the assertion comes once; None where the
            platform lets workloads show one again.
        until_ms: until when that is to be remembered, in Unix milliseconds.
    """

    identity: Identity
    platform: str
    once: bytes | None
    until_ms: int


class Assertions:
    """Judges what workloads show.

    Args:
        workloads: who are let in; several rows may share an issuer.
        keys: makes the keys of an issuer.

    Raises:
        WorkloadError: rows differ in what they say of one issuer.
    """

    def __init__(
        self, workloads: Sequence[Workloads], keys: Callable[[Issuer], IssuerKeys]
    ) -> None:
        self._rows: dict[str, list[Workloads]] = {}
        for each in workloads:
            rows = self._rows.setdefault(each.trusted.url, [])
            if rows and (rows[0].on, rows[0].trusted) != (each.on, each.trusted):
                raise WorkloadError(
                    f"rows say different things of {each.trusted.url}",
                    fix="give them the same platform, jwks_uri and near",
                )
            rows.append(each)
        self._keys: Mapping[str, IssuerKeys] = {
            url: keys(rows[0].trusted) for url, rows in self._rows.items()
        }

    async def judge(
        self, assertion: str, *, audiences: frozenset[str], now_ms: int
    ) -> Attested | BadToken | Unavailable:
        """Who shows an assertion, or why nobody is let in for it.

        Args:
            assertion: as it came; any text whatever.
            audiences: what this server calls itself: its issuer, its token endpoint.
            now_ms: Unix milliseconds.
        """
        read = unverified.read(assertion)
        if isinstance(read, BadToken):
            return read
        issuer = claims.text(read.claims, "iss")
        if issuer is None or issuer not in self._rows:
            return invalid("expected an assertion of an issuer that is trusted here (iss)")
        rows = self._rows[issuer]
        span = _span(read, rows[0].on, audiences, now_ms)
        if isinstance(span, BadToken):
            return span
        fault = await signature_fault(read, self._keys[issuer])
        if fault is not None:
            return fault
        row = next((row for row in rows if row.fits(read.claims)), None)
        if row is None:
            return invalid("expected a workload whose claims fit the rules of this server")
        return _attested(read.claims, row, span)


def _span(
    read: Unverified, on: Platform, audiences: frozenset[str], now_ms: int
) -> Span | BadToken:
    """When an assertion is good, if it is one for this server now."""
    if read.kind not in _KINDS:
        return expected("an assertion, JWT,", "typ", read.kind)
    if read.algorithm not in on.algorithms:
        return expected(f"one of {', '.join(sorted(on.algorithms))}", "alg", read.algorithm)
    named = claims.texts(read.claims, "aud")
    # Others that it is for as well could show it here.
    if named is None or len(named) != 1 or not named <= audiences:
        return invalid("expected an assertion for this server alone (aud)")
    if len(claims.text(read.claims, "sub") or "") not in range(1, _MAX_SUBJECT + 1):
        return invalid(f"expected a text of up to {_MAX_SUBJECT} characters as sub")
    span = claims.span(read.claims)
    if isinstance(span, BadToken):
        return span
    if not span.issued_at_ms or span.expires_at_ms - span.issued_at_ms > on.lifetime_s * 1000:
        return invalid(f"expected an assertion that lives at most {on.lifetime_s} s (iat, exp)")
    if on.is_single_use and claims.text(read.claims, "jti") is None:
        return invalid("expected an assertion with an id of its own (jti)")
    return span.fault(now_ms=now_ms, skew_ms=SKEW_S * 1000) or span


def _attested(said: claims.Claims, row: Workloads, span: Span) -> Attested:
    subject, token_id = claims.text(said, "sub"), claims.text(said, "jti")
    assert subject is not None
    until_ms = span.expires_at_ms + SKEW_S * 1000
    once = None
    if row.on.is_single_use and token_id is not None:
        once = hashlib.sha256(f"assertion\0{row.trusted.url}\0{token_id}".encode()).digest()
    identity = Identity(
        issuer=row.trusted.url,
        subject=subject,
        client_id="",
        scopes=row.scopes,
        expires_at_ms=span.expires_at_ms,
        issued_at_ms=span.issued_at_ms,
        token_id=token_id or "",
        claims=said,
    )
    return Attested(identity, row.platform, once, until_ms)

# SPDX-License-Identifier: Apache-2.0
"""Judges tokens of several issuers: each by its own issuer's keys, or by asking that issuer.

A token is shown to no issuer but its own. One that names none (it is no JWT) goes to the one issuer
that is asked, which is why there can be no more than one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from . import BadToken, Identity, Judgement, TokenJudge, Unavailable, access_token, unverified
from .claims import Span, invalid
from .issuers import Issuer, IssuerError
from .jwks import IssuerKeys
from .remembered import Remembered, digest
from .signatures import PublicKey
from .unverified import Unverified


@dataclass(frozen=True, slots=True)
class Trusted:
    """An issuer, and its keys."""

    issuer: Issuer
    keys: IssuerKeys


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token whose signature was found good."""

    identity: Identity
    span: Span
    by: Trusted
    keys: tuple[PublicKey, ...]


class TokensOfIssuers:
    """The judge of all tokens that others issue.

    A token that was found good is remembered until its issuer's keys change; its times are looked
    at every time.

    Args:
        trusted: issuers whose tokens are read here.
        asked: issuers that are asked instead, and who asks them; at most one.

    Raises:
        IssuerError: an issuer comes twice, or more than one is to be asked.
    """

    def __init__(
        self, trusted: Sequence[Trusted], asked: Sequence[tuple[str, TokenJudge]] = ()
    ) -> None:
        self._asked = dict(asked)
        self._trusted = {each.issuer.url: each for each in trusted}
        if len(self._asked.keys() | self._trusted.keys()) < len(asked) + len(trusted):
            raise IssuerError("an issuer is configured twice", fix="remove one of the two")
        if len(self._asked) > 1:
            raise IssuerError(
                f"tokens of {' and '.join(sorted(self._asked))} would be shown to each other's"
                " issuer",
                fix='let at most one issuer have kind = "introspection"',
            )
        self._opaque = next(iter(self._asked.values()), None)
        self._verified: Remembered[_Verified] = Remembered()

    async def judge(self, token: str, *, now_ms: int) -> Judgement:
        """As `TokenJudge.judge`."""
        key = digest(token)
        known = self._verified.get(key)
        if known is not None and known.keys is known.by.keys.standing():
            skew_ms = known.by.issuer.skew_s * 1000
            return known.span.fault(now_ms=now_ms, skew_ms=skew_ms) or known.identity
        if self._opaque is not None and not unverified.is_jwt(token):
            return await self._opaque.judge(token, now_ms=now_ms)
        read = unverified.read(token)
        if isinstance(read, BadToken):
            return read
        issuer = read.claims.get("iss")
        if not isinstance(issuer, str):
            return invalid("expected a token that names its issuer (iss)")
        if issuer in self._asked:
            return await self._asked[issuer].judge(token, now_ms=now_ms)
        trusted = self._trusted.get(issuer)
        if trusted is None:
            return invalid("expected a token of an issuer that is trusted here (iss)")
        return await self._verify(key, read, trusted, now_ms)

    async def _verify(
        self, key: bytes, token: Unverified, trusted: Trusted, now_ms: int
    ) -> Judgement:
        checked = access_token.check(token, trusted.issuer, now_ms=now_ms)
        if isinstance(checked, BadToken):
            return checked
        fault = await signature_fault(token, trusted.keys)
        if fault is not None:
            return fault
        identity, span = checked
        keys = trusted.keys.standing()
        if keys is not None:
            self._verified.put(key, _Verified(identity, span, trusted, keys))
        return identity


async def signature_fault(token: Unverified, keys: IssuerKeys) -> BadToken | Unavailable | None:
    """Why no key of an issuer has signed a token; None where one has."""
    found = await keys.find(token.key_id, token.algorithm)
    if isinstance(found, Unavailable):
        return found
    for key in found:
        if key.has_signed(token.signed, token.signature, algorithm=token.algorithm):
            return None
    if not found:
        return invalid("expected a key of the token's issuer that fits kid and alg")
    return invalid("expected a signature by a key of the token's issuer")

# SPDX-License-Identifier: Apache-2.0
"""What an access token must say (RFC 9068 section 4), but for its signature."""

from typing import Final

from . import BadToken, Identity, claims
from .claims import Span, expected, invalid
from .issuers import Issuer
from .unverified import Unverified

TYPE: Final = "at+jwt"
_MAX_SUBJECT: Final = 255


def check(token: Unverified, issuer: Issuer, *, now_ms: int) -> tuple[Identity, Span] | BadToken:
    """Whom a token of this issuer is about if its signature is good, or why it is not.

    Args:
        token: as it was read.
        issuer: the one that it names, as the operator wrote it.
        now_ms: Unix milliseconds.
    """
    fault = _form_fault(token, issuer)
    if fault is not None:
        return fault
    return identify(token.claims, issuer, now_ms=now_ms, is_typed=token.kind == TYPE)


def identify(
    said: claims.Claims, issuer: Issuer, *, now_ms: int, is_typed: bool
) -> tuple[Identity, Span] | BadToken:
    """Whom claims are about; of a token or of an introspection's answer.

    Args:
        said: the claims.
        issuer: whose.
        now_ms: Unix milliseconds.
        is_typed: whether all is there that RFC 9068 section 2.2 demands.
    """
    audiences = claims.texts(said, "aud")
    if audiences is None or not audiences & issuer.audiences:
        return invalid("expected a token for this resource (aud); ask its issuer for one that is")
    span = claims.span(said)
    if isinstance(span, BadToken):
        return span
    fault = span.fault(now_ms=now_ms, skew_ms=issuer.skew_s * 1000)
    if fault is not None:
        return fault
    thumbprint = claims.key_thumbprint(said)
    if isinstance(thumbprint, BadToken):
        return thumbprint
    identity = _named(said, issuer, span, thumbprint)
    if isinstance(identity, Identity) and is_typed and not (identity.client_id and "iat" in said):
        return invalid("expected client_id and iat in a token of type at+jwt (RFC 9068)")
    return identity if isinstance(identity, BadToken) else (identity, span)


def _form_fault(token: Unverified, issuer: Issuer) -> BadToken | None:
    if token.claims.get("iss") != issuer.url:
        return expected(issuer.url, "iss", token.claims.get("iss"))
    if token.algorithm not in issuer.algorithms:
        allowed = ", ".join(sorted(issuer.algorithms))
        return expected(f"one of {allowed}", "alg", token.algorithm)
    kinds = (TYPE, "jwt", "") if issuer.accept_untyped else (TYPE,)
    if token.kind not in kinds:
        return expected("an access token, at+jwt,", "typ", token.kind)
    return None


def _named(
    said: claims.Claims, issuer: Issuer, span: Span, thumbprint: str | None
) -> Identity | BadToken:
    subject, scopes = claims.text(said, "sub"), claims.scopes(said)
    if subject is None or len(subject) > _MAX_SUBJECT:
        return invalid(f"expected a text of up to {_MAX_SUBJECT} characters as sub")
    if scopes is None:
        return invalid("expected scopes as one text, or as an array of texts (scope)")
    if "jti" in said and claims.text(said, "jti") is None:
        return invalid("expected a text as jti")
    return Identity(
        issuer=issuer.url,
        subject=subject,
        client_id=claims.text(said, "client_id") or claims.text(said, "azp") or "",
        scopes=scopes,
        expires_at_ms=span.expires_at_ms,
        issued_at_ms=span.issued_at_ms,
        token_id=claims.text(said, "jti") or "",
        key_thumbprint=thumbprint,
        claims=said,
    )

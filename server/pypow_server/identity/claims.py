# SPDX-License-Identifier: Apache-2.0
"""Claims of tokens (RFC 7519 section 4.1) as plain values, and whether their time is now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pypow.errors import shown

from . import BadToken

_MAX_SECONDS: Final = 1 << 40
_MAX_SCOPES: Final = 256

Claims = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when a token is good, in Unix milliseconds.

    Attributes:
        issued_at_ms: ``iat``; 0 if it does not say.
        not_before_ms: ``nbf``; 0 if it does not say.
        expires_at_ms: ``exp``.
    """

    issued_at_ms: int
    not_before_ms: int
    expires_at_ms: int

    def fault(self, *, now_ms: int, skew_ms: int) -> BadToken | None:
        """Why it is not good now; clocks may differ by ``skew_ms``."""
        if now_ms >= self.expires_at_ms + skew_ms:
            return invalid("expected a token that has not expired (exp)")
        if self.not_before_ms > now_ms + skew_ms:
            return invalid("expected a token whose time has come (nbf)")
        if self.issued_at_ms > now_ms + skew_ms:
            return invalid("expected a token that was issued before now (iat)")
        return None


def span(claims: Claims) -> Span | BadToken:
    """When claims are good."""
    moments = [_moment_ms(claims, name) for name in ("iat", "nbf", "exp")]
    if None in moments:
        return invalid("expected moments in seconds as iat, nbf and exp")
    issued_at_ms, not_before_ms, expires_at_ms = (moment or 0 for moment in moments)
    if not expires_at_ms:
        return invalid("expected a token that says when it expires (exp)")
    return Span(issued_at_ms, not_before_ms, expires_at_ms)


def text(claims: Claims, name: str) -> str | None:
    """A claim that is a text and not empty; None for any other."""
    value = claims.get(name)
    return value if isinstance(value, str) and value else None


def texts(claims: Claims, name: str) -> frozenset[str] | None:
    """A claim that is one text or an array of texts; None for any other."""
    match claims.get(name):
        case str() as one:
            return frozenset((one,))
        case list() as many if all(isinstance(each, str) for each in many):
            return frozenset(many)
        case _:
            return None


def scopes(claims: Claims) -> frozenset[str] | None:
    """What ``scope`` permits, or ``scp`` where issuers call it that; None for what is neither.

    RFC 8693 section 4.2 has one text with spaces between; arrays are in use as well.
    """
    given = claims.get("scope", claims.get("scp", ""))
    if isinstance(given, str):
        given = given.split(" ")
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        return None
    found = frozenset(each for each in given if each)
    return found if len(found) <= _MAX_SCOPES else None


def key_thumbprint(claims: Claims) -> str | BadToken | None:
    """The key that a token is bound to (``cnf.jkt``); None where it is bound to none.

    A binding of another kind (a certificate, RFC 8705) cannot be checked here, and a token that
    has one is refused: without its check it would be worth more than its issuer meant.
    """
    if "cnf" not in claims:
        return None
    binding = claims["cnf"]
    thumbprint = binding.get("jkt") if isinstance(binding, dict) else None
    if isinstance(thumbprint, str) and isinstance(binding, dict) and len(binding) == 1:
        return thumbprint
    return invalid("expected a token bound to no key, or to one by its thumbprint (cnf.jkt) alone")


def invalid(detail: str) -> BadToken:
    """A token that is not good."""
    return BadToken("invalid_token", detail)


def expected(what: str, name: str, given: object) -> BadToken:
    """A claim that is another; for what is no secret."""
    return invalid(f"expected {what} as {name}, got {shown(given)}")


def _moment_ms(claims: Claims, name: str) -> int | None:
    """A NumericDate in milliseconds, 0 for none; None for what is none."""
    value = claims.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value * 1000) if 0 <= value < _MAX_SECONDS else None

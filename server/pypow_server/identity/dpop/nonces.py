# SPDX-License-Identifier: Apache-2.0
"""Nonces by which a server sets how old a proof may be (RFC 9449 sections 8 and 9), unremembered.

A nonce is a MAC over a span of time, the same for all callers: it proves that a proof was made
after the span began, which nobody could know before. That of the last span counts as well.
"""

import hmac
from dataclasses import dataclass, field
from typing import Final

from pypow.base64_text import encode_url
from pypow.errors import InvalidInputError

_PURPOSE: Final = b"pypow 1 dpop nonce"
_MAC_OCTETS: Final = 16
_SHORTEST_SECRET: Final = 32


@dataclass(frozen=True, slots=True)
class Nonces:
    """Makes and recognises nonces.

    Attributes:
        secrets: at least 32 random bytes each, the same at all servers that callers may meet; the
            first makes nonces, all are recognised.
        span_s: a nonce is good for so many seconds at least, and twice as many at most.
        required: whether a proof without one is refused; if not, only one that has a wrong one.
    """

    secrets: tuple[bytes, ...] = field(repr=False)
    span_s: int = 120
    required: bool = True

    def __post_init__(self) -> None:
        if not self.secrets or min(map(len, self.secrets)) < _SHORTEST_SECRET:
            raise InvalidInputError(f"expected secrets of at least {_SHORTEST_SECRET} bytes each")
        if self.span_s < 1:
            raise InvalidInputError(f"span_s: expected at least 1, got {self.span_s}")

    def current(self, now_ms: int) -> str:
        """What ``DPoP-Nonce`` says now, on every answer."""
        return self._nonce(self.secrets[0], now_ms // (1000 * self.span_s))

    def recognises(self, nonce: str, now_ms: int) -> bool:
        """Whether this nonce counts now."""
        span = now_ms // (1000 * self.span_s)
        given = nonce.encode("utf-8", "surrogatepass")
        return any(
            hmac.compare_digest(given, self._nonce(secret, one).encode("ascii"))
            for secret in self.secrets
            for one in (span, span - 1)
        )

    def _nonce(self, secret: bytes, span: int) -> str:
        message = _PURPOSE + self.span_s.to_bytes(8) + span.to_bytes(8, signed=True)
        return encode_url(hmac.digest(secret, message, "sha256")[:_MAC_OCTETS])


def nonce_fields(nonces: Nonces | None, now_ms: int) -> tuple[tuple[bytes, bytes], ...]:
    """Header fields that tell a caller the nonce for its next proof (RFC 9449 section 8.2).

    None where proofs need none. Pages of other origins may read them.
    """
    if nonces is None:
        return ()
    return (
        (b"dpop-nonce", nonces.current(now_ms).encode("ascii")),
        (b"access-control-expose-headers", b"DPoP-Nonce"),
    )

# SPDX-License-Identifier: Apache-2.0
"""Requests for a code, and codes: sealed, so that whoever carries them learns and changes nothing.

A code holds what its client pays with, which is spent when the code comes back and not before. It
is good for a minute, once, for the client, address, resource and PKCE challenge it was made for.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from pypow_server.fresh import fresh_id
from pypow_server.rails import Claim
from pypow_server.resource import Resource

from .purchases import Secret
from .sealing import Seals

CODE_LIFETIME_MS: Final = 60_000
REQUEST_LIFETIME_MS: Final = 15 * 60_000
_CODE: Final = "code"
_REQUEST: Final = "authorization request"
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
"""What an S256 challenge looks like (RFC 7636 section 4.2)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks for, all of it found good.

    Attributes:
        client_id: who asks.
        client_name: what it calls itself.
        redirect_uri: where the code goes.
        challenge: of PKCE, by S256.
        audience: the resource.
        state: what the client wants back; None for nothing.
        dpop_jkt: thumbprint of the key that must ask for the token (RFC 9449 section 10); None
            for any or none.
    """

    client_id: str
    client_name: str
    redirect_uri: str
    challenge: str
    audience: str
    state: str | None
    dpop_jkt: str | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """A code that was made here.

    Attributes:
        wanted: what it was asked for with.
        secret: what pays for it.
        claim: what must be spent, so that it counts once.
    """

    wanted: Wanted
    secret: Secret = field(repr=False)
    claim: Claim

    def misuse(
        self, *, client_id: str, redirect_uri: str, verifier: str, thumbprint: str | None
    ) -> str | None:
        """What is wrong with how it comes back; None for nothing. Says nothing secret."""
        wanted = self.wanted
        if client_id != wanted.client_id:
            return "expected the client_id that the code was made for"
        if redirect_uri != wanted.redirect_uri:
            return "expected the redirect_uri that the code was sent to"
        if not _VERIFIER.fullmatch(verifier):
            return "expected a code_verifier of 43 to 128 characters"
        digest = hashlib.sha256(verifier.encode("ascii")).digest()
        found = base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")
        if not hmac.compare_digest(found, wanted.challenge):
            return "expected the code_verifier of the code's code_challenge"
        if wanted.dpop_jkt not in (None, thumbprint):
            return (
                "expected a DPoP proof by the key that dpop_jkt named when the code was asked for"
            )
        return None


class Codes:
    """Makes requests and codes, and reads them again."""

    def __init__(self, seals: Seals) -> None:
        """Seal with these keys."""
        self._seals = seals

    def request(self, wanted: Wanted, *, now_ms: int) -> str:
        """What a page, or a caller without one, sends back with what it pays."""
        said = {name: getattr(wanted, name) for name in Wanted.__slots__}
        return self._seals.seal(_REQUEST, said, until_ms=now_ms + REQUEST_LIFETIME_MS)

    def wanted(self, request: str, *, now_ms: int) -> Wanted | None:
        """What was asked for; None where that was not here, or long ago."""
        said = self._seals.open(_REQUEST, request, now_ms=now_ms)
        return None if said is None else Wanted(**said)

    def code(self, wanted: Wanted, secret: Secret, *, until_ms: int) -> str:
        """A code for what was asked for, paid with ``secret``."""
        resource = secret.resource
        said = {
            "id": fresh_id().hex(),
            "wanted": {name: getattr(wanted, name) for name in Wanted.__slots__},
            "text": secret.text,
            "resource": None if resource is None else resource.text,
            "expires_at_ms": until_ms,
        }
        return self._seals.seal(_CODE, said, until_ms=until_ms)

    def read(self, code: str, *, now_ms: int) -> Code | None:
        """A code that came back; None where it was not made here, or is too old."""
        said = self._seals.open(_CODE, code, now_ms=now_ms)
        if said is None:
            return None
        resource = said["resource"]
        return Code(
            Wanted(**said["wanted"]),
            Secret(said["text"], None if resource is None else Resource.parse(resource)),
            Claim(b"code:" + bytes.fromhex(said["id"]), None, said["expires_at_ms"]),
        )

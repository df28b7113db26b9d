# SPDX-License-Identifier: Apache-2.0
"""Clients without accounts: what a client says of itself is sealed, and that is its id (RFC 7591).

Nothing is stored for whoever registers, so nothing is to be filled up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .oauth_error import OAuthError
from .redirects import MAX_URI, is_redirect, is_same
from .sealing import Seals

if TYPE_CHECKING:
    from .client_documents import ClientDocuments

LIFETIME_MS: Final = 365 * 24 * 3_600_000
"""How long a registration is good for; whoever comes back later registers again."""

MAX_REDIRECTS: Final = 5
MAX_TOGETHER: Final = 1024
"""Characters of all redirect URIs: they come with every code."""

_MAX_NAME: Final = 80
_PURPOSE: Final = "client"
_GRANTS: Final = ("authorization_code",)


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who may be sent a code.

    Attributes:
        id: its ``client_id``.
        name: what it calls itself; anybody can call itself anything.
        redirects: where codes may be sent.
    """

    id: str
    name: str
    redirects: tuple[str, ...]

    def may_be_sent_to(self, uri: str) -> bool:
        """Whether a code may go to this URI: one of its own, on this machine at any port."""
        return any(is_same(uri, known) for known in self.redirects)


class Clients:
    """Registers clients, and knows them again by their ids."""

    def __init__(self, seals: Seals, documents: "ClientDocuments | None" = None) -> None:
        """Know them by these.

        Args:
            seals: seals registrations.
            documents: finds clients by URLs; None where none are asked for.
        """
        self._seals = seals
        self._documents = documents

    def register(self, said: object, *, now_ms: int) -> dict[str, object] | OAuthError:
        """The client information response to the metadata of a client (RFC 7591 section 3.2.1)."""
        if not isinstance(said, dict):
            return OAuthError("invalid_client_metadata", "expected a JSON object")
        redirects = redirects_of(said)
        if isinstance(redirects, OAuthError):
            return redirects
        wrong = _unsupported(said)
        if wrong is not None:
            return wrong
        given = said.get("client_name")
        name = given[:_MAX_NAME] if isinstance(given, str) and given.isprintable() else ""
        until_ms = now_ms + LIFETIME_MS
        sealed = self._seals.seal(
            _PURPOSE, {"name": name, "redirects": redirects}, until_ms=until_ms
        )
        return {
            "client_id": sealed,
            "client_id_issued_at": now_ms // 1000,
            **({"client_name": name} if name else {}),
            "redirect_uris": redirects,
            "grant_types": list(_GRANTS),
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }

    async def find(self, client_id: str, *, now_ms: int) -> Client | OAuthError:
        """The client with this id, or why there is none."""
        if self._documents is not None and client_id.startswith("https:"):
            return await self._documents.find(client_id)
        said = self._seals.open(_PURPOSE, client_id, now_ms=now_ms)
        if said is None:
            return OAuthError(
                "invalid_client", "expected the client_id of a registration made here"
            )
        return Client(client_id, said["name"], tuple(said["redirects"]))


def redirects_of(said: Mapping[str, Any]) -> list[str] | OAuthError:
    """Where codes for a client may be sent, as its metadata says (RFC 7591 section 2)."""
    found = said.get("redirect_uris")
    if not isinstance(found, list) or not 0 < len(found) <= MAX_REDIRECTS:
        return OAuthError(
            "invalid_redirect_uri", f"expected redirect_uris: 1 to {MAX_REDIRECTS} of them"
        )
    if not all(isinstance(uri, str) and is_redirect(uri) for uri in found):
        return OAuthError(
            "invalid_redirect_uri",
            f"expected https URIs, or http ones of this machine such as http://127.0.0.1/callback, "
            f"without fragment, of at most {MAX_URI} characters",
        )
    if sum(map(len, found)) > MAX_TOGETHER:
        return OAuthError(
            "invalid_redirect_uri",
            f"expected redirect_uris of at most {MAX_TOGETHER} characters together",
        )
    return found


def _unsupported(said: Mapping[str, Any]) -> OAuthError | None:
    method = said.get("token_endpoint_auth_method")
    if method not in (None, "none", "client_secret_basic", "client_secret_post"):
        return OAuthError("invalid_client_metadata", "expected token_endpoint_auth_method: none")
    grants = said.get("grant_types", list(_GRANTS))
    if not isinstance(grants, list) or "authorization_code" not in grants:
        return OAuthError(
            "invalid_client_metadata",
            "expected grant_types with authorization_code; the others need no registration",
        )
    return None

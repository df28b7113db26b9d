# SPDX-License-Identifier: Apache-2.0
"""Clients whose id is the https URL of a document about them (OAuth Client ID Metadata Documents).

Anybody may name any URL. So it is fetched from public addresses only, without redirects, with
bounds on size and time; each is asked once for all who wait for it, and what it said, or that it
said nothing good, is kept for a while.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import urlsplit

from pypow_server.identity.fetching import FetchError

from .clients import Client, redirects_of
from .oauth_error import OAuthError

_LOG: Final = logging.getLogger("pypow_server.authorization")
GOOD_MS: Final = 10 * 60_000
BAD_MS: Final = 60_000
MAX_OCTETS: Final = 5 * 1024
MOST_KEPT: Final = 256
MOST_AT_ONCE: Final = 8
_MAX_URL: Final = 512

_Found = Client | OAuthError


class Fetches(Protocol):
    """What `identity.fetching.Fetcher` does."""

    async def get(self, url: str, *, max_octets: int) -> dict[str, object]:
        """The JSON object at a URL; raises `FetchError`."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class ClientDocuments:
    """Finds clients by the URLs of their documents; for one event loop."""

    def __init__(self, fetcher: Fetches, *, clock: Callable[[], int]) -> None:
        """Ask nobody yet.

        Args:
            fetcher: gets the documents.
            clock: Unix milliseconds.
        """
        self._fetcher = fetcher
        self._clock = clock
        self._kept: dict[str, tuple[int, _Found]] = {}
        self._asking: dict[str, asyncio.Task[_Found]] = {}

    async def find(self, url: str) -> _Found:
        """The client with this id, or why there is none."""
        if not is_client_url(url):
            return OAuthError(
                "invalid_client",
                f"expected a client_id of at most {_MAX_URL} characters: an https URL with a path, "
                "without user, query, fragment and dots for directories",
            )
        kept = self._kept.get(url)
        if kept is not None and self._clock() < kept[0]:
            return kept[1]
        asking = self._asking.get(url)
        if asking is None:
            if len(self._asking) >= MOST_AT_ONCE:
                return OAuthError(
                    "temporarily_unavailable", "too many clients are looked up", 503, 5
                )
            asking = asyncio.create_task(self._ask(url))
            self._asking[url] = asking
        # Whoever goes away leaves the others who wait for it their answer.
        return await asyncio.shield(asking)

    async def aclose(self) -> None:
        """Stop asking."""
        for asking in self._asking.values():
            asking.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        await self._fetcher.aclose()

    async def _ask(self, url: str) -> _Found:
        try:
            found = _client(url, await self._fetcher.get(url, max_octets=MAX_OCTETS))
        except FetchError as error:
            # Why a host was not reached would tell anybody which names and ports are inside.
            why = "its host cannot be asked" if error.status is None else str(error)
            _LOG.info("%s: %s", url, error)
            found = OAuthError("invalid_client", f"the client's document: {why}")
        finally:
            del self._asking[url]
        while len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept.pop(url, None)
        lasts_ms = GOOD_MS if isinstance(found, Client) else BAD_MS
        self._kept[url] = (self._clock() + lasts_ms, found)
        return found


def is_client_url(url: str) -> bool:
    """Whether a ``client_id`` may be the URL of a document."""
    if len(url) > _MAX_URL or not (url.isascii() and url.isprintable()) or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain = not (set("?#@ ") & set(url)) and not {".", ".."} & set(parts.path.split("/"))
    return parts.scheme == "https" and bool(parts.hostname) and len(parts.path) > 1 and plain


def _client(url: str, said: dict[str, object]) -> _Found:
    if said.get("client_id") != url:
        return OAuthError("invalid_client", "expected the client's document to name its own URL")
    if said.get("token_endpoint_auth_method", "none") != "none" or "client_secret" in said:
        return OAuthError(
            "invalid_client",
            "expected the client's document to say token_endpoint_auth_method: none",
        )
    redirects = redirects_of(said)
    if isinstance(redirects, OAuthError):
        return redirects
    # What a client calls itself is worth less than where its document is.
    return Client(url, urlsplit(url).hostname or "", tuple(redirects))

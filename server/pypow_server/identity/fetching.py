# SPDX-License-Identifier: Apache-2.0
"""Asks servers elsewhere for JSON, and cannot be sent where nobody outside should reach.

HTTPS to public addresses only, unless the operator named the host. A name is resolved once for
each connection, and the connection is made to an address that was looked at. No redirects, no
cookies, no proxy of the environment, no packed bodies, no endless answers.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from socket import AddressFamily
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pypow import strict_json
from pypow.errors import InvalidInputError, PowError, shown

from .addresses import is_loopback, is_public, literal
from .names import OwnThreads
from .urls import read_url

DEADLINE_S: Final = 5.0
"""No exchange lasts longer, from the first look-up of the name to the last octet."""

MAX_OCTETS: Final = 256 * 1024
_CONNECTIONS: Final = 16


class FetchError(PowError):
    """Nothing was got. The text is one sentence and names no more than the URL's host.

    Attributes:
        status: what the server answered with; None if it was not asked, or did not answer.
    """

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom the operator lets this machine ask, and whom it believes.

    Attributes:
        near_hosts: names and addresses, in lower case, that may be near: on this machine (then
            over plain HTTP too) or in a private network.
        ca_file: certificates in PEM that are trusted instead of the system's.
    """

    near_hosts: frozenset[str] = frozenset()
    ca_file: Path | None = None


class Fetcher:
    """Gets JSON objects; one for each `Reach`, and for one event loop.

    Args:
        reach: what the operator decided.
        resolver: makes what finds addresses of names.

    Raises:
        OSError: ``ca_file`` cannot be read, or is none.
    """

    def __init__(
        self, reach: Reach | None = None, *, resolver: Callable[[], AbstractResolver] | None = None
    ) -> None:
        self._reach = reach or Reach()
        self._tls = ssl.create_default_context(cafile=self._reach.ca_file)
        self._resolver = resolver or OwnThreads
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, *, max_octets: int = MAX_OCTETS) -> dict[str, object]:
        """The JSON object that a URL stands for.

        Raises:
            FetchError: the URL is not to be asked, or did not answer with one in time.
        """
        return await self._ask("GET", url, max_octets=max_octets)

    async def post(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        max_octets: int = MAX_OCTETS,
    ) -> dict[str, object]:
        """The JSON object that answers a form.

        Raises:
            FetchError: as `get`.
        """
        return await self._ask("POST", url, form=form, headers=headers, max_octets=max_octets)

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        max_octets: int,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, object]:
        target = self._permitted(url)
        try:
            async with (
                asyncio.timeout(DEADLINE_S),
                self._opened().request(
                    method, target, data=form, headers=headers, allow_redirects=False
                ) as response,
            ):
                return await _document(response, max_octets)
        except TimeoutError:
            raise FetchError(f"{target.host} did not answer within {DEADLINE_S:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error.__cause__, _NotPublicError):
                raise FetchError(str(error.__cause__)) from None
            raise FetchError(f"{target.host} cannot be asked ({type(error).__name__})") from None

    def _permitted(self, text: str) -> URL:
        """A URL that may be asked; of a name, that depends on its addresses too."""
        try:
            url = read_url(text)
        except InvalidInputError as error:
            raise FetchError(str(error)) from None
        host = url.host or ""
        is_named = host in self._reach.near_hosts
        if url.scheme != "https" and not (url.scheme == "http" and is_named and is_loopback(host)):
            raise FetchError(
                f"expected an https URL, got {shown(url.scheme)} of {shown(host)}; plain http is"
                " for this machine only, where the configuration names it"
            )
        address = literal(host)
        if address is not None and not is_named and not is_public(address):
            raise FetchError(_not_public(host))
        return url

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._tls,
                    limit=_CONNECTIONS,
                    resolver=_PublicAddresses(self._resolver(), self._reach.near_hosts),
                    use_dns_cache=False,
                ),
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


class _NotPublicError(OSError):
    """A name stands for an address that nobody outside may send us to."""


class _PublicAddresses(AbstractResolver):
    """Finds public addresses only, but for the names that the operator said are near."""

    def __init__(self, found_by: AbstractResolver, near_hosts: frozenset[str]) -> None:
        self._found_by = found_by
        self._near_hosts = near_hosts

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of a name, unless one of them is near."""
        found = await self._found_by.resolve(host, port, family)
        if host not in self._near_hosts:
            addresses = [literal(each["host"]) for each in found]
            if not all(address is not None and is_public(address) for address in addresses):
                raise _NotPublicError(_not_public(host))
        return found

    async def close(self) -> None:
        """Nothing is held."""
        await self._found_by.close()


def _not_public(host: str) -> str:
    return (
        f"{host} is no host of the public net; if it is meant, name it in the configuration as near"
    )


async def _document(response: aiohttp.ClientResponse, max_octets: int) -> dict[str, object]:
    host, status = response.url.host, response.status
    if status != 200:
        raise FetchError(f"{host} answered {status}, where 200 was expected", status=status)
    kind = response.content_type
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise FetchError(f"{host} answered with {shown(kind)}, where JSON was expected", status=200)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchError(f"{host} packed its answer, though it was told not to", status=200)
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_octets:
            raise FetchError(f"{host} answered with more than {max_octets} octets", status=200)
    try:
        document = strict_json.loads(bytes(body))
    except InvalidInputError as error:
        raise FetchError(f"{host} answered with broken JSON: {error}", status=200) from None
    if not isinstance(document, dict):
        raise FetchError(
            f"{host} answered with {strict_json.kind(document)}, where an object was expected",
            status=200,
        )
    return document

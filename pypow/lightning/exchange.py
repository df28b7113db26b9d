# SPDX-License-Identifier: Apache-2.0
"""Asks a wallet over HTTP: no redirects, no proxy of this machine, no endless answers."""

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from . import Reason, WalletError
from .answer import Answer
from .near import is_near

TIMEOUT_S: Final = 70.0
"""No call lasts longer, whoever made it; `guarded` gives up sooner."""

MAX_BODY: Final = 256 * 1024
_CONNECTIONS: Final = 16


class Exchange:
    """One server, and what it is told to let us in.

    Args:
        base_url: what every path is put behind, without a slash at its end.
        headers: of every request; secret.
        ca_file: certificates in PEM that are trusted instead of the system's.
        only_public: whether names that stand for near addresses are refused; for URLs that
            strangers name.

    Raises:
        OSError: ``ca_file`` cannot be read, or is none.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        ca_file: Path | None = None,
        only_public: bool = False,
    ) -> None:
        self._base_url = base_url
        self._headers = dict(headers or {})
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._only_public = only_public
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self,
        method: str,
        path: str,
        *,
        document: Mapping[str, object] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, and the whole answer.

        Args:
            method: HTTP method.
            path: below the base, percent-encoded; or a whole URL, which is not told our headers.
            document: sent as JSON.
            form: sent as a form.

        Raises:
            WalletError: nobody answered in time, or with too much.
        """
        is_elsewhere = not path.startswith("/")
        url = URL(path if is_elsewhere else self._base_url + path, encoded=True)
        try:
            async with self._opened().request(
                method,
                url,
                headers=None if is_elsewhere else self._headers,
                json=document,
                data=form,
                allow_redirects=False,
            ) as response:
                return Answer(response.status, await _bounded(response))
        except TimeoutError:
            raise WalletError(
                f"expected the wallet to answer within {TIMEOUT_S:g} s", Reason.TIMED_OUT
            ) from None
        except aiohttp.ClientConnectorError as error:
            # Its text names host and port, and no header.
            raise WalletError(
                f"the wallet cannot be reached: {error}", Reason.UNREACHABLE
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise WalletError(
                f"the wallet broke off its answer ({type(error).__name__})", Reason.BROKEN_OFF
            ) from None

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._tls,
                    limit=_CONNECTIONS,
                    resolver=PublicHosts() if self._only_public else None,
                ),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                headers={"Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
                # A small answer could be gigabytes once unpacked.
                auto_decompress=False,
            )
        return self._session


class PublicHosts(ThreadedResolver):
    """Finds addresses of the public net only, whoever owns the name that they are asked by."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """As aiohttp's, less what is near."""
        found = await super().resolve(host, port, family)
        public = [each for each in found if not is_near(each["host"])]
        if not public:
            raise OSError(None, "it has no public address")
        return public


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            raise WalletError(
                f"expected an answer of at most {MAX_BODY} bytes from the wallet, got more",
                Reason.TOO_MUCH,
            )
    return bytes(body)

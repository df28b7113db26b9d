# SPDX-License-Identifier: Apache-2.0
"""Asks a server, whatever it answers: no redirects, no proxies, and an end to everything."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from .observed import Answer, Outcome, Unanswered

TIMEOUT_S: Final = 10.0
MAX_BODY: Final = 64 * 1024
_MAX_LINE: Final = 64 * 1024
_MAX_LINES: Final = 200
_LONGEST_WHY: Final = 160


class Asker:
    """One server.

    Args:
        session: of aiohttp.
        url: what is sold.
        method: by which.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, method: str) -> None:
        self._session = session
        self._url = url
        self._method = method

    async def ask(
        self, method: str = "", headers: Mapping[str, str] | None = None, *, url: str = ""
    ) -> Outcome:
        """One request.

        Args:
            method: HTTP method; "" for the one that is sold.
            headers: of the request.
            url: another one.
        """
        begun = time.monotonic()
        try:
            async with self._session.request(
                method or self._method, url or self._url, headers=headers, allow_redirects=False
            ) as response:
                body, is_whole = await _beginning(response, begun + TIMEOUT_S)
                fields = tuple(
                    (name.decode("latin-1").lower(), value.decode("latin-1"))
                    for name, value in response.raw_headers
                )
                seconds = time.monotonic() - begun
                return Answer(response.status, fields, body, seconds, is_whole)
        except TimeoutError:
            return Unanswered(f"no answer within {TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # A parser's complaint quotes what came.
            why = str(error).partition("\n")[0] or type(error).__name__
            return Unanswered(f"no answer that can be read: {ascii(why[:_LONGEST_WHY])[1:-1]}")


@asynccontextmanager
async def asker(url: str, method: str, *, agent: str) -> AsyncIterator[Asker]:
    """Ask for as long as a block lasts.

    Args:
        url: what is sold.
        method: by which.
        agent: who asks, as ``User-Agent`` has it.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        headers={"User-Agent": agent, "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
        max_headers=_MAX_LINES,
        # A small answer could be gigabytes once unpacked.
        auto_decompress=False,
    )
    async with session:
        yield Asker(session, url, method)


async def _beginning(response: aiohttp.ClientResponse, until: float) -> tuple[bytes, bool]:
    """The first octets of a body, and whether it ended there; some never end."""
    body = bytearray()
    try:
        async with asyncio.timeout(until - time.monotonic()):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY:
                    return bytes(body[:MAX_BODY]), False
    except TimeoutError:
        return bytes(body), False
    return bytes(body), True

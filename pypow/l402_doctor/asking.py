# SPDX-License-Identifier: Apache-2.0
"""Asks a server, whatever it answers: no redirects, no proxies, and an end to everything."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from .observed import Answer, Outcome, Unanswered

TIMEOUT_S: Final = 10.0
MAX_BODY: Final = 64 * 1024
_MAX_LINE: Final = 64 * 1024
_MAX_LINES: Final = 200
_LONGEST_WHY: Final = 160
_TYPE: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Call:
    """What is sold.

    Attributes:
        url: where.
        method: HTTP method.
        headers: that callers send anyhow.
        body: that they send, in JSON; nothing for none.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Asker:
    """One server.

    Args:
        session: of aiohttp.
        call: what is sold there.
    """

    def __init__(self, session: aiohttp.ClientSession, call: Call) -> None:
        self._session = session
        self._call = call

    async def ask(
        self, method: str = "", headers: Mapping[str, str] | None = None, *, url: str = ""
    ) -> Outcome:
        """One request.

        Args:
            method: HTTP method; "" for the one that is sold.
            headers: of the request.
            url: another one.
        """
        call = self._call
        sent = {**_TYPE, **call.headers} if call.body else dict(call.headers)
        begun = time.monotonic()
        try:
            async with self._session.request(
                method or call.method,
                url or call.url,
                headers=sent | dict(headers or {}),
                data=call.body if call.body and not method else None,
                allow_redirects=False,
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
        except aiohttp.ClientConnectorError as error:
            return Unanswered(f"it cannot be reached: {_plain(error)}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Unanswered(f"no answer that can be read: {_plain(error)}")


@asynccontextmanager
async def asker(call: Call, *, agent: str) -> AsyncIterator[Asker]:
    """Ask for as long as a block lasts.

    Args:
        call: what is sold.
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
        yield Asker(session, call)


def _plain(error: Exception) -> str:
    """The words of an error, which may quote what came."""
    why = str(error).partition("\n")[0] or type(error).__name__
    return ascii(why[:_LONGEST_WHY])[1:-1]


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

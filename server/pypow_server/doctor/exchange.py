# SPDX-License-Identifier: Apache-2.0
"""The doctor's HTTP: one request, no redirects, no proxy of this machine, and faults as values."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp

TIMEOUT_S: Final = 10.0
_MAX_BODY: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nobody answered.

    Attributes:
        why: in words.
    """

    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A response.

    Attributes:
        status: HTTP status code.
        headers: each name in lower case, with its values.
        body: its first octets.
        clock_ahead_s: how far the sender's ``Date`` is ahead of this machine's clock, in whole
            seconds; None without one.
    """

    status: int
    headers: Mapping[str, tuple[str, ...]]
    body: bytes
    clock_ahead_s: float | None

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body, or in the last event of an event stream; else empty."""
        text = self.body
        if b"text/event-stream" in self.media_type.encode():
            data = [line[5:] for line in text.splitlines() if line.startswith(b"data:")]
            text = data[-1] if data else b""
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return read if isinstance(read, dict) else {}

    @property
    def media_type(self) -> str:
        """Of the body; empty without one."""
        return "".join(self.headers.get("content-type", ()))


class Exchange:
    """Asks servers."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        document: object = None,
    ) -> Answer | Unreachable:
        """One request.

        Args:
            url: whom, and what.
            method: HTTP method.
            headers: of the request.
            document: sent as JSON; None for no body.
        """
        try:
            async with self._session.request(
                method, url, headers=headers, json=document, allow_redirects=False
            ) as response:
                body = await _beginning(response)
                fields: dict[str, tuple[str, ...]] = {}
                for name, value in response.headers.items():
                    fields[name.lower()] = (*fields.get(name.lower(), ()), value)
                return Answer(response.status, fields, body, _ahead_s(fields.get("date", ())))
        except TimeoutError:
            return Unreachable(f"no answer within {TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Unreachable(str(error) or type(error).__name__)


@asynccontextmanager
async def exchange(*, source: str | None = None) -> AsyncIterator[Exchange]:
    """Ask for as long as a block lasts.

    Args:
        source: the address of this machine to ask from; None for the usual one.
    """
    connector = aiohttp.TCPConnector(
        local_addr=None if source is None else (source, 0), force_close=True
    )
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Exchange(session)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """What fits; of an event stream, the first event: such a stream may never end."""
    body = b""
    async with asyncio.timeout(TIMEOUT_S):
        async for chunk in response.content.iter_any():
            body += chunk
            is_stream = response.content_type == "text/event-stream"
            if len(body) > _MAX_BODY or (is_stream and (b"\n\n" in body or b"\r\n\r\n" in body)):
                break
    return body


def _ahead_s(dates: tuple[str, ...]) -> float | None:
    if len(dates) != 1:
        return None
    try:
        return parsedate_to_datetime(dates[0]).timestamp() - int(time.time())
    except (ValueError, OverflowError):
        return None

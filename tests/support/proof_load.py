# SPDX-License-Identifier: Apache-2.0
"""Callers who solve and pay without end, and books of what they were told and what got through.

Each call names its proof in a header that travels on, so that the upstream can tell how often one
proof was admitted, whoever still waited for the answer.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from support.plain_http import solution

PROOF_NAME: Final = "X-Proof-Name"
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nearned"
_PATIENCE: Final = aiohttp.ClientTimeout(total=30)
_SPENT: Final = b'"urn:pypow:error:already-spent"'

Headers = dict[str, str]
Earner = Callable[[aiohttp.ClientSession, str], Awaitable[tuple[str, Headers] | None]]


@dataclass(slots=True)
class Books:
    """What there is to hold against each other. Proofs go by their challenge's text.

    Attributes:
        reached: how often the upstream saw a call of each proof.
        admitted: proofs whose 200 was received, with the headers that carry them.
        doubtful: proofs without an answer, or with one that leaves them to be tried again.
        spent: proofs that were told to be spent already.
        statuses: all answers to proofs.
        answers: how often each proof's 200 was received.
        served_at: by the monotonic clock, when a call was admitted last.
    """

    reached: Counter[str] = field(default_factory=Counter)
    admitted: dict[str, Headers] = field(default_factory=dict)
    doubtful: dict[str, Headers] = field(default_factory=dict)
    spent: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    served_at: float = 0.0
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def doubles(self) -> list[str]:
        """Proofs that got through more than once."""
        return [name for name, times in self.reached.items() if times > 1]

    @property
    def unearned(self) -> list[str]:
        """Proofs whose 200 did not come from the upstream."""
        return [name for name in self.admitted if not self.reached[name]]

    async def until_admitted(self, count: int) -> None:
        """Wait until ``count`` more proofs have been admitted."""
        goal = len(self.admitted) + count
        async with self._more:
            await self._more.wait_for(lambda: len(self.admitted) >= goal)

    async def note(self, name: str, headers: Headers, status: int) -> None:
        """What one presentation of a proof was told."""
        self.statuses[status] += 1
        if status < 500:
            self.doubtful.pop(name, None)
        if status == 200:
            async with self._more:
                self.admitted[name] = headers
                self.answers[name] += 1
                self.served_at = time.monotonic()
                self._more.notify_all()


@asynccontextmanager
async def counting_upstream(books: Books) -> AsyncIterator[str]:
    """A server that answers 200 to whatever comes, and counts proofs before it answers."""
    field_name = f"\r\n{PROOF_NAME}: ".lower().encode()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                at = head.lower().index(field_name) + len(field_name)
                books.reached[head[at : head.index(b"\r\n", at)].decode()] += 1
                writer.write(_ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # cancelled at the end of the block, where nobody waits for this task
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in tuple(writers):
            writer.close()


async def present(
    session: aiohttp.ClientSession, url: str, books: Books, name: str, headers: Headers
) -> int | None:
    """Send one proof; its status, or None without an answer. POST: nothing sends that again."""
    books.doubtful[name] = headers  # until it is told otherwise; the caller may be cancelled
    try:
        async with session.post(f"{url}/x", headers=headers) as answer:
            body = await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        return None
    if _SPENT in body:
        books.spent.add(name)
    await books.note(name, headers, answer.status)
    return answer.status


async def earn(session: aiohttp.ClientSession, url: str) -> tuple[str, Headers] | None:
    """A solved challenge, by name and as headers; None when the gate does not give one."""
    try:
        async with session.get(f"{url}/api/challenge") as answer:
            if answer.status != 200:
                return None
            published = await answer.json()
    except (aiohttp.ClientError, TimeoutError):
        return None
    name = str(published["challenge"])
    return name, {**solution(published), PROOF_NAME: name}


@asynccontextmanager
async def callers(
    urls: list[str], books: Books, *, count: int = 8, earn: Earner = earn, hear_out: bool = False
) -> AsyncIterator[None]:
    """``count`` callers at work for the length of the block; every fourth proof is sent twice.

    Those who ``hear_out`` read what they are sent to its end, though the block has ended: what a
    killed gate had answered is then on its way, and was answered.
    """
    is_over = asyncio.Event()

    async def work(number: int) -> None:
        turn = number
        while not is_over.is_set():
            url = urls[turn % len(urls)]
            earned = await earn(session, url)
            if earned is None:
                await asyncio.sleep(0.01)  # the gate or its store is away: do not burn the CPU
                continue
            again = (url, urls[(turn + 1) % len(urls)])[: 2 if turn % 4 == 0 else 1]
            await asyncio.gather(*(present(session, to, books, *earned) for to in again))
            turn += 1

    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        tasks = [asyncio.create_task(work(number)) for number in range(count)]
        try:
            yield
        finally:
            is_over.set()
            for task in () if hear_out else tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def replay(url: str, books: Books, proofs: dict[str, Headers]) -> Counter[int | None]:
    """Send proofs again, each twice and eight at a time; what they were told."""
    told: Counter[int | None] = Counter()
    left = [item for item in proofs.items() for _ in range(2)]

    async def work() -> None:
        while left:
            told[await present(session, url, books, *left.pop())] += 1

    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        await asyncio.gather(*(work() for _ in range(8)))
    return told

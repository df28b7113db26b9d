# SPDX-License-Identifier: Apache-2.0
"""What a spend costs each ledger, without a gate: CPU time, for so many callers at once.

    python benchmarks/stores.py --save benchmarks/results

Each caller spends one fresh key after the other. In each turn a ledger and its peer spend as many
keys; the peer is what one writes by hand for the same durability: an INSERT and a commit for each
spend, or a SET NX for each. Of Redis only the client's CPU time is counted.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import redis.asyncio
import uvloop

from document import Row, measured, save, summary, table
from gate import redis as redis_server
from pypow_server.stores import Ledger, Spend
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.redis_address import read_address
from pypow_server.stores.redis_store import RedisLedger
from pypow_server.stores.sqlite import SqliteLedger

CALLERS = (1, 32, 256)
LIFETIME_MS = 120_000

Spender = Callable[[bytes], Awaitable[bool]]
"""Spends a key; whether it was the first."""


@dataclass(frozen=True, slots=True)
class Contest:
    """A ledger, and what one writes by hand in its place."""

    name: str
    peer: str
    ledger: Spender
    by_hand: Spender


def spends_in(ledger: Ledger) -> Spender:
    async def spend(key: bytes) -> bool:
        now_ms = time.time_ns() // 1_000_000
        expires_at_ms = now_ms + LIFETIME_MS
        told = await ledger.spend(key, epoch=None, expires_at_ms=expires_at_ms, now_ms=now_ms)
        return told is Spend.WON

    return spend


def in_a_dictionary() -> Spender:
    spent: dict[bytes, int] = {}

    async def spend(key: bytes) -> bool:
        return spent.setdefault(key, len(spent)) == len(spent) - 1

    return spend


def in_a_table(db: sqlite3.Connection) -> Spender:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE spent (key BLOB PRIMARY KEY, at REAL) WITHOUT ROWID")

    async def spend(key: bytes) -> bool:
        values = (key, time.time())
        return db.execute("INSERT OR IGNORE INTO spent VALUES (?, ?)", values).rowcount == 1

    return spend


def in_keys(client: redis.asyncio.Redis) -> Spender:
    async def spend(key: bytes) -> bool:
        return bool(await client.set(key, 1, nx=True, px=LIFETIME_MS))

    return spend


async def cpu_us(spend: Spender, spends: int, callers: int) -> float:
    """CPU time of this process for each spend."""
    keys = iter([os.urandom(16) for _ in range(spends)])

    async def caller() -> bool:
        return all([await spend(key) for key in keys])

    before_s = time.process_time()
    won = await asyncio.gather(*(caller() for _ in range(callers)))
    used_s = time.process_time() - before_s
    if not all(won):
        raise SystemExit("a fresh key was not won")
    return 1e6 * used_s / spends


async def rows_of(contest: Contest, turns: int, spends: int) -> AsyncIterator[Row]:
    for callers in CALLERS:
        count = spends if callers > 1 else spends // 10
        pairs = [
            (
                await cpu_us(contest.ledger, count, callers),
                await cpu_us(contest.by_hand, count, callers),
            )
            for _ in range(turns)
        ]
        by_hand = statistics.median(peer for _, peer in pairs)
        yield summary(f"{contest.name}, {callers} at once", [own for own, _ in pairs], "us")
        yield summary(
            f"{contest.name} / {contest.peer}, {callers} at once",
            [own / peer for own, peer in pairs],
            "x",
            f"{by_hand:.1f} us by hand",
        )


async def all_rows(folder: Path, redis_url: str | None, turns: int, spends: int) -> list[Row]:
    async with contextlib.AsyncExitStack() as stack:
        ledgers: list[Ledger] = [MemoryLedger(max_entries=10**9)]
        peers = [("memory", "a dict", in_a_dictionary())]
        ledgers.append(SqliteLedger(folder / "ledger.db"))
        db = sqlite3.connect(folder / "by-hand.db", isolation_level=None)
        stack.callback(db.close)
        peers.append(("SQLite", "INSERT and commit", in_a_table(db)))
        if redis_url is not None:
            ledgers.append(RedisLedger(read_address(redis_url.partition(":")[2], scheme="redis")))
            pool = redis.asyncio.BlockingConnectionPool.from_url(redis_url, max_connections=32)
            client = redis.asyncio.Redis.from_pool(pool)
            stack.push_async_callback(client.aclose)
            peers.append(("Redis", "SET NX", in_keys(client)))
        for ledger in ledgers:
            stack.push_async_callback(ledger.aclose)
        contests = [
            Contest(name, peer, spends_in(ledger), by_hand)
            for ledger, (name, peer, by_hand) in zip(ledgers, peers, strict=True)
        ]
        found = [[row async for row in rows_of(each, turns, spends)] for each in contests]
        return list(itertools.chain.from_iterable(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=7, help="for each row, 2 or more")
    parser.add_argument("--spends", type=int, default=10_000, help="for each side of a turn")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as redis_url:
        rows = uvloop.run(all_rows(Path(folder), redis_url, given.turns, given.spends))
    skipped = {} if redis_url else {"Redis": "needs redis-server on PATH"}
    document = measured(
        "stores", rows, versions={"SQLite": sqlite3.sqlite_version}, skipped=skipped
    )
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

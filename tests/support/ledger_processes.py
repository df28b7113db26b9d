# SPDX-License-Identifier: Apache-2.0
"""Whole processes that use one SQLite ledger: they race, are killed, or run out of disk."""

import asyncio
import os
import resource
import tempfile
from collections import Counter
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

from pypow_server.stores import Spend, StoreError
from pypow_server.stores.sqlite import SqliteLedger
from support.ledger_contract import NOW_MS, spend

_NOBODY: Final = 65534
_DISK_OCTETS: Final = 128 * 1024  # room for the schema and some spends


def open_at_now(path: Path) -> SqliteLedger:
    """A ledger whose clock stands still, so that opening it never looks late."""
    return SqliteLedger(path, clock=lambda: NOW_MS, busy_timeout_ms=10_000)


def race(path: Path, keys: list[bytes], barrier: Barrier, results: Connection) -> None:
    """Spends every key 25 times at once; reports its epoch and the wins per key."""

    async def story() -> tuple[int, Counter[bytes]]:
        barrier.wait()
        ledger = open_at_now(path)
        callers = [key for _ in range(25) for key in keys]
        outcomes = await asyncio.gather(*(spend(ledger, key) for key in callers))
        epoch = await ledger.epoch()
        await ledger.aclose()
        assert set(outcomes) <= {Spend.WON, Spend.LOST}
        won = Counter(key for key, won in zip(callers, outcomes, strict=True) if won is Spend.WON)
        return epoch, won

    results.send(asyncio.run(story()))


def spend_until_killed(path: Path, results: Connection) -> None:
    """Reports each key after it was won, for as long as it lives."""

    async def story() -> None:
        ledger = open_at_now(path)
        index = 0
        while True:
            keys = [b"%d" % number for number in range(index, index + 8)]
            won = await asyncio.gather(*(spend(ledger, key) for key in keys))
            assert set(won) == {Spend.WON}
            results.send(keys)
            index += 8

    asyncio.run(story())


def fill_the_disk(path: Path, results: Connection) -> None:
    """Spends until the file may grow no more, then lifts the limit; reports what it was told."""

    async def story() -> tuple[list[bytes], Spend, str, Spend]:
        ledger = open_at_now(path)
        await ledger.probe()
        resource.setrlimit(resource.RLIMIT_FSIZE, (_DISK_OCTETS, resource.RLIM_INFINITY))
        won: list[bytes] = []
        index = 0
        while (outcome := await spend(ledger, b"%d" % index)) is Spend.WON:
            won.append(b"%d" % index)
            index += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        try:
            await ledger.probe()
            text = ""
        except StoreError as error:
            text = str(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        again = await spend(ledger, b"after")
        await ledger.aclose()
        return won, outcome, text, again

    results.send(asyncio.run(story()))


def open_read_only(results: Connection) -> None:
    """Opens a ledger that it may read but not write; reports the error's text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        asyncio.run(open_at_now(path).aclose())
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        if os.geteuid() == 0:  # permissions do not bind root
            os.seteuid(_NOBODY)
        try:
            open_at_now(path)
            text = ""
        except StoreError as error:
            text = str(error)
        os.seteuid(os.getuid())
        Path(folder).chmod(0o755)
        results.send(text)

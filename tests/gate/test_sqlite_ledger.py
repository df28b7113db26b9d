# SPDX-License-Identifier: Apache-2.0
"""What the SQLite ledger promises beyond the contract: durability and named faults."""

import asyncio
import multiprocessing
import os
import random
import shutil
import sqlite3
import stat
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pypow_server.stores import SKEW_MS, Spend, StoreError
from pypow_server.stores.sqlite import SqliteLedger
from support import ledger_processes as processes
from support.ledger_contract import EXPIRES_AT_MS, KEY, NOW_MS, spend
from support.sqlite_ledgers import opened, spend_once

_SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_one_caller_wins_over_four_processes(path: Path) -> None:
    keys = [b"key %d" % index for index in range(10)]
    barrier = _SPAWN.Barrier(4, timeout=60)
    pipes = [_SPAWN.Pipe(duplex=False) for _ in range(4)]
    racers = [
        _SPAWN.Process(target=processes.race, args=(path, keys, barrier, sender))
        for _, sender in pipes
    ]
    for racer, (_, sender) in zip(racers, pipes, strict=True):
        racer.start()
        sender.close()  # what a racer does not send is then an end, not a wait
    reports = [receiver.recv() for receiver, _ in pipes]
    for racer in racers:
        racer.join()
    assert len({epoch for epoch, _ in reports}) == 1
    assert sum((won for _, won in reports), Counter()) == Counter(keys)


def test_nothing_is_submitted_to_a_ledger_that_is_being_closed(path: Path) -> None:
    may_go_on = threading.Event()

    async def story() -> Spend:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, may_go_on.wait)
        ledger = opened(path)
        closing = asyncio.create_task(ledger.aclose())
        await asyncio.sleep(0)  # it runs to where it waits
        outcome = await spend(ledger)
        may_go_on.set()
        await asyncio.gather(busy, closing)
        return outcome

    # The store's thread might have ended by then, and the spend would wait for ever.
    assert asyncio.run(story()) is Spend.UNKNOWN


def test_a_spend_that_won_outlives_kill_9(path: Path) -> None:
    receiver, sender = _SPAWN.Pipe(duplex=False)
    child = _SPAWN.Process(target=processes.spend_until_killed, args=(path, sender))
    child.start()
    sender.close()
    won = [key for _ in range(20) for key in receiver.recv()]
    child.kill()
    child.join()
    while receiver.poll():
        try:
            won += receiver.recv()
        except EOFError:
            break

    async def replay() -> set[Spend]:
        ledger = opened(path)
        outcomes = await asyncio.gather(*(spend(ledger, key) for key in won))
        await ledger.aclose()
        return set(outcomes)

    assert len(won) >= 160
    assert asyncio.run(replay()) == {Spend.LOST}


def test_a_full_disk_admits_nobody_and_is_survived(path: Path) -> None:
    receiver, sender = _SPAWN.Pipe(duplex=False)
    child = _SPAWN.Process(target=processes.fill_the_disk, args=(path, sender))
    child.start()
    sender.close()
    won, outcome, probe, again = receiver.recv()
    child.join()

    async def replay() -> set[Spend]:
        ledger = opened(path)
        outcomes = [await spend(ledger, key) for key in won]
        await ledger.aclose()
        return set(outcomes)

    assert won
    assert outcome is Spend.UNKNOWN
    assert "make room" in probe
    assert again is Spend.WON
    assert asyncio.run(replay()) == {Spend.LOST}


def test_expired_records_leave_the_file(path: Path) -> None:
    async def story() -> None:
        late_ms = EXPIRES_AT_MS + SKEW_MS
        ledger = opened(path, now_ms=late_ms)
        await asyncio.gather(*(spend(ledger, b"%d" % index) for index in range(100)))
        await spend(ledger, expires_at_ms=late_ms, now_ms=late_ms)
        await ledger.probe()  # as a heartbeat does
        await ledger.aclose()

    asyncio.run(story())
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT key FROM spends").fetchall()
    db.close()
    assert rows == [(KEY,)]


def test_the_file_is_readable_by_its_owner_only(path: Path) -> None:
    async def story() -> None:
        ledger = opened(path)
        await spend(ledger)
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        await ledger.aclose()
        assert modes == {0o600}

    asyncio.run(story())


def test_a_locked_ledger_refuses_and_recovers(path: Path) -> None:
    async def story() -> None:
        ledger = opened(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert await spend(ledger) is Spend.UNKNOWN
        with pytest.raises(StoreError, match="keeps it locked"):
            await ledger.probe()
        with pytest.raises(StoreError, match="keeps it locked"):
            await ledger.release(KEY)
        with pytest.raises(StoreError, match="keeps it locked"):
            opened(path)
        other.close()
        assert await spend(ledger) is Spend.WON
        await ledger.probe()
        await ledger.aclose()

    asyncio.run(story())


def test_a_ledger_that_another_process_is_making_is_waited_for_and_named(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="another process keeps it locked"):
        opened(path)
    other.close()


def test_a_file_system_without_shared_memory_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def on_a_network(path: Path, **options: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(f"file:{path}?vfs=unix-dotfile", uri=True, **options)
        return db

    monkeypatch.setattr(sqlite3, "connect", on_a_network)
    with pytest.raises(StoreError, match="without SQLite's write-ahead log"):
        opened(path)


def test_locks_that_do_not_work_are_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sqlite3, "connect", fail)
    with pytest.raises(StoreError, match="on a local disk, not on a network's"):
        opened(path)


class FailsOnce(sqlite3.Connection):
    """Fails the first time that it is asked for something."""

    on = ""
    error: Exception

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if FailsOnce.on and FailsOnce.on in sql:
            FailsOnce.on = ""
            raise FailsOnce.error
        return super().execute(sql, *values)


@pytest.fixture
def fails_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Exception], None]:
    connect = sqlite3.connect

    def fail(on: str, error: Exception) -> None:
        monkeypatch.setattr(FailsOnce, "on", on)
        monkeypatch.setattr(FailsOnce, "error", error, raising=False)
        monkeypatch.setattr(
            sqlite3, "connect", lambda *given, **more: connect(*given, factory=FailsOnce, **more)
        )

    return fail


def test_processes_that_open_a_new_ledger_together_wait_for_each_other(
    path: Path, fails_once: Callable[[str, Exception], None]
) -> None:
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
    fails_once("journal_mode", busy)
    ledger = SqliteLedger(path, clock=lambda: NOW_MS, busy_timeout_ms=60_000)
    assert FailsOnce.on == ""
    asyncio.run(ledger.aclose())


def test_damage_that_sqlite_cannot_put_into_words_is_named(
    path: Path, fails_once: Callable[[str, Exception], None]
) -> None:
    fails_once("quick_check", UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))
    with pytest.raises(StoreError, match="malformed schema; the file is damaged"):
        opened(path)


def test_a_ledger_that_is_closed_while_it_fails_ends(path: Path) -> None:
    async def story() -> None:
        ledger = opened(path)
        shutil.move(path, path.with_name("moved.db"))
        assert await spend(ledger) is Spend.UNKNOWN
        await ledger.aclose()

    asyncio.run(story())


def _no_folder(path: Path) -> Path:
    return path.parent / "missing" / path.name


def _a_folder(path: Path) -> Path:
    path.mkdir()
    return path


def _text(path: Path) -> Path:
    path.write_text("not a database, and long enough to be looked at as one\n" * 40)
    return path


def _truncated(path: Path) -> Path:
    asyncio.run(spend_once(path))
    os.truncate(path, path.stat().st_size // 2)
    return path


def _foreign(path: Path) -> Path:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customers (name TEXT)")
    db.close()
    return path


def _newer(path: Path) -> Path:
    asyncio.run(spend_once(path))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET version = 2")
    db.close()
    return path


def _no_name(path: Path) -> Path:
    return path.with_name("a\0b")


def _unsound(path: Path) -> Path:
    asyncio.run(spend_once(path))
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("UPDATE meta SET id = 2")
    db.close()
    return path


def _empty_meta(path: Path) -> Path:
    asyncio.run(spend_once(path))
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM meta")
    db.close()
    return path


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (_no_folder, "check that its folder exists"),
        (_a_folder, "check that its folder exists"),
        (_no_name, "embedded null byte; check that its folder exists"),
        (_text, "not a SQLite file"),
        (_truncated, "the file is damaged"),
        (_foreign, "database of another application"),
        (_newer, "expected a ledger of schema version 1 .* got version 2"),
        (_unsound, "CHECK constraint failed in meta; the file is damaged"),
        (_empty_meta, "the file is damaged"),
    ],
)
def test_what_cannot_be_opened_is_named(
    path: Path, spoil: Callable[[Path], Path], text: str
) -> None:
    with pytest.raises(StoreError, match=text) as caught:
        opened(spoil(path))
    assert "\n" not in str(caught.value)


def test_a_file_without_write_permission_is_named(tmp_path: Path) -> None:
    receiver, sender = _SPAWN.Pipe(duplex=False)
    child = _SPAWN.Process(target=processes.open_read_only, args=(sender,))
    child.start()
    sender.close()
    text = receiver.recv()
    child.join()
    assert "give this process write permission" in text


def test_a_damaged_file_is_a_named_fault_or_a_working_ledger(path: Path) -> None:
    asyncio.run(spend_once(path))
    sound = path.read_bytes()
    chance = random.Random(4711)
    faults = 0
    for _ in range(150):
        damaged = bytearray(sound)
        at = chance.randrange(len(sound))
        damaged[at : at + 8] = chance.randbytes(8)
        for leftover in path.parent.iterdir():
            leftover.unlink()
        path.write_bytes(damaged)
        try:
            asyncio.run(spend_once(path))
        except StoreError:
            faults += 1
    assert 0 < faults < 150


def test_a_forked_ledger_refuses(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        ledger = opened(path)
        parent = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: parent + 1)
        assert await spend(ledger) is Spend.UNKNOWN
        with pytest.raises(StoreError, match="before a fork"):
            await ledger.probe()
        monkeypatch.undo()
        assert await spend(ledger) is Spend.WON
        await ledger.aclose()

    asyncio.run(story())

# SPDX-License-Identifier: Apache-2.0
"""SQLite files, to the last word: how they are opened, what is swept from them, and when."""

import sqlite3
from pathlib import Path

import pytest

from pypow_server.stores import SKEW_MS, Quota, Spend, StoreError
from pypow_server.stores.gcra import take
from pypow_server.stores.limit_file import LimitFile
from pypow_server.stores.operations import Claim, ListRevoked, Probe, Release, Revoke, Take
from pypow_server.stores.spend_file import SpendFile
from pypow_server.stores.spend_rows import SCHEMA, SpendRows
from pypow_server.stores.uses import Use
from support.ledger_contract import EXPIRES_AT_MS, NOW_MS
from support.limiter_contract import TEN


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def _opened(path: Path, *, now_ms: int = NOW_MS, high_water_ms: int = 0) -> SpendFile:
    return SpendFile(path, clock=lambda: now_ms, busy_timeout_ms=20, high_water_ms=high_water_ms)


def _claim(key: bytes, *, expires_at_ms: int = EXPIRES_AT_MS, now_ms: int = NOW_MS) -> Claim:
    return Claim(key, None, expires_at_ms, now_ms, 1)


def _keys(db: sqlite3.Connection) -> list[bytes]:
    return [key for (key,) in db.execute("SELECT key FROM spends ORDER BY key")]


@pytest.mark.parametrize(("kind", "synchronous"), [("ledger", 2), ("limiter", 0)])
def test_a_ledger_waits_for_the_disk_and_a_limiter_does_not(
    path: Path, kind: str, synchronous: int
) -> None:
    opened = _opened(path) if kind == "ledger" else LimitFile(path, busy_timeout_ms=2_000)
    told = {
        name: opened._db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("synchronous", "journal_mode", "page_size", "wal_autocheckpoint", "cache_size")
    }
    assert told == {
        "synchronous": synchronous,
        "journal_mode": "wal",
        "page_size": 1024,
        "wal_autocheckpoint": 4000,
        "cache_size": -16384,
    }
    opened.close()


def test_sweeps_go_on_where_the_last_one_ended_and_begin_again_at_the_end() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(SCHEMA)
    rows = SpendRows(db)
    rows.write({b"%d" % n: Use(1, 10 if n % 2 else 20) for n in range(6)})
    left = []
    for expired_at_ms in (9, 10, 10, 10, 19, 20, 20, 20):
        rows.sweep(2, expired_at_ms=expired_at_ms)
        left.append(b"".join(_keys(db)).decode())
    # Two rows each: 0 1, 2 3, 4 5, the end; then 0 1, 2 4, the end; then 0.
    assert left == ["012345", "01245", "0124", "0124", "024", "0", "0", ""]
    db.close()


def test_rows_of_any_number_are_written_and_read_back() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(SCHEMA)
    rows = SpendRows(db)
    for count in (0, 1, 7, 8, 9, 64, 65, 130):
        wanted = {b"%d of %d" % (n, count): Use(n, count) for n in range(count)}
        rows.write(wanted)
        assert rows.read(list(wanted)) == wanted
        assert rows.read([*wanted, b"another"]) == wanted
    rows.write({b"0 of 1": Use(5, 6)})
    assert rows.read([b"0 of 1"]) == {b"0 of 1": Use(5, 6)}
    db.close()


def test_what_expired_is_swept_by_a_heartbeat_or_after_128_spends(path: Path) -> None:
    file = _opened(path)
    late_ms = EXPIRES_AT_MS + SKEW_MS
    file.apply([_claim(b"old")])
    late = [_claim(b"%03d" % n, expires_at_ms=late_ms + 1, now_ms=late_ms) for n in range(127)]
    file.apply(late[:126])
    assert b"old" in _keys(file._db)
    file.apply(late[126:])
    assert b"old" not in _keys(file._db)
    file.close()


def test_a_heartbeat_sweeps_512_rows_and_only_what_expired(path: Path) -> None:
    file = _opened(path)
    file.apply([_claim(b"%03d" % n) for n in range(600)])
    file._rows._swept_up_to = b""
    file._unswept = 0
    last_ms = EXPIRES_AT_MS + SKEW_MS - 1
    file.apply([_claim(b"a", expires_at_ms=last_ms, now_ms=last_ms)])
    file.apply([])
    assert len(_keys(file._db)) == 601
    file._rows._swept_up_to = b""
    file.apply([_claim(b"b", expires_at_ms=last_ms, now_ms=last_ms + 1)])
    file.apply([])
    assert len(_keys(file._db)) == 602 - 512
    file.close()


def test_a_batch_is_decided_in_its_order(path: Path) -> None:
    file = _opened(path)
    outcomes = file.apply(
        [
            _claim(b"a"),
            _claim(b"a"),
            Release(b"a"),
            _claim(b"a"),
            Probe(),
            Revoke(b"pass", EXPIRES_AT_MS, NOW_MS),
            ListRevoked(NOW_MS),
        ]
    )
    assert outcomes == [
        Spend.WON,
        Spend.LOST,
        None,
        Spend.WON,
        None,
        None,
        frozenset({b"pass"}),
    ]
    file.close()


def test_the_clock_of_a_file_is_the_highest_time_of_any_spend(path: Path) -> None:
    file = _opened(path)
    assert (0 <= file.epoch < 2**32, file.high_water_ms) == (True, 0)
    file.apply([_claim(b"a", now_ms=NOW_MS + n) for n in (2, 5, 3)])
    assert file.high_water_ms == NOW_MS + 5
    file.apply([])
    assert file.high_water_ms == NOW_MS + 5
    file.close()
    again = _opened(path)
    assert (again.epoch, again.high_water_ms) == (file.epoch, NOW_MS + 5)
    again.close()


def test_a_new_file_takes_over_the_clock_that_its_process_has_seen(path: Path) -> None:
    _opened(path, high_water_ms=NOW_MS).close()
    file = _opened(path)
    assert file.high_water_ms == NOW_MS
    file.close()


def test_a_file_whose_clock_is_behind_takes_over_what_its_process_has_seen(path: Path) -> None:
    first = _opened(path, high_water_ms=NOW_MS)
    first.close()
    for seen_ms, same in ((NOW_MS, True), (NOW_MS + 1, False)):
        file = _opened(path, high_water_ms=seen_ms)
        assert (file.epoch == first.epoch, file.high_water_ms) == (same, seen_ms)
        file.close()
    file = _opened(path)
    assert file.high_water_ms == NOW_MS + 1
    file.close()


@pytest.mark.parametrize("missing", ["meta", "spends"])
def test_a_database_with_half_of_a_ledger_is_another_applications(path: Path, missing: str) -> None:
    _opened(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"DROP TABLE {missing}")
    db.close()
    with pytest.raises(StoreError) as caught:
        _opened(path)
    assert str(caught.value) == (
        f"{path} is a database of another application; name a file of its own"
    )


def test_a_file_of_another_version_says_what_to_do(path: Path) -> None:
    _opened(path).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET version = 2")
    db.close()
    with pytest.raises(StoreError) as caught:
        _opened(path)
    assert str(caught.value) == (
        f"expected a ledger of schema version 1 in {path}; got version 2; use the release of pypow"
        " that wrote it, or name a new file"
    )


@pytest.mark.parametrize("column", ["version", "epoch", "heartbeat_ms", "high_water_ms"])
def test_a_file_with_a_word_in_the_place_of_a_number_is_damaged(path: Path, column: str) -> None:
    _opened(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE meta SET {column} = 'word'")
    db.close()
    with pytest.raises(StoreError) as caught:
        _opened(path)
    assert str(caught.value) == (
        f"cannot use the ledger {path}: no clock in it; the file is damaged; move it away and a "
        "new one is begun"
    )


def test_a_revocation_is_listed_for_as_long_as_a_clock_may_be_behind(path: Path) -> None:
    file = _opened(path)
    file.apply([Revoke(b"a", NOW_MS, NOW_MS), Revoke(b"b", NOW_MS + 1, NOW_MS)])
    end_ms = NOW_MS + SKEW_MS
    assert file.apply([ListRevoked(end_ms - 1), ListRevoked(end_ms)]) == [
        frozenset({b"a", b"b"}),
        frozenset({b"b"}),
    ]
    file.apply([Revoke(b"c", end_ms, end_ms)])  # drops what nobody asks for any more
    assert file.apply([ListRevoked(NOW_MS)]) == [frozenset({b"b", b"c"})]
    file.apply([Revoke(b"b", NOW_MS, NOW_MS)])  # the later expiry counts
    assert file.apply([ListRevoked(end_ms)]) == [frozenset({b"b", b"c"})]
    file.close()


def test_a_take_drops_64_levels_that_are_back_at_nothing_and_two_more(path: Path) -> None:
    file = LimitFile(path, busy_timeout_ms=20)
    for n in range(0, 70, 35):
        file.apply([Take(b"%02d" % each, TEN, NOW_MS, 1) for each in range(n, n + 35)])
    file.apply([Take(b"late", TEN, NOW_MS + 6_000, 1)])
    assert file._db.execute("SELECT count(*) FROM levels").fetchone() == (70 - 66 + 1,)
    file.close()


def test_what_fits_needs_no_waiting_and_what_remains_is_whole_calls() -> None:
    level, first = take(None, TEN, now_ms=NOW_MS, calls=2)
    _, second = take(level, TEN, now_ms=NOW_MS + 1, calls=1)
    assert (first.remaining, first.retry_after_ms) == (8, 0)
    assert (second.remaining, second.retry_after_ms) == (7, 0)
    _, odd = take(None, Quota(calls=3, period_ms=1000), now_ms=NOW_MS, calls=4)
    assert (odd.allowed, odd.remaining, odd.retry_after_ms) == (False, 3, 334)

# SPDX-License-Identifier: Apache-2.0
"""Ways through settling and storing that nothing else takes, and that must be right too."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from pypow.errors import InvalidInputError
from pypow.pricing import Quote
from pypow_server.call import Call
from pypow_server.policy import Price
from pypow_server.rails import Admit, Claim, Offer, Verdict
from pypow_server.resource import Resource
from pypow_server.scope import UPSTREAM_REACHED, Receive, Scope, Send
from pypow_server.stores import SKEW_MS, Spend, StoreError, memory, sqlite
from pypow_server.stores.limit_file import LimitFile
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.sqlite_file import SqliteFile
from support.gated import EASY, Bench, CountingLedger, solution
from support.ledger_contract import EXPIRES_AT_MS, spend
from support.sqlite_ledgers import opened


class KeepsEverything(CountingLedger):
    """Gives nothing back."""

    async def release(self, key: bytes) -> None:
        self.releases += 1
        raise StoreError("the disk is full")


def test_a_spend_that_cannot_be_given_back_keeps_no_answer_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def unreachable(scope: Scope, receive: Receive, send: Send) -> None:
        scope[UPSTREAM_REACHED] = False
        await send({"type": "http.response.start", "status": 502, "headers": []})
        await send({"type": "http.response.body"})

    bench = Bench(app=unreachable, ledger=KeepsEverything())
    proof = solution(bench.proof())
    assert [bench.send("GET", headers=proof).status for _ in range(2)] == [502, 402]
    assert bench.ledger.releases == 1
    assert "could not be given back" in caplog.text


@pytest.mark.parametrize("weight", [0, -1, 65536])
def test_a_weight_that_no_challenge_can_carry_is_refused(weight: int) -> None:
    with pytest.raises(InvalidInputError, match="expected a weight of 1 to 65535"):
        Price("odd", EASY.q, weight)


def test_a_long_resource_has_a_digest_of_its_own() -> None:
    bench = Bench()
    long = "/" + "a" * 5000
    proof = solution(bench.proof("GET", long))
    assert bench.send("GET", long + "b", proof).status == 402
    assert bench.send("GET", long, proof).status == 200
    assert Resource("http", "GET", long).parts != Resource("http", "GET", long + "b").parts


def test_a_closed_memory_ledger_is_not_ready() -> None:
    async def story() -> None:
        ledger = MemoryLedger()
        await ledger.aclose()
        with pytest.raises(StoreError, match="is closed"):
            await ledger.probe()

    asyncio.run(story())


def test_a_memory_ledger_drops_no_more_at_a_time_than_it_says() -> None:
    async def story() -> None:
        ledger = MemoryLedger(max_entries=200)
        for number in range(200):
            assert await spend(ledger, b"%d" % number) is Spend.WON
        late_ms = EXPIRES_AT_MS + SKEW_MS
        outcomes = [
            await spend(ledger, b"late %d" % number, expires_at_ms=late_ms, now_ms=late_ms)
            for number in range(201)
        ]
        assert outcomes == [Spend.WON] * 200 + [Spend.UNKNOWN]

    asyncio.run(story())


def test_what_expired_long_ago_is_no_longer_revoked_in_memory() -> None:
    async def story() -> None:
        store = memory.open_store("")
        await store.revocations.revoke(b"old", expires_at_ms=1, now_ms=0)
        await store.revocations.revoke(b"new", expires_at_ms=SKEW_MS + 2, now_ms=SKEW_MS + 1)
        assert await store.revocations.revoked(now_ms=0) == {b"new"}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("open_store", "rest"), [(memory.open_store, "file"), (sqlite.open_store, "//host/file")]
)
def test_a_store_url_that_means_nothing_is_refused(open_store: object, rest: str) -> None:
    assert callable(open_store)
    with pytest.raises(StoreError, match="expected"):
        open_store(rest)


def test_a_file_system_without_a_write_ahead_log_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteFile, "_switch_to_wal", lambda *_, **__: "delete")
    with pytest.raises(StoreError, match="put it on a local disk"):
        opened(tmp_path / "ledger.db")


def test_a_damaged_page_that_sqlite_reads_without_complaint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"

    async def fill() -> None:
        ledger = opened(path)
        await asyncio.gather(*(spend(ledger, b"%04d" % number) for number in range(500)))
        await ledger.aclose()

    asyncio.run(fill())
    with sqlite3.connect(path) as db:
        (size,) = db.execute("PRAGMA page_size").fetchone()
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'spends'").fetchone()
    db.close()
    octets = bytearray(path.read_bytes())
    start = (page - 1) * size
    octets[start + 3 : start + 5] = (5000).to_bytes(2)  # more cells than fit
    path.write_bytes(octets)
    with pytest.raises(StoreError, match="the file is damaged"):
        opened(path)


class OpenRail:
    """Admits everybody."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        return Admit(self.name, Claim(self.name.encode(), None, now_ms + 1000))

    async def offer(
        self, call: Call, price: Price, *, now_ms: int, epoch: int, quote: Quote | None
    ) -> Offer:
        raise AssertionError


def test_of_two_rails_that_admit_the_first_is_charged_and_the_other_is_not() -> None:
    bench = Bench(rails=[OpenRail("first"), OpenRail("second")])
    assert bench.send("GET").status == 200
    assert bench.app.scopes[0]["pypow.principal"] == "first"
    assert bench.decisions[0].rail == "first"
    assert bench.ledger.spends == 1


def test_more_spends_at_once_than_a_batch_holds_are_each_answered(tmp_path: Path) -> None:
    async def story() -> None:
        ledger = opened(tmp_path / "ledger.db")
        keys = [b"%d" % number for number in range(2000)]
        outcomes = await asyncio.gather(*(spend(ledger, key) for key in keys))
        await ledger.aclose()
        assert set(outcomes) == {Spend.WON}

    asyncio.run(story())


def test_a_limiter_whose_file_is_another_applications_is_named(tmp_path: Path) -> None:
    path = tmp_path / "limits.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE VIEW levels AS SELECT 1")
    db.close()
    with pytest.raises(StoreError, match="check that it is a limiter that pypow wrote"):
        LimitFile(path, max_pages=100, busy_timeout_ms=20)

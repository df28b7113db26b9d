# SPDX-License-Identifier: Apache-2.0
"""`pypow l402 ledger` says what real gates sold: its sums are what was paid and what was served."""

import asyncio
import csv
import io
import json
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pypow_server.stores.sqlite import SqliteLedger
from support.asgi_client import Answer
from support.command import Command
from support.counting_upstream import counting_upstream
from support.gate_process import gate_process
from support.redis_stores import fresh_address
from support.sales_contract import fresh, sale
from support.selling import l402_credential, payment_credential

NOW_MS = time.time_ns() // 1_000_000
SHOP = """
[l402]
wallet = "development:"

[[price]]
match = "GET /bundle/*"
bits = 4
sats = 12
pass = "3 calls / 5m"

[default]
bits = 4
sats = 5
"""


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.setenv("PYPOW_STATE_DIR", str(tmp_path))
    return Command(capsys)


@pytest.fixture(params=["sqlite", "valkey"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that outlives its gates."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'spent.db'}"
    address = fresh_address(request.getfixturevalue("valkey_server"))
    host, port = address.hosts[0]
    return f"redis://{host}:{port}/0?deployment={address.deployment}"


def bought(url: str, show: Callable[[Answer], bytes]) -> dict[str, str]:
    """The header that shows a payment for a call."""
    refusal = httpx2.get(url)
    assert refusal.status_code == 402
    headers = [(name.lower(), value) for name, value in refusal.headers.raw]
    answer = Answer(402, headers, refusal.content, {})
    return {"Authorization": show(answer).decode()}


def statuses(url: str, shown: dict[str, str], times: int) -> list[int]:
    return [httpx2.get(url, headers=shown).status_code for _ in range(times)]


def test_what_was_sold_is_what_was_paid_and_served_though_a_gate_was_killed(
    store: str, tmp_path: Path, command: Command
) -> None:
    config = tmp_path / "pypow.toml"
    config.write_text(SHOP, encoding="utf-8")
    options = ("--config", str(config), "--store", store, "--public-url", "http://localhost")

    def told(*more: str) -> Any:
        ran = command("l402", "ledger", "--store", store, "--check", "--json", *more)
        assert (ran.status, ran.err) == (0, "")
        return ran.json

    with counting_upstream() as upstream:
        with gate_process(tmp_path, upstream.url, *options) as first:
            singles = [bought(f"{first.url}/report", l402_credential) for _ in range(3)]
            for single in singles:
                assert statuses(f"{first.url}/report", single, 2) == [200, 402]
            bundle = bought(f"{first.url}/bundle/a", payment_credential)
            assert statuses(f"{first.url}/bundle/b", bundle, 2) == [200, 200]
            unused = bought(f"{first.url}/report", payment_credential)
            first.stop(signal.SIGKILL)
        with gate_process(tmp_path, upstream.url, *options) as second:
            assert statuses(f"{second.url}/bundle/c", bundle, 2) == [200, 402]
            assert statuses(f"{second.url}/report", singles[0], 1) == [402]
            assert statuses(f"{second.url}/report", unused, 1) == [200]
            other = bought(f"{second.url}/bundle/a", l402_credential)
            assert statuses(f"{second.url}/bundle/a", other, 1) == [200]
            beside = told()
            figures = httpx2.get(f"{second.admin_url}/metrics").text
            page = httpx2.get(f"{second.admin_url}/sales.json").json()
            html = httpx2.get(f"{second.admin_url}/sales").text
            second.stop()
        afterwards = told()
        served = upstream.count

    assert beside["total"] == {
        "payments": 6, "sats": 44, "uses": 10, "times": 0, "spent": 8, "left": 2,
    }  # fmt: skip
    assert served == 8
    assert beside["check"] == {
        "payments": 6, "calls": 8, "spends": 8, "forgotten": 0, "wrong": 0, "examples": [],
    }  # fmt: skip
    by_price = {group["price"]: group for group in beside["groups"]}
    assert {name: group["sats"] for name, group in by_price.items()} == {
        "GET /bundle/*": 24,
        "default": 20,
    }
    assert {name: sold["payments"] for name, sold in beside["schemes"].items()} == {
        "l402": 4,
        "payment": 2,
    }
    for member in ("total", "groups", "schemes"):
        assert page[member] == afterwards[member] == beside[member]
    assert "GET /bundle/*" in html
    assert "# TYPE pypow_sats_total counter" in figures
    assert "pypow_wallet_failures 0.0" in figures
    preimages = [single["Authorization"].rpartition(":")[2] for single in (*singles, other)]
    assert not any(preimage in html + str(beside) for preimage in preimages)


def ledger_of(tmp_path: Path, *sales: Any) -> Path:
    """A ledger's file of a gate that sold this and has ended."""
    path = tmp_path / "ledger.db"

    async def story() -> None:
        ledger = SqliteLedger(path)
        for sold in sales:
            await ledger.take(
                b"ln:" + sold.payment_hash,
                expires_at_ms=NOW_MS + 60_000,
                now_ms=NOW_MS,
                limit=sold.uses or 9,
                sale=sold,
                attempt=fresh(),
                charge=None,
            )
        await ledger.aclose()

    asyncio.run(story())
    return path


HOSTILE = "=cmd()\x1b[2J"
SALES = (
    sale(1, at_ms=1_799_884_800_000, price="search"),
    sale(2, at_ms=1_799_971_200_000, price="search", sats=7, uses=3),
    sale(3, at_ms=1_799_971_200_001, price=HOSTILE, scheme="payment", uses=0),
)


def test_the_table_has_a_line_for_each_day_and_price(tmp_path: Path, command: Command) -> None:
    ledger_of(tmp_path, *SALES)
    ran = command("l402", "ledger", "--since", "2027-01-14", "--until", "2027-01-16")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "day         price          payments  sats  calls sold  times sold  made  left",
        "2027-01-14  search                1     5           1           0     1     0",
        "2027-01-15  =cmd()\\x1b[2J         1     5           0           1     1     0",
        "2027-01-15  search                1     7           3           0     1     2",
        "total                             3    17           4           1     3     2",
    ]
    only = command("l402", "ledger", "--since", "2027-01-15", "--until", "2027-01-16", "--json")
    assert only.json["total"]["payments"] == 2
    assert only.json["check"] is None


def test_every_sale_is_a_line_of_the_csv(tmp_path: Path, command: Command) -> None:
    ledger_of(tmp_path, *SALES)
    ran = command("l402", "ledger", "--csv", "--until", "2027-01-16")
    rows = list(csv.DictReader(io.StringIO(ran.out, newline="")))
    assert [row["price"][:7] for row in rows] == ["search", "search", "'=cmd()"]
    assert [row["left"] for row in rows] == ["0", "2", ""]


def test_books_that_do_not_agree_are_told_and_end_in_1(tmp_path: Path, command: Command) -> None:
    path = ledger_of(tmp_path, *SALES)
    well = command("l402", "ledger", "--check")
    assert well.status == 0
    assert well.out.splitlines()[-2:] == [
        "check  3 payments made 3 calls by their sales and 3 by their spends; of 0 more the spends "
        "have expired",
        "equal",
    ]
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE sales SET spent = 2 WHERE uses = 3")
        db.commit()
    wrong = command("l402", "ledger", "--check")
    assert wrong.status == 1
    assert wrong.out.splitlines()[-2:] == [
        f"  {SALES[1].payment_hash.hex()}  2 by its sale, 1 by its spends",
        "differs: 1 payments; see docs/l402.md, What was sold",
    ]
    document = command("l402", "ledger", "--check", "--json")
    assert (document.status, document.json["check"]["wrong"]) == (1, 1)


def test_a_ledger_that_sold_nothing_says_so(tmp_path: Path, command: Command) -> None:
    ledger_of(tmp_path)
    assert command("l402", "ledger").out == "nothing was sold\n"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--csv", "--check"], "expected --csv alone; leave --json and --check out"),
        (["--since", "soon"], "expected a time such as 7d, for so long ago, or a day such as"),
        (["--store", "memory:"], "a memory: store lives in its gate's process; look at /sales"),
        (["--store", "sqlite:nowhere.db"], "there is no nowhere.db; name the gates' own store"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    options: list[str], complaint: str, command: Command, tmp_path: Path
) -> None:
    ran = command("l402", "ledger", *options)
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert complaint in ran.err
    assert json.loads(command("l402", "ledger", "--json", *options).out)["error"]

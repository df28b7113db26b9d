# SPDX-License-Identifier: Apache-2.0
"""What commands read of a store's sales, beside the gates that make them."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from pypow_server.sold.recount import Recount, recounted
from pypow_server.stores import StoreError, UnopenedStoreError
from pypow_server.stores.books import Books, Counted, open_books
from pypow_server.stores.sqlite import SqliteLedger
from support import sales_contract as contract
from support.ledger_contract import NOW_MS
from support.redis_stores import fresh_address, opened
from support.sales_contract import Till, every_sale, sale, take


@dataclass(frozen=True)
class Place:
    """A store, as its gates open it, and its URL."""

    open_till: Callable[[], Till]
    url: str
    kept: Callable[[], object]
    """All that is in it."""


@pytest.fixture(params=["sqlite", "redis", "valkey"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        path = tmp_path / "ledger.db"

        def dumped() -> list[str]:
            with closing(sqlite3.connect(path)) as db:
                return list(db.iterdump())

        return Place(
            lambda: SqliteLedger(path, clock=lambda: NOW_MS, heartbeat_s=3600),
            f"sqlite:{path}",
            dumped,
        )
    server = request.getfixturevalue(f"{request.param}_server")
    address = fresh_address(server)
    host, port = address.hosts[0]

    def dumped_keys() -> dict[object, object]:
        names = [address.key(name) for name in ("spends", "expiries", "sales", "sold")]
        with closing(server.client()) as client:
            return {name: client.dump(name) for name in names}

    return Place(
        lambda: opened(address),
        f"redis://{host}:{port}/0?deployment={address.deployment}",
        dumped_keys,
    )


@pytest.fixture
def books(place: Place) -> Iterator[Callable[[], Books]]:
    """Opens the books of the place; they are closed at the end."""
    open_ones: list[Books] = []

    def read() -> Books:
        open_ones.append(open_books(place.url))
        return open_ones[-1]

    yield read
    for each in open_ones:
        each.close()


async def trade(till: Till) -> None:
    """Payments in every state: new, partly used, used up, given back; and work beside them."""
    for number in range(20):
        sold = sale(number, uses=1 + number % 3, at_ms=NOW_MS + number // 4)
        for _ in range(1 + number % 3):
            await take(till, sold)
    await till.release(b"ln:" + sale(2).payment_hash)
    for number in range(5):
        key = b"\3work" + bytes([number])
        await till.spend(key, epoch=None, expires_at_ms=NOW_MS + 1000, now_ms=NOW_MS)


def test_commands_read_what_the_gates_recorded_and_change_nothing(
    place: Place, books: Callable[[], Books]
) -> None:
    async def story() -> None:
        till = place.open_till()
        await trade(till)
        expected = await every_sale(till)
        before = place.kept()
        read = books()
        for most in (1, 7, 500):
            assert await every_sale(read, most=most) == expected  # type: ignore[arg-type]  # it reads only
        found = recounted(read.counted())
        assert found == Recount(payments=20, calls=38, spends=38)
        assert place.kept() == before
        await till.aclose()

    asyncio.run(story())


def test_a_gate_goes_on_while_its_books_are_open(place: Place, books: Callable[[], Books]) -> None:
    async def story() -> None:
        till = place.open_till()
        await trade(till)
        read = books()
        counting = read.counted()
        assert next(counting)
        await take(till, sale(1000))
        assert recounted([some for some in counting if some]).wrong == 0
        await till.aclose()

    asyncio.run(story())


def test_many_payments_are_counted_each_once(place: Place, books: Callable[[], Books]) -> None:
    async def story() -> None:
        till = place.open_till()
        await asyncio.gather(*(take(till, sale(number)) for number in range(1700)))
        found = recounted(books().counted())
        assert found == Recount(payments=1700, calls=1700, spends=1700)
        await till.aclose()

    asyncio.run(story())


def test_a_payment_whose_spends_expired_is_forgotten_and_not_wrong(
    place: Place, books: Callable[[], Books]
) -> None:
    async def story() -> None:
        till = place.open_till()
        for number in range(3):
            await take(till, sale(number))
        much_later = NOW_MS + 10**9
        for number in range(500):
            key = b"\3work" + number.to_bytes(2)
            await till.spend(key, epoch=None, expires_at_ms=much_later, now_ms=much_later)
        assert recounted(books().counted()) == Recount(forgotten=3)
        await till.aclose()

    asyncio.run(story())


def test_a_spend_without_a_sale_and_a_sale_of_another_count_are_found(
    place: Place, books: Callable[[], Books]
) -> None:
    async def story() -> None:
        till = place.open_till()
        await trade(till)
        # As a gate would that records no sales.
        key = b"ln:" + b"\7" * 32
        await till.spend(key, epoch=None, expires_at_ms=NOW_MS + 1000, now_ms=NOW_MS)
        key = b"ln:" + sale(2).payment_hash
        await till.spend(key, epoch=None, expires_at_ms=NOW_MS + 1000, now_ms=NOW_MS, limit=9)
        found = recounted(books().counted())
        assert (found.payments, found.calls, found.spends, found.wrong) == (20, 38, 40, 2)
        assert sorted(found.examples) == sorted(
            [Counted(sale(2).payment_hash, 3, 2), Counted(b"\7" * 32, 1, None)]
        )
        await till.aclose()

    asyncio.run(story())


def test_only_the_first_differences_are_told_one_by_one() -> None:
    found = recounted([[Counted(number.to_bytes(32), 2, 1) for number in range(100)]])
    assert (found.wrong, len(found.examples)) == (100, 20)


def test_a_payment_that_was_given_back_and_has_no_sale_is_not_wrong() -> None:
    assert recounted([[Counted(bytes(32), 0, None)]]) == Recount()


def test_a_ledger_from_before_sales_were_recorded_has_sold_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    asyncio.run(SqliteLedger(path).aclose())
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE sales")
        db.commit()
    with closing(open_books(f"sqlite:{path}")) as read:
        assert asyncio.run(read.sold(since_ms=0, until_ms=contract.END_MS)) == []
        assert list(read.counted()) == []


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("memory:", "lives in its gate's process; look at /sales"),
        ("ftp://x", "expected --store to be sqlite:PATH or redis://HOST"),
        ("sqlite:{home}/none.db", "there is no .*none.db; name the gates' own store"),
        ("sqlite:{home}/text.db", "cannot be read: file is not a database"),
        ("sqlite:{home}/other.db", "is no ledger; name the gates' own store"),
        ("redis://127.0.0.1:1", "--store redis://127.0.0.1:1: "),
    ],
)
def test_what_cannot_be_opened_is_told_in_one_line(
    url: str, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "text.db").write_text("not a database " * 100)
    with closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE addresses (name TEXT)")
    with pytest.raises(UnopenedStoreError, match=complaint) as caught:
        open_books(url.format(home=tmp_path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "none.db").exists()


def test_a_file_that_breaks_while_it_is_read_is_a_fault_of_the_store(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    asyncio.run(SqliteLedger(path).aclose())
    with closing(open_books(f"sqlite:{path}")) as read:
        read._db.close()  # type: ignore[attr-defined]  # as a disk would that is gone
        with pytest.raises(StoreError, match="cannot be read"):
            asyncio.run(read.sold(since_ms=0, until_ms=contract.END_MS))
        with pytest.raises(StoreError, match="cannot be read"):
            list(read.counted())

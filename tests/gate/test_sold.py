# SPDX-License-Identifier: Apache-2.0
"""What operators are told of sales: the sums are those of a plain recount, and words stay words."""

import asyncio
import csv
import io
import json
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from pypow import moments
from pypow.errors import InvalidInputError
from pypow_server.gate import BODY_DEADLINE_S
from pypow_server.sale import Sale
from pypow_server.sold import table
from pypow_server.sold.figures import SoldFigures
from pypow_server.sold.page import page
from pypow_server.sold.report import Report, reported
from pypow_server.sold.routes import sold_routes
from pypow_server.sold.span import DAY_MS, Span, read_span
from pypow_server.stores import StoreError
from pypow_server.stores.sales import PAGE
from support.asgi_client import Answer, call
from support.html_page import Reading
from support.recorded_sales import HOSTILE, MANY, NOW_MS, Recorded, sale

ALL = Span(0, NOW_MS + 1)
SALES = st.builds(
    Sale,
    st.binary(min_size=32, max_size=32),
    st.integers(1, 100_000),
    st.sampled_from(["search", "default", HOSTILE]),
    st.sampled_from([0, 5, 100]),
    st.sampled_from(["l402", "payment"]),
    st.integers(NOW_MS - 5 * DAY_MS, NOW_MS + 1000),
    st.integers(0, 5),
)


def report(*sales: Sale, span: Span = ALL) -> Report:
    return asyncio.run(reported(Recorded(*sales), span))


@given(st.lists(SALES, unique_by=lambda one: one.payment_hash))
def test_sums_are_those_of_a_plain_recount(sales: list[Sale]) -> None:
    found = report(*sales)
    seen = [one for one in sales if one.at_ms <= NOW_MS]
    said = found.document()
    assert said["total"] == {
        "payments": len(seen),
        "sats": sum(one.sats for one in seen),
        "uses": sum(one.uses for one in seen),
        "times": sum(not one.uses for one in seen),
        "spent": sum(one.spent for one in seen),
        "left": sum(one.uses - one.spent for one in seen if one.uses),
    }
    for parts in (found.groups, found.days, found.prices, found.schemes):
        for figure in ("payments", "sats", "uses", "times", "spent", "left"):
            added = sum(getattr(part, figure) for part in parts.values())
            assert added == getattr(found.total, figure)
    days = {moments.text_of(one.at_ms)[:10] for one in seen}
    assert {day for day, _ in found.groups} == days
    newest = sorted(seen, key=lambda one: (one.at_ms, one.payment_hash), reverse=True)
    assert list(found.latest) == newest[:20]


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_sales_are_read_a_page_at_a_time_and_each_once(count: int) -> None:
    recorded = Recorded(*(sale(number, at_ms=NOW_MS - number // 7) for number in range(count)))
    found = asyncio.run(reported(recorded, ALL))
    assert found.total.payments == count
    assert recorded.asked == count // PAGE + 1


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("7d", None, Span(NOW_MS - 7 * DAY_MS, NOW_MS + 1)),
        ("all", "1h", Span(0, NOW_MS - 3_600_000)),
        ("2027-01-14", "2027-01-15", Span(1_799_884_800_000, 1_799_971_200_000)),
        ("999999999d", None, Span(0, NOW_MS + 1)),
    ],
)
def test_a_span_is_said_in_times_ago_or_in_days(
    since: str, until: str | None, expected: Span
) -> None:
    assert read_span(since, until, now_ms=NOW_MS) == expected


@pytest.mark.parametrize(
    ("since", "until", "complaint"),
    [
        ("yesterday", None, "expected a time such as 7d"),
        ("7d", "all", "expected a time such as 7d"),
        ("2027-02-30", None, "expected a time such as 7d"),
        ("1d", "7d", "expected a span of time, got none: from 2027-01-14 to 2027-01-08"),
    ],
)
def test_a_span_that_cannot_be_is_told(since: str, until: str | None, complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        read_span(since, until, now_ms=NOW_MS)


def test_a_table_has_a_line_for_each_sale_and_nothing_that_a_spreadsheet_computes() -> None:
    names = ["search", "=1+1", "+1", "-1", "@x", "\tx", "\rx", HOSTILE]
    text = table.head() + table.lines(
        [sale(number, price=name) for number, name in enumerate(names)]
    )
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["price"].removeprefix("'") for row in rows] == names
    assert not any(cell[:1] in set("=+-@\t\r\n") for row in rows for cell in row.values())
    assert rows[0] == {
        "time": "2027-01-15T08:00:00Z",
        "price": "search",
        "scheme": "l402",
        "sats": "5",
        "uses": "1",
        "spent": "1",
        "left": "0",
        "payment_hash": "00" * 32,
    }


def test_a_time_that_was_sold_has_no_calls_left() -> None:
    rows = csv.DictReader(io.StringIO(table.head() + table.lines([sale(1, uses=0, spent=7)])))
    assert [(row["uses"], row["spent"], row["left"]) for row in rows] == [("0", "7", "")]
    assert (
        "5l402time7" in Reading(page(report(sale(1, uses=0, spent=7)), since="1d", until=None)).text
    )


def asked(recorded: Recorded, target: str) -> Answer:
    app = FastAPI()
    app.include_router(sold_routes(recorded, clock=lambda: NOW_MS))
    return asyncio.run(call(app, "GET", target.encode(), headers=[(b"host", b"127.0.0.1")]))


@pytest.mark.parametrize("made", [[], [sale(1)], MANY], ids=["nothing", "one", "many"])
def test_the_page_is_sound_and_loads_no_script(made: list[Sale]) -> None:
    read = Reading(page(report(*made), since="30d", until=None))
    assert read.complaints == []
    assert (read.count["table"], read.count["section"], read.count["script"]) == (3, 3, 0)
    assert len(set(read.identities)) == len(read.identities)
    assert ("nothing was sold" in read.text) == (not made)


def test_what_others_say_is_shown_and_never_read_as_html() -> None:
    since = '"><script>'
    made = page(report(*MANY), since=since, until=since)
    assert "<script" not in made
    assert HOSTILE.strip() in Reading(made).text


def test_the_page_says_what_the_document_says() -> None:
    recorded = Recorded(*MANY)
    total = json.loads(asked(recorded, "/sales.json").body)["total"]
    shown = Reading(asked(recorded, "/sales").body.decode()).text
    assert total["payments"] == 2000
    assert f"Sats{total['sats']:,}Payments2,000Calls sold{total['uses']:,}" in shown
    assert "latest" not in shown


def test_older_days_are_left_out_of_a_long_page_and_that_is_told() -> None:
    sales = [sale(number, at_ms=NOW_MS - number * DAY_MS) for number in range(250)]
    shown = Reading(page(report(*sales), since="all", until=None)).text
    assert "219 days before these are left out." in shown


def test_a_span_of_the_page_reaches_its_table_and_document() -> None:
    body = asked(Recorded(sale(1)), "/sales?since=7d&until=1h").body.decode()
    assert 'href="sales.csv?since=7d&amp;until=1h"' in body
    assert '<a href="sales?since=7d" aria-current=page>' in body
    assert "<p>From <time>" in body
    assert "<p>Up to <time>" in asked(Recorded(sale(1)), "/sales?since=all").body.decode()


def test_all_sales_of_a_span_are_sent_as_they_are_read() -> None:
    recorded = Recorded(*MANY)
    answer = asked(recorded, "/sales.csv?since=10d")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    expected = [one for one in recorded.kept if one.at_ms >= NOW_MS - 10 * DAY_MS]
    assert [row["payment_hash"] for row in rows] == [one.payment_hash.hex() for one in expected]
    assert answer.values(b"content-disposition") == [b'attachment; filename="sales.csv"']
    assert recorded.asked == len(expected) // PAGE + 1


@pytest.mark.parametrize("path", ["/sales", "/sales.json", "/sales.csv"])
def test_nothing_of_it_is_kept_or_framed_and_what_cannot_be_is_told(path: str) -> None:
    answer = asked(Recorded(sale(1)), path)
    assert answer.status == 200
    assert answer.values(b"cache-control") == [b"no-store"]
    assert b"frame-ancestors 'none'" in answer.values(b"content-security-policy")[0]
    assert b"unsafe" not in answer.values(b"content-security-policy")[0]

    wrong = asked(Recorded(), f"{path}?since=yesterday")
    assert (wrong.status, wrong.body[:23]) == (400, b"expected a time such as")
    failing = Recorded(sale(1))
    failing.failing_from = 1
    down = asked(failing, path)
    assert (down.status, down.body) == (503, b"the disk is gone\n")


@dataclass
class Counting:
    """Figures of sales that come while a gate runs."""

    recorded: Recorded = field(default_factory=Recorded)
    now_ms: int = NOW_MS

    def __post_init__(self) -> None:
        self.figures = SoldFigures(self.recorded, clock=lambda: self.now_ms)

    def at(self, now_ms: int) -> dict[str, float]:
        """What is told then: payments by price."""
        self.now_ms = now_ms
        asyncio.run(self.figures.refresh())
        sats, payments = self.figures.collect()
        assert [one.value for one in sats.samples] == [5 * one.value for one in payments.samples]
        return {one.labels["entry"]: one.value for one in payments.samples}


def test_sales_are_counted_once_each_while_a_gate_runs_and_late_ones_too() -> None:
    counting = Counting()
    keep = counting.recorded.kept.append
    keep(sale(1, at_ms=NOW_MS - DAY_MS))
    assert counting.at(NOW_MS + 9_999) == {}
    assert counting.recorded.asked == 0
    keep(sale(2, at_ms=NOW_MS + 40_000))
    keep(sale(3, at_ms=NOW_MS + 65_000, price="other"))
    assert counting.at(NOW_MS + 60_000) == {}
    # Written now: a body that took as long as it may, by a gate whose clock is behind.
    keep(sale(4, at_ms=NOW_MS + 60_000 - 1000 * int(BODY_DEADLINE_S) - 5_000))
    counting.recorded.kept.sort(key=lambda one: one.at_ms)
    assert counting.at(NOW_MS + 110_000) == {"search": 2}
    assert counting.at(NOW_MS + 200_000) == {"search": 2, "other": 1}
    assert counting.at(NOW_MS + 300_000) == {"search": 2, "other": 1}


def test_what_could_not_be_counted_is_counted_when_it_can_be(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counting = Counting(Recorded(*(sale(n, at_ms=NOW_MS + n) for n in range(2 * PAGE))))
    counting.recorded.failing_from = 2
    assert counting.at(NOW_MS + 120_000) == {}
    assert "the sales were not counted: the disk is gone" in caplog.text
    counting.recorded.failing_from = 1 << 30
    assert counting.at(NOW_MS + 121_000) == {"search": 2 * PAGE}


def test_a_table_that_breaks_off_does_not_look_whole() -> None:
    failing = Recorded(*MANY)
    failing.failing_from = 3
    with pytest.raises(StoreError):
        asked(failing, "/sales.csv?since=all")

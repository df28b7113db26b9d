# SPDX-License-Identifier: Apache-2.0
"""The page of sales in a real browser: any width, both colour schemes, no complaint."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI

from pypow_server.sold.routes import sold_routes
from pypow_server.view.activity import Activity
from pypow_server.view.routes import view_routes
from support.browser import CHROMIUM, Tab, tab
from support.recorded_sales import MANY, NOW_MS, Recorded
from support.serving import served

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (Debian: chromium)"
)

SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


@dataclass(frozen=True)
class Shown:
    url: str
    page: Tab


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    app = FastAPI()
    app.include_router(sold_routes(Recorded(*MANY), clock=lambda: NOW_MS))
    app.include_router(view_routes(Activity(lambda: NOW_MS)))
    with served(app) as url, tab(tmp_path_factory.mktemp("browser")) as page:
        yield Shown(url, page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_can_be_seen_in_both_schemes_and_complains_of_nothing(
    size: str, scheme: str, shown: Shown
) -> None:
    page = shown.page
    width, height = SIZES[size]
    page.look(width=width, height=height, scheme=scheme)
    page.show(f"{shown.url}/sales")
    assert page.value("document.documentElement.scrollWidth") <= width
    background = page.value("getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(",")))
    assert (light > 600) == (scheme == "light")
    prices = len({sale.price for sale in MANY})
    assert page.value("document.querySelectorAll('.area').length") == prices
    assert page.complaints == []


def test_a_screen_reader_meets_the_chart_and_the_tables_by_name(shown: Shown) -> None:
    shown.page.show(f"{shown.url}/sales?since=7d")
    met = shown.page.accessible()
    assert {name for kind, name in met if kind == "heading"} == {
        "Sales", "Sats a day, by price", "By day", "Latest payments",
    }  # fmt: skip
    assert [name for kind, name in met if kind == "image"] == [
        "Sats a day by price; the table has the figures"
    ]
    assert sum(kind == "table" for kind, _ in met) == 3


def test_keys_alone_reach_every_span_and_every_sale(shown: Shown) -> None:
    shown.page.show(f"{shown.url}/sales?since=1d")
    reached = []
    for _ in range(8):
        shown.page.press("Tab")
        reached.append(shown.page.value("document.activeElement.textContent"))
    assert reached == [
        "Skip to the figures", "1d", "7d", "30d", "all", "Live view",
        "Every sale as CSV", "This page as JSON",
    ]  # fmt: skip

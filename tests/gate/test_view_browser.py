# SPDX-License-Identifier: Apache-2.0
"""The live view in a real browser: live figures, both colour schemes, any width, keys alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pypow_server.scope import Receive, Scope, Send
from support.browser import CHROMIUM, Tab, tab
from support.gate_process import GateProcess, gate_process
from support.plain_http import ask, solution
from support.serving import served

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (Debian: chromium)"
)

SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"earned"})


@dataclass(frozen=True)
class Watched:
    gate: GateProcess
    page: Tab

    def make_calls(self) -> None:
        """Two calls that paid, three that did not, and one with a proof that was spent."""
        for _ in range(2):
            proof = solution(ask(f"{self.gate.url}/api/challenge").json)
            assert ask(f"{self.gate.url}/x", headers=proof).status == 200
        for headers in ({}, {}, {}, proof):
            assert ask(f"{self.gate.url}/x", headers=headers).status == 402

    def counted(self, label: str) -> dict[str, float]:
        """What ``/metrics`` says of decisions, by one label."""
        found: dict[str, float] = {}
        for family in parse_text(ask(f"{self.gate.admin_url}/metrics").body.decode()):
            for sample in family.samples:
                if sample.name == "pypow_decisions_total" and sample.labels[label]:
                    name = sample.labels[label]
                    found[name] = found.get(name, 0) + sample.value
        return found

    def shown(self, section: str) -> dict[str, float]:
        """The whole window's column of a section's table, but for what was never seen."""
        rows = self.page.value(
            f"[...document.querySelectorAll('#{section} tbody tr')]"
            ".map(row => [...row.cells].map(cell => cell.textContent))"
        )
        counts = {row[0]: float(row[2].replace(",", "")) for row in rows if len(row) > 2}
        return {name: count for name, count in counts.items() if count}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    home = tmp_path_factory.mktemp("home")
    with (
        served(hello) as upstream,
        gate_process(home, upstream, "--bits", "4", "--store", "memory:") as gate,
        tab(tmp_path_factory.mktemp("browser")) as page,
    ):
        yield Watched(gate, page)


def open_view(watched: Watched, *, size: str = "desktop", scheme: str = "light") -> None:
    width, height = SIZES[size]
    watched.page.look(width=width, height=height, scheme=scheme)
    watched.page.show(f"{watched.gate.admin_url}/")


def test_the_page_shows_calls_as_they_come_and_says_what_the_figures_say(watched: Watched) -> None:
    open_view(watched)
    before = watched.counted("outcome").get("admitted", 0)
    watched.make_calls()
    row = "[...document.querySelectorAll('#calls tbody tr')].find(r => r.textContent.startsWith"
    watched.page.wait_for(f"{row}('admitted')).cells[2].textContent === '{before + 2:.0f}'")
    refused = watched.counted("outcome")["refused"]
    watched.page.wait_for(f"{row}('refused')).cells[2].textContent === '{refused:.0f}'")

    assert watched.shown("calls") == watched.counted("outcome")
    assert watched.shown("rails") == watched.counted("rail")
    assert watched.shown("problems") == watched.counted("problem")
    assert "127.0.0.1/32" in watched.page.value("document.getElementById('callers').textContent")
    assert watched.page.value("document.getElementById('state').textContent") == "live"


def test_without_scripts_the_page_says_the_same(watched: Watched) -> None:
    watched.make_calls()
    watched.page.look(width=800, height=600, scheme="light", script=False)
    watched.page.show(f"{watched.gate.admin_url}/")
    assert watched.shown("calls") == watched.counted("outcome")
    assert watched.page.value("document.getElementById('pause').hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_and_can_be_seen_in_both_schemes(
    size: str, scheme: str, watched: Watched, tmp_path: Path
) -> None:
    open_view(watched, size=size, scheme=scheme)
    picture = watched.page.picture()
    (tmp_path / f"{size}-{scheme}.png").write_bytes(picture)

    assert picture.startswith(b"\x89PNG")
    assert watched.page.value("document.documentElement.scrollWidth") <= SIZES[size][0]
    background = watched.page.value("getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(",")))
    assert (light > 600) == (scheme == "light")


def test_a_screen_reader_meets_charts_tables_and_the_button_by_name(watched: Watched) -> None:
    open_view(watched)
    watched.page.wait_for("!document.getElementById('pause').hidden")
    met = watched.page.accessible()
    named = {role: {name for kind, name in met if kind == role} for role, _ in met}

    assert named["button"] == {"Pause"}
    assert {"Calls", "Difficulty", "Challenge to proof", "Who calls most"} <= named["heading"]
    assert len(named["image"]) == 5
    assert all("table has the figures" in name for name in named["image"])
    assert sum(kind == "table" for kind, _ in met) == 6


def test_keys_alone_reach_everything_and_stop_the_figures(watched: Watched) -> None:
    open_view(watched)
    watched.page.wait_for("!document.getElementById('pause').hidden")
    reached = []
    for _ in range(7):
        watched.page.press("Tab")
        reached.append(watched.page.value("document.activeElement.textContent"))
    assert reached == [
        "Skip to the figures", "Metrics", "Configuration", "API", "Sales", "This page as JSON",
        "Pause",
    ]  # fmt: skip
    watched.page.press("Enter")
    watched.page.wait_for("document.getElementById('state').textContent === 'paused'")
    assert watched.page.value("document.getElementById('pause').getAttribute('aria-pressed')")


def test_the_page_complains_of_nothing(watched: Watched) -> None:
    open_view(watched)
    watched.page.complaints.clear()
    open_view(watched)
    watched.page.wait_for("document.getElementById('state').textContent === 'live'")
    assert watched.page.complaints == []


def test_what_its_policy_forbids_is_noticed(watched: Watched) -> None:
    open_view(watched)
    watched.page.value(
        "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))"
    )
    watched.page.value("document.title")
    assert any("Content Security Policy" in said for said in watched.page.complaints)


def test_a_gate_that_is_gone_is_told(watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    with served(hello) as upstream, gate_process(tmp_path, upstream, "--store", "memory:") as gate:
        page.show(f"{gate.admin_url}/")
        page.wait_for("document.getElementById('state').textContent === 'live'")
    page.wait_for("document.getElementById('state').textContent.includes('does not answer')")

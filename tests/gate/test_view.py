# SPDX-License-Identifier: Apache-2.0
"""The live view: its counts are those of a plain recount, and callers' words stay words."""

import asyncio
import json
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow_server.app import App, create_app
from pypow_server.decision import Decision, Outcome
from pypow_server.settings import Settings
from pypow_server.view import activity as activities
from pypow_server.view.activity import BIN_MS, BINS, CALLERS_SHOWN, Activity
from pypow_server.view.chart import Series, ceiling, lines, stacked
from pypow_server.view.frequent import Frequent
from pypow_server.view.page import page
from pypow_server.view.recent_spans import RecentSpans
from pypow_server.view.tally import Times
from support.asgi_client import Answer, call
from support.decisions import refused
from support.gated import RecordingApp
from support.html_page import Reading

NOW_MS = 1_800_000_000_000
WINDOW_MS = BINS * BIN_MS
OLDEST_MS = (NOW_MS // BIN_MS - BINS + 1) * BIN_MS
LOADED = {".js", ".css", ".html", ".svg", ".png"}
HOSTILE = "\"'><script>alert(1)</script>&amp;"


def watched(*decisions: Decision, now_ms: int = NOW_MS) -> Activity:
    activity = Activity(lambda: now_ms)
    activity.watch()
    for decision in decisions:
        activity.record(decision)
    return activity


def plain(decisions: Sequence[Decision]) -> dict[str, object]:
    """The whole window, recounted from the decisions themselves."""

    def work(values: list[int]) -> object:
        if not values:
            return None
        mean = round(sum(values) / len(values) / 1024, 3)
        return {
            "count": len(values),
            "mean_bits": mean,
            "least_bits": min(values) / 1024,
            "most_bits": max(values) / 1024,
        }

    seen = [one for one in decisions if OLDEST_MS <= one.at_ms < OLDEST_MS + WINDOW_MS]
    paid = [one.outcome is Outcome.ADMITTED for one in seen]
    return {
        "outcomes": Counter(one.outcome.value for one in seen),
        "rails": Counter(one.rail for one in seen if one.rail),
        "problems": Counter(one.problem for one in seen if one.problem),
        "asked": work([one.q for one, p in zip(seen, paid, strict=True) if one.q and not p]),
        "paid": work([one.q for one, p in zip(seen, paid, strict=True) if one.q and p]),
        "solves": sum(one.solve_ms is not None for one in seen),
    }


moments = st.integers(NOW_MS - WINDOW_MS - 60_000, NOW_MS)
decisions = st.lists(
    st.one_of(
        st.builds(
            lambda at, q, took, who: refused(
                at_ms=at, outcome=Outcome.ADMITTED, rail="work", problem=None, status=None,
                q=q, solve_ms=took, principal=who,
            ),
            moments, st.integers(1024, 45056), st.integers(0, 600_000), st.sampled_from("abc"),
        ),
        st.builds(
            lambda at, q, problem, outcome: refused(
                at_ms=at, q=q, problem=problem, outcome=outcome
            ),
            moments, st.none() | st.integers(1024, 45056), st.sampled_from(["expired", "denied"]),
            st.sampled_from([Outcome.REFUSED, Outcome.OBSERVED]),
        ),
        st.builds(lambda at: refused(at_ms=at, outcome=Outcome.FREE, problem=None), moments),
    )
)  # fmt: skip


@given(decisions)
def test_the_view_counts_what_a_plain_recount_finds(made: list[Decision]) -> None:
    found = watched(*sorted(made, key=lambda one: one.at_ms)).snapshot().document()
    whole, expected = found["whole"], plain(made)

    assert isinstance(whole, dict)
    solves = whole.pop("solves")
    assert (solves["count"] if solves else 0) == expected.pop("solves")
    assert whole == expected
    bins = found["bins"]
    assert isinstance(bins, list)
    shown: Counter[str] = Counter()
    for one in bins:
        shown.update(one["outcomes"])
    assert shown == expected["outcomes"]


def test_nothing_is_counted_before_somebody_may_look() -> None:
    activity = Activity(lambda: NOW_MS)
    activity.record(refused(at_ms=NOW_MS))
    assert activity.snapshot().whole.total == 0
    activity.watch()
    activity.record(refused(at_ms=NOW_MS))
    assert activity.snapshot().whole.total == 1


@given(st.lists(st.integers(0, 40), max_size=300), st.integers(1, 12), st.integers(0, 300))
def test_the_most_frequent_are_counted_within_the_error_that_is_told(
    keys: list[int], room: int, cut: int
) -> None:
    first, second = Frequent[int](room), Frequent[int](room)
    for counted, part in ((first, keys[:cut]), (second, keys[cut:])):
        for key in part:
            counted.add(key)
    first.merge(second)

    assert wrong_counts(first, Counter(keys)) == []
    assert len(first.counts) <= room
    assert first.missed <= len(keys) / (room + 1)
    top = list(first.top(3).values())
    assert top == sorted(first.counts.values(), reverse=True)[:3]


def wrong_counts(found: Frequent[int], true: Counter[int]) -> list[int]:
    """The keys whose count is too high, or lower than the error allows."""
    return [
        key
        for key, count in true.items()
        if not found.counts.get(key, 0) <= count <= found.counts.get(key, 0) + found.missed
    ]


def test_a_count_that_takes_over_the_least_one_is_noticed() -> None:
    class SpaceSaving(Frequent[int]):
        def _lower(self, by: int) -> None:
            least = min(self.counts, key=lambda key: self.counts[key])
            self.counts[99] = self.counts.pop(least) + 1

    counted = SpaceSaving(1)
    for key in (1, 1, 99):
        counted.add(key)
    assert wrong_counts(counted, Counter([1, 1, 99])) != []


def test_a_loud_caller_is_found_among_any_number_of_others() -> None:
    activity = watched()
    for number in range(20_000):
        activity.record(refused(at_ms=NOW_MS, client=f"c{number}"))
        activity.record(refused(at_ms=NOW_MS, client="loud"))
    snapshot = activity.snapshot()

    assert len(snapshot.callers) <= CALLERS_SHOWN
    loud = snapshot.callers[0]
    assert loud.who == "loud"
    assert loud.calls <= 20_000 <= loud.calls + snapshot.missed


def test_a_clock_that_jumps_fills_no_memory_and_loses_what_it_left() -> None:
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([])
        return made[-1]

    spans = RecentSpans(make, width_ms=10, count=3)
    for at_ms in (5, 1_000_000, 15, 25, 26, 35):
        spans.at(at_ms).append(at_ms)
    assert list(spans.last(39)) == [(10, [15]), (20, [25, 26]), (30, [35])]
    assert len(made) == 5


@given(st.integers(0, 700_000))
def test_a_time_is_told_to_an_eighth_and_never_too_short(milliseconds: int) -> None:
    times = Times()
    times.add(milliseconds)
    told = times.percentile_ms(50)
    assert told is not None
    assert milliseconds <= told <= milliseconds * 9 / 8


def test_percentiles_are_of_all_times() -> None:
    times = Times()
    for milliseconds in range(1, 16):
        times.add(milliseconds)
    assert [times.percentile_ms(percent) for percent in (1, 50, 99)] == [1, 8, 15]
    assert Times().percentile_ms(50) is None


@pytest.mark.parametrize("value", [0.001, 0.9, 1, 3, 7, 99, 1234, 5e9])
def test_an_axis_ends_at_a_round_number_not_far_above(value: float) -> None:
    assert value <= ceiling(value) < 2.5 * value * 1.001


def test_areas_lie_on_each_other_and_lines_have_gaps() -> None:
    drawn = stacked("s", [Series("a", [1, 1]), Series("b", [0, 1])], show=str)
    assert 'class="area a" d="M0 500L1 500L1 1000L0 1000Z"' in drawn
    assert 'class="area b" d="M0 500L1 0L1 500L0 500Z"' in drawn
    drawn = lines("s", [Series("a", [2, None, 1, 1])], show=str)
    assert 'd="M0 0h0M2 500h0L3 500"' in drawn
    drawn = lines("s", [Series("a", [17, 15])], show=str, axis=(14, 18))
    assert 'd="M0 250h0L1 750"' in drawn
    assert "<span>18</span><span>16.0</span><span>14</span>" in drawn


BUSY = [
    *(refused(at_ms=NOW_MS - 10_000, q=16384, problem=f"problem-{n}") for n in range(9)),
    refused(outcome=Outcome.ADMITTED, rail="work", problem=None, at_ms=NOW_MS - 20_000,
            q=16384, solve_ms=1500, principal=HOSTILE),
]  # fmt: skip


@pytest.mark.parametrize("made", [[], BUSY], ids=["nothing", "busy"])
def test_a_page_is_sound_with_a_table_for_every_chart(made: list[Decision]) -> None:
    read = Reading(page(watched(*made).snapshot()))
    assert read.complaints == []
    assert read.count["table"] == 6
    assert read.count["section"] == 6
    assert len(set(read.identities)) == len(read.identities)


def test_a_page_of_nothing_says_so() -> None:
    read = Reading(page(watched().snapshot()))
    assert read.text.count("nothing yet") == 3
    assert "nan" not in read.text


def test_what_callers_say_is_shown_and_never_read_as_html() -> None:
    made = page(watched(*BUSY).snapshot())
    assert "<script>alert" not in made
    assert HOSTILE in Reading(made).text


def test_what_callers_say_is_cut_short() -> None:
    activity = watched(refused(at_ms=NOW_MS, client="x" * 10_000))
    assert len(activity.snapshot().callers[0].who) == 80


def test_problems_beyond_the_first_few_are_counted_as_others() -> None:
    text = Reading(page(watched(*BUSY).snapshot())).text
    assert "others" in text
    assert "problem-0" in text


@pytest.mark.parametrize(
    "wrong",
    [
        "<p onclick='x'></p>", "<b style='x'></b>", "<script>1</script>", "<p>", "</p>",
        "<div><p></div></p>",
    ],
)  # fmt: skip
def test_a_page_that_is_not_sound_is_noticed(wrong: str) -> None:
    assert Reading(wrong).complaints != []


def make(tmp_path: Path) -> App:
    settings = Settings(state_dir=tmp_path, store="memory:", bits=8.0)
    return create_app(settings, around=RecordingApp())


def asked(app: object, target: str) -> Answer:
    headers = [(b"host", b"127.0.0.1:8402")]
    return asyncio.run(call(app, "GET", target.encode(), headers=headers))  # type: ignore[arg-type]  # the admin side is an ASGI app


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", b"text/html; charset=utf-8"),
        ("/view.js", b"text/javascript; charset=utf-8"),
        ("/view.css", b"text/css; charset=utf-8"),
        ("/activity", b"application/json"),
    ],
)
def test_the_operators_side_serves_the_view_and_lets_nothing_else_into_it(
    path: str, media_type: bytes, tmp_path: Path
) -> None:
    answer = asked(make(tmp_path).admin, path)
    assert (answer.status, answer.values(b"content-type")) == (200, [media_type])
    policy = answer.values(b"content-security-policy")[0]
    assert b"default-src 'none'" in policy
    assert b"unsafe" not in policy
    assert answer.values(b"cache-control") == [b"no-store"]


def test_what_the_page_loads_is_shipped() -> None:
    root = Path(__file__).parents[2]
    shipped = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    package = root / "server" / "pypow_server"
    beside = {
        str(path.relative_to(package)) for path in package.rglob("*.*") if path.suffix in LOADED
    }
    of_authorization = {"solve.js", "authorize.js", "authorize.css"}
    own = {f"authorization/{name}" for name in of_authorization}
    assert {"view/view.js", "view/view.css", *own} == beside
    assert beside <= set(shipped["package-data"]["pypow_server"])
    assert "pypow_server.view" in shipped["packages"]


def test_the_view_shows_what_the_gate_decides(tmp_path: Path) -> None:
    app = make(tmp_path)
    admin = app.admin
    asked(app, "/x")
    whole = json.loads(asked(admin, "/activity").body)["whole"]
    assert whole["problems"] == {"work-required": 1}
    assert whole["asked"]["mean_bits"] == 8


def test_a_gate_without_an_operators_side_counts_nothing(tmp_path: Path) -> None:
    app = make(tmp_path)
    asked(app, "/x")
    assert json.loads(asked(app.admin, "/activity").body)["whole"]["outcomes"] == {}


STYLE = resources.files(activities.__package__ or "").joinpath("view.css").read_text("utf-8")


def colours(block: str) -> dict[str, tuple[float, ...]]:
    return {
        name: tuple(int(hexed[place : place + 2], 16) / 255 for place in (0, 2, 4))
        for name, hexed in re.findall(r"--(\w+): #([0-9a-f]{6});", block)
    }


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour: Sequence[float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return sum(
            part * share for part, share in zip(linear, (0.2126, 0.7152, 0.0722), strict=True)
        )

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_curves_stand_out_in_both_schemes(scheme: str) -> None:
    light, dark = (colours(block) for block in STYLE.split(":root {")[1:3])
    found = light if scheme == "light" else dark
    words = {"text", "quiet", "link", "orange"}
    weak = {
        name: contrast(colour, found[ground])
        for name, colour in found.items()
        for ground in ("page", "raised")
        if name not in {"page", "raised", "rule"}
        and contrast(colour, found[ground]) < (4.5 if name in words else 3.0)
    }
    assert weak == {}
    assert contrast((1, 1, 1), (0, 0, 0)) == pytest.approx(21)

# SPDX-License-Identifier: Apache-2.0
"""Figures: each event is counted once, names keep to Prometheus's rules, callers add no label."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pypow.pricing import UNIT, Climate
from pypow_server.calibration.calibration_figures import CalibrationFigures
from pypow_server.crowd.climate_figures import ClimateFigures
from pypow_server.crowd.turn_figures import TurnFigures
from pypow_server.crowd.turns import Turns
from pypow_server.decision import Outcome
from pypow_server.issuer_figures import IssuerFigures
from pypow_server.metrics import Metrics
from pypow_server.stores import Spend, StoreError
from pypow_server.stores.watched import StoreCall, WatchedLedger
from support.asgi_client import call
from support.calibrations import calibrated
from support.climates import RULES, Played, gate
from support.decisions import ADMITTED, refused
from support.gated import CountingLedger, RecordingApp
from support.logins import issuer_figures
from support.seller_figures import seller_figures

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
DOCUMENTED = re.compile(r"^\| `(pypow_\w+)` \| ([\w, ]*)\|", re.MULTILINE)
PROMTOOL = shutil.which("promtool")


CLIMATE = (
    "pypow_pricing_replicas",
    "pypow_allowance_ratio",
    "pypow_entry_bits",
    "pypow_gates",
    "pypow_climate_steps_total",
    "pypow_climate_timestamp_seconds",
)

CALIBRATION = ("pypow_calibration_bits", "pypow_calibration_samples")


def figures(metrics: Metrics) -> dict[str, float]:
    """Every sample by name and labels, as Prometheus would read it."""
    text = metrics.exposition("text/plain")[0].decode()
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())):
            sample.value
        for family in parse_text(text)
        for sample in family.samples
    }  # fmt: skip


def fresh() -> Metrics:
    return Metrics(version="1.2.3", kernel="avx2")


def watched(metrics: Metrics, ledger: CountingLedger) -> WatchedLedger:
    return WatchedLedger(ledger, [metrics.store_watcher("memory")])


async def spend(ledger: WatchedLedger) -> Spend:
    return await ledger.spend(b"key", epoch=None, expires_at_ms=2, now_ms=1)


def test_each_decision_is_counted_under_its_entry_outcome_rail_and_problem() -> None:
    metrics = fresh()
    for decision in (refused(), refused(), ADMITTED, refused(outcome=Outcome.OBSERVED)):
        metrics.record(decision)

    found = figures(metrics)
    assert {name: found[name] for name in found if name.startswith("pypow_decisions_total")} == {
        "pypow_decisions_total entry=default outcome=refused problem=work-required rail=": 2,
        "pypow_decisions_total entry=default outcome=admitted problem= rail=work": 1,
        "pypow_decisions_total entry=default outcome=observed problem=work-required rail=": 1,
    }
    assert found["pypow_decision_seconds_count"] == 4
    assert found["pypow_decision_seconds_sum"] == pytest.approx(4 * 0.0002)


def test_what_callers_write_is_no_label() -> None:
    metrics = fresh()
    for number in range(50):
        metrics.record(refused(name=f"tool-{number}", method=f"m{number}", client=f"{number}/32"))

    assert sum(name.startswith("pypow_decisions_total") for name in figures(metrics)) == 1


def test_a_limiter_that_cannot_tell_is_counted() -> None:
    metrics = fresh()
    metrics.record(refused(limiter_failed=True))
    metrics.record(refused())

    assert figures(metrics)["pypow_limiter_fail_open_total"] == 1


def test_spends_are_timed_and_those_that_cannot_tell_are_errors() -> None:
    metrics, ledger = fresh(), CountingLedger()

    async def story() -> None:
        assert await spend(watched(metrics, ledger)) is Spend.WON
        ledger.answer = Spend.UNKNOWN
        assert await spend(watched(metrics, ledger)) is Spend.UNKNOWN
        ledger.answer = StoreError("disk full")
        with pytest.raises(StoreError):
            await spend(watched(metrics, ledger))

    asyncio.run(story())
    found = figures(metrics)
    assert found["pypow_spend_seconds_count store=memory"] == 3
    assert found["pypow_store_errors_total operation=spend store=memory"] == 2


@pytest.mark.parametrize("operation", ["epoch", "release", "probe"])
def test_a_store_that_fails_is_counted_by_operation_and_still_raises(operation: str) -> None:
    class Failing(CountingLedger):
        async def epoch(self) -> int:
            raise StoreError("gone")

        async def release(self, key: bytes) -> None:
            raise StoreError("gone")

        async def probe(self) -> None:
            raise StoreError("gone")

    async def story() -> None:
        ledger = watched(metrics, Failing())
        arguments = (b"key",) if operation == "release" else ()
        with pytest.raises(StoreError):
            await getattr(ledger, operation)(*arguments)

    metrics = fresh()
    asyncio.run(story())
    assert figures(metrics)[f"pypow_store_errors_total operation={operation} store=memory"] == 1


def test_a_caller_that_goes_away_during_a_spend_is_no_error_of_the_store() -> None:
    class Slow(CountingLedger):
        async def spend(self, *_arguments: object, **_named: object) -> Spend:
            await asyncio.Event().wait()
            raise AssertionError

    async def story() -> None:
        spending = asyncio.create_task(spend(watched(metrics, Slow())))
        await asyncio.sleep(0)  # it runs to where it waits
        spending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spending

    metrics = fresh()
    asyncio.run(story())
    assert not [name for name in figures(metrics) if name.startswith("pypow_store_errors_total")]


def test_a_store_that_works_has_no_errors() -> None:
    metrics = fresh()

    async def story() -> None:
        ledger = watched(metrics, CountingLedger())
        await ledger.epoch()
        await spend(ledger)
        await ledger.release(b"key")
        await ledger.probe()
        await ledger.aclose()

    asyncio.run(story())
    assert not [name for name in figures(metrics) if name.startswith("pypow_store_errors_total")]


def test_the_upstream_is_timed_to_the_beginning_of_its_response() -> None:
    metrics = fresh()
    app = metrics.watch_upstream(RecordingApp())
    asyncio.run(call(app))

    assert figures(metrics)["pypow_upstream_seconds_count"] == 1


def test_a_scraper_that_asks_for_openmetrics_gets_it() -> None:
    text, media_type = fresh().exposition("application/openmetrics-text; version=1.0.0")

    assert media_type.startswith("application/openmetrics-text")
    families = parse_openmetrics(text.decode())  # type: ignore[no-untyped-call]
    assert "pypow_decisions" in {family.name for family in families}


def test_operators_read_of_each_figure_and_its_labels_and_of_no_other() -> None:
    metrics = fresh()
    metrics.record(refused())
    metrics.store_watcher("memory")(StoreCall("spend", 0, 1, None, failed=True))
    metrics.spent_entries("memory", 1)
    metrics.standing_token("issued")
    metrics.show(ClimateFigures(gate(Played()), lambda: 1))
    metrics.show(CalibrationFigures(calibrated()))
    metrics.standing_token("good")
    metrics.show(TurnFigures(Turns(UNIT)))
    metrics.show(issuer_figures())
    for collector in seller_figures():
        metrics.show(collector)
    families = parse_text(metrics.exposition("")[0].decode())
    found = {
        family.name: {name for sample in family.samples for name in sample.labels} - {"le"}
        for family in families
        if family.name.startswith("pypow_") and not family.name.endswith("_created")
    }

    text = OPERATIONS.read_text("utf-8")
    documented = {
        name.removesuffix("_total"): {label for label in re.split("[, ]+", labels) if label}
        for name, labels in DOCUMENTED.findall(text)
    }
    assert documented == {name.removesuffix("_total"): labels for name, labels in found.items()}


def complaints(families: Iterable[Metric]) -> list[str]:
    """Where families of our own break Prometheus's rules for names."""
    found = []
    for family in families:
        if not family.name.startswith("pypow_"):
            continue
        name = family.name.removesuffix("_total")
        if not family.documentation.endswith("."):
            found.append(f"{name}: no help")
        if re.search(r"_(ms|milliseconds|minutes|kb|count|sum|bucket)$", name):
            found.append(f"{name}: no base unit, or a reserved ending")
        if family.type == "gauge" and family.name.endswith("_total"):
            found.append(f"{name}: a gauge is not named like a counter")
        if family.type == "counter" and not all(s.name.endswith("_total") for s in family.samples):
            found.append(f"{name}: a counter ends in _total")
    return found


def test_names_keep_to_prometheus_rules() -> None:
    metrics = fresh()
    metrics.show(ClimateFigures(gate(Played()), lambda: 1))
    assert complaints(parse_text(metrics.exposition("")[0].decode())) == []


def test_the_climate_is_told_as_it_is_now() -> None:
    metrics, conditions, replicas = fresh(), gate(Played(), None), [1]
    metrics.show(ClimateFigures(conditions, lambda: replicas[0]))
    told = {name for name in figures(metrics) if name in CLIMATE}
    assert told == {"pypow_pricing_replicas"}
    conditions.follow(RULES)
    assert [figures(metrics)[name] for name in CLIMATE] == [1, 1, 0, 1, 0, 0]
    conditions.climate = Climate(-(1 << 20), 75 * UNIT)
    conditions.gates, conditions.steps, conditions.learned_at_ms, replicas[0] = 3, 7, 1500, 2
    assert [figures(metrics)[name] for name in CLIMATE] == [2, 0.5, 1.5, 3, 7, 1.5]


def test_how_far_prices_are_moved_is_told_where_they_do() -> None:
    metrics, kept = fresh(), calibrated()
    metrics.show(CalibrationFigures(kept))
    assert [figures(metrics)[name] for name in CALIBRATION] == [0, 0]
    kept.offset_q, kept.sampled = -512, 41
    assert [figures(metrics)[name] for name in CALIBRATION] == [-0.5, 41]
    kept.follow(None)
    assert not figures(metrics).keys() & set(CALIBRATION)


def test_names_that_break_the_rules_are_found() -> None:
    registry = CollectorRegistry()
    Gauge("pypow_delay_ms", "Delay.", registry=registry)
    Gauge("pypow_seen_total", "Seen.", registry=registry)
    Gauge("pypow_things", "no full stop", registry=registry)

    assert len(complaints(parse_text(generate_latest(registry).decode()))) == 3


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_finds_nothing_to_say() -> None:
    metrics = fresh()
    metrics.record(refused())
    ran = subprocess.run(
        [str(PROMTOOL), "check", "metrics"],
        input=metrics.exposition("")[0],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, b"")


def test_issuers_that_answer_and_fail_are_counted_and_none_is_where_none_was_asked() -> None:
    metrics, issuers = fresh(), IssuerFigures()
    metrics.show(issuers)
    assert not any("issuer" in name for name in figures(metrics))
    for answer in ("read", "failed", "failed"):
        issuers.count("https://a.example", answer)
    named = "pypow_issuer_answers_total answer={} issuer=https://a.example"
    found = figures(metrics)
    assert [found[named.format(answer)] for answer in ("read", "failed")] == [1, 2]

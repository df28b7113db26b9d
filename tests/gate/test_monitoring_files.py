# SPDX-License-Identifier: Apache-2.0
"""The Grafana dashboard and the Prometheus alerts speak of figures that a gate has, soundly."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pypow.pricing import UNIT
from pypow_server import problems
from pypow_server.calibration.calibration_figures import CalibrationFigures
from pypow_server.crowd.climate_figures import ClimateFigures
from pypow_server.crowd.turn_figures import TurnFigures
from pypow_server.crowd.turns import Turns
from pypow_server.decision import Outcome
from pypow_server.metrics import Metrics
from pypow_server.stores.watched import StoreCall
from support.calibrations import calibrated
from support.climates import Played, gate
from support.decisions import refused
from support.logins import issuer_figures
from support.seller_figures import seller_figures

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "pypow.json").read_text("utf-8"))
RULES = DEPLOY / "prometheus" / "pypow.rules.yml"
PROMTOOL = shutil.which("promtool")
with_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)"
)

OF_TARGETS = {"job", "instance"}
"""Labels that Prometheus adds to all it scrapes."""

VALUES = {
    "outcome": {outcome.value for outcome in Outcome},
    "operation": {"spend", "release", "epoch", "probe"},
    "side": {"asked", "paid"},
    "problem": {name.replace("_", "-") for name in vars(problems)},
}

_SELECTOR = re.compile(r"\b((?:pypow|process)_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)")


def exported() -> Mapping[str, set[str]]:
    """Each sample of a gate, with its labels."""
    metrics = Metrics(version="1", kernel="k")
    metrics.record(refused(q=16384))
    metrics.record(refused(outcome=Outcome.ADMITTED, q=16384, solve_ms=5))
    metrics.store_watcher("memory")(StoreCall("spend", 0, 1, None, failed=True))
    metrics.spent_entries("memory", 1)
    metrics.show(ClimateFigures(gate(Played()), lambda: 1))
    metrics.show(CalibrationFigures(calibrated()))
    metrics.show(TurnFigures(Turns(UNIT)))
    metrics.show(issuer_figures())
    for collector in seller_figures():
        metrics.show(collector)
    found: dict[str, set[str]] = {}
    for family in parse_text(metrics.exposition("")[0].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


EXPORTED = exported()


def complaints(query: str, legend: str = "") -> list[str]:
    """What a query speaks of and no gate has."""
    wrong, labels = [], set(OF_TARGETS)
    for name, matchers in _SELECTOR.findall(query):
        if name not in EXPORTED:
            wrong.append(f"no figure {name}")
        labels |= EXPORTED.get(name, set())
        for label, operator, value in _MATCHER.findall(matchers):
            if label not in EXPORTED.get(name, set()) | OF_TARGETS:
                wrong.append(f"{name} has no {label}")
            if operator == "=" and value not in VALUES.get(label, {value}):
                wrong.append(f"no {label} is {value}")
    grouped = {name.strip() for found in _GROUPING.findall(query) for name in found.split(",")}
    told = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", legend))
    wrong += [f"no label {label}" for label in (grouped | told) - labels]
    return wrong


def targets() -> Iterator[tuple[str, str, str]]:
    """Title, query and legend of all that the dashboard asks for."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]


def alerts() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = yaml.safe_load(RULES.read_text("utf-8"))["groups"][0]["rules"]
    return rules


def test_the_dashboard_asks_for_what_a_gate_has_and_for_nothing_else() -> None:
    assert {title: complaints(query, legend) for title, query, legend in targets()} == {
        title: [] for title, _, _ in targets()
    }


def test_every_figure_of_ours_is_on_the_dashboard() -> None:
    asked = " ".join(query for _, query, _ in targets())
    asked += json.dumps(DASHBOARD["templating"])
    families = {
        re.sub("_(bucket|sum|count|created)$", "", name)
        for name in EXPORTED
        if name.startswith("pypow_")
    }
    assert {family for family in families if family not in asked} == set()


def test_alerts_are_about_what_a_gate_has() -> None:
    assert [wrong for alert in alerts() for wrong in complaints(alert["expr"])] == []
    documented = (ROOT / "docs" / "operations.md").read_text("utf-8")
    for alert in alerts():
        assert f"| `{alert['alert']}` |" in documented
        assert {"summary", "action"} == set(alert["annotations"])
        assert alert["labels"]["severity"] in ("warning", "critical")


@pytest.mark.parametrize(
    "query",
    [
        "rate(pypow_decision_total[5m])",
        'sum(pypow_decisions_total{tool="x"})',
        'sum(pypow_decisions_total{outcome="accepted"})',
        'sum(pypow_decisions_total{problem="allready-spent"})',
        "sum by (tool) (pypow_decisions_total)",
    ],
)
def test_a_query_for_what_no_gate_has_is_noticed(query: str) -> None:
    assert complaints(query) != []


def misshapen(dashboard: Mapping[str, Any]) -> list[str]:
    """Where a document is not a dashboard as Grafana's JSON model has it."""
    wrong = []
    for name, kind in {"title": str, "uid": str, "schemaVersion": int, "panels": list}.items():
        if not isinstance(dashboard.get(name), kind):
            wrong.append(f"no {name}")
    taken: set[tuple[int, int]] = set()
    identities = [panel.get("id") for panel in dashboard.get("panels", ())]
    if len(set(identities)) < len(identities):
        wrong.append("two panels with one id")
    variables = {one["name"] for one in dashboard.get("templating", {}).get("list", ())}
    for panel in dashboard.get("panels", ()):
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}  # fmt: skip
        if cells & taken or at["x"] + at["w"] > 24:
            wrong.append(f"{panel['title']} lies on another, or beside the page")
        taken |= cells
        if panel["type"] == "row":
            continue
        if panel["type"] not in ("timeseries", "stat") or not panel.get("description"):
            wrong.append(f"{panel['title']}: no type or description")
        references = [target["refId"] for target in panel["targets"]]
        if not references or len(set(references)) < len(references):
            wrong.append(f"{panel['title']}: no targets, or two of one name")
        used = set(re.findall(r"\$\{?(\w+)", json.dumps(panel))) - {"__rate_interval"}
        wrong += [f"{panel['title']}: no variable {name}" for name in used - variables]
    return wrong


def test_the_dashboard_has_the_shape_that_grafana_imports() -> None:
    assert misshapen(DASHBOARD) == []
    assert DASHBOARD["schemaVersion"] >= 36
    assert "id" not in DASHBOARD


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": None},
        {"panels": DASHBOARD["panels"] + DASHBOARD["panels"][-1:]},
        {"templating": {"list": []}},
    ],
)
def test_a_dashboard_that_grafana_would_not_show_is_noticed(change: dict[str, Any]) -> None:
    assert misshapen({**DASHBOARD, **change}) != []


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROMTOOL), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@with_promtool
def test_promtool_can_read_every_query(tmp_path: Path) -> None:
    rules = [
        {
            "record": f"pypow:{number}",
            "expr": query.replace("$__rate_interval", "5m").replace("$job", ".*"),
        }
        for number, (_, query, _) in enumerate(targets())
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": rules}]}))
    ran = promtool("check", "rules", str(path))
    assert ran.returncode == 0, ran.stdout + ran.stderr


@with_promtool
def test_promtool_finds_nothing_wrong_with_the_alerts() -> None:
    ran = promtool("check", "rules", str(RULES))
    assert ran.returncode == 0, ran.stdout + ran.stderr


GATE = '{job="pypow", instance="a"}'
STORY: Mapping[str, list[tuple[str, str]]] = {
    "PypowSpendsFail": [
        ('pypow_store_errors_total{job="pypow", instance="a", operation="spend"}', "0+6x60")
    ],
    "PypowInternalErrors": [
        ('pypow_decisions_total{job="pypow", instance="a", problem="internal-error"}', "0+1x60")
    ],
    "PypowFreeCallsNotCounted": [(f"pypow_limiter_fail_open_total{GATE}", "0+6x60")],
    "PypowReplays": [
        ('pypow_decisions_total{job="pypow", instance="a", problem="already-spent"}', "0+60x60"),
        ('pypow_decisions_total{job="pypow", instance="a", outcome="admitted"}', "0+90x60"),
    ],
    "PypowSolvingTakesLong": [
        ('pypow_solve_seconds_bucket{job="pypow", instance="a", le="30.0"}', "0+6x60"),
        ('pypow_solve_seconds_bucket{job="pypow", instance="a", le="60.0"}', "0+12x60"),
        ('pypow_solve_seconds_bucket{job="pypow", instance="a", le="+Inf"}', "0+12x60"),
    ],
    "PypowDecisionsSlow": [
        ('pypow_decision_seconds_bucket{job="pypow", instance="a", le="0.1"}', "0+6x60"),
        ('pypow_decision_seconds_bucket{job="pypow", instance="a", le="0.5"}', "0+12x60"),
        ('pypow_decision_seconds_bucket{job="pypow", instance="a", le="+Inf"}', "0+12x60"),
    ],
    "PypowClimateUntold": [(f"pypow_climate_timestamp_seconds{GATE}", "60+0x60")],
    "PypowWalletFails": [(f"pypow_wallet_failures{GATE}", "3x60")],
    "PypowIssuerSilent": [
        (
            'pypow_issuer_answers_total{job="pypow", instance="a", issuer="i", answer="failed"}',
            "0+1x60",
        ),
        (
            'pypow_issuer_answers_total{job="pypow", instance="a", issuer="i", answer="read"}',
            "9x60",
        ),
    ],
    "PypowAuditLinesLost": [(f"pypow_audit_lines_lost_total{GATE}", "0+1x60")],
    "PypowFewFilesLeft": [
        (f"process_open_fds{GATE}", "90x60"),
        (f"process_max_fds{GATE}", "100x60"),
    ],
}
"""What makes each alert, and no other one, go off within an hour."""


def fired(name: str, series: list[tuple[str, str]], *, alive: bool = True) -> dict[str, Any]:
    """A test of promtool's: after an hour of these series, this alert and no other is there."""
    given = [{"series": text, "values": values} for text, values in series]
    if alive:
        given.append({"series": f"pypow_build_info{GATE}", "values": "1x60"})
    expected = [
        {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "1h",
         "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] if name else []}
    ]  # fmt: skip
    return {"interval": "1m", "input_series": given, "promql_expr_test": expected}


@with_promtool
def test_each_alert_goes_off_when_it_should_and_no_other_does(tmp_path: Path) -> None:
    assert {alert["alert"] for alert in alerts()} == {*STORY, "PypowGone"}
    tests = [fired(name, series) for name, series in STORY.items()]
    tests += [fired("PypowGone", [], alive=False), fired("", [])]
    path = tmp_path / "story.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": tests}))
    ran = promtool("test", "rules", str(path))
    assert ran.returncode == 0, ran.stdout + ran.stderr

# SPDX-License-Identifier: Apache-2.0
"""The operators' side of an assembled gate: health, figures, configuration, decisions."""

import asyncio
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pypow_server import configuration
from pypow_server.address import Address
from pypow_server.admin import Readiness
from pypow_server.app import App, create_app
from pypow_server.embedding import guard
from pypow_server.entries import SpentEntries
from pypow_server.recent import KEPT, RecentDecisions
from pypow_server.settings import Settings
from pypow_server.stores import Spend, StoreError
from support.asgi_client import Answer, call
from support.challenges import NOW_MS
from support.decisions import ADMITTED, refused
from support.gated import CountingLedger, RecordingApp


def make(tmp_path: Path, **changes: Any) -> App:
    settings = {"state_dir": tmp_path, "store": "memory:", "bits": 8.0, **changes}
    return create_app(Settings(**settings), around=RecordingApp())


def asked(app: Any, target: str = "/x", *, hosts: Sequence[str] = ("127.0.0.1:8402",)) -> Answer:
    headers = [(b"host", host.encode()) for host in hosts]
    return asyncio.run(call(app, "GET", target.encode(), headers=headers))


def test_a_gate_is_ready_while_its_ledger_takes_spends(tmp_path: Path) -> None:
    assert asked(make(tmp_path).admin, "/readyz").status == 200


def test_a_gate_that_is_to_stop_is_not_ready_and_still_alive(tmp_path: Path) -> None:
    app = make(tmp_path)
    app.readiness.drain()

    answer = asked(app.admin, "/readyz")
    assert (answer.status, answer.body[:8]) == (503, b"draining")
    assert asked(app.admin, "/livez").status == 200


def test_a_store_that_fails_is_the_reason_not_to_be_ready() -> None:
    class Failing(CountingLedger):
        async def probe(self) -> None:
            raise StoreError("the disk is full; make room")

    hindrance = asyncio.run(Readiness(Failing()).hindrance())
    assert hindrance == "the disk is full; make room"


def test_however_many_ask_the_ledger_is_asked_once_a_second() -> None:
    class Counting(CountingLedger):
        probes = 0

        async def probe(self) -> None:
            self.probes += 1
            await asyncio.sleep(0)
            if self.probes == 1:
                raise StoreError("the disk is full; make room")

    ledger, now = Counting(), [100.0]
    readiness = Readiness(ledger, clock=lambda: now[0])

    async def story() -> None:
        async def asked_by(many: int) -> set[str | None]:
            return set(await asyncio.gather(*(readiness.hindrance() for _ in range(many))))

        assert await asked_by(50) == {"the disk is full; make room"}
        now[0] += 0.9
        assert await asked_by(50) == {"the disk is full; make room"}
        assert ledger.probes == 1
        now[0] += 0.2
        assert await asked_by(50) == {None}
        assert ledger.probes == 2

    asyncio.run(story())


def test_what_the_gate_decides_is_found_in_its_figures(tmp_path: Path) -> None:
    app = make(tmp_path)
    asked(app)

    answer = asked(app.admin, "/metrics")
    sample = (
        'pypow_decisions_total{entry="default",outcome="refused",problem="work-required",rail=""}'
    )
    assert f"{sample} 1.0\n" in answer.body.decode()
    assert answer.values(b"content-type")[0].startswith(b"text/plain")
    assert b"pypow_build_info{" in answer.body


def test_a_caller_who_tells_the_id_of_a_refusal_can_be_helped(tmp_path: Path) -> None:
    app = make(tmp_path)
    told = json.loads(asked(app).body)["decision"]

    found = json.loads(asked(app.admin, f"/decisions/{told}").body)
    assert found["problem"] == "work-required"
    assert found["client"] == "192.0.2.7/32"
    assert (found["method"], found["name"]) == ("GET", "/x")
    assert asked(app.admin, "/decisions/0000000000000000").status == 404


def test_the_last_refusals_are_kept_and_nothing_else() -> None:
    recent = RecentDecisions()
    recent.record(ADMITTED)
    for number in range(KEPT + 1):
        recent.record(refused(id=f"{number}"))

    assert recent.find(ADMITTED.id) is None
    assert recent.find("0") is None
    assert recent.find("1") is not None
    assert recent.find(f"{KEPT}") is not None


def test_the_configuration_in_effect_is_shown(tmp_path: Path) -> None:
    shown = json.loads(asked(make(tmp_path, audit=tmp_path / "a.log").admin, "/config").body)

    assert shown["bits"] == 8.0
    assert shown["listen"] == "127.0.0.1:8402"
    assert shown["store"] == "memory:"
    assert shown["audit"] == f"{tmp_path}/a.log"


@pytest.mark.parametrize(
    "store",
    [
        "redis://:hunter2@h:6379/0",
        "redis+sentinel://u:hunter2@a,b/main/0?sentinel_password=hunter2",
    ],
)
def test_every_setting_is_shown_but_for_passwords(store: str, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, store=store)
    shown = configuration.shown(settings)

    assert "hunter2" not in json.dumps(shown)
    assert [name for name, value in shown.items() if value == configuration.HIDDEN] == []


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_spends_that_the_ledger_keeps_are_a_figure(store: str, tmp_path: Path) -> None:
    url = "memory:" if store == "memory" else f"sqlite:{tmp_path}/a ledger?.db"
    app = make(tmp_path, store=url, bits=4.0)

    def kept() -> float:
        text = asked(app.admin, "/metrics").body.decode()
        found = re.search(rf'^pypow_spent_entries{{store="{store}"}} (.*)$', text, re.MULTILINE)
        assert found
        return float(found[1])

    async def spend(key: bytes) -> None:
        spent = await app.gate._checkout.ledger.spend(
            key, epoch=None, expires_at_ms=NOW_MS, now_ms=NOW_MS
        )
        assert spent is Spend.WON

    async def spend_thrice() -> None:
        for key in (b"a", b"b", b"c"):
            await spend(key)

    asyncio.run(spend_thrice())
    assert kept() == 3
    asyncio.run(spend(b"d"))
    assert kept() == 3  # it was counted just now


def test_entries_are_counted_again_after_ten_seconds_and_a_store_may_fail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, found, told = [0.0], [5], list[float]()

    def count() -> int:
        return found.pop()

    async def story() -> None:
        entries = SpentEntries(count, told.append, clock=lambda: now[0])
        for moment in (0.0, 9.9, 10.0, 19.9):
            now[0] = moment
            await asyncio.gather(entries.refresh(), entries.refresh())

    asyncio.run(story())
    assert (told[0], math.isnan(told[1]), len(told)) == (5, True, 2)
    assert "were not counted: pop from empty list" in caplog.text


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/activity",
        "/config",
        "/decisions/0123",
        "/metrics",
        "/readyz",
        "/sales",
        "/sales.csv",
        "/nothing",
    ],
)
@pytest.mark.parametrize(
    "hosts", [["evil.example"], ["evil.example:8403"], [""], ["127.0.0.1", "evil.example"], ["a/b"]]
)
def test_no_page_of_another_site_reads_the_operators_side(
    path: str, hosts: list[str], tmp_path: Path
) -> None:
    answer = asked(make(tmp_path).admin, path, hosts=hosts)

    assert answer.status == 421
    assert b"gate.admin_hosts" in answer.body


@pytest.mark.parametrize(
    "hosts", [["127.0.0.1:8403"], ["[::1]:8403"], ["LocalHost"], ["pypow:8403"], ["ops.lan"], []]
)
def test_operators_call_by_address_or_by_a_name_that_was_said(
    hosts: list[str], tmp_path: Path
) -> None:
    app = make(tmp_path, admin=Address("ops.lan", 8403), admin_hosts=("Pypow",))

    assert asked(app.admin, "/config", hosts=hosts).status == 200


def test_operators_may_be_called_by_any_name(tmp_path: Path) -> None:
    app = make(tmp_path, admin_hosts=("*",))

    assert asked(app.admin, "/config", hosts=["whatever.example"]).status == 200


def test_the_configuration_says_where_each_setting_was_said(tmp_path: Path) -> None:
    file = tmp_path / "pypow.toml"
    file.write_text('[gate]\nmode = "observe"\n\n[default]\nhashes = 4096\n', "utf-8")
    environment = {"HOME": str(tmp_path), "PYPOW_DRAIN_S": "5", "PYPOW_CONFIG": str(file)}
    settings = Settings.from_env(environment, {"store": "memory:"})
    shown = json.loads(asked(create_app(settings, around=RecordingApp()).admin, "/config").body)

    assert shown.keys() - {"origins", "calibration"} == shown["origins"].keys()
    said = {name: place for name, place in shown["origins"].items() if place != "default"}
    assert said == {
        "store": "--store",
        "drain_s": "PYPOW_DRAIN_S",
        "config": "PYPOW_CONFIG",
        "rows": str(file),
        "mode": f"{file} line 2: gate.mode",
        "bits": f"{file}: [default]",
    }


def test_what_an_app_of_ones_own_says_has_an_origin_too(tmp_path: Path) -> None:
    app = guard(RecordingApp(), bits=8, store="memory:", state_dir=tmp_path)
    shown = json.loads(asked(app.admin, "/config").body)

    said = {name: place for name, place in shown["origins"].items() if place != "default"}
    assert said == {"bits": "argument", "store": "argument", "state_dir": "argument"}

# SPDX-License-Identifier: Apache-2.0
"""The assembled server follows its load where its policy says what the upstream serves."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pypow.pricing import UNIT, Climate
from pypow_server.app import App, create_app
from pypow_server.meter import Pricing
from pypow_server.policy_rows import Rows
from pypow_server.settings import Settings
from pypow_server.stores import Quota
from support.asgi_client import call
from support.gated import RecordingApp

QUOTA = Quota(60, 60_000)
CROWDED = Rows(pricing=Pricing(QUOTA, capacity=50 * UNIT))
CALM = Rows(pricing=Pricing(QUOTA))


def settings(folder: Path, **changes: Any) -> Settings:
    return Settings(**{"state_dir": folder, "store": "memory:", "bits": 8.0, **changes})


def make(folder: Path, **changes: Any) -> App:
    return create_app(settings(folder, **changes), around=RecordingApp())


async def figure(app: App, name: str) -> float | None:
    answer = await call(app.admin, "GET", b"/metrics", headers=[(b"host", b"127.0.0.1")])
    found = re.search(rf"^{name} (.*)$", answer.body.decode(), re.MULTILINE)
    return None if found is None else float(found[1])


async def learned(app: App) -> None:
    """What its task does once a second."""
    await app._conditions.exchange()


def test_gates_of_one_store_count_each_other(tmp_path: Path) -> None:
    async def story() -> None:
        store = f"sqlite:{tmp_path}/ledger.db"
        one, two = (make(tmp_path, store=store, rows=CROWDED) for _ in range(2))
        for app in (one, two, one):
            await learned(app)
        assert [await figure(app, "pypow_gates") for app in (one, two)] == [2, 2]
        assert await figure(one, "pypow_allowance_ratio") == 1
        for app in (one, two):
            await app.stop()

    asyncio.run(story())


def test_the_live_view_tells_how_crowded_it_is(tmp_path: Path) -> None:
    async def story() -> None:
        app = make(tmp_path, rows=CROWDED)
        app._conditions.climate = Climate(-(1 << 20), 75 * UNIT)
        host = [(b"host", b"127.0.0.1")]
        page = (await call(app.admin, "GET", b"/", headers=host)).body.decode()
        assert "<dt>Allowance</dt><dd>50% <small>of the quota</small>" in page
        assert "<dt>Entry</dt><dd>1.5 <small>bits more</small>" in page
        document = json.loads((await call(app.admin, "GET", b"/activity", headers=host)).body)
        assert document["crowd"] == {"allowance": 0.5, "entry_bits": 1.5, "gates": 1}
        app.reload(settings(tmp_path, rows=CALM))
        assert b"Allowance" not in (await call(app.admin, "GET", b"/", headers=host)).body
        document = json.loads((await call(app.admin, "GET", b"/activity", headers=host)).body)
        assert document["crowd"] is None
        await app.stop()

    asyncio.run(story())


def test_a_gate_learns_the_climate_from_its_start_to_its_stop(tmp_path: Path) -> None:
    async def story() -> None:
        app = make(tmp_path, rows=CROWDED)
        looked = asyncio.Event()
        exchange = app._conditions.exchange

        async def noticed() -> None:
            await exchange()
            looked.set()

        upkeep = app._conditions._upkeep
        upkeep._do = noticed
        app.start()
        await asyncio.wait_for(looked.wait(), 30)
        assert await figure(app, "pypow_climate_timestamp_seconds") != 0
        await app.stop()
        assert not upkeep.goes_on

    asyncio.run(story())


def test_a_capacity_comes_and_goes_with_a_reload(tmp_path: Path) -> None:
    async def story() -> None:
        app = make(tmp_path, rows=CALM)
        seen = [await figure(app, "pypow_gates")]
        for rows in (CROWDED, CALM):
            app.reload(settings(tmp_path, rows=rows))
            await learned(app)
            seen.append(await figure(app, "pypow_gates"))
        assert seen == [None, 1, None]
        await app.stop()

    asyncio.run(story())


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_gate_that_shares_no_store_with_others_says_so(
    replicas: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        app = make(tmp_path, rows=Rows(pricing=Pricing(QUOTA, replicas=replicas)))
        assert await figure(app, "pypow_pricing_replicas") == replicas
        await app.stop()

    asyncio.run(story())
    told = [record.getMessage() for record in caplog.records]
    assert [text.startswith("pricing.replicas is 3: ") for text in told] == [True] * (replicas > 1)


def test_what_the_gate_lets_through_is_load(tmp_path: Path) -> None:
    async def story() -> int:
        rows = Rows(default_free=QUOTA, pricing=CROWDED.pricing)
        app = make(tmp_path, rows=rows)
        for _ in range(3):
            host = [(b"host", b"127.0.0.1")]
            assert (await call(app, "GET", b"/x", headers=host)).status == 200
        await app.stop()
        return app._conditions._load.counts[0]

    assert asyncio.run(story()) == 3

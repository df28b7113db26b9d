# SPDX-License-Identifier: Apache-2.0
"""A whole gate over SQLite that sells for sats, in a flood of requests that pay nothing."""

import asyncio
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pypow import bolt11
from pypow.lightning.development import preimage_of
from pypow_server.app import App, create_app
from pypow_server.invoices import MOST_KEPT
from pypow_server.scope import Receive, Scope, Send
from pypow_server.settings import Settings
from support.asgi_client import Answer, call
from support.gated import solved

pytest.importorskip("coincurve", reason="signatures need the extra l402")

SHORT = 3_000
FLOOD = int(os.environ.get("PYPOW_TEST_FLOOD", "1000000"))
NETWORKS = 200_000

HONEST_EVERY = 1_000
MOST_INVOICES = 60

CONFIG = f"""
[l402]
wallet = "development:"
invoices = "2/1h"
all_invoices = "{MOST_INVOICES}/1h"
invoice_bits = 8
[default]
bits = 8
sats = 5
"""


class Upstream:
    """Counts what reaches it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})


@dataclass
class Story:
    """One gate, and what became of those who called it."""

    gate: App
    upstream: Upstream
    refused: int = 0
    worked: int = 0
    served: list[str] = field(default_factory=list)

    async def send(self, path: str, network: int, *headers: tuple[bytes, bytes]) -> Answer:
        address = f"10.{network >> 16 & 255}.{network >> 8 & 255}.{network & 255}"
        return await call(
            self.gate,
            "GET",
            path.encode(),
            headers=[(b"host", b"127.0.0.1:8402"), *headers],
            client=(address, 50_000),
        )

    async def pay(self, number: int) -> None:
        """An honest caller: works for an invoice where that is asked, pays it, and is served."""
        path, network = f"/honest/{number}", NETWORKS + number
        offer = _sold(await self.send(path, network))
        if offer["invoice"] is None:
            self.worked += 1
            offer = _sold(
                await self.send(path, network, (b"x-pow-invoice", solved(offer["work"]).encode()))
            )
        preimage = preimage_of(bolt11.decode(offer["invoice"])).hex()
        paid = f"L402 {offer['macaroon']}:{preimage}".encode()
        for expected in (200, 402):
            answer = await self.send(path, network, (b"authorization", paid))
            assert answer.status == expected, answer.body
        self.served.append(path)


def _sold(answer: Answer) -> dict[str, Any]:
    assert answer.status == 402, answer.body
    offers = json.loads(answer.body)["offers"]
    found: dict[str, Any] = next(offer for offer in offers if offer["rail"] == "l402")
    return found


async def flooded(story: Story, requests: int) -> None:
    for at in range(requests):
        answer = await story.send(f"/{at % 11}", at * 7919 % NETWORKS)
        assert answer.status == 402
        story.refused += 1
        if at % HONEST_EVERY == HONEST_EVERY - 1:
            await story.pay(at // HONEST_EVERY)


@pytest.mark.parametrize("requests", [SHORT, pytest.param(FLOOD, marks=pytest.mark.deep)])
def test_a_flood_makes_no_row_and_few_invoices_and_who_pays_is_served(
    requests: int, tmp_path: Path
) -> None:
    config = tmp_path / "pypow.toml"
    config.write_text(CONFIG, encoding="utf-8")
    said = {"store": f"sqlite:{tmp_path}/ledger.db"}
    settings = Settings.from_env({"HOME": str(tmp_path), "PYPOW_CONFIG": str(config)}, said)
    upstream = Upstream()
    story = Story(create_app(settings, around=upstream), upstream)
    began = time.monotonic()
    asyncio.run(flooded(story, requests))
    hours = (time.monotonic() - began) / 3600

    shop, store = story.gate._shop, story.gate._store
    assert shop.invoices is not None
    assert store.entries is not None
    figures = shop.invoices.figures
    assert story.refused == requests
    assert upstream.calls == story.served
    assert store.entries() == len(story.served) == requests // HONEST_EVERY
    # Nobody but those who worked for theirs got an invoice beyond what all together may have.
    assert figures.made <= MOST_INVOICES * (1 + hours) + 1 + story.worked
    assert figures.failed == 0
    assert len(shop.invoices._kept) <= MOST_KEPT
    print(f"{requests:,} requests, {figures}, {len(story.served)} paid, {hours * 3600:.0f} s")

# SPDX-License-Identifier: Apache-2.0
"""What a gate that sells shows Prometheus beside what every gate does."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client.registry import Collector

from pypow_server.policy_rows import Rows
from pypow_server.selling import Selling
from pypow_server.settings import Settings
from pypow_server.shop import Shop
from pypow_server.sold.figures import BEHIND_MS, SoldFigures
from pypow_server.stores.memory import MemoryLimiter
from support.recorded_sales import NOW_MS, Recorded, sale


def seller_figures() -> tuple[Collector, ...]:
    """Those of its wallet, and of one sale."""
    pytest.importorskip("coincurve", reason="a gate that sells needs the extra l402")
    selling = Rows(selling=Selling("development:"))
    now = [NOW_MS - 2 * BEHIND_MS]
    sold = SoldFigures(Recorded(sale(0, at_ms=now[0])), clock=lambda: now[0])
    now[0] = NOW_MS
    asyncio.run(sold.refresh())
    return Shop(Settings(state_dir=Path(), rows=selling), MemoryLimiter()), sold

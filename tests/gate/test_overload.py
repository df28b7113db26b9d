# SPDX-License-Identifier: Apache-2.0
"""A gate before a busy upstream, both real: ten times what can be served comes at once."""

import asyncio
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import aiohttp

from pypow import engine
from pypow.wire import decode_challenge
from pypow_server.meter import Pricing
from pypow_server.policy import Price
from pypow_server.stores import Charged, Quota
from pypow_server.stores.sqlite import SqliteLedger
from support.counting_upstream import counting_upstream
from support.gate_process import gate_process

A_SECOND = 10
HOSTILE = 10 * 2 * A_SECOND
KNOWN = 3
POLICY = f"""
[default]
bits = 8
[pricing]
quota = "600/60s"
capacity = "{A_SECOND}/s"
[trust]
proxies = ["127.0.0.1/32"]
"""


async def meet(path: Path, client: str) -> None:
    """Have a ledger know a caller, since ten minutes ago."""
    then_ms = time.time_ns() // 1_000_000 - 600_000
    price = Price("default", 8 * 1024, pricing=Pricing(Quota(600, 60_000)))
    assert price.meter is not None
    ledger = SqliteLedger(path)
    met = await ledger.take_free(price.meter.charge(client), now_ms=then_ms)
    await ledger.aclose()
    assert met is Charged.FIRST


class Callers:
    """Everybody who calls, from behind one proxy."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/work"

    async def _get(self, address: str, **headers: str) -> tuple[int, Any]:
        sent = {"X-Forwarded-For": address, **headers}
        async with self._session.get(self._url, headers=sent) as answer:
            if answer.status == 200:
                return 200, None
            return answer.status, await answer.json(content_type=None)

    async def proof(self, address: str) -> tuple[str, str]:
        status, refusal = await self._get(address)
        assert status == 402, refusal
        challenge = decode_challenge(refusal["offers"][0]["challenge"])
        return address, engine.solve(challenge).header()

    async def call(self, paid: tuple[str, str]) -> int:
        address, proof = paid
        status, refusal = await self._get(address, **{"X-PoW-Solution": proof})
        assert status == 200 or refusal["type"] == "urn:pypow:error:busy", refusal
        return status


def test_known_callers_are_served_whatever_comes_besides(tmp_path: Path) -> None:
    store, policy = tmp_path / "ledger.db", tmp_path / "pypow.toml"
    policy.write_text(POLICY, encoding="utf-8")
    asyncio.run(meet(store, "192.0.2.1/32"))
    options = ("--config", str(policy), "--store", f"sqlite:{store}", "--log-level", "warning")
    with counting_upstream() as upstream, gate_process(tmp_path, upstream.url, *options) as gate:

        async def story() -> None:
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector) as session:
                callers = Callers(session, gate.url)
                many = [f"10.{n // 200}.{n % 200}.1" for n in range(HOSTILE)]
                hostile = [await callers.proof(address) for address in many]
                known = [await callers.proof("192.0.2.1") for _ in range(KNOWN)]
                assert upstream.count == 0
                began = time.monotonic()
                statuses = await asyncio.gather(*map(callers.call, hostile + known))
                took_s = time.monotonic() - began
                others, known_statuses = statuses[:HOSTILE], statuses[HOSTILE:]
                assert known_statuses == [200] * KNOWN
                assert set(others) == {200, 503}
                served = Counter(statuses)[200]
                assert served == upstream.count <= A_SECOND * took_s + 1
                told = await asyncio.to_thread(lambda: urlopen(f"{gate.admin_url}/metrics").read())
                away = re.findall(rb'pypow_sent_away_total\{lane="(\w+)"\} (\S+)', told)
                new = b"%.1f" % others.count(503)
                assert dict(away) == {b"paid": b"0.0", b"known": b"0.0", b"new": new}
                # Nothing of theirs was spent: the same proofs are good now, and once.
                again = [
                    paid for paid, status in zip(hostile, others, strict=True) if status == 503
                ]
                assert await callers.call(again[0]) == 200

        asyncio.run(story())

# SPDX-License-Identifier: Apache-2.0
"""Two gate processes over one ledger behind a real balancer: a proof is admitted once."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from support.balancers import GATE, SECOND_GATE, balancer
from support.counting_upstream import counting_upstream
from support.gate_process import GateProcess, gate_process
from support.plain_http import ask, solution
from support.redis_server import DURABLE, running, valkey_binary

PRESENTERS = 60


@contextlib.contextmanager
def _store(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:{folder / 'ledger.db'}"
        return
    binary = valkey_binary() if kind == "valkey" else None
    with running(folder / "store", *DURABLE, binary=binary) as server:
        yield server.url


@contextlib.contextmanager
def _two_gates(home: Path, upstream: str, store: str) -> Iterator[tuple[GateProcess, str]]:
    """The first gate, and the URL of the balancer before both."""
    options = ("--bits", "4", "--store", store, "--public-url", "http://127.0.0.1:8080")
    trust = ("--trusted-proxy", "127.0.0.1")
    with (
        gate_process(home, upstream, *options, *trust) as one,
        gate_process(home, upstream, *options, *trust) as two,
        balancer(
            home / "haproxy",
            "haproxy/haproxy.cfg",
            {
                GATE: one.url.removeprefix("http://"),
                SECOND_GATE: two.url.removeprefix("http://"),
            },
        ) as url,
    ):
        yield one, url


async def _present(url: str, headers: dict[str, str]) -> Counter[int]:
    """Present one proof at once on as many connections as there are presenters."""
    connector = aiohttp.TCPConnector(force_close=True, limit=PRESENTERS)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def once() -> int:
            async with session.get(url, headers=headers) as response:
                return response.status

        return Counter(await asyncio.gather(*(once() for _ in range(PRESENTERS))))


@pytest.mark.parametrize("kind", ["sqlite", "redis", "valkey"])
def test_a_proof_is_admitted_once_over_both_gates(kind: str, tmp_path: Path) -> None:
    with (
        _store(kind, tmp_path) as store,
        counting_upstream() as upstream,
        _two_gates(tmp_path, upstream.url, store) as (one, url),
    ):
        proofs = [
            solution(ask(f"{url}/api/challenge?resource=GET%20/x").json),
            solution(ask(f"{one.url}/api/challenge?resource=GET%20/x").json),
        ]
        counted = [asyncio.run(_present(f"{url}/x", proof)) for proof in proofs]
        assert counted == [Counter({402: PRESENTERS - 1, 200: 1})] * 2
        assert upstream.count == 2

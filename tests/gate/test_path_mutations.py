# SPDX-License-Identifier: Apache-2.0
"""No way of writing a request gets past the price, behind any balancer.

Requests that pay nothing are bent in path, Host, headers and encoding, and sent raw. The upstream
judges by itself what it may have seen.
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from pypow_server.fronts.proxy import Proxy
from pypow_server.gate import Gate
from pypow_server.policy import Policy
from pypow_server.rails.work import WorkRail
from pypow_server.scope import ASGIApp, Receive, Scope, Send
from pypow_server.stores.memory import MemoryLedger
from support.balancers import GATE, SECOND_GATE, UPSTREAM, balancer
from support.challenges import KEYRING
from support.counting_upstream import CountingUpstream, counting_upstream
from support.deciding import Decider
from support.gate_process import gate_process
from support.gated import EASY, HOST
from support.mutations import is_unpaid, mutations
from support.proxying import failure
from support.raw_requests import send_all
from support.serving import served

FRONTS = [
    "direct",
    "nginx/proxy.conf",
    "caddy/proxy.Caddyfile",
    "haproxy/haproxy.cfg",
    "nginx/forward-auth.conf",
    "caddy/forward-auth.Caddyfile",
]
SAMPLE = 400
EACH = int(os.environ.get("PYPOW_TEST_MUTATIONS", "200000"))


@dataclass(frozen=True)
class Guarded:
    """An upstream, and the gate's process in front of it."""

    upstream: CountingUpstream
    gate: str
    home: Path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = tmp_path_factory.mktemp("guarded")
    options = ("--bits", "20", "--store", "memory:", "--log-level", "error")
    with (
        counting_upstream(is_unpaid) as upstream,
        gate_process(home, upstream.url, *options) as gate,
    ):
        yield Guarded(upstream, gate.url.removeprefix("http://"), home)


@contextlib.contextmanager
def _behind(front: str, guarded: Guarded) -> Iterator[str]:
    """The address at which callers come in."""
    program, _, file = front.partition("/")
    folder = guarded.home / program / file
    if front == "direct":
        yield guarded.gate
    elif "forward-auth" in file:
        decider = Decider(
            program, checked_headers=False, networks=("127.0.0.0/8",), ledger=MemoryLedger()
        )
        behind = guarded.upstream.url.removeprefix("http://")
        with (
            served(decider.app, lifespan=True) as deciding,
            balancer(
                folder, front, {GATE: deciding.removeprefix("http://"), UPSTREAM: behind}
            ) as url,
        ):
            yield url.removeprefix("http://")
    else:
        second = {SECOND_GATE: guarded.gate} if program == "haproxy" else {}
        with balancer(folder, front, {GATE: guarded.gate, **second}) as url:
            yield url.removeprefix("http://")


def _attack(front: str, guarded: Guarded, number: int) -> Counter[int]:
    guarded.upstream.count = 0
    guarded.upstream.kept.clear()
    with _behind(front, guarded) as address:
        return asyncio.run(send_all(address, mutations(number, address, number)))


@pytest.mark.parametrize("front", FRONTS)
def test_no_unpaid_request_reaches_the_upstream_however_it_is_written(
    front: str, guarded: Guarded
) -> None:
    statuses = _attack(front, guarded, SAMPLE)
    assert guarded.upstream.kept == []
    assert guarded.upstream.count > 0  # what is free arrives
    assert statuses[402] > SAMPLE / 10


@pytest.mark.deep
@pytest.mark.parametrize("front", FRONTS)
def test_none_of_a_million_unpaid_requests_reaches_the_upstream(
    front: str, guarded: Guarded
) -> None:
    statuses = _attack(front, guarded, EACH)
    print(front, EACH, "sent;", guarded.upstream.count, "free hits;", dict(statuses))
    assert guarded.upstream.kept == []


def _deciding_on_the_decoded_path(proxy: ASGIApp) -> ASGIApp:
    """A wrong twin: asks the gate about one spelling and passes on another."""

    async def twin(scope: Scope, receive: Receive, send: Send) -> None:
        async def pass_on(_decoded: Scope, receive: Receive, send: Send) -> None:
            await proxy(scope, receive, send)

        gate = Gate(
            pass_on,
            rails=[WorkRail(KEYRING, public_host=HOST)],
            ledger=MemoryLedger(),
            policy=Policy(default=EASY),
        )
        decoded = unquote_to_bytes(scope.get("raw_path", b"/"))
        await gate({**scope, "raw_path": decoded}, receive, send)

    return twin


def test_a_gate_that_decides_on_the_decoded_path_is_caught() -> None:
    with counting_upstream(is_unpaid) as upstream:
        twin = _deciding_on_the_decoded_path(Proxy(upstream.url, failure=failure))
        with served(twin, lifespan=True) as url:
            address = url.removeprefix("http://")
            asyncio.run(send_all(address, mutations(SAMPLE, address, SAMPLE)))
    assert upstream.kept != []

# SPDX-License-Identifier: Apache-2.0
"""One payment, at most one request: nothing hides in the framing of a paid one.

Every way to disagree about where a request ends is sent raw, with a proof that pays for the first
request, to the gate itself and to the gate behind real balancers.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.balancers import GATE, SECOND_GATE, balancer
from support.counting_upstream import CountingUpstream, counting_upstream
from support.gate_process import GateProcess, gate_process
from support.plain_http import ask, solution
from support.smuggling import corpus, first_lines

FRONTS = ["direct", "nginx/proxy.conf", "caddy/proxy.Caddyfile", "haproxy/haproxy.cfg"]
_SILENCE_S = 1.5
"""After it, a server that says nothing is taken to wait for more of the body."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[CountingUpstream]:
    with counting_upstream() as it:
        yield it


@pytest.fixture(scope="module")
def gate(
    upstream: CountingUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GateProcess]:
    home = tmp_path_factory.mktemp("home")
    with gate_process(home, upstream.url, "--bits", "1", "--store", "memory:") as it:
        yield it


@contextlib.contextmanager
def _behind(front: str, gate: GateProcess, folder: Path) -> Iterator[str]:
    address = gate.url.removeprefix("http://")
    if front == "direct":
        yield address
        return
    second = {SECOND_GATE: address} if "haproxy" in front else {}
    with balancer(folder, front, {GATE: address, **second}) as url:
        yield url.removeprefix("http://")


def _cases(gate: GateProcess, host: bytes) -> dict[bytes, bytes]:
    """Requests by their target; each is paid for, and followed by one that is not."""
    victim = b"GET /victim HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    cases = {}
    for number, (_, lines, body) in enumerate(corpus(host)):
        target = b"/paid/%d" % number
        first = b"POST " + target + b" HTTP/1.1"
        cases[target] = first + _proof(gate, target) + lines + b"\r\n\r\n" + body + victim
    for number in range(sum(1 for _ in first_lines(b"", host))):
        target = b"/line/%d" % number
        first = list(first_lines(target, host))[number][1]
        rest = b"Host: " + host + b"\r\nContent-Length: 0\r\n\r\n"
        cases[target] = first + _proof(gate, target) + rest + victim
    sound = b"POST /sound HTTP/1.1" + _proof(gate, b"/sound")
    cases[b"/sound"] = sound + b"Host: " + host + b"\r\nContent-Length: 2\r\n\r\n{}" + victim
    return cases


def _proof(gate: GateProcess, target: bytes) -> bytes:
    resource = f"POST%20{target.decode()}"
    (header,) = solution(ask(f"{gate.url}/api/challenge?resource={resource}").json).items()
    return f"\r\n{header[0]}: {header[1]}\r\n".encode()


async def _send(address: str, octets: bytes) -> None:
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(_SILENCE_S):
            writer.write(octets)
            await reader.read()  # until the server closes
    writer.transport.abort()


@pytest.mark.parametrize("front", FRONTS)
def test_a_payment_lets_at_most_one_request_through(
    front: str, gate: GateProcess, upstream: CountingUpstream, tmp_path: Path
) -> None:
    async def attack(address: str, cases: dict[bytes, bytes]) -> None:
        turns = asyncio.Semaphore(16)

        async def take_turn(octets: bytes) -> None:
            async with turns:
                await _send(address, octets)

        await asyncio.gather(*map(take_turn, cases.values()))

    upstream.kept.clear()
    with _behind(front, gate, tmp_path) as address:
        cases = _cases(gate, address.encode())
        asyncio.run(attack(address, cases))
    seen = Counter(hit.target.partition(b"?")[0] for hit in upstream.kept)
    assert set(seen) <= set(cases)
    assert set(seen.values()) == {1}
    assert seen[b"/sound"] == 1
    assert len(seen) > 10  # some of it is sound, and arrives


def test_a_request_that_smuggles_is_caught(upstream: CountingUpstream) -> None:
    """The upstream itself, asked without a gate, sees what the corpus carries."""
    address = upstream.url.removeprefix("http://")
    upstream.kept.clear()
    lines, body = next(
        (lines, body) for name, lines, body in corpus(b"a") if name == "coding b'Chunked'"
    )
    asyncio.run(_send(address, b"POST / HTTP/1.1\r\n" + lines + b"\r\n\r\n" + body))
    assert b"/smuggled" in [hit.target for hit in upstream.kept]

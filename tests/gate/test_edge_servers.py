# SPDX-License-Identifier: Apache-2.0
"""The same gate under each server for the public: what callers may do to it, and what goes on."""

import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from support.edge_servers import SERVERS
from support.gated import RecordingApp
from support.plain_http import ask, solution
from support.serving import served

PATIENCE_S = 30
"""Only a failing test waits this long."""

FEW = 100
MANY = int(os.environ.get("PYPOW_TEST_SLOW_SOCKETS", "1000"))


@dataclass(frozen=True)
class Edge:
    url: str
    upstream: RecordingApp

    def connect(self) -> socket.socket:
        parts = urlsplit(self.url)
        return socket.create_connection((parts.hostname, parts.port or 80), timeout=PATIENCE_S)

    def tell(self, octets: bytes) -> bytes:
        """What is answered to these octets on a connection of their own, to its end."""
        with self.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(octets)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while more := connection.recv(65536):
                    answer += more
            return answer


@pytest.fixture(scope="module", params=SERVERS)
def edge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    if request.param == "granian":
        pytest.importorskip("granian")
    upstream = RecordingApp()
    home = tmp_path_factory.mktemp("home")
    with served(upstream) as behind, SERVERS[request.param](home, behind) as url:
        yield Edge(url, upstream)


def _is_served(edge: Edge) -> None:
    """An honest caller is refused, solves, and is admitted."""
    reached = edge.upstream.reached
    refused = ask(f"{edge.url}/x")
    assert refused.status == 402
    assert ask(f"{edge.url}/x", headers=solution(refused.json["offers"][0])).status == 200
    assert edge.upstream.reached == reached + 1


def test_a_proof_admits_one_call(edge: Edge) -> None:
    refused = ask(f"{edge.url}/x")
    proof = solution(refused.json["offers"][0])
    assert [ask(f"{edge.url}/x", headers=proof).status for _ in range(2)] == [200, 402]


def test_the_path_is_judged_as_it_came(edge: Edge) -> None:
    for path in ("/.well-known%2Fx", "/.well-known/%2e%2e/x", "/x/../.well-known/x", "//x"):
        answer = edge.tell(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        assert b" 402 " in answer.split(b"\r\n")[0] or b" 421 " in answer.split(b"\r\n")[0], path


@pytest.mark.parametrize("method", [b"post", b"Post"])
def test_no_other_case_of_a_method_reaches_the_upstream_as_the_method(
    edge: Edge, method: bytes
) -> None:
    reached = edge.upstream.reached
    paid = solution(ask(f"{edge.url}/api/challenge").json)["X-PoW-Solution"].encode()
    host = urlsplit(edge.url).netloc.encode()
    fields = b"host: " + host + b"\r\nx-pow-solution: " + paid + b"\r\nconnection: close\r\n"
    answer = edge.tell(method + b" /mcp HTTP/1.1\r\n" + fields + b"\r\n")
    assert answer.split(b" ")[1] == b"400"
    assert edge.upstream.reached == reached


@pytest.mark.parametrize("head", [b"x: " + b"a" * 900_000, b"x: a\r\n" * 20_000])
def test_a_huge_head_is_refused_and_the_next_caller_served(edge: Edge, head: bytes) -> None:
    reached = edge.upstream.reached
    answer = edge.tell(b"GET /x HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n\r\n")
    # What is still on its way when the server closes may cut its answer off.
    assert answer == b"" or answer.split(b" ")[1] in (b"431", b"400")
    assert edge.upstream.reached == reached
    _is_served(edge)


def test_a_huge_mcp_body_is_refused(edge: Edge) -> None:
    fields = b"host: x\r\ncontent-type: application/json\r\ncontent-length: 999999999\r\n"
    answer = edge.tell(b"POST /mcp HTTP/1.1\r\n" + fields + b"connection: close\r\n\r\n{")
    assert answer.split(b" ")[1] in (b"413", b"421")


SMUGGLED = {
    "two lengths": b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "length and chunks": b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": b"x: a\r\n b\r\n\r\n",
    "a space before the colon": b"x : a\r\n\r\n",
    "a bare line feed": b"x: a\nx-pow-solution: b\r\n\r\n",
    "a NUL": b"x: a\0b\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_two_servers_could_read_in_two_ways_reaches_no_upstream(edge: Edge, name: str) -> None:
    reached = edge.upstream.reached
    head = b"POST /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    edge.tell(head + SMUGGLED[name] + b"GET /.well-known/x HTTP/1.1\r\nhost: x\r\n\r\n")
    assert edge.upstream.reached == reached


def _hold(edge: Edge, each: int) -> list[socket.socket]:
    """So many connections that say nothing, and so many in the middle of a head, or of a body."""
    begun = (
        b"",
        b"GET /x HTTP/1.1\r\nhost: x\r\nx: ",
        b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: 1000\r\n\r\n{",
    )
    held = []
    for octets in begun:
        for _ in range(each):
            connection = edge.connect()
            held.append(connection)
            connection.sendall(octets)
    return held


def _goes_on(edge: Edge, each: int) -> None:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connection) for connection in _hold(edge, each)]
        for _ in range(5):
            _is_served(edge)
            for connection in held[each : 2 * each]:  # drips of a head that never ends
                with contextlib.suppress(ConnectionError):
                    connection.send(b"a")
    _is_served(edge)


def test_honest_callers_are_served_beside_idle_and_slow_ones(edge: Edge) -> None:
    _goes_on(edge, FEW)


@pytest.mark.deep
def test_honest_callers_are_served_beside_very_many_idle_and_slow_ones(edge: Edge) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * MANY + 256)), hard))
    _goes_on(edge, MANY)


# Uvicorn's deadline is tried in test_bounded_http.py, where it is short.
@pytest.mark.parametrize("edge", ["granian"], indirect=True)
def test_a_head_that_drips_ends_its_connection(edge: Edge) -> None:
    with edge.connect() as connection:
        connection.sendall(b"GET /x HTTP/1.1\r\nhost: x\r\n")
        answer = b""
        while more := connection.recv(65536):
            answer += more
        assert answer == b"" or b" 408 " in answer.split(b"\r\n")[0]

# SPDX-License-Identifier: Apache-2.0
"""Forward-auth with real nginx and Caddy, run on the files of docs/deploy."""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pypow_server import problems
from pypow_server.fronts.dialects import DIALECTS
from pypow_server.scope import Receive, Scope, Send
from pypow_server.stores.memory import MemoryLedger
from support.balancers import DEPLOY, GATE, UPSTREAM, balancer
from support.deciding import Decider
from support.gate_process import failed_start, gate_process
from support.gated import RecordingApp
from support.plain_http import Response, ask, solution
from support.serving import served

FILES = {"nginx": "nginx/forward-auth.conf", "caddy": "caddy/forward-auth.Caddyfile"}
LOOPBACK = "127.0.0.0/8"
ERRORS = DEPLOY.parent / "errors.md"


@dataclass(frozen=True)
class Bench:
    url: str
    upstream: RecordingApp
    decider: Decider

    def proof(self, path: str, method: str = "GET", **headers: str) -> dict[str, str]:
        refusal = ask(self.url + path, method=method, headers=headers)
        assert refusal.status == 402
        return solution(refusal.json["offers"][0])


@contextlib.contextmanager
def bench_of(program: str, home: Path, *, file: str | None = None) -> Iterator[Bench]:
    upstream = RecordingApp()
    decider = Decider(program, networks=(LOOPBACK,), ledger=MemoryLedger())
    with (
        served(upstream) as behind,
        served(decider.app, lifespan=True) as gate,
        balancer(
            home,
            file or FILES[program],
            {GATE: gate.removeprefix("http://"), UPSTREAM: behind.removeprefix("http://")},
        ) as url,
    ):
        yield Bench(url, upstream, decider)


@pytest.fixture(scope="module", params=FILES)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    with bench_of(request.param, tmp_path_factory.mktemp(request.param)) as it:
        yield it


def test_a_402_reaches_the_caller_whole(bench: Bench) -> None:
    refusal = ask(f"{bench.url}/x?a=1")
    assert refusal.status == 402
    assert len(refusal.headers.get_all("WWW-Authenticate", [])) == 1
    challenge = refusal.headers["WWW-Authenticate"]
    assert challenge.startswith("PoW challenge=")
    assert refusal.headers["Content-Type"] == "application/problem+json"
    assert refusal.headers["Cache-Control"] == "no-store"
    assert refusal.json["offers"][0]["challenge"] in challenge


def test_a_proof_admits_once_and_the_body_reaches_the_upstream(bench: Bench) -> None:
    paid = bench.proof("/v1?a=1", "POST")
    before = bench.upstream.reached
    statuses = [
        ask(f"{bench.url}/v1?a=1", method="POST", headers=paid, body=b"{}").status for _ in range(3)
    ]
    assert statuses == [200, 402, 402]
    assert bench.upstream.reached == before + 1
    reached = bench.upstream.scopes[-1]
    assert (reached["method"], reached["raw_path"], reached["query_string"]) == (
        "POST", b"/v1", b"a=1",
    )  # fmt: skip
    assert bench.upstream.bodies[-1] == b"{}"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"X-PoW-Principal": "root", "X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6"},
        {"Connection": "X-PoW-Principal, X-Forwarded-For, X-Real-IP"},
        {"Connection": "X-Original-URI, X-Forwarded-Uri, X-Forwarded-Method, X-Original-Method"},
    ],
    ids=["bare", "claims", "hides what is vouched", "hides the question"],
)
def test_the_upstream_learns_who_paid_from_the_gate_alone(
    bench: Bench, more: dict[str, str]
) -> None:
    paid = bench.proof("/x")
    cookie = {"Cookie": "a=1", "Authorization": "Basic abc"}
    assert ask(f"{bench.url}/x", headers={**paid, **cookie, **more}).status == 200
    header = bench.upstream.header
    assert header(b"x-pow-principal") in ([b"127.0.0.1/32"], [])
    assert header(b"x-forwarded-for") == [b"127.0.0.1"]
    assert (header(b"cookie"), header(b"authorization")) == ([b"a=1"], [b"Basic abc"])
    assert header(b"x-pow-solution") == header(b"x-pow-accept") == []
    assert header(b"x-pow-standing") == []


def test_our_credentials_end_at_the_gate(bench: Bench) -> None:
    (paid,) = bench.proof("/x").values()
    challenge, nonce = (part.partition("=")[2] for part in paid.split(","))
    authorization = f'PoW challenge="{challenge}", nonce="{nonce}"'
    assert ask(f"{bench.url}/x", headers={"Authorization": authorization}).status == 200
    assert bench.upstream.header(b"authorization") == []
    assert bench.upstream.header(b"cookie") == []


def test_what_is_free_passes_and_names_nobody(bench: Bench) -> None:
    answer = ask(f"{bench.url}/.well-known/x", headers={"X-PoW-Principal": "root"})
    assert answer.status == 200
    assert bench.upstream.header(b"x-pow-principal") in ([b""], [])


def test_a_caddy_that_copies_no_empty_header_lets_no_claim_through(tmp_path: Path) -> None:
    """As Caddy 2.10 does: here nothing is copied, and of a free call all headers are empty."""
    folder = tmp_path / "deploy" / "caddy"
    folder.mkdir(parents=True)
    text = (DEPLOY / FILES["caddy"]).read_text()
    copying = re.compile(r"^\s*copy_headers .*$", re.MULTILINE)
    assert len(copying.findall(text)) == 3
    (folder / "copies-nothing").write_text(copying.sub("", text))
    claims = {
        "X-PoW-Principal": "root",
        "X-PoW-Upstream-Authorization": "Basic cm9vdA==",
        "X-PoW-Upstream-Cookie": "a=1",
        "Authorization": "Bearer pyp_x",
        "Cookie": "pypow_pass=pyp_x",
    }
    with bench_of("caddy", tmp_path / "home", file=str(folder / "copies-nothing")) as bench:
        assert ask(f"{bench.url}/.well-known/x", headers=claims).status == 200
        for name in (b"x-pow-principal", b"authorization", b"cookie"):
            assert bench.upstream.header(name) == []
        assert not [
            name for name, _ in bench.upstream.scopes[-1]["headers"] if name.startswith(b"x-pow-")
        ]


CLAIMS = {
    "X-Real-IP": "6.6.6.6",
    "Forwarded": "for=6.6.6.6",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Method": "DELETE",
    "X-Forwarded-Uri": "/admin",
    "X-Original-Method": "DELETE",
    "X-Original-URI": "/admin",
}


@pytest.mark.parametrize("name", CLAIMS)
def test_what_only_a_proxy_may_say_reaches_the_upstream_from_no_caller(
    bench: Bench, name: str
) -> None:
    before = bench.upstream.reached
    answer = ask(f"{bench.url}/.well-known/x", headers={name: CLAIMS[name]})
    if bench.upstream.reached > before:
        assert CLAIMS[name].encode() not in bench.upstream.header(name.lower().encode())
    else:
        assert answer.status == 400


def test_a_preflight_is_answered_and_reaches_nobody(bench: Bench) -> None:
    before = bench.upstream.reached
    answer = ask(f"{bench.url}/x", method="OPTIONS")
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert bench.upstream.reached == before


def _mcp(bench: Bench, method: str, name: str | None = None, **more: str) -> Response:
    headers = {
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": method,
        **({} if name is None else {"Mcp-Name": name}),
        **more,
    }
    return ask(f"{bench.url}/mcp", method="POST", headers=headers, body=b'{"jsonrpc":"2.0"}')


def test_mcp_calls_are_priced_by_the_headers_that_name_them(bench: Bench) -> None:
    assert _mcp(bench, "tools/list").status == 200
    assert bench.upstream.bodies[-1] == b'{"jsonrpc":"2.0"}'
    refusal = _mcp(bench, "tools/call", "search")
    assert refusal.status == 402
    paid = solution(refusal.json["offers"][0])
    assert _mcp(bench, "tools/call", "other", **paid).status == 402
    assert _mcp(bench, "tools/call", "search", **paid).status == 200


@pytest.mark.parametrize("path", ["/decide", "/pypow-decision"])
def test_callers_cannot_ask_for_decisions_themselves(bench: Bench, path: str) -> None:
    headers = {"X-Original-Method": "GET", "X-Original-URI": "/.well-known/x"}
    before = bench.upstream.reached
    assert ask(bench.url + path, headers=headers).status in (400, 402, 404)
    assert bench.upstream.reached == before


PROBLEMS = [
    problems.bad_request("x"),
    problems.denied("x"),
    problems.too_large("x"),
    problems.misdirected("x"),
    problems.rate_limited("x", retry_after_s=7),
    problems.headers_too_large("x"),
    problems.internal_error("x"),
    problems.store_unavailable('a "quoted" $text'),
]


def test_the_file_for_nginx_knows_every_status_of_a_refusal() -> None:
    listed = re.findall(
        r"\$pow_status = (\d+)\) { return (\d+) ", (DEPLOY / FILES["nginx"]).read_text()
    )
    documented = re.findall(r"^### `[a-z-]+` \((\d{3})\)$", ERRORS.read_text(), re.MULTILINE)
    assert {status for pair in listed for status in pair} | {"402"} == set(documented)
    assert all(asked == returned for asked, returned in listed)


@pytest.mark.parametrize("program", FILES)
def test_every_refusal_reaches_the_caller_as_it_is(program: str, tmp_path: Path) -> None:
    upstream = RecordingApp()

    async def answer_in_turn(scope: Scope, receive: Receive, send: Send) -> None:
        reply = PROBLEMS[int(dict(scope["headers"])[b"x-number"])].reply()
        await DIALECTS[program].answer(reply)(scope, receive, send)

    with (
        served(upstream) as behind,
        served(answer_in_turn) as gate,
        balancer(
            tmp_path,
            FILES[program],
            {GATE: gate.removeprefix("http://"), UPSTREAM: behind.removeprefix("http://")},
        ) as url,
    ):
        answers = [ask(f"{url}/x", headers={"X-Number": str(n)}) for n in range(len(PROBLEMS))]
    assert [(answer.status, answer.json) for answer in answers] == [
        (problem.status, json.loads(problem.reply().body)) for problem in PROBLEMS
    ]
    assert [answer.headers["Retry-After"] for answer in answers] == [
        None if problem.retry_after_s is None else str(problem.retry_after_s)
        for problem in PROBLEMS
    ]
    assert upstream.reached == 0


@pytest.mark.parametrize("program", FILES)
def test_a_gate_that_is_down_lets_nothing_pass(program: str, tmp_path: Path) -> None:
    upstream = RecordingApp()
    with (
        served(upstream) as behind,
        balancer(
            tmp_path,
            FILES[program],
            {GATE: "127.0.0.1:1", UPSTREAM: behind.removeprefix("http://")},
        ) as url,
    ):
        assert ask(f"{url}/.well-known/x").status in (500, 502)
    assert upstream.reached == 0


CLIENT_HEADERS = {"nginx": "X-Real-IP", "caddy": "X-Forwarded-For"}


@pytest.mark.parametrize("program", FILES)
def test_the_command_decides_for_a_proxy(program: str, tmp_path: Path) -> None:
    upstream = RecordingApp()
    options = ("--forward-auth", program, "--client-header", CLIENT_HEADERS[program])
    with (
        served(upstream) as behind,
        gate_process(
            tmp_path, None, *options, "--bits", "4", "--trusted-proxy", "127.0.0.1"
        ) as gate,
        balancer(
            tmp_path / "front",
            FILES[program],
            {GATE: gate.url.removeprefix("http://"), UPSTREAM: behind.removeprefix("http://")},
        ) as url,
    ):
        paid = solution(ask(f"{url}/api/challenge?resource=GET%20/x").json)
        assert [ask(f"{url}/x", headers=paid).status for _ in range(2)] == [200, 402]
        assert ask(f"{gate.url}/x", headers=paid).status in (400, 401)
    assert upstream.reached == 1
    assert upstream.header(b"x-pow-principal") == [b"127.0.0.1/32"]


def test_a_gate_that_would_decide_for_nobody_does_not_start(tmp_path: Path) -> None:
    failed = failed_start(tmp_path, "--forward-auth", "nginx", "--listen", "127.0.0.1:0")
    assert failed.returncode == 2
    assert "--trusted-proxy" in failed.stderr

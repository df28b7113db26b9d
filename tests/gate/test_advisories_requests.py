# SPDX-License-Identifier: Apache-2.0
"""What went wrong in programs like this one, and must not here: reading, routing and forwarding.

A test is named after the published advisory, issue or commit. `docs/security.md` lists them all.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pypow_server.bounded_http import BoundedHttp, bounded
from pypow_server.client_address import TrustedProxies
from pypow_server.connection_limits import ConnectionLimits
from pypow_server.fronts.fields import request_fields
from pypow_server.mcp_message import CAPABILITIES_META, MODERN_SINCE, VERSION_META
from pypow_server.policy import FREE, Entry, PassTerms, Policy, Price
from pypow_server.scope import Receive, Scope, Send
from support.asgi_client import Answer, http_scope
from support.deciding import Decider
from support.gated import EASY, Bench, Headers, document, offers, solution, solved
from support.one_connection import connection, run

FREE_DOCS = Policy(default=EASY, entries=(Entry("GET /free/*", FREE), Entry("GET /ping", FREE)))


def kind(answer: Answer) -> str:
    name: str = document(answer)["type"]
    return name.removeprefix("urn:pypow:error:")


def never_admits(bench: Bench, requests: Sequence[tuple[str, str, Headers]]) -> None:
    """None of these reaches the app, and each is told what it costs or what is wrong with it."""
    for method, target, headers in requests:
        answer = bench.send(method, target, headers)
        assert answer.status in (400, 402, 421), (method, target, headers, answer.status)
    assert (bench.app.reached, bench.ledger.spends) == (0, 0)


def test_oauth2_proxy_ghsa_5hvv_m4w4_gf6v_no_user_agent_is_let_in() -> None:
    """oauth2-proxy let in whoever called itself a health check."""
    agents = (b"GoogleHC/1.0", b"kube-probe/1.29", b"ELB-HealthChecker/2.0", b"UptimeRobot/2.0")
    paths = ("/x", "/healthz", "/livez", "/readyz", "/metrics", "/oauth2/auth")
    never_admits(
        Bench(), [("GET", path, [(b"user-agent", agent)]) for agent in agents for path in paths]
    )


@pytest.mark.parametrize(
    "name",
    [b"x-forwarded-uri", b"x-original-uri", b"x-original-url", b"x-rewrite-url",
     b"x-forwarded-path", b"x-forwarded-prefix", b"x-forwarded-method"],
)  # fmt: skip
def test_oauth2_proxy_ghsa_7x63_xv5r_3p2x_a_path_named_in_a_header_frees_nothing(
    name: bytes,
) -> None:
    """oauth2-proxy matched its open routes against X-Forwarded-Uri, which anybody may send."""
    bench = Bench(policy=FREE_DOCS)
    assert bench.send("GET", "/free/a").status == 200
    bench.app.scopes.clear()
    never_admits(bench, [("GET", "/x", [(name, b"/free/a")])])


@pytest.mark.parametrize(
    "target",
    ["/x#/free/a", "/free/../x", "/free/a/../../x", "/x%23/free/a", "/x%3f/free/a",
     "/free%2f..%2fx", "/free/..;/x", "/free\\..\\x", "//free/a", "/x;/free/a"],
)  # fmt: skip
def test_oauth2_proxy_ghsa_pxq7_h93f_9jrg_no_piece_of_a_path_frees_it(target: str) -> None:
    """oauth2-proxy's patterns met the fragment, which servers behind it cut off."""
    never_admits(Bench(policy=FREE_DOCS), [("GET", target, [])])


@pytest.mark.parametrize(
    "target", ["/x?/free/a", "/x?a=/free/a", "/x?%2Ffree%2Fa", "/x??/free/", "/x?a#/free/"]
)
def test_oauth2_proxy_ghsa_7rh7_c77v_6434_no_query_frees_a_path(target: str) -> None:
    """oauth2-proxy's patterns for open routes met the query too."""
    never_admits(Bench(policy=FREE_DOCS), [("GET", target, [])])


@pytest.mark.parametrize(
    "name", [b"X_PoW_Principal", b"x_pow-principal", b"x-pow_principal", b"X-PoW-Principal"]
)
def test_oauth2_proxy_ghsa_vjrc_mh2v_45x6_no_spelling_of_a_vouched_header_gets_through(
    name: bytes,
) -> None:
    """oauth2-proxy stripped its headers in one spelling; servers read others as the same."""
    bench = Bench()
    proof = solution(bench.proof())
    assert bench.send("GET", headers=[*proof, (name, b"root")]).status == 200
    assert bench.app.scopes[0]["headers"] == [(b"host", b"gate.example")]


@pytest.mark.parametrize(
    "host",
    [b"gate.example/free/a?", b"gate.example/free/a#", b"x@gate.example/free", b"/free/a",
     b"gate.example:80/free/a?", b"[::1]/free", b"", b"a b"],
)  # fmt: skip
@pytest.mark.parametrize("hosts", [None, frozenset({"gate.example"})])
def test_starlette_cve_2026_48710_no_host_changes_the_path_that_is_judged(
    host: bytes, hosts: frozenset[str] | None
) -> None:
    """Starlette put a URL together from Host and path, and took the path out of it again."""
    bench = Bench(policy=Policy(default=EASY, entries=FREE_DOCS.entries, hosts=hosts))
    answer = bench.send_bare("GET", "/x", [(b"host", host)])
    assert (answer.status, bench.app.reached) == (421 if hosts else 402, 0)


def test_caddy_ghsa_7r4p_vjf4_gxv4_every_vouched_header_is_always_there() -> None:
    """Caddy copied only the headers that came: without one, the caller's own stood."""
    decider = Decider("caddy", policy=_trusting(FREE_DOCS))
    asked = [
        (b"x-forwarded-method", b"GET"),
        (b"x-forwarded-uri", b"/free/a"),
        (b"x-forwarded-host", b"gate.example"),
        (b"x-pow-principal", b"root"),
    ]
    answer = decider.ask("GET", b"/decide", asked)
    assert (answer.status, answer.values(b"x-pow-principal")) == (200, [b""])


def _trusting(policy: Policy) -> Policy:
    proxies = TrustedProxies.parse(["10.0.0.0/8"])
    return Policy(default=policy.default, entries=policy.entries, trusted=proxies)


def test_anubis_ghsa_6wcg_mqvh_fcvg_a_caller_cannot_ask_in_the_proxys_place() -> None:
    """Anubis read the path that a forward-auth proxy names, though no such proxy was before it."""
    asked = [(b"x-forwarded-method", b"GET"), (b"x-forwarded-uri", b"/free/a")]
    decider = Decider("caddy", policy=_trusting(FREE_DOCS))
    assert decider.ask("GET", b"/decide", asked, peer=("192.0.2.7", 1)).status == 403
    never_admits(Bench(policy=FREE_DOCS), [("GET", "/decide", asked)])


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhelloXX0\r\n\r\n" + SMUGGLED,
        b"5\r\nhello0\r\n\r\n" + SMUGGLED,
        b"5\nhello\n0\n\n" + SMUGGLED,
        b"0x5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
        b"+5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
        b"5 ;x\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
        b"fffffffffffffffff5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
    ],
)
def test_h11_ghsa_vqfr_h8mv_ghfj_a_broken_chunk_ends_the_connection(body: bytes) -> None:
    """h11 did not look at the octets behind a chunk: what one server skipped, another served."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def test() -> None:
        async with connection(BoundedHttp, app) as (reader, writer):
            head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            writer.write(head + body)
            with contextlib.suppress(ConnectionError):
                await reader.read()

    run(test)
    assert "/smuggled" not in seen


def test_uvicorn_cve_2007_6750_a_head_that_drips_is_not_waited_for() -> None:
    """uvicorn waits for a request's head for as long as octets come, as servers did in 2007."""

    async def test() -> None:
        async with connection(bounded(ConnectionLimits(head_s=0.2))) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n")
            ended = asyncio.create_task(reader.read())
            while not ended.done():
                writer.write(b"x: y\r\n")
                await asyncio.wait([ended], timeout=0.01)
            with contextlib.suppress(ConnectionResetError):
                assert await ended == b""

    run(test)


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping","params":{"name":"x"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","\\u006dethod":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}',
        b'[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"x"}]',
    ],
)
def test_aperture_e02b540_a_body_with_two_readings_is_refused(body: bytes) -> None:
    """Aperture priced the first of two equal keys; its upstream took the last."""
    bench = Bench()
    assert bench.send("POST", "/mcp", [], body).status == 400
    assert bench.app.reached == 0


@pytest.mark.parametrize(
    "name", [b"x-forwarded-for", b"X-Forwarded-For", b"X_Forwarded_For", b"x-real-ip", b"forwarded"]
)
def test_aperture_a3969ce_what_a_proxy_vouches_for_is_set_and_never_added_to(name: bytes) -> None:
    """Aperture added the header it vouched for behind the caller's own, which came first."""
    scope = http_scope(headers=[(b"host", b"gate.example"), (name, b"6.6.6.6"), (name, b"7.7.7.7")])
    passed = request_fields(scope)
    assert [value for field, value in passed if field == "X-Forwarded-For"] == ["192.0.2.7"]
    assert not [value for _, value in passed if value in ("6.6.6.6", "7.7.7.7")]


def test_aperture_d39eabd_what_pages_may_read_is_added_to_what_the_upstream_says() -> None:
    """Aperture's list of headers that pages may read took the place of the upstream's."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exposed = (b"access-control-expose-headers", b"X-Request-Id")
        await send({"type": "http.response.start", "status": 200, "headers": [exposed]})
        await send({"type": "http.response.body"})

    selling = replace(EASY, sells=PassTerms(calls=5, lifetime_s=60))
    bench = Bench(app=app, policy=Policy(default=selling))
    answer = bench.send("GET", headers=solution(bench.proof()))
    assert answer.values(b"access-control-expose-headers") == [b"X-Request-Id", b"X-PoW-Pass"]


def test_aperture_cors_a_page_can_read_what_it_is_asked_to_pay() -> None:
    """A challenge that CORS hides cannot be solved, and a preflight that is priced is no use."""
    bench = Bench()
    asked = [(b"origin", b"https://a.example"), (b"access-control-request-method", b"POST")]
    answer = bench.send("OPTIONS", "/x", asked)
    assert (answer.status, bench.app.reached) == (204, 0)
    assert answer.values(b"access-control-allow-origin") == [b"*"]
    assert b"WWW-Authenticate" in answer.values(b"access-control-expose-headers")[0]


def test_mcp_headers_that_name_a_cheap_call_do_not_carry_a_dear_one() -> None:
    """A gate that prices by Mcp-Method, before a server that reads the body, is walked past."""
    dear = Price("dear", 8 * 1024, 16)
    bench = Bench(policy=Policy(default=EASY, entries=(Entry("tools/call dear", dear),)))
    version = (b"mcp-protocol-version", MODERN_SINCE.encode())
    envelope = {VERSION_META: MODERN_SINCE, CAPABILITIES_META: {}}
    for method, name in ((b"ping", b""), (b"tools/call", b"cheap"), (b"tools/list", b"")):
        headers = [version, (b"mcp-method", method), (b"mcp-name", name)]
        answer = bench.post_mcp("tools/call", {"name": "dear", "_meta": envelope}, headers=headers)
        assert (answer.status, document(answer)["error"]["code"]) == (400, -32020)
    assert bench.app.reached == 0


@pytest.mark.parametrize(
    "host", [b"attacker.example", b"gate.example.attacker.example", b"gate.example@a", b"a.local"]
)
def test_python_sdk_ghsa_9h52_p55h_vw2f_a_rebound_name_is_not_the_gates(host: bytes) -> None:
    """MCP servers on loopback answered pages whose own name had come to mean 127.0.0.1."""
    bench = Bench(
        policy=Policy(default=EASY, entries=FREE_DOCS.entries, hosts=frozenset({"gate.example"}))
    )
    answer = bench.send_bare("GET", "/free/a", [(b"host", host)])
    assert (answer.status, kind(answer), bench.app.reached) == (421, "misdirected", 0)


@pytest.mark.parametrize("frame", ["x{}", "{} x", "{},", ",{}", "PoW {}", "{0},{0}", "{}\0"])
def test_aperture_header_regex_a_credential_is_read_whole_or_not_at_all(frame: str) -> None:
    """Aperture's pattern finds a credential anywhere in the header."""
    bench = Bench()
    answer = bench.send("GET", headers=solution(frame.format(bench.proof())))
    assert (answer.status, bench.app.reached) == (400, 0)


def test_aperture_header_last_wins_two_credentials_are_refused() -> None:
    """Aperture reads several credentials, and the last one counts."""
    bench = Bench()
    first, second = bench.proof(), bench.proof()
    answer = bench.send("GET", headers=solution(first) + solution(second))
    assert (answer.status, kind(answer)) == (400, "conflicting-credentials")
    authorizations = [(b"authorization", b"Basic YQ=="), (b"authorization", b"Basic Yg==")]
    assert bench.send("GET", headers=solution(first) + authorizations).status == 400
    assert (bench.app.reached, bench.ledger.spends) == (0, 0)


def test_aperture_header_debug_no_log_at_any_level_has_a_credential(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Aperture wrote Authorization to its log when debugging."""
    bench = Bench()
    proof = bench.proof()
    with caplog.at_level(logging.DEBUG):
        for headers in (solution(proof), [(b"authorization", b"Bearer pyp_secret-and-nothing")]):
            bench.send("GET", headers=[*headers, (b"cookie", b"pypow_pass=pyp_canary")])
    assert proof.partition(",")[0][10:] not in caplog.text
    assert "pyp_" not in caplog.text


@pytest.mark.parametrize(
    "name", [b"x-real-ip", b"x-forwarded-for", b"forwarded", b"cf-connecting-ip"]
)
def test_anubis_1523_whom_nobody_vouches_for_is_the_connection(name: bytes) -> None:
    """Anubis charged whoever X-Real-IP named; setting that right is its users' first question."""
    bench = Bench()
    proof = solution(bench.proof())
    assert bench.send("GET", headers=[*proof, (name, b"6.6.6.6")]).status == 200
    assert bench.app.scopes[0]["pypow.principal"] == "192.0.2.7/32"


def test_x402_python_the_path_that_is_judged_is_the_one_that_came() -> None:
    """x402's middleware asked the framework for the path, which had decoded and joined it."""
    dear = Price("dear", 8 * 1024, 16)
    bench = Bench(policy=Policy(default=EASY, entries=(Entry("GET /dear", dear),)))
    cheap = solution(solved(offers(bench.send("GET", "/cheap"))[0]))
    for target in ("/dear", "/d%65ar", "/cheap/../dear", "/dear/", "/DEAR", "//dear"):
        assert bench.send("GET", target, cheap).status == 402, target
    assert bench.app.reached == 0

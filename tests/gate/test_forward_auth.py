# SPDX-License-Identifier: Apache-2.0
"""What a proxy is told that asks, in each dialect, by questions as proxies really put them."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pypow_server.access import Access
from pypow_server.app import create_app
from pypow_server.fronts.dialects import PAYMENTS, UPSTREAM
from pypow_server.match import Match
from pypow_server.policy import FREE, Entry, Policy, Price
from pypow_server.policy_rows import Rows
from pypow_server.settings import Settings
from support.asgi_client import Answer, call
from support.balancers import DEPLOY
from support.deciding import PROXY, Decider
from support.gated import EASY, HOST, Headers, offers, solution, solved
from support.selling import SATS, as_sent, l402_credential, sats_rail


def nginx(method: str, target: bytes, headers: Headers) -> tuple[str, bytes, Headers]:
    """As docs/deploy/nginx/forward-auth.conf asks; nginx always asks with GET."""
    return (
        "GET",
        b"/decide",
        [
            (b"host", HOST.encode()),
            (b"x-original-method", method.encode()),
            (b"x-original-uri", target),
            (b"x-real-ip", b"203.0.113.9"),
            *headers,
        ],
    )


def caddy(method: str, target: bytes, headers: Headers) -> tuple[str, bytes, Headers]:
    """As Caddy 2.6's forward_auth asks, recorded."""
    return (
        "GET",
        b"/decide",
        [
            (b"host", HOST.encode()),
            *headers,
            (b"x-forwarded-for", b"203.0.113.9"),
            (b"x-forwarded-host", HOST.encode()),
            (b"x-forwarded-method", method.encode()),
            (b"x-forwarded-proto", b"https"),
            (b"x-forwarded-uri", target),
        ],
    )


def traefik(method: str, target: bytes, headers: Headers) -> tuple[str, bytes, Headers]:
    """As Traefik's ForwardAuth documents it: Host is the gate's own."""
    _, path, fields = caddy(method, target, headers)
    return "GET", path, [(b"host", b"gate:8402"), *fields[1:], (b"x-forwarded-port", b"443")]


def envoy(method: str, target: bytes, headers: Headers) -> tuple[str, bytes, Headers]:
    """As Envoy's ext_authz documents it, with path_prefix: /decide."""
    fields = [(b"host", HOST.encode()), *headers, (b"x-forwarded-for", b"203.0.113.9")]
    return method, b"/decide" + target, [*fields, (b"content-length", b"0")]


Ask = Callable[[str, bytes, Headers], tuple[str, bytes, Headers]]
ASKED: dict[str, Ask] = {"nginx": nginx, "caddy": caddy, "traefik": traefik, "envoy": envoy}
each_dialect = pytest.mark.parametrize("dialect", ASKED)


def ask(
    decider: Decider,
    dialect: str,
    method: str = "GET",
    target: bytes = b"/x",
    headers: Headers = (),
) -> Answer:
    return decider.ask(*ASKED[dialect](method, target, headers))


def refused(answer: Answer) -> tuple[int, Any]:
    """Status and document of a refusal, as the caller gets it through the proxy."""
    if answer.status == 401:
        (status,) = answer.values(b"x-pow-refusal-status")
        (body,) = answer.values(b"x-pow-refusal-body")
        return int(status), json.loads(body)
    return answer.status, json.loads(answer.body)


def proof(decider: Decider, dialect: str, *request: Any) -> Headers:
    """The header of a solved challenge out of a refusal."""
    _, document = refused(ask(decider, dialect, *request))
    return solution(solved(document["offers"][0]))


@each_dialect
def test_a_request_without_a_proof_is_refused_and_with_one_it_passes_once(dialect: str) -> None:
    decider = Decider(dialect)
    paid = proof(decider, dialect, "POST", b"/v1/items?a=1")
    answer = ask(decider, dialect, "POST", b"/v1/items?a=1", paid)
    assert answer.status == 200
    assert answer.values(b"x-pow-principal") == [b"203.0.113.9/32"]
    status, document = refused(ask(decider, dialect, "POST", b"/v1/items?a=1", paid))
    assert (status, document["type"]) == (402, "urn:pypow:error:already-spent")


def test_a_reload_reaches_both_ways_of_deciding_and_who_may_ask(tmp_path: Path) -> None:
    """Of what no body is seen, and of what headers name; by networks, prices and lists."""
    settings = Settings(
        state_dir=tmp_path,
        store="memory:",
        forward_auth="caddy",
        mcp_headers="checked",
        trusted_proxies=("10.0.0.0/8",),
        bits=4.0,
    )
    app = create_app(settings)

    def told(target: bytes, headers: Headers = ()) -> tuple[int, str]:
        asked = caddy("POST", target, headers)
        answer = asyncio.run(call(app, asked[0], asked[1], headers=asked[2], client=PROXY))
        if answer.status == 200:
            return 200, ""
        document = json.loads(answer.body)
        offered = document.get("offers")
        return answer.status, str(offered[0]["bits"]) if offered else document["title"]

    named = [
        (b"mcp-protocol-version", b"2026-07-28"),
        (b"mcp-method", b"tools/call"),
        (b"mcp-name", b"search"),
    ]
    before = [told(b"/x"), told(b"/mcp"), told(b"/mcp", named)]
    app.reload(replace(settings, bits=8.0))
    dearer = [told(b"/x"), told(b"/mcp"), told(b"/mcp", named)]
    denied = Rows(denied=(Access(match=Match("tools/call search")),))
    app.reload(replace(settings, bits=8.0, rows=denied))
    kept_out = [told(b"/x"), told(b"/mcp"), told(b"/mcp", named)]
    app.reload(replace(settings, trusted_proxies=("192.0.2.0/24",)))
    distrusted = [told(b"/x"), told(b"/mcp"), told(b"/mcp", named)]

    assert before == [(402, "4.0")] * 3
    assert dearer == [(402, "8.0")] * 3
    assert kept_out == [(402, "8.0"), *[(403, "The call is not let in")] * 2]
    assert distrusted == [(403, "The call is not let in")] * 3


@each_dialect
def test_a_proof_for_one_request_passes_no_other(dialect: str) -> None:
    decider = Decider(dialect)
    paid = proof(decider, dialect, "GET", b"/x")
    for method, target in (("GET", b"/y"), ("POST", b"/x"), ("GET", b"/x/")):
        assert refused(ask(decider, dialect, method, target, paid))[0] == 402


def upstream_fields(dialect: str, sent: Headers, answer: Answer) -> dict[bytes, list[bytes]]:
    """What the proxy's documentation says that the upstream gets of the fields that matter."""
    fields = {name: [v for n, v in sent if n == name] for name in SET}
    copied = {name: answer.values(name) for name in SET}
    if dialect == "envoy":  # sets what is there, deletes what is listed
        (listed,) = answer.values(b"x-envoy-auth-headers-to-remove")
        kept = {name: copied[name] or fields[name] for name in SET}
        return {name: [] if name in listed.split(b", ") else kept[name] for name in SET}
    if dialect == "traefik":  # deletes all that it is to copy, then copies what is there
        return copied
    return {name: answer.values(VOUCHED.get(name, b"-")) for name in SET}


SET = [b"x-pow-principal", b"authorization", b"cookie", *PAYMENTS, b"x-pow-solution",
       b"x-pow-accept", b"x-pow-standing", b"x-pow-invoice"]  # fmt: skip
VOUCHED = {
    b"x-pow-principal": b"x-pow-principal",
    b"authorization": b"x-pow-upstream-authorization",
    b"cookie": b"x-pow-upstream-cookie",
    **{name: UPSTREAM + name for name in PAYMENTS},
}


@each_dialect
def test_the_upstream_gets_what_is_vouched_and_none_of_our_credentials(dialect: str) -> None:
    decider = Decider(dialect, policy=Policy(default=EASY, entries=(Entry("GET /free", FREE),)))

    def reaches(*sent: tuple[bytes, bytes]) -> dict[bytes, list[bytes]]:
        answer = ask(decider, dialect, "GET", b"/free", sent)
        assert answer.status == 200
        return arrived(dialect, sent, answer)

    claimed = (b"x-pow-principal", b"root")
    assert reaches() == reaches(claimed) == {}
    ours = [(b"cookie", b"pypow_pass=pyp_x"), (b"x-pow-solution", b"challenge=a,nonce=b")]
    assert reaches(claimed, *ours, (b"authorization", b"PoW a=b")) == {}
    assert reaches(
        claimed,
        (b"authorization", b"Basic abc"),
        (b"cookie", b"a=1; pypow_pass=pyp_x"),
        (b"cookie", b"b=2"),
    ) == {b"authorization": [b"Basic abc"], b"cookie": [b"a=1; b=2"]}


def arrived(dialect: str, sent: Headers, answer: Answer) -> dict[bytes, list[bytes]]:
    """What of the fields that matter the upstream gets that is not empty."""
    fields = upstream_fields(dialect, sent, answer)
    found = {name: [value for value in values if value] for name, values in fields.items()}
    return {name: values for name, values in found.items() if values}


@each_dialect
def test_no_payment_reaches_the_upstream_and_what_is_its_own_does(dialect: str) -> None:
    pytest.importorskip("coincurve", reason="signatures need the extra l402")
    decider = Decider(dialect, policy=Policy(default=SATS), more_rails=[sats_rail()])
    stamp, theirs = (b"x-pow-invoice", b"challenge=a,nonce=b"), (b"macaroon", b"0201")
    for place in (b"authorization", b"payment-authorization", b"macaroon"):
        sent = [as_sent(place, l402_credential(ask(decider, dialect))), stamp]
        answer = ask(decider, dialect, headers=sent)
        assert answer.status == 200
        assert arrived(dialect, sent, answer).keys() == {b"x-pow-principal"}
        assert ask(decider, dialect, headers=sent).status != 200
    sent = [as_sent(b"authorization", l402_credential(ask(decider, dialect))), theirs]
    answer = ask(decider, dialect, headers=sent)
    assert answer.status == 200
    assert arrived(dialect, sent, answer)[b"macaroon"] == [b"0201"]


@each_dialect
def test_where_nothing_is_sold_for_sats_such_headers_are_the_upstreams(dialect: str) -> None:
    decider = Decider(dialect, policy=Policy(default=EASY, entries=(Entry("GET /x", FREE),)))
    sent = [(name, b"theirs") for name in PAYMENTS]
    answer = ask(decider, dialect, headers=sent)
    assert arrived(dialect, sent, answer) == {name: [b"theirs"] for name in PAYMENTS}


@pytest.mark.parametrize("dialect", ["nginx", "caddy"])
def test_every_vouched_header_is_there_every_time(dialect: str) -> None:
    answer = ask(Decider(dialect), dialect, "GET", b"/.well-known/x")
    assert [answer.values(name) for name in VOUCHED.values()] == [[b""]] * 6


def test_the_snippets_name_all_that_is_vouched() -> None:
    traefik_file = (DEPLOY / "traefik" / "dynamic.yaml").read_text()
    envoy_file = (DEPLOY / "envoy" / "ext_authz.yaml").read_text()
    for name in SET:
        assert b"- " + name + b"\n" in traefik_file.lower().encode()
    for name in VOUCHED:
        assert b"exact: " + name + b"\n" in envoy_file.lower().encode()


@each_dialect
def test_nobody_but_a_trusted_proxy_gets_a_decision(dialect: str) -> None:
    decider = Decider(dialect)
    question = ASKED[dialect]("GET", b"/.well-known/x", ())
    assert decider.ask(*question, peer=PROXY).status == 200
    for peer in (("192.0.2.66", 1), None, ("/run/x.sock", 0)):
        assert refused(decider.ask(*question, peer=peer))[0] == 403


@each_dialect
def test_what_the_gate_answers_by_itself_lets_nothing_pass(dialect: str) -> None:
    assert refused(ask(Decider(dialect), dialect, "OPTIONS", b"/x"))[0] == 403


@pytest.mark.parametrize(
    "broken",
    [
        [],
        [(b"x-original-method", b"GET")],
        [(b"x-original-uri", b"/.well-known/x")],
        [(b"x-original-method", b"GET"), *[(b"x-original-uri", b"/.well-known/x")] * 2],
        [*[(b"x-original-method", b"GET")] * 2, (b"x-original-uri", b"/.well-known/x")],
        [(b"x-original-method", b"get"), (b"x-original-uri", b"/.well-known/x")],
        [(b"x-original-method", b"GET"), (b"x-original-uri", b"")],
        [(b"x-forwarded-method", b"GET"), (b"x-forwarded-uri", b"/.well-known/x")],
    ],
)
def test_a_question_that_does_not_say_what_it_is_about_is_refused(broken: Headers) -> None:
    decider = Decider("nginx")
    status, document = refused(decider.ask("GET", b"/decide", [(b"host", b"a"), *broken]))
    assert (status, document["type"]) == (400, "urn:pypow:error:bad-request")


@pytest.mark.parametrize(
    ("dialect", "target"), [("nginx", b"/decide/x"), ("caddy", b"/"), ("envoy", b"/decidex")]
)
def test_questions_come_to_one_place_only(dialect: str, target: bytes) -> None:
    decider = Decider(dialect)
    _, _, headers = ASKED[dialect]("GET", b"/.well-known/x", ())
    assert refused(decider.ask("GET", target, headers))[0] == 400


@each_dialect
@pytest.mark.parametrize("name", [b"x_pow_principal", b"x-pow_principal", b"mcp_name",
                                  b"payment_authorization", b"grpc-metadata_macaroon"])  # fmt: skip
def test_a_header_that_servers_fold_into_one_of_ours_is_refused(dialect: str, name: bytes) -> None:
    answer = ask(Decider(dialect), dialect, "GET", b"/.well-known/x", [(name, b"root")])
    assert refused(answer)[0] == 400
    assert ask(Decider(dialect), dialect, "GET", b"/.well-known/x", [(b"a_b", b"")]).status == 200


@each_dialect
@pytest.mark.parametrize("path", [b"/.well-known/../x", b"/%2ewell-known/x", b"//.well-known/x"])
def test_no_way_of_writing_a_path_makes_it_free(dialect: str, path: bytes) -> None:
    assert refused(ask(Decider(dialect), dialect, "GET", path))[0] == 402


def test_nginx_gets_all_challenges_in_one_line() -> None:
    decider = Decider("nginx")
    answer = ask(decider, "nginx")
    (line,) = answer.values(b"www-authenticate")
    assert line.startswith(b"PoW challenge=")
    assert answer.body == b""


SEARCH = [(b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", b"tools/call"),
          (b"mcp-name", b"search")]  # fmt: skip
LIST = [(b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", b"tools/list")]
DEAR = Price("dear", 6 * 1024, 4)
PRICED = Policy(
    default=EASY,
    entries=(Entry("tools/call dear", DEAR), Entry("tools/call cheap", Price("cheap", 2048))),
)


def _bits(answer: Answer) -> float:
    status, document = refused(answer)
    assert status == 402
    bits: float = document["offers"][0]["bits"]
    return bits


def _mcp(
    dialect: str,
    headers: Sequence[tuple[bytes, bytes]],
    *,
    checked: bool = True,
    path: bytes = b"/mcp",
) -> Answer:
    decider = Decider(dialect, policy=PRICED, checked_headers=checked)
    fields = [(b"content-type", b"application/json"), (b"x-pow-accept", b"puzzles=1"), *headers]
    return ask(decider, dialect, "POST", path, fields)


@each_dialect
def test_a_call_that_its_headers_name_costs_what_it_costs(dialect: str) -> None:
    assert _bits(_mcp(dialect, SEARCH)) == 4
    assert _bits(_mcp(dialect, [*SEARCH[:2], (b"mcp-name", b"dear")])) == 6
    assert _bits(_mcp(dialect, [*SEARCH[:2], (b"mcp-name", b"=?base64?ZGVhcg==?=")])) == 6
    assert _mcp(dialect, LIST).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        SEARCH[1:],
        LIST[1:],
        [(b"mcp-protocol-version", b"2025-11-25"), *LIST[1:]],
        [(b"mcp-protocol-version", b"latest"), *LIST[1:]],
        [LIST[0], LIST[0], *LIST[1:]],
        [*LIST, (b"mcp-method", b"tools/call")],
        [*LIST, (b"mcp-name", b"dear")],
        SEARCH[:2],
        [*SEARCH[:2], (b"mcp-name", b"=?base64?ZGVhcg=?=")],
        [*SEARCH[:2], (b"mcp-name", b"cheap"), (b"mcp-name", b"dear")],
    ],
)
@each_dialect
def test_a_call_that_nothing_names_for_sure_costs_what_the_dearest_costs(
    dialect: str, headers: Headers
) -> None:
    assert _bits(_mcp(dialect, headers)) == 6


@pytest.mark.parametrize("path", [b"/mcp", b"/mcp/", b"/MCP", b"/%6dcp"])
def test_headers_name_nothing_where_the_upstream_does_not_hold_them_against_the_body(
    path: bytes,
) -> None:
    cheap = [*SEARCH[:2], (b"mcp-name", b"cheap")]
    assert _bits(_mcp("caddy", cheap, checked=False, path=path)) == 6


def test_a_proof_for_a_named_call_passes_and_its_refusal_is_plain_http() -> None:
    decider = Decider("caddy")
    fields = [(b"content-type", b"application/json"), *SEARCH]
    refusal = ask(decider, "caddy", "POST", b"/mcp", fields)
    assert refusal.values(b"content-type") == [b"application/problem+json"]
    paid = solution(solved(offers(refusal)[0]))
    assert ask(decider, "caddy", "POST", b"/mcp", [*fields, *paid]).status == 200
    other = [*fields[:-1], (b"mcp-name", b"other"), *paid]
    assert ask(decider, "caddy", "POST", b"/mcp", other).status == 402


@each_dialect
def test_a_fault_in_what_headers_name_is_plain_http_too(dialect: str) -> None:
    answer = _mcp(dialect, [*SEARCH, (b"content-encoding", b"gzip")])
    status, document = refused(answer)
    assert (status, document["type"]) == (415, "urn:pypow:error:unsupported-media-type")
    status, document = refused(_mcp(dialect, [*SEARCH, (b"x-pow-accept", b"nonsense")]))
    assert (status, document["type"]) == (400, "urn:pypow:error:bad-request")


@pytest.mark.parametrize("checked", [True, False])
def test_a_call_that_is_denied_hides_in_no_body(checked: bool) -> None:
    policy = Policy(default=EASY, denied=(Access(match=Match("tools/call danger")),))
    decider = Decider("caddy", policy=policy, checked_headers=checked)
    assert ask(decider, "caddy", "POST", b"/mcp").status == 403
    assert ask(decider, "caddy", "POST", b"/x").status == 402
    named = [(b"content-type", b"application/json"), *SEARCH]
    assert ask(decider, "caddy", "POST", b"/mcp", named).status == (402 if checked else 403)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_nothing_on_an_mcp_path_is_free_without_its_body(method: str) -> None:
    assert ask(Decider("caddy"), "caddy", method, b"/mcp").status == 402

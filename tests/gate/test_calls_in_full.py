# SPDX-License-Identifier: Apache-2.0
"""What is refused of a call is said word by word, and bounds lie where they should."""

import json
import logging

import pytest

from pypow import strict_json
from pypow.errors import InvalidInputError
from pypow_server.access import Access
from pypow_server.call import PRINCIPAL_KEY, Call, read_call, without_ours
from pypow_server.client_address import TrustedProxies
from pypow_server.match import Match
from pypow_server.mcp_message import (
    CAPABILITIES_META,
    PROOF_META,
    TRACE_META,
    VERSION_META,
    Fault,
    McpMessage,
    RoutingHeaders,
    read_message,
)
from pypow_server.policy import (
    DEFAULT_PRICE,
    MAX_PASS_CALLS,
    MAX_PASS_LIFETIME_S,
    PassTerms,
    Policy,
    entry,
    priced,
    relative_weight,
)
from pypow_server.problems import Problem
from pypow_server.resource import Resource
from pypow_server.stores import Allowance, Quota
from support.asgi_client import http_scope
from support.gated import EASY, Bench, document
from support.limiters import CountingLimiter, FailingLimiter

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search"}}
META = {VERSION_META: "2026-07-28", CAPABILITIES_META: {}}
MODERN = {**CALL, "params": {"name": "search", "_meta": META}}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"_meta": META}}
RIGHT = RoutingHeaders(("2026-07-28",), ("tools/call",), ("search",))
OLD = RoutingHeaders()
LONG = "x" * 100

INVALID_REQUEST, INVALID_PARAMS, HEADER_MISMATCH = -32600, -32602, -32020
MIRRORS = "expected the header {}, which mirrors the body"


@pytest.mark.parametrize(
    ("body", "headers", "code", "told"),
    [
        ({**CALL, "jsonrpc": "2"}, OLD, INVALID_REQUEST, 'expected "jsonrpc": "2.0"'),
        (
            {**CALL, "id": []}, OLD, INVALID_REQUEST,
            'expected "id" to be a string or an integer, got an array',
        ),
        (
            {"jsonrpc": "2.0", "id": 1}, OLD, INVALID_REQUEST,
            'expected a "method", or an "id" with either "result" or "error"',
        ),
        (
            {**CALL, "method": ""}, OLD, INVALID_REQUEST,
            'expected "method" to be a non-empty string',
        ),
        (
            {"jsonrpc": "2.0", "method": LONG}, OLD, INVALID_REQUEST,
            f"expected an \"id\": '{'x' * 79}... is not a notification",
        ),
        (
            {"jsonrpc": "2.0", "method": "x" * 78}, OLD, INVALID_REQUEST,
            f"expected an \"id\": '{'x' * 78}' is not a notification",
        ),
        (
            {**CALL, "params": {}}, OLD, INVALID_PARAMS,
            'expected "params" with a string "name" for tools/call',
        ),
        (
            {**CALL, "method": "resources/read", "params": {"uri": "x" * 2049}}, OLD,
            INVALID_PARAMS, 'expected a "uri" of at most 2048 characters',
        ),
        ({**CALL, "ID": 2}, OLD, INVALID_REQUEST, "expected 'id' in lower case, got 'ID'"),
        (
            {**CALL, "params": {"name": "search", "Name": "x"}}, OLD, INVALID_REQUEST,
            "expected 'name' in lower case, got 'Name'",
        ),
        (
            [CALL], OLD, INVALID_REQUEST,
            "expected one JSON-RPC message, got an array; batches are not taken, send each "
            "message in its own POST",
        ),
        (
            CALL, RoutingHeaders(version=("1", "2")), HEADER_MISMATCH,
            "expected MCP-Protocol-Version once, got it 2 times",
        ),
        (
            CALL, RoutingHeaders(method=("tools/call",) * 2), HEADER_MISMATCH,
            "expected Mcp-Method once, got it 2 times",
        ),
        (
            CALL, RoutingHeaders(name=("search",) * 3), HEADER_MISMATCH,
            "expected Mcp-Name once, got it 3 times",
        ),
        (
            CALL, RIGHT, INVALID_PARAMS,
            f"expected params._meta to carry {VERSION_META} and {CAPABILITIES_META}",
        ),
        (
            {**CALL, "params": {"name": "search", "_meta": {VERSION_META: "2025-11-25"}}}, OLD,
            INVALID_PARAMS, f"expected params._meta to carry {CAPABILITIES_META}",
        ),
        (
            MODERN, RoutingHeaders((), RIGHT.method, RIGHT.name), HEADER_MISMATCH,
            MIRRORS.format("MCP-Protocol-Version"),
        ),
        (
            MODERN, RoutingHeaders(RIGHT.version, (), RIGHT.name), HEADER_MISMATCH,
            MIRRORS.format("Mcp-Method"),
        ),
        (
            MODERN, RoutingHeaders(RIGHT.version, RIGHT.method, ()), HEADER_MISMATCH,
            MIRRORS.format("Mcp-Name"),
        ),
        (
            MODERN, RoutingHeaders(("2026-07-29",), RIGHT.method, RIGHT.name), HEADER_MISMATCH,
            "expected MCP-Protocol-Version to be '2026-07-28', as in the body, got '2026-07-29'",
        ),
        (
            CALL, RoutingHeaders(method=("tools/list",)), HEADER_MISMATCH,
            "expected Mcp-Method to be 'tools/call', as in the body, got 'tools/list'",
        ),
        (
            CALL, RoutingHeaders(name=("=?base64?!?=",)), HEADER_MISMATCH,
            "expected Mcp-Name to be 'search', as in the body, got '=?base64?!?='",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_message_is_said(
    body: object, headers: RoutingHeaders, code: int, told: str
) -> None:
    found = read_message(json.dumps(body).encode(), headers)
    assert isinstance(found, Fault)
    assert (found.problem.code, found.problem.detail) == (code, told)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (PING, RoutingHeaders(RIGHT.version, ("ping",))),
        (
            {**PING, "params": {"_meta": {**META, "x": "y"}}},
            RoutingHeaders(RIGHT.version, ("ping",)),
        ),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, RIGHT),
        ({"jsonrpc": "2.0", "method": "notifications/x"}, RIGHT.__class__(RIGHT.version)),
        (CALL, RoutingHeaders(version=("2025-11-25",))),
        (MODERN, RIGHT),
    ],
)
def test_headers_are_held_only_against_what_a_body_says(
    body: object, headers: RoutingHeaders
) -> None:
    assert isinstance(read_message(json.dumps(body).encode(), headers), McpMessage)


@pytest.mark.parametrize(("length", "kept"), [(80, True), (81, False)])
def test_a_trace_is_as_long_as_one_can_be(length: int, kept: bool) -> None:
    meta = {TRACE_META: "t" * length}
    found = read_message(json.dumps({**PING, "params": {"_meta": meta}}).encode(), OLD)
    assert isinstance(found, McpMessage)
    assert found.traceparent == ("t" * length if kept else None)


def test_what_travels_on_without_its_proof_has_no_spaces() -> None:
    body = {**CALL, "params": {"name": "é", "_meta": {PROOF_META: "p", "a": [1, 2]}}}
    found = read_message(json.dumps(body).encode(), OLD)
    assert isinstance(found, McpMessage)
    assert found.body == (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call",'
        b'"params":{"name":"\\u00e9","_meta":{"a":[1,2]}}}'
    )


def test_what_is_no_json_is_told_as_the_parser_tells_it() -> None:
    found = read_message(b"{", OLD)
    assert isinstance(found, Fault)
    with pytest.raises(InvalidInputError) as refused:
        strict_json.loads(b"{")
    assert (found.problem.code, found.problem.detail) == (-32700, str(refused.value))


def test_a_length_that_is_none_is_named() -> None:
    found = read_call({**http_scope("GET", b"/x"), "headers": [(b"content-length", b"+1")]})
    assert isinstance(found, Problem)
    assert found.detail == "expected one Content-Length, a decimal number of octets"


def test_nobody_names_a_principal_before_the_gate_does() -> None:
    claimed = {**http_scope("GET", b"/x"), PRINCIPAL_KEY: "me"}
    assert PRINCIPAL_KEY not in without_ours(claimed)
    call = read_call(claimed)
    assert isinstance(call, Call)
    assert PRINCIPAL_KEY not in call.scope_for_app(claimed, principal=None)


def test_texts_are_quoted_up_to_sixty_characters() -> None:
    shown = ascii("X" * 60)
    with pytest.raises(InvalidInputError, match=f"X-Forwarded-For, got {shown}$"):
        TrustedProxies.parse([], "X" * 61 + "_")
    with pytest.raises(InvalidInputError, match=f"10.0.0.0/8 or ::1, got {shown}$"):
        TrustedProxies.parse(["X" * 61])
    with pytest.raises(InvalidInputError, match=f'"POST /v1/items", got {shown}$'):
        Resource.parse("X" * 61)


def test_a_proxy_is_asked_for_the_usual_header_unless_told_otherwise() -> None:
    assert TrustedProxies.parse(["::1"]) == TrustedProxies.parse(["::1"], "X-Forwarded-For")
    assert TrustedProxies.parse(["::1"]).header == TrustedProxies().header == b"x-forwarded-for"


def test_a_row_of_a_list_is_about_networks_that_callers_are_told_apart_by() -> None:
    assert Access(networks=("2001:db8::/64", "203.0.113.9/32"))
    for narrower in ("2001:db8::/65", "2001:db8::1"):
        with pytest.raises(InvalidInputError, match="expected an IPv6 network of /64 or wider"):
            Access(networks=(narrower,))
    with pytest.raises(InvalidInputError) as refused:
        Access()
    told = "expected network, match or both; a row without either is about every call"
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("client", "network", "within"),
    [
        ("203.0.113.9/32", "203.0.113.9/32", True),
        ("203.0.113.9/32", "203.0.113.0/31", False),
        ("2001:db8::/64", "2001:db8::/64", True),
        ("2001:db8::/64", "0.0.0.0/0", False),
        ("local", "0.0.0.0/0", False),
    ],
)
def test_a_network_is_within_itself_and_in_none_of_the_other_kind(
    client: str, network: str, within: bool
) -> None:
    call = Call(method="GET", path=b"/x", client=client, headers=())
    assert Access(networks=(network,)).denies(call) is within
    assert Access(networks=(network,)).allows(call) is within


@pytest.mark.parametrize(
    ("above", "below", "hidden"),
    [
        ("tools/call s*", "tools/call search_*", True),
        ("tools/call search_*", "tools/call s*", False),
        ("tools/call *", "tools/call", True),
        ("tools/call", "tools/call *", True),
        ("tools/call", "tools/call search", True),
        ("tools/call search", "tools/call", False),
        ("tools/call s", "tools/call", False),
        ("*", "GET /a b", True),
        ("GET /a b", "GET /a b", True),
        ("GET /a", "GET /a b", False),
        ("tools/*", "tools/call x", True),
        ("tools/call X*X", "tools/call *", False),
        ("tools/call X*", "tools/call *", False),
        ("tools/call X*X", "tools/call", False),
    ],
)
def test_a_row_hides_what_it_takes_all_calls_from(above: str, below: str, hidden: bool) -> None:
    assert Match(above).hides(Match(below)) is hidden


@pytest.mark.parametrize(
    ("bits", "default_bits", "weight"),
    [(1, 16, 1), (16, 16, 1), (17, 16, 2), (20, 16, 16), (4, 1, 8), (44, 1, 0xFFFF), (2, 2, 1)],
)
def test_a_weight_counts_the_work_of_the_default_price(
    bits: int, default_bits: int, weight: int
) -> None:
    default = priced("default", bits=default_bits)
    assert relative_weight(bits * 1024, default=default) == weight
    assert priced("dear", bits=bits, default=default).weight == weight
    row = entry("GET /dear", bits=bits, default=default)
    assert row.price is not None
    assert (row.price.name, row.price.weight, row.price.q) == ("GET /dear", weight, bits * 1024)


def test_weights_are_relative_to_the_default_price_unless_told_otherwise() -> None:
    assert priced("dear", bits=20).weight == entry("GET /x", bits=20).price.weight == 16  # type: ignore[union-attr]  # it has a price
    assert DEFAULT_PRICE.q == 16 * 1024


class WaitingLimiter(CountingLimiter):
    """Says that a call may come again after so many milliseconds."""

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__()
        self.retry_after_ms = retry_after_ms

    async def take(self, key: bytes, *, quota: Quota, now_ms: int, calls: int = 1) -> Allowance:
        self.taken[key] += calls
        return Allowance(allowed=False, remaining=0, retry_after_ms=self.retry_after_ms)


@pytest.mark.parametrize(
    ("retry_after_ms", "wait_s"), [(0, 1), (1, 1), (1000, 1), (1001, 2), (60_000, 60), (60_001, 61)]
)
def test_who_makes_too_many_free_calls_is_told_how_long_to_wait(
    retry_after_ms: int, wait_s: int
) -> None:
    limiter = WaitingLimiter(retry_after_ms)
    bench = Bench(policy=Policy(default=EASY, free_limit=Quota(3, 1500)), limiter=limiter)
    answer = bench.send("GET", "/.well-known/x")
    assert answer.values(b"retry-after") == [b"%d" % wait_s]
    told = f"expected at most 3 free calls in 1.5 s from one network; wait {wait_s} s"
    assert document(answer)["detail"] == told
    assert list(limiter.taken) == [b"free 192.0.2.7/32"]


def test_without_a_limit_no_limiter_is_asked() -> None:
    limiter = WaitingLimiter(1)
    assert Bench(policy=Policy(default=EASY), limiter=limiter).send("GET", "/.well-known/x").status
    assert not limiter.taken
    bench = Bench(policy=Policy(default=EASY, free_limit=Quota(3, 1500)))
    assert bench.send("GET", "/.well-known/x").status == 200


def test_a_limiter_that_fails_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(policy=Policy(default=EASY, free_limit=Quota(3, 1500)), limiter=FailingLimiter())
    with caplog.at_level(logging.WARNING, "pypow_server.gate"):
        bench.send("GET", "/.well-known/x")
    told = "the limiter failed, and holds nothing back: StoreError"
    assert told in [record.getMessage() for record in caplog.records]


def test_what_is_charged_can_be_written_whatever_it_is() -> None:
    odd = priced("half \ud800", bits=1)
    free = type(odd)(odd.name, odd.q, free=Quota(1, 1000))
    assert free.meter is not None
    keys = free.meter.charge("192.0.2.7/32").keys
    assert keys == tuple(b"free half \xed\xa0\x80 192.0.2." + one for one in (b"7/32", b"0/24"))


def test_a_body_that_lost_its_proof_travels_under_its_own_length() -> None:
    paid = {**CALL, "params": {"name": "search", "_meta": {PROOF_META: "p"}}}
    message = read_message(json.dumps(paid).encode(), OLD)
    assert isinstance(message, McpMessage)
    fields = [(b"x-a", b"1"), (b"content-length", b"999"), (b"transfer-encoding", b"chunked")]
    scope = http_scope("POST", b"/mcp", headers=[*fields, (b"x-b", b"content-length")])
    call = read_call(scope)
    assert isinstance(call, Call)
    kept = call.scope_for_app(scope, principal="me")
    assert kept["headers"] == list(call.headers)
    passed = call._replace(mcp=message).scope_for_app(scope, principal="me")
    length = b"%d" % len(message.body)
    others = [(b"x-a", b"1"), (b"x-b", b"content-length")]
    assert passed["headers"] == [*others, (b"content-length", length)]
    assert passed[PRINCIPAL_KEY] == "me"


def test_a_body_that_had_no_proof_travels_as_it_came() -> None:
    message = read_message(json.dumps(CALL).encode(), OLD)
    assert isinstance(message, McpMessage)
    scope = http_scope("POST", b"/mcp", headers=[(b"content-length", b"999")])
    call = read_call(scope)
    assert isinstance(call, Call)
    assert call._replace(mcp=message).scope_for_app(scope, principal=None)["headers"] == [
        (b"content-length", b"999")
    ]


@pytest.mark.parametrize(
    ("version", "modern"), [("2025-11-25", False), ("2026-07-28", True), ("draft", True)]
)
def test_a_version_in_the_body_says_which_protocol_is_spoken(version: str, modern: bool) -> None:
    meta = {VERSION_META: version, CAPABILITIES_META: {}}
    headers = RoutingHeaders((version,), ("ping",))
    found = read_message(json.dumps({**PING, "params": {"_meta": meta}}).encode(), headers)
    assert isinstance(found, McpMessage)
    assert found.modern is modern


@pytest.mark.parametrize(
    ("calls", "lifetime_s"), [(0, 1), (MAX_PASS_CALLS, 1), (1, MAX_PASS_LIFETIME_S)]
)
def test_a_pass_lasts_as_long_and_as_many_calls_as_one_may(calls: int, lifetime_s: int) -> None:
    assert PassTerms(calls, lifetime_s)


@pytest.mark.parametrize(
    ("calls", "lifetime_s", "told"),
    [
        (-1, 1, f"expected a pass of 1 to {MAX_PASS_CALLS} calls, or 0 for any number in its time"),
        (MAX_PASS_CALLS + 1, 1, "got 65536"),
        (1, 0, f"expected a pass for 1 to {MAX_PASS_LIFETIME_S} seconds, got 0"),
        (1, MAX_PASS_LIFETIME_S + 1, "seconds, got 2592001"),
    ],
)
def test_a_pass_lasts_no_longer(calls: int, lifetime_s: int, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        PassTerms(calls, lifetime_s)


def test_a_star_stands_for_every_character() -> None:
    assert Match("tools/call a*b*c").is_written(Resource("mcp", "tools/call", "a\n1b\n2\nc"))
    assert Match("tools/call a*").is_written(Resource("mcp", "tools/call", "a\r\n"))


def test_of_a_head_that_cannot_be_read_nothing_is_written_down() -> None:
    bench = Bench()
    assert bench.send("GET", headers=[(b"content-length", b"+1")]).status == 400
    (found,) = bench.decisions
    assert (found.client, found.method, found.name) == ("-", "-", "-")
    assert (found.principal, found.rail, found.traceparent) == (None, None, None)


def test_the_trace_of_a_message_is_written_down() -> None:
    bench = Bench()
    body = {**CALL, "params": {"name": "search", "_meta": {TRACE_META: "00-1-2-01"}}}
    for sent in (body, CALL):
        bench.send("POST", "/mcp", body=json.dumps(sent).encode())
    assert [found.traceparent for found in bench.decisions] == ["00-1-2-01", None]
    assert {(found.method, found.name) for found in bench.decisions} == {("tools/call", "search")}

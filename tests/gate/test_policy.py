# SPDX-License-Identifier: Apache-2.0
"""Prices: first match wins, what nobody names costs the default, nothing is open by omission."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import difficulty
from pypow.errors import InvalidInputError
from pypow_server.access import Access
from pypow_server.call import Call
from pypow_server.match import Match
from pypow_server.mcp_message import McpMessage, RoutingHeaders, read_message
from pypow_server.policy import (
    DEFAULT_PRICE,
    FREE,
    Entry,
    Policy,
    Price,
    Unpriced,
    entry,
    priced,
    relative_weight,
)
from pypow_server.resource import Resource
from pypow_server.stores import Quota
from support.gated import EASY, Bench


def free(bench: Bench, method: str, target: str, *headers: tuple[bytes, bytes]) -> bool:
    return bench.send(method, target, headers).status == 200


def test_the_default_price_is_sixteen_bits() -> None:
    assert (difficulty.bits(Policy().default.q), Policy().default.weight) == (16, 1)


def test_the_first_matching_entry_wins() -> None:
    cheap, dear = entry("tools/call search_*", bits=8), entry("tools/call *", bits=24)
    policy = Policy(entries=(cheap, dear))
    assert policy.price_of(Resource("mcp", "tools/call", "search_web")) is cheap.price
    assert policy.price_of(Resource("mcp", "tools/call", "render")) is dear.price
    assert policy.price_of(Resource("mcp", "prompts/get", "search_web")) is DEFAULT_PRICE


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_where_no_mcp_is_spoken_nothing_of_its_path_is_free(method: str) -> None:
    assert free(Bench(), method, "/mcp")
    assert not free(Bench(policy=Policy(default=EASY, mcp_paths=())), method, "/mcp")


@pytest.mark.parametrize(
    ("default", "prices"),
    [
        (EASY, [Price("a", 8 * 1024), Price("a", 9 * 1024)]),
        (EASY, [Price("a", 8 * 1024), Price("a", 8 * 1024, weight=2)]),
        (EASY, [Price("a", 8 * 1024, free=Quota(1, 1000)), Price("a", 8 * 1024)]),
        (EASY, [Price("easy", 20 * 1024)]),
        (DEFAULT_PRICE, [Price("default", 20 * 1024)]),
    ],
)
def test_two_prices_that_differ_share_no_name(default: Price, prices: list[Price]) -> None:
    entries = tuple(Entry(f"POST /{number}", price) for number, price in enumerate(prices))
    with pytest.raises(InvalidInputError, match="got two that differ: passes and free calls"):
        Policy(default=default, entries=entries)


def test_a_price_below_a_free_row_of_its_match_is_reached_in_other_cases_and_counts() -> None:
    above, below = Entry("GET /x", FREE), Entry("GET /x", Price("a", 8 * 1024))
    assert Policy(entries=(above, below)).price_of(Resource("http", "GET", "/X")) is below.price
    with pytest.raises(InvalidInputError, match="two that differ"):
        Policy(entries=(above, below, Entry("GET /y", Price("a", 9 * 1024))))


@pytest.mark.parametrize("name", ["dearest", "free", "allow", "deny", "none"])
def test_no_price_has_a_name_that_means_something_else(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"price '{name}': this name means something else"):
        Policy(entries=(entry(name, bits=8),))
    with pytest.raises(InvalidInputError, match="means something else"):
        Policy(default=Price(name, 18 * 1024, free=Quota(1, 1000)))


def test_one_price_may_stand_in_several_rows_and_a_row_above_another_of_its_match() -> None:
    shared = Price("shared", 18 * 1024)
    policy = Policy(entries=(Entry("POST /a", shared), Entry("POST /b", shared)))
    assert policy.price_of(Resource("http", "POST", "/b")) is shared
    Policy(entries=(entry("POST /a", bits=18), entry("POST /a", bits=12), Entry("POST /a", FREE)))


@pytest.mark.parametrize(
    ("match", "method", "name", "expected"),
    [
        ("POST /v1/*", "POST", "/v1/a/b", True),
        ("POST /v1/*", "POST", "/v1", False),
        ("POST /v1/*", "GET", "/v1/a", False),
        ("* /v1/*", "PUT", "/v1/a", True),
        ("POST /v1/a.b", "POST", "/v1/axb", False),
        ("POST /v1/a", "POST", "/v1/A", False),
        ("POST /v1/a", "POST", "/v1/a\n", False),
        ("tools/call [ab]", "tools/call", "a", False),
        ("custom/method", "custom/method", "", True),
        ("tools/call", "tools/call", "search", True),
        ("tools/call search", "tools/call", "search ", False),
        ("tools/call search", "tools/call search", "", False),
        ("*", "anything", "at all", True),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_is_special(
    match: str, method: str, name: str, expected: bool
) -> None:
    assert Entry(match, FREE).matches(Resource("http", method, name)) is expected


@pytest.mark.parametrize("match", ["", " ", " POST /x", "POST /x "])
def test_an_entry_that_names_nothing_is_refused(match: str) -> None:
    with pytest.raises(InvalidInputError, match="expected an entry like"):
        Entry(match, FREE)


def test_a_path_that_is_only_named_costs_what_it_would_cost_to_ask_for() -> None:
    policy = Policy(entries=(entry("POST /dear", bits=24),))
    assert policy.price_of(Resource("http", "POST", "/x")) is policy.default
    assert policy.price_of(Resource("http", "POST", "/d%65ar")) is policy.dearest
    assert policy.price_of(Resource("mcp", "tools/list", "")) is FREE


@pytest.mark.parametrize("q", [0, 1023, 45 * 1024])
def test_a_price_that_nobody_could_be_asked_is_refused(q: int) -> None:
    with pytest.raises(InvalidInputError, match="expected 1 to 44 bits"):
        Price("odd", q)


@given(st.integers(difficulty.MIN_Q, difficulty.MAX_SUB_Q))
def test_a_weight_is_never_below_the_work_it_stands_for(q: int) -> None:
    weight = relative_weight(q, default=DEFAULT_PRICE)
    units = difficulty.expected_hashes(q) / difficulty.expected_hashes(DEFAULT_PRICE.q)
    assert 1 <= weight <= 65535
    assert weight >= min(units, 65535)


@pytest.mark.parametrize(
    "method",
    ["server/discover", "initialize", "ping", "completion/complete", "tools/list",
     "resources/templates/list", "notifications/initialized"],
)  # fmt: skip
def test_what_a_client_needs_to_connect_is_free(method: str) -> None:
    bench = Bench()
    assert bench.post_mcp(method).status == 200
    assert (bench.app.reached, bench.ledger.spends) == (1, 0)


@pytest.mark.parametrize(
    "method", ["tools/call", "prompts/get", "resources/read", "pings", "list", "xinitialize"]
)
def test_every_other_mcp_method_is_priced(method: str) -> None:
    bench = Bench()
    bench.post_mcp(method, {"name": "a", "uri": "a"})
    assert bench.app.reached == 0


def test_posted_responses_are_free() -> None:
    bench = Bench()
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}).encode()
    assert bench.send("POST", "/mcp", (), body).status == 200


def test_streams_of_the_handshake_era_are_free_on_the_mcp_path_alone() -> None:
    bench = Bench()
    modern = (b"mcp-protocol-version", b"2026-07-28")
    for method in ("GET", "DELETE"):
        assert free(bench, method, "/mcp")
        assert free(bench, method, "/mcp/")
        assert not free(bench, method, "/mcp", modern)
        assert not free(bench, method, "/mcp/x")
    assert not free(bench, "PUT", "/mcp")


def test_well_known_documents_are_free_to_read() -> None:
    bench = Bench()
    assert free(bench, "GET", "/.well-known/oauth-protected-resource/mcp")
    assert free(bench, "HEAD", "/.well-known/x")
    assert not free(bench, "POST", "/.well-known/x")
    assert not free(bench, "GET", "/x/.well-known/x")


def test_an_entry_may_price_what_is_free_by_nature_and_free_what_is_not() -> None:
    policy = Policy(default=EASY, entries=(Entry("tools/list", EASY), Entry("GET /open", FREE)))
    bench = Bench(policy=policy)
    bench.post_mcp("tools/list")
    assert bench.app.reached == 0
    assert free(bench, "GET", "/open")
    assert free(bench, "HEAD", "/open")
    assert not free(bench, "POST", "/open")


def test_a_slash_at_the_end_does_not_hide_an_mcp_call() -> None:
    dear = Price("dear", 8 * 1024, 16)
    bench = Bench(policy=Policy(default=EASY, entries=(Entry("tools/call *", dear),)))
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a"}}
    ).encode()
    answer = bench.send("POST", "/mcp/", (), body)
    assert b'"difficulty":2' in answer.body


def test_only_the_paths_of_the_policy_speak_mcp() -> None:
    bench = Bench(policy=Policy(default=EASY, mcp_paths=("/a", "/b/")))
    body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    answers = [bench.send("POST", path, (), body).status for path in ("/a", "/b", "/mcp")]
    assert answers == [200, 200, 402]


@pytest.mark.parametrize("path", ["/dear", "/dear/", "/DEAR", "/Dear/"])
def test_no_spelling_of_a_path_that_servers_route_alike_is_cheaper(path: str) -> None:
    for written in ("POST /dear", "POST /dear/", "POST /Dear"):
        dear = entry(written, bits=24)
        assert Policy(entries=(dear,)).price_of(Resource("http", "POST", path)) is dear.price


def test_only_the_path_as_it_is_written_is_free() -> None:
    policy = Policy(entries=(Entry("GET /open", FREE),))
    prices = [policy.price_of(Resource("http", "GET", p)) for p in ("/open", "/Open", "/open/")]
    assert prices == [FREE, policy.default, policy.default]


def test_the_case_of_a_tools_name_counts() -> None:
    policy = Policy(entries=(entry("tools/call Search", bits=24),))
    assert policy.price_of(Resource("mcp", "tools/call", "search")) is policy.default


def test_another_case_of_its_path_does_not_hide_an_mcp_call() -> None:
    dear = Price("dear", 8 * 1024, 16)
    bench = Bench(policy=Policy(default=EASY, entries=(Entry("tools/call *", dear),)))
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a"}}
    answer = bench.send("POST", "/MCP", (), json.dumps(message).encode())
    assert b'"difficulty":2' in answer.body


def test_a_long_name_is_matched_against_many_stars_without_going_back() -> None:
    # With backtracking, this takes longer than anybody waits.
    assert not Entry("tools/call *_*_*x", FREE).matches(
        Resource("mcp", "tools/call", "_" * 1_000_000)
    )


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_stars_match_what_any_split_of_the_name_would(pattern: str, name: str) -> None:
    def matches(rest: str, text: str) -> bool:
        if not rest:
            return not text
        if rest[0] == "*":
            return any(matches(rest[1:], text[at:]) for at in range(len(text) + 1))
        return bool(text) and rest[0] == text[0] and matches(rest[1:], text[1:])

    expected = matches(pattern or "*", name)
    assert Entry(f"m {pattern}".strip(), FREE).matches(Resource("mcp", "m", name)) is expected


OTHER_SPELLINGS = [
    "FILE:///secret/x",
    "file:///open/../secret/x",
    "file:///open/%2E%2e/secret/x",
    " file:///secret/x",
    "file:/secret/x",
    "file:\\\\\\secret\\x",
    "fi\tle:///secret/x",
    "file:///%73ecret/x",
]


@pytest.mark.parametrize("uri", ["file:///secret/x", *OTHER_SPELLINGS])
def test_no_spelling_of_a_uri_makes_it_cheaper_or_free_or_lets_it_in(uri: str) -> None:
    dear = entry("resources/read file:///secret/*", bits=20)
    assert dear.price is not None
    policy = Policy(entries=(dear, Entry("resources/read file:///open/*", FREE)))
    read = Resource("mcp", "resources/read", uri)
    assert policy.price_of(read) == dear.price
    cheap = entry("resources/read *open/*", bits=4)
    price = Policy(entries=(cheap, dear)).price_of(read)
    assert price is not None
    assert price.q == dear.price.q
    alone = Policy(entries=(Entry("resources/read file:///open/*", FREE),))
    assert alone.price_of(read) == alone.default
    assert alone.price_of(replace(read, name="file:///open/x")) is FREE


def test_a_posted_response_is_free_unless_a_row_names_it() -> None:
    read = read_message(b'{"jsonrpc":"2.0","id":1,"result":{}}', RoutingHeaders())
    assert isinstance(read, McpMessage)
    posted = Call(method="POST", path=b"/mcp", client="192.0.2.7/32", headers=(), mcp=read)
    assert Policy(default=priced("dear", bits=20)).price(posted) is FREE
    row = entry("*", bits=20)
    assert Policy(entries=(row,)).price(posted) == row.price


def test_what_is_ambiguous_weighs_as_much_as_the_dearest_row() -> None:
    policy = Policy(entries=(entry("GET /a", bits=18), entry("GET /b", bits=20)))
    assert (policy.dearest.q, policy.dearest.weight) == (20 * 1024, 16)


@pytest.mark.parametrize(("length", "named"), [(262, True), (263, False)])
def test_a_host_is_as_long_as_a_name_can_be(length: int, named: bool) -> None:
    name = "a" * (length - 6)
    call = Call(
        method="GET",
        path=b"/x",
        client="192.0.2.7/32",
        headers=(),
        hosts=(name.encode() + b":65535",),
    )
    assert Policy(hosts=frozenset({name})).is_named(call) is named


def test_the_terms_of_what_is_only_named_are_those_of_a_call_from_nowhere() -> None:
    row = entry("tools/call search", bits=20)
    policy = Policy(
        entries=(row, entry("GET /dear", bits=18)),
        mcp_paths=("/closed", "/open"),
        denied=(
            Access(match=Match("POST /closed")),
            Access(match=Match("tools/call hidden")),
            Access(match=Match("GET /kept")),
        ),
        allowed=(Access(match=Match("tools/call open")), Access(match=Match("GET /allowed"))),
    )
    told = {
        text: policy.terms_of(Resource.parse(text))
        for text in (
            *("tools/call search", "tools/call hidden", "tools/call open", "tools/list"),
            *("tools/call other", "GET /dear", "GET /kept", "GET /allowed", "POST /x"),
        )
    }
    assert told == {
        "tools/call search": row.price,
        "tools/call hidden": Unpriced.DENIED,
        "tools/call open": Unpriced.ALLOWED,
        "tools/list": Unpriced.FREE,
        "tools/call other": policy.default,
        "GET /dear": policy.entries[1].price,
        "GET /kept": Unpriced.DENIED,
        "GET /allowed": Unpriced.ALLOWED,
        "POST /x": policy.default,
    }
    assert Policy(entries=(row,), mcp_paths=()).terms_of(Resource.parse("tools/call search")) == (
        row.price
    )
    open_to_all = Policy(entries=(row,))
    assert open_to_all.terms_of(Resource.parse("GET /a/../b")) == open_to_all.dearest
    closed = Policy(denied=(Access(match=Match("POST /mcp")),))
    assert closed.terms_of(Resource.parse("tools/call search")) is Unpriced.DENIED

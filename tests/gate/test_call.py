# SPDX-License-Identifier: Apache-2.0
"""What the gate reads out of a request's head, and what it lets travel on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow.errors import InvalidInputError
from pypow_server import call
from pypow_server.accepts import Accepts, read_accepts
from pypow_server.call import Call, read_call
from pypow_server.presented import Form
from pypow_server.problems import Problem
from pypow_server.resource import Resource, is_canonical, raw_path
from support.asgi_client import http_scope


def call_with(*headers: tuple[bytes, bytes], method: str = "GET", target: bytes = b"/x") -> Call:
    read = read_call(http_scope(method, target, headers=headers))
    assert isinstance(read, Call), read
    return read


def problem_with(*headers: tuple[bytes, bytes]) -> str:
    read = read_call(http_scope(headers=headers))
    assert isinstance(read, Problem), read
    return read.name


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/a/b",
        b"/a/",
        b"/v1/items@2,3:x",
        b"/%C3%A9t%C3%A9",
        b"/a%20b",
        b"/.well-known/x",
        b"/...",
    ],
)
def test_a_path_with_one_reading_is_canonical(path: bytes) -> None:
    assert is_canonical(path)


@pytest.mark.parametrize(
    "path",
    [
        b"", b"x", b"//x", b"/a//b", b"/.", b"/..", b"/a/./b", b"/a/../b", b"/a/..", b"/a\\b",
        b"/%41", b"/%2E%2E/x", b"/a%2Fb", b"/a%2fb", b"/a%5Cb", b"/%c3%a9t", b"/%00", b"/%7E",
        b"/%", b"/%4", b"/%zz", b"/%252e", b"/\xc3\xa9t", b"/a b", b"/a?b", b"/a#b", b"/a;b",
        b"/a\x00b", b"/a\nb", b"/a|b", b"http://gate.example/x", b"*",
    ],
)  # fmt: skip
def test_a_path_that_servers_may_fold_is_not_canonical(path: bytes) -> None:
    assert not is_canonical(path)


@given(st.binary(max_size=40))
def test_a_canonical_path_is_a_fixed_point_of_every_folding(tail: bytes) -> None:
    path = b"/" + tail
    if is_canonical(path):
        assert path.isascii()
        assert b"//" not in path
        assert not {b".", b".."} & set(path.split(b"/"))


def test_decisions_are_made_on_the_raw_path_without_the_query() -> None:
    scope = http_scope("GET", b"/a%2Fb?x=/.well-known/")
    scope["path"] = "/.well-known/decoded"
    read = read_call(scope)
    assert isinstance(read, Call)
    assert (read.path, read.canonical) == (b"/a%2Fb", False)


def test_a_server_without_raw_paths_is_read_by_its_path() -> None:
    scope = http_scope("GET", b"/x")
    scope["raw_path"] = None
    read = read_call(scope)
    assert isinstance(read, Call)
    assert read.path == b"/x"


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ((b"x-pow-solution", b"anything"), Form.SOLUTION_HEADER),
        ((b"X-PoW-Solution", b"anything"), Form.SOLUTION_HEADER),
        ((b"authorization", b"PoW anything"), Form.AUTHORIZATION),
        ((b"authorization", b"pow  anything"), Form.AUTHORIZATION),
        ((b"authorization", b"bEARER pyp_anything"), Form.PASS),
        ((b"authorization", b"Bearer\tpyp_anything"), Form.PASS),
        ((b"authorization", b"\x0bPoW\tanything"), Form.AUTHORIZATION),
        ((b"cookie", b"a=b; pypow_pass=pyp_x"), Form.COOKIE),
    ],
)
def test_credentials_are_found_in_every_header_and_taken_out(
    header: tuple[bytes, bytes], form: Form
) -> None:
    call = call_with(header)
    assert [presented.form for presented in call.presented] == [form]
    assert b"anything" not in repr(call.headers).encode()
    assert b"pyp_" not in repr(call.headers).encode()


def test_other_cookies_stay_as_they_came() -> None:
    call = call_with((b"cookie", b"a=b;pypow_pass=pyp_1; c=d"), (b"cookie", b" e = f ;g"))
    assert [value for _, value in call.headers] == [b"a=b; c=d", b" e = f ;g"]


def test_a_cookie_header_with_only_our_pass_is_dropped() -> None:
    assert call_with((b"cookie", b"pypow_pass=pyp_1")).headers == ()


def test_foreign_authorization_schemes_are_not_ours() -> None:
    for value in (b"Basic dXNlcg==", b"Bearer eyJ0", b"Bearer", b"PoWer x", b""):
        call = call_with((b"authorization", value))
        assert (call.presented, call.headers) == ((), ((b"authorization", value),))


def test_two_different_authorizations_are_refused() -> None:
    assert (
        problem_with((b"authorization", b"Basic x"), (b"authorization", b"PoW y"))
        == "conflicting-credentials"
    )


@pytest.mark.parametrize(
    "name",
    [b"x_pow_solution", b"x-pow_solution", b"mcp_method", b"content_length", b"content_type",
     b"content_encoding", b"x-pow-new"],
)  # fmt: skip
def test_spellings_that_servers_fold_into_a_judged_header_do_not_travel_on(name: bytes) -> None:
    assert call_with((name, b"1")).headers == ()


def test_unrelated_underscores_travel_on() -> None:
    assert call_with((b"my_header", b"1")).headers == ((b"my_header", b"1"),)


@pytest.mark.parametrize(
    ("values", "accepts"),
    [
        ([], None),
        ([b"1"], Accepts(None)),
        ([b"puzzles=16"], Accepts(16)),
        ([b"1, puzzles=64"], Accepts(64)),
        ([b"1", b"puzzles=1"], Accepts(1)),
    ],
)
def test_x_pow_accept_says_what_a_caller_can_solve(
    values: list[bytes], accepts: Accepts | None
) -> None:
    assert call_with(*((b"x-pow-accept", value) for value in values)).accepts == accepts


@pytest.mark.parametrize(
    "value", [b"", b"yes", b"puzzles=3", b"puzzles=128", b"puzzles=\xb2", b"1,"]
)
def test_a_wrong_x_pow_accept_is_refused_with_what_was_expected(value: bytes) -> None:
    assert problem_with((b"x-pow-accept", value)) == "bad-request"


@pytest.mark.parametrize("values", [[b"-1"], [b"1_0"], [b"\xb2"], [b""], [b"1", b"2"], [b"9" * 40]])
def test_a_wrong_content_length_is_refused(values: list[bytes]) -> None:
    assert problem_with(*((b"content-length", value) for value in values)) == "bad-request"


def test_forwarded_headers_do_not_say_who_the_caller_is() -> None:
    call = call_with((b"x-forwarded-for", b"198.51.100.1"), (b"forwarded", b"for=198.51.100.1"))
    assert call.client == "192.0.2.7/32"


@pytest.mark.parametrize("method", ["post", "Post", "options"])
def test_a_method_in_another_case_is_refused_since_what_is_behind_the_gate_may_raise_it(
    method: str,
) -> None:
    refused = read_call(http_scope(method, b"/mcp"))
    assert isinstance(refused, Problem)
    assert (refused.status, refused.name) == (400, "bad-request")


def test_head_buys_what_get_buys() -> None:
    assert call_with(method="HEAD").resource == call_with(method="GET").resource


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        ("tools/call search", Resource("mcp", "tools/call", "search")),
        ("resources/read file:///a b", Resource("mcp", "resources/read", "file:///a b")),
        ("custom", Resource("mcp", "custom", "")),
        ("POST /v1/items", Resource("http", "POST", "/v1/items")),
        ("HEAD /x", Resource("http", "GET", "/x")),
    ],
)
def test_a_resource_is_read_from_its_text(text: str, resource: Resource) -> None:
    assert Resource.parse(text) == resource


@pytest.mark.parametrize(
    "text", ["", " ", "POST", "POST v1", "/v1", "tools/call a\nb", "Post /v1", "GET /x?y=1"]
)
def test_a_text_that_names_no_resource_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="expected a resource like"):
        Resource.parse(text)


def test_no_two_resources_have_the_same_parts() -> None:
    texts = ["tools/call a", "tools/call", "POST /a", "GET /a", "GET /A", "tools/callx a"]
    assert len({Resource.parse(text).parts for text in texts}) == len(texts)


def test_callers_fill_no_memory_with_names_and_unknown_ones_are_judged_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = call._Kinds()
    monkeypatch.setattr(call, "_KINDS", known)
    sizes = set()
    for number in range(1000):
        call_with((b"x-%d" % number, b"1"))
        sizes.add(len(known))
    assert max(sizes) == 512
    call_with((b"x-" + b"a" * 62, b"1"), (b"y" * 65, b"1"))
    assert b"x-999" in known
    assert b"x-" + b"a" * 62 in known
    assert b"y" * 65 not in known
    read = call_with((b"x-pow-solution", b"a"), (b"mcp_name", b"b"), (b"x-kept", b"c"))
    assert (len(read.presented), read.headers) == (1, ((b"x-kept", b"c"),))


@pytest.mark.parametrize(("length", "remembered"), [(64, True), (65, False)])
def test_a_name_is_remembered_up_to_64_octets(
    length: int, remembered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = call._Kinds()
    monkeypatch.setattr(call, "_KINDS", known)
    name = b"x" * length
    assert call_with((name, b"1")).headers == ((name, b"1"),)
    assert (name in known) is remembered


FIELDS = [
    (b"host", (b"gate.example", 1)),
    (b"x-plain", (b"a", 1)),
    (b"accept", (b"*/*", 1)),
    (b"transfer-encoding", (b"chunked", 1)),
    (b"content-length", (b"2", 1)),
    (b"mcp-name", (b"search", 1)),
    (b"authorization", (b"Basic YTpi", 1)),
    (b"authorization", (b"PoW a", 0)),
    (b"cookie", (b"a=b", 1)),
    (b"cookie", (b"pypow_pass=a", 0)),
    (b"content_length", (b"3", 0)),
    (b"x-pow-solution", (b"a", 0)),
    (b"x_pow_other", (b"a", 0)),
]


def test_a_field_is_judged_alike_when_it_is_met_first_and_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call, "_KINDS", call._Kinds())
    for _ in range(2):
        for name, (value, kept) in FIELDS:
            read = call_with((name, value))
            assert read.headers == ((name, value),) * kept
            assert read.hosts == ((value,) if name == b"host" else ())
            paid = name in (b"authorization", b"cookie", b"x-pow-solution") and not kept
            assert len(read.presented) == paid
            assert read.routing.name == (("search",) if name == b"mcp-name" else ())
            assert read.content_length == (2 if name == b"content-length" else None)


def test_a_head_is_as_long_as_it_may_be_and_no_longer() -> None:
    fill = (b"x-a", b"1" * 97)
    exactly = (*[fill] * 327, (b"x-a", b"1" * 65))
    assert sum(len(name) + len(value) for name, value in exactly) == call.HEAD_LIMIT
    assert len(call_with(*exactly).headers) == 328
    read = read_call(http_scope(headers=(*exactly, (b"", b"1"))))
    assert isinstance(read, Problem)
    assert read.detail == "expected at most 32768 octets of headers, got 32769"


@pytest.mark.parametrize("name", [b"host", b"mcp-name", b"x-pow-solution", b"x-a"])
def test_a_head_has_as_many_fields_as_it_may_have_and_no_more(name: bytes) -> None:
    # Each one more of a name takes as long as all of it before.
    assert call_with(*[(name, b"")] * 512)
    read = read_call(http_scope(headers=[(name, b"")] * 513))
    assert isinstance(read, Problem)
    assert (read.name, read.detail) == (
        "headers-too-large",
        "expected at most 512 header fields, got 513",
    )


def test_two_ways_to_pay_are_both_seen() -> None:
    read = call_with((b"x-pow-solution", b"a"), (b"authorization", b"PoW b"))
    assert [one.form for one in read.presented] == [Form.SOLUTION_HEADER, Form.AUTHORIZATION]


def test_what_reroutes_and_what_cannot_be_accepted_is_named() -> None:
    for headers, told in (
        (
            (b"X-HTTP-Method", b"PUT"),
            "expected no x-http-method: send the method and path that are meant",
        ),
        (
            (b"x-pow-accept", b"1, " + b"y" * 41),
            f"expected X-PoW-Accept: 1 or puzzles=16, got {b'y' * 40!a}",
        ),
    ):
        read = read_call(http_scope(headers=[headers]))
        assert isinstance(read, Problem)
        assert read.detail == told


def test_nothing_accepted_is_not_the_same_as_anything() -> None:
    assert read_accepts([]) is None
    assert read_accepts([b"1"]) == Accepts(None)


def test_a_path_that_no_server_told_raw_is_taken_as_it_was_decoded() -> None:
    assert raw_path({"path": "/é\ud800"}) == b"/\xc3\xa9\xed\xa0\x80"
    assert raw_path({"path": "/é", "raw_path": b"/%C3%A9"}) == b"/%C3%A9"


def test_a_method_and_a_second_authorization_are_refused_in_these_words() -> None:
    lowered = read_call(http_scope("x" * 41, b"/x"))
    assert isinstance(lowered, Problem)
    assert lowered.detail == f"expected a method in capitals, got {'x' * 40!a}"
    two = read_call(http_scope(headers=[(b"authorization", b"a"), (b"authorization", b"b")]))
    assert isinstance(two, Problem)
    assert two.detail == "expected one Authorization header, got several"
    assert isinstance(read_call(http_scope("M-SEARCH", b"/x")), Call)


def test_who_has_no_address_is_local_and_asks_for_no_more_than_it_says() -> None:
    read = read_call(http_scope(client=None))
    assert isinstance(read, Call)
    assert (read.client, read.address, read.accepts) == ("local", None, None)

# SPDX-License-Identifier: Apache-2.0
"""MCP bodies and the headers that mirror them: one reading, or a refusal before any price."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow_server.mcp_message import (
    CAPABILITIES_META,
    MODERN_SINCE,
    VERSION_META,
    Fault,
    Kind,
    McpMessage,
    RoutingHeaders,
    decode_header,
    read_message,
)

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search"}}
ENVELOPE = {VERSION_META: MODERN_SINCE, CAPABILITIES_META: {}}
MODERN_CALL = {**CALL, "params": {"name": "search", "_meta": ENVELOPE}}
MODERN_HEADERS = {"version": (MODERN_SINCE,), "method": ("tools/call",), "name": ("search",)}


def read(document: object, **headers: tuple[str, ...]) -> McpMessage:
    message = read_message(json.dumps(document).encode(), RoutingHeaders(**headers))
    assert isinstance(message, McpMessage), message
    return message


def fault(document: object, **headers: tuple[str, ...]) -> Fault:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    message = read_message(body, RoutingHeaders(**headers))
    assert isinstance(message, Fault), message
    return message


def test_a_uri_is_no_longer_than_every_row_can_look_at() -> None:
    reading = {**CALL, "method": "resources/read"}
    assert read({**reading, "params": {"uri": "x:" + "é" * 2046}}).name
    assert fault({**reading, "params": {"uri": "x:" + "é" * 2047}}).problem.code == -32602


def test_a_tool_call_is_read_by_method_and_name() -> None:
    message = read(CALL)
    assert (message.kind, message.id, message.method, message.name) == (
        Kind.REQUEST, 1, "tools/call", "search",
    )  # fmt: skip
    assert not message.modern


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("prompts/get", {"name": "p"}, "p"),
        ("resources/read", {"uri": "file:///r"}, "file:///r"),
        ("sampling/other", {"name": "ignored"}, ""),
        ("ping", None, ""),
    ],
)
def test_the_name_is_what_the_method_acts_on(method: str, params: object, name: str) -> None:
    document = {"jsonrpc": "2.0", "id": "a", "method": method, "params": params}
    assert read(document).name == name


def test_notifications_and_responses_are_told_apart() -> None:
    assert read({"jsonrpc": "2.0", "method": "notifications/x"}).kind is Kind.NOTIFICATION
    assert read({"jsonrpc": "2.0", "id": 0, "result": {}}).kind is Kind.RESPONSE
    assert read({"jsonrpc": "2.0", "id": 0, "error": {}}).kind is Kind.RESPONSE


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a":1,"a":2}', b"[" * 100_000, b'{"a":NaN}',
     b'{"id":' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_a_body_that_two_parsers_may_read_differently_is_no_json(body: bytes) -> None:
    found = fault(body)
    assert (found.problem.code, found.problem.status, found.id) == (-32700, 400, None)


@pytest.mark.parametrize(
    ("document", "code", "identity"),
    [
        ([CALL], -32600, None),
        ([], -32600, None),
        (3, -32600, None),
        ({}, -32600, None),
        ({**CALL, "jsonrpc": "1.0"}, -32600, 1),
        ({**CALL, "id": None}, -32600, None),
        ({**CALL, "id": True}, -32600, None),
        ({**CALL, "id": 1.5}, -32600, None),
        ({**CALL, "id": {}}, -32600, None),
        ({**CALL, "method": 3}, -32600, 1),
        ({**CALL, "method": ""}, -32600, 1),
        ({**CALL, "method": "\ud800"}, -32600, 1),
        ({**CALL, "params": {}}, -32602, 1),
        ({**CALL, "params": {"name": ["search"]}}, -32602, 1),
        ({**CALL, "params": {"name": "\udfff"}}, -32602, 1),
        ({**CALL, "params": ["search"]}, -32602, 1),
        ({"jsonrpc": "2.0", "id": 1}, -32600, 1),
        ({"jsonrpc": "2.0", "result": {}}, -32600, None),
        ({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}}, -32600, 1),
    ],
)
def test_what_is_not_one_message_is_refused(
    document: object, code: int, identity: int | None
) -> None:
    found = fault(document)
    assert (found.problem.code, found.problem.status, found.id) == (code, 400, identity)


@pytest.mark.parametrize(
    ("document", "lookalike"),
    [
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "Method": "tools/call"}, "Method"),
        ({"jsonrpc": "2.0", "id": 1, "result": {}, "METHOD": "tools/call"}, "METHOD"),
        ({**CALL, "Params": {"name": "dear"}}, "Params"),
        ({**CALL, "param\u017f": {"name": "dear"}}, "param\u017f"),
        ({**CALL, "params": {"name": "cheap", "Name": "dear"}}, "Name"),
        ({**CALL, "params": {"name": "search", "_META": {}}}, "_META"),
    ],
)
def test_a_key_that_only_a_parser_blind_to_case_would_know_is_refused(
    document: object, lookalike: str
) -> None:
    found = fault(document)
    assert (found.problem.code, found.problem.status, found.id) == (-32600, 400, 1)
    assert ascii(lookalike) in found.problem.detail


def test_arguments_may_be_called_what_they_like() -> None:
    arguments = {"Name": 1, "name": 2, "NAME": 3, "Method": 4}
    assert read({**CALL, "params": {"name": "search", "arguments": arguments}}).name == "search"


@pytest.mark.parametrize(
    "document",
    [
        {"jsonrpc": "2.0", "method": "\U0001f600" * 100_000},
        {**CALL, "params": {"name": "a" * 100_000}},
    ],
)
def test_a_refusal_does_not_send_a_body_back(document: object) -> None:
    assert len(fault(document, name=("b" * 10_000,)).problem.detail) < 400


@pytest.mark.parametrize("method", ["tools/call", "tools/list", "initialize", "notificationsX"])
def test_a_request_without_an_id_is_not_a_notification(method: str) -> None:
    document = {"jsonrpc": "2.0", "method": method, "params": {"name": "search"}}
    assert 'expected an "id"' in fault(document).problem.detail


def test_modern_headers_that_mirror_the_body_are_accepted() -> None:
    assert read(MODERN_CALL, **MODERN_HEADERS).modern


def test_the_modern_era_is_told_by_the_header_or_by_the_body() -> None:
    notification = {"jsonrpc": "2.0", "method": "notifications/x"}
    assert read(notification, version=(MODERN_SINCE,)).modern
    assert read({**notification, "params": {"_meta": ENVELOPE}}).modern
    assert not read(CALL, version=("2025-11-25",)).modern


@pytest.mark.parametrize(
    "change",
    [
        {"method": ("tools/list",)},
        {"name": ("cheap",)},
        {"version": ("2027-01-01",)},
        {"version": ("2025-11-25",)},
        {"version": ()},
        {"method": ()},
        {"name": ()},
        {"method": ("tools/call", "tools/call")},
        {"name": ("search", "search")},
        {"version": (MODERN_SINCE, MODERN_SINCE)},
        {"name": ("=?base64?!!?=",)},
        {"name": ("=?base64?Y2hlYXA=?=",)},
    ],
)
def test_modern_headers_that_disagree_are_a_mismatch_before_any_price(
    change: dict[str, tuple[str, ...]],
) -> None:
    found = fault(MODERN_CALL, **{**MODERN_HEADERS, **change})
    assert (found.problem.code, found.problem.status, found.id) == (-32020, 400, 1)


def test_a_modern_request_without_its_envelope_is_refused() -> None:
    assert fault(CALL, **MODERN_HEADERS).problem.code == -32602


def test_headers_of_the_handshake_era_need_not_mirror_but_may_not_lie() -> None:
    assert read(CALL, version=("2025-11-25",)).name == "search"
    assert fault(CALL, name=("cheap",)).problem.code == -32020


def test_a_name_may_be_wrapped_in_base64() -> None:
    wrapped = f"=?base64?{base64.b64encode('søk'.encode()).decode()}?="
    document = {**MODERN_CALL, "params": {**MODERN_CALL["params"], "name": "søk"}}  # type: ignore[dict-item]
    assert read(document, **{**MODERN_HEADERS, "name": (wrapped,)}).name == "søk"


@pytest.mark.parametrize(
    "value", ["=?base64?Y?=", "=?base64?/w==?=", "=?base64?YR==?=", "=?base64?YQé=?="]
)
def test_a_broken_wrapping_decodes_to_nothing(value: str) -> None:
    assert decode_header(value) is None


@given(st.text())
def test_every_text_survives_its_wrapping(text: str) -> None:
    assert decode_header(f"=?base64?{base64.b64encode(text.encode()).decode()}?=") == text


def test_a_body_without_a_proof_is_forwarded_to_the_octet() -> None:
    body = b'{ "jsonrpc":"2.0","id":1.0e0,"method":"ping" }'.replace(b"1.0e0", b"1")
    message = read_message(body, RoutingHeaders())
    assert isinstance(message, McpMessage)
    assert message.body is body


def test_the_proof_is_taken_out_of_the_body_and_nothing_else_is() -> None:
    params = {
        "name": "search",
        "arguments": {"q": "é 😀"},
        "_meta": {"a": 1, "io.pypow/proof": "x"},
    }
    message = read({**CALL, "params": params})
    assert message.proof == ("x",)
    forwarded = json.loads(message.body)
    assert forwarded == {**CALL, "params": {**params, "_meta": {"a": 1}}}


def test_a_meta_that_held_only_the_proof_goes_with_it() -> None:
    message = read({**CALL, "params": {"name": "search", "_meta": {"io.pypow/proof": None}}})
    assert message.proof == (None,)
    assert json.loads(message.body) == CALL


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("00-0af765-b7ad-01", "00-0af765-b7ad-01"), (7, None), ("0" * 1000, None)],
)
def test_the_trace_that_a_message_names_is_read_and_what_cannot_be_one_is_not(
    value: object, wanted: str | None
) -> None:
    message = read({**CALL, "params": {"name": "search", "_meta": {"traceparent": value}}})
    assert message.traceparent == wanted

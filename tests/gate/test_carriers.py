# SPDX-License-Identifier: Apache-2.0
"""The envelope of a refusal fits its caller, and says the same in every one of them."""

import json
from typing import Any

import mcp_types
import pytest

from pypow_server import problems
from pypow_server.call import Call
from pypow_server.carriers import http_402, mcp_tool_result
from pypow_server.mcp_message import CAPABILITIES_META, MODERN_SINCE, VERSION_META
from pypow_server.rails import Offer
from pypow_server.stores import Spend
from support.asgi_client import Answer
from support.gated import Bench, document, offers, solved

ACCEPT = (b"x-pow-accept", b"1")
MODERN_META = {VERSION_META: MODERN_SINCE, CAPABILITIES_META: {}}


def modern_headers(method: str, name: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"mcp-protocol-version", MODERN_SINCE.encode()),
        (b"mcp-method", method.encode()),
        (b"mcp-name", name.encode()),
    ]


def result_of(answer: Answer) -> dict[str, Any]:
    body = document(answer)
    assert (answer.status, body["jsonrpc"], body["id"]) == (200, "2.0", 1)
    result: dict[str, Any] = body["result"]
    return result


def refusal_of(result: dict[str, Any]) -> dict[str, Any]:
    refusal: dict[str, Any] = result["_meta"]["io.pypow/refusal"]
    return refusal


def test_plain_http_gets_a_problem_at_402() -> None:
    answer = Bench().send("GET")
    assert answer.status == 402
    assert answer.values(b"content-type") == [b"application/problem+json"]
    assert answer.values(b"cache-control") == [b"no-store"]
    assert b"WWW-Authenticate" in answer.values(b"access-control-expose-headers")[0]
    assert document(answer).keys() == {"type", "title", "status", "detail", "decision", "offers"}


def test_head_gets_the_headers_of_the_refusal_and_no_body() -> None:
    bench = Bench()
    head, get = bench.send("HEAD"), bench.send("GET")
    assert (head.status, head.body) == (402, b"")
    assert head.values(b"content-length") == get.values(b"content-length")


def test_an_unknowing_tool_call_gets_a_tool_result_at_200() -> None:
    result = result_of(Bench().post_mcp("tools/call", {"name": "search"}))
    assert result["isError"] is True
    assert "resultType" not in result
    parsed = mcp_types.CallToolResult.model_validate(result)
    assert parsed.is_error
    (offer,) = refusal_of(result)["offers"]
    assert offer["send_mcp"] == {
        "_meta": {"io.pypow/proof": f"challenge={offer['challenge']},nonce=<nonce>"}
    }


def test_in_the_handshake_era_a_tools_output_schema_has_nothing_to_refuse() -> None:
    """The TypeScript SDK 1.x validates structured content of errors too, and throws."""
    old = result_of(Bench().post_mcp("tools/call", {"name": "search"}))
    assert "structuredContent" not in old


def test_the_text_for_the_model_is_short_and_says_what_to_do() -> None:
    result = result_of(Bench().post_mcp("tools/call", {"name": "search"}))
    (content,) = result["content"]
    offer = refusal_of(result)["offers"][0]
    assert content["type"] == "text"
    assert len(content["text"].encode()) < 400
    assert offer["solve"] in content["text"]
    assert "io.pypow/proof" in content["text"]


def test_a_long_reason_gives_way_to_the_way_through() -> None:
    offer = Offer("work", (), "{}", "a" * 300)
    text = mcp_tool_result._text(problems.expired("b" * 300), [offer])
    assert len(text) < 400
    assert text.endswith("a" * 300)


def test_a_modern_tool_call_gets_a_complete_result() -> None:
    answer = Bench().post_mcp(
        "tools/call",
        {"name": "search", "_meta": MODERN_META},
        headers=modern_headers("tools/call", "search"),
    )
    result = result_of(answer)
    assert result["resultType"] == "complete"
    assert result["structuredContent"] == refusal_of(result)


@pytest.mark.parametrize(("modern", "status"), [(False, 200), (True, 400)])
def test_other_priced_methods_get_a_json_rpc_error(modern: bool, status: int) -> None:
    params = {"uri": "file:///r"} | ({"_meta": MODERN_META} if modern else {})
    headers = modern_headers("resources/read", "file:///r") if modern else []
    answer = Bench().post_mcp("resources/read", params, headers=headers)
    error = document(answer)["error"]
    assert (answer.status, error["code"], document(answer)["id"]) == (status, 402, 1)
    assert error["data"]["offers"][0]["rail"] == "work"
    mcp_types.JSONRPCError.model_validate(document(answer))


@pytest.mark.parametrize(
    "header",
    [ACCEPT, (b"x-pow-solution", b"nonsense"), (b"authorization", b"PoW nonsense")],
)
def test_an_mcp_caller_that_reads_http_gets_the_status_and_its_id(
    header: tuple[bytes, bytes],
) -> None:
    answer = Bench().post_mcp("tools/call", {"name": "search"}, headers=[header], id="seven")
    assert answer.status in (400, 402)
    assert document(answer)["id"] == "seven"
    assert document(answer)["error"]["code"] == answer.status
    assert answer.values(b"content-type") == [b"application/json"]
    assert bool(answer.values(b"www-authenticate")) is (answer.status == 402)


def test_a_client_with_a_static_pass_keeps_its_session_when_the_pass_is_worth_nothing() -> None:
    held = (b"authorization", b"Bearer pyp_" + b"A" * 135)
    result = result_of(Bench().post_mcp("tools/call", {"name": "search"}, headers=[held]))
    assert result["isError"] is True


def test_a_bad_proof_in_meta_is_told_in_a_tool_result() -> None:
    result = result_of(
        Bench().post_mcp("tools/call", {"name": "search", "_meta": {"io.pypow/proof": "nonsense"}})
    )
    assert refusal_of(result)["type"] == "urn:pypow:error:malformed-proof"


def test_a_store_that_cannot_tell_ends_no_session() -> None:
    bench = Bench()
    refusal = bench.post_mcp("tools/call", {"name": "search"})
    bench.ledger.answer = Spend.UNKNOWN
    proof = solved(offers(refusal)[0])
    answer = bench.post_mcp("tools/call", {"name": "search", "_meta": {"io.pypow/proof": proof}})
    result = result_of(answer)
    assert refusal_of(result)["retry_after"] == 1
    assert "offers" not in refusal_of(result)


def test_a_proof_in_meta_admits_once_and_does_not_reach_the_upstream() -> None:
    bench = Bench()
    proof = solved(offers(bench.post_mcp("tools/call", {"name": "search"}))[0])
    params = {"name": "search", "_meta": {"progressToken": 1, "io.pypow/proof": proof}}
    headers = [(b"content-length", b"999"), (b"transfer-encoding", b"chunked")]
    bench_answer = bench.post_mcp("tools/call", params, headers=headers)
    assert bench_answer.body == b"reached"
    assert json.loads(bench.app.bodies[0])["params"] == {
        "name": "search", "_meta": {"progressToken": 1},
    }  # fmt: skip
    assert bench.app.header(b"content-length") == [b"%d" % len(bench.app.bodies[0])]
    assert bench.app.header(b"transfer-encoding") == []
    again = result_of(bench.post_mcp("tools/call", params))
    assert refusal_of(again)["type"] == "urn:pypow:error:already-spent"


def test_a_proof_for_one_tool_does_not_open_another() -> None:
    bench = Bench()
    proof = solved(offers(bench.post_mcp("tools/call", {"name": "search"}))[0])
    meta = {"io.pypow/proof": proof}
    result = result_of(bench.post_mcp("tools/call", {"name": "render", "_meta": meta}))
    assert refusal_of(result)["type"] == "urn:pypow:error:wrong-resource"


@pytest.mark.parametrize(
    ("body", "code", "identity"),
    [(b"{", -32700, None), (b"[]", -32600, None), (b'{"jsonrpc":"2.0","id":4}', -32600, 4)],
)
def test_a_body_that_is_no_mcp_message_gets_a_json_rpc_error_at_400(
    body: bytes, code: int, identity: int | None
) -> None:
    answer = Bench().send("POST", "/mcp", (), body)
    assert answer.status == 400
    assert (document(answer)["error"]["code"], document(answer)["id"]) == (code, identity)
    mcp_types.JSONRPCError.model_validate(document(answer))


def test_the_challenges_come_in_the_order_that_clients_need() -> None:
    call = Call(method="GET", path=b"/x", client="local", headers=())
    lines = ('PoW challenge="c"', "Bearer", 'L402 macaroon="m"', "Payment id=1")
    reply = http_402.carry(call, problems.work_required("pay"), [Offer("r", lines, "{}", "")])
    sent = [value.split()[0] for name, value in reply.headers if name == b"www-authenticate"]
    assert sent == [b"L402", b"Payment", b"Bearer", b"PoW"]

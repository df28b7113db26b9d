# SPDX-License-Identifier: Apache-2.0
"""MCP callers pay in ``_meta``, and ask for invoices there: a stock client sets no header."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, cast

import mcp
import pytest
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, RequestParamsMeta

from pypow import payment_lightning, payment_wire
from pypow.errors import WireError
from pypow.payment_wire import PaymentChallenge
from pypow_server.mcp_message import (
    CHALLENGES_META,
    CREDENTIAL_META,
    INVOICE_META,
    PAYMENT_META,
    PROOF_META,
)
from pypow_server.policy import PassTerms, Policy, Price
from pypow_server.stores import Quota
from support.asgi_client import Answer
from support.gated import document, offers, solved
from support.selling import SATS, SELLING, Stall, authorized, paid
from support.serving import serving

pytest.importorskip("coincurve", reason="signatures need the extra l402")

Meta = dict[str, object]


def call(stall: Stall, meta: Meta | None = None, **fields: Any) -> Answer:
    params: dict[str, object] = {"name": "search", "arguments": {"q": 1}}
    if meta is not None:
        params["_meta"] = meta
    return stall.post_mcp("tools/call", params, **fields)


def sold(answer: Answer) -> dict[str, Any]:
    return next(offer for offer in offers(answer) if offer["rail"] == "l402")


def refusal(answer: Answer) -> str:
    """The problem of a tool result, at the status that no client takes for the end."""
    assert answer.status == 200
    result = document(answer)["result"]
    assert result["isError"]
    return str(result["_meta"]["io.pypow/refusal"]["type"].removeprefix("urn:pypow:error:"))


def as_text(offer: dict[str, Any]) -> Meta:
    ((name, template),) = offer["send_mcp"]["_meta"].items()
    assert name == PAYMENT_META
    preimage = paid(offer["invoice"]).hex()
    return {name: template.replace("<preimage in hex>", preimage)}


def as_object(offer: dict[str, Any]) -> Meta:
    preimage = paid(offer["invoice"]).hex()
    return {PAYMENT_META: {"macaroon": offer["macaroon"], "preimage": preimage}}


def challenge(answer: Answer) -> dict[str, Any]:
    (found,) = document(answer)["result"]["_meta"][CHALLENGES_META]["challenges"]
    return cast("dict[str, Any]", found)


def as_credential(asked: dict[str, Any]) -> Meta:
    preimage = paid(asked["request"]["methodDetails"]["invoice"]).hex()
    return {CREDENTIAL_META: {"challenge": asked, "payload": {"preimage": preimage}}}


@pytest.mark.parametrize("pay", [as_text, as_object])
def test_a_payment_in_a_message_admits_once_and_travels_no_further(pay: Any) -> None:
    stall = Stall()
    meta = pay(sold(call(stall)))
    assert call(stall, meta | {"kept": 1}).body == b"reached"
    (upstream,) = map(json.loads, stall.app.bodies)
    assert upstream["params"] == {"name": "search", "arguments": {"q": 1}, "_meta": {"kept": 1}}
    assert stall.app.header(b"content-length") == [b"%d" % len(stall.app.bodies[0])]
    assert refusal(call(stall, meta)) == "already-spent"
    assert stall.app.reached == 1


def test_a_payment_of_the_payment_scheme_is_taken_as_mcp_carries_it() -> None:
    stall = Stall()
    asked = challenge(call(stall))
    assert asked["request"]["currency"] == "sat"
    meta = as_credential(asked)
    assert call(stall, meta).body == b"reached"
    assert refusal(call(stall, meta)) == "already-spent"
    assert CREDENTIAL_META.encode() not in stall.app.bodies[0]


def test_all_forms_and_places_of_one_payment_count_as_one() -> None:
    stall = Stall()
    asked = call(stall)
    text, other = as_text(sold(asked)), as_credential(challenge(asked))
    header = authorized(str(text[PAYMENT_META]).encode())
    assert call(stall, text, headers=header).body == b"reached"
    assert refusal(call(stall, other)) == "already-spent"


def test_two_payments_in_one_message_are_refused() -> None:
    stall = Stall()
    asked = call(stall)
    meta = as_text(sold(asked)) | as_credential(challenge(asked))
    assert refusal(call(stall, meta)) == "conflicting-credentials"


def test_a_caller_that_pays_in_messages_is_not_taken_for_one_that_reads_http() -> None:
    stall = Stall()
    spent = as_text(sold(call(stall)))
    call(stall, spent)
    assert refusal(call(stall, spent)) == "already-spent"
    header = authorized(str(spent[PAYMENT_META]).encode())
    assert call(stall, headers=header).status == 402


@pytest.mark.parametrize("name", [PAYMENT_META, CREDENTIAL_META])
@pytest.mark.parametrize(
    "value",
    [
        "", "x", "L402 x", 7, None, [], {}, {"macaroon": "YQ==", "preimage": "0"},
        {"challenge": {}, "payload": {}}, {"challenge": {"request": {"a": 1e999}}, "payload": {}},
        {"challenge": {"request": {"a": "\ud800"}}, "payload": {}}, {"macaroon": "\ud800",
        "preimage": ""}, "\ud800",
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_payment_is_refused_and_gets_no_invoice(name: str, value: object) -> None:
    stall = Stall()
    assert sold(call(stall))["invoice"]
    answer = call(stall, {name: value})
    if b"malformed-mcp" in answer.body:  # a number that no double holds is no JSON to begin with
        assert answer.status == 400
        return
    assert refusal(answer) == "malformed-payment"
    assert [offer["rail"] for offer in offers(answer)] == ["work"]
    assert (len(stall.wallet.made), stall.app.reached) == (1, 0)


def test_work_for_an_invoice_is_taken_in_a_message() -> None:
    stall = Stall(selling=replace(SELLING, free_invoices=None))
    for form in (str, lambda text: dict(part.split("=") for part in text.split(","))):
        asked = sold(call(stall))
        assert asked["invoice"] is None
        assert list(asked["work"]["send_mcp"]["_meta"]) == [INVOICE_META]
        proof = form(solved(asked["work"]))
        bought = sold(call(stall, {INVOICE_META: proof}))
        assert call(stall, as_text(bought)).body == b"reached"
        assert sold(call(stall, {INVOICE_META: proof}))["invoice"] is None
    assert len(stall.wallet.made) == 2


@pytest.mark.parametrize("value", ["", "\ud800", 7, None, {}, {"challenge": "c", "nonce": 1}])
def test_what_is_no_work_for_an_invoice_counts_as_none(value: object) -> None:
    stall = Stall(selling=replace(SELLING, free_invoices=None))
    assert sold(call(stall, {INVOICE_META: value}))["invoice"] is None


def test_a_proof_and_the_work_for_an_invoice_fit_in_one_message() -> None:
    stall = Stall(selling=replace(SELLING, free_invoices=Quota(1, 60_000)))
    work = next(offer for offer in offers(call(stall)) if offer["rail"] == "work")
    meta: Meta = {PROOF_META: solved(work), INVOICE_META: "challenge=c,nonce=0"}
    assert call(stall, meta).body == b"reached"
    assert b"io.pypow" not in stall.app.bodies[0]


def test_a_payment_for_n_calls_or_a_time_is_sent_with_each_of_them() -> None:
    for terms, admitted in ((PassTerms(2, 60), 2), (PassTerms(0, 60), 3)):
        stall = Stall(Policy(default=replace(SATS, sells=terms)))
        meta = as_text(sold(call(stall)))
        assert [call(stall, meta).body for _ in range(3)].count(b"reached") == admitted


def test_where_nothing_is_sold_for_sats_payments_belong_to_the_upstream() -> None:
    stall = Stall(Policy(default=Price("work", 4 * 1024)))
    (work,) = offers(call(stall))
    theirs: Meta = {CREDENTIAL_META: {"theirs": 1}, PAYMENT_META: "theirs"}
    assert call(stall, theirs | {PROOF_META: solved(work)}).body == b"reached"
    assert json.loads(stall.app.bodies[0])["params"]["_meta"] == theirs


def test_plain_http_is_offered_nothing_of_mcp_though_the_row_is_the_same() -> None:
    stall = Stall(Policy(default=replace(SATS, sells=PassTerms(2, 60))))
    stall.l402 = stall.rail_of(replace(SELLING, free_invoices=Quota(2, 60_000)))
    stall.reload(stall.policy)
    for _ in range(2):
        assert "send_mcp" in sold(call(stall))
        assert "send_mcp" not in sold(stall.send("GET"))


def test_a_credential_of_mcp_reads_as_that_of_the_header() -> None:
    stall = Stall()
    asked = challenge(call(stall))
    read = payment_wire.credential_from_json({"challenge": asked, "payload": {"preimage": "00"}})
    assert isinstance(read.challenge, PaymentChallenge)
    assert payment_lightning.asked(read.challenge).amount_sat == 5
    header = read.authorization().removeprefix("Payment ")
    assert payment_wire.credential_from_authorization(header) == read
    assert read.challenge.to_mcp() == asked
    with pytest.raises(WireError):
        payment_wire.credential_from_json({"challenge": {"id": 1}, "payload": {}})


def test_the_clients_of_the_payment_scheme_read_the_challenge_and_are_read() -> None:
    types = pytest.importorskip("mpp.extensions.mcp.types", reason="the client is not installed")
    stall = Stall()
    asked = types.MCPChallenge.from_dict(challenge(call(stall)))
    preimage = paid(asked.request["methodDetails"]["invoice"]).hex()
    made = types.MCPCredential(challenge=asked, payload={"preimage": preimage})
    assert call(stall, made.to_meta()).body == b"reached"


def tool_server() -> MCPServer:
    server = MCPServer("adder")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    return server


def refused(result: CallToolResult) -> dict[str, Any]:
    assert result.is_error
    assert result.meta is not None
    refusal: dict[str, Any] = result.meta["io.pypow/refusal"]
    return refusal


@pytest.mark.parametrize("mode", ["auto", "2026-07-28", "legacy"])
def test_a_stock_client_pays_sats_and_keeps_its_session(mode: Any) -> None:
    stall = Stall(app=tool_server().streamable_http_app())
    answers = []

    async def story() -> None:
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(serving(stall.gate, lifespan=True))
            client = await stack.enter_async_context(mcp.Client(f"{url}/mcp", mode=mode))
            for _ in range(2):
                asked = refused(await client.call_tool("add", {"a": 1, "b": 2}))
                offer = next(one for one in asked["offers"] if one["rail"] == "l402")
                meta = cast("RequestParamsMeta", as_text(offer))
                bought = await client.call_tool("add", {"a": 1, "b": 2}, meta=meta)
                assert not bought.is_error
                answers.append(str(bought.structured_content))
                again = await client.call_tool("add", {"a": 1, "b": 2}, meta=meta)
                answers.append(refused(again)["type"].rpartition(":")[2])

    asyncio.run(story())
    assert answers == ["{'result': 3}", "already-spent"] * 2

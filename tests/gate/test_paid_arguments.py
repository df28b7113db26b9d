# SPDX-License-Identifier: Apache-2.0
"""Where the operator binds payments to bodies, one for an MCP call is for its arguments only."""

import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from pypow import payment_wire
from pypow.payment_wire import PaymentChallenge
from pypow_server.policy import PassTerms, Policy
from pypow_server.request_body import LARGE
from pypow_server.stores import Quota
from support.asgi_client import Answer
from support.gated import document, offers
from support.selling import (
    SATS,
    SELLING,
    Stall,
    authorized,
    l402_credential,
    paid,
    payment_credential,
)

pytest.importorskip("coincurve", reason="signatures need the extra l402")

BOUND = replace(SELLING, binds_bodies=True)
READS_HTTP = [(b"x-pow-accept", b"puzzles=1")]
PAY = pytest.mark.parametrize("pay", [l402_credential, payment_credential])


def call(stall: Stall, arguments: object, *, headers: Any = READS_HTTP, **members: Any) -> Answer:
    params = {"name": "search", "arguments": arguments}
    return stall.post_mcp("tools/call", params, headers=headers, **members)


def refusal(answer: Answer) -> str:
    kind: str = document(answer)["error"]["data"]["type"]
    return kind.removeprefix("urn:pypow:error:")


@PAY
def test_a_payment_is_for_its_arguments_only(pay: Any) -> None:
    stall = Stall(selling=BOUND)
    credential = authorized(pay(call(stall, {"q": "cheap"})))
    for other in ({"q": "dear"}, {}, {"q": "cheap", "more": 1}, ["q", "cheap"], None):
        answer = call(stall, other, headers=credential)
        assert (answer.status, refusal(answer)) == (402, "wrong-resource")
    assert (stall.app.reached, stall.ledger.spends) == (0, 0)
    assert call(stall, {"q": "cheap"}, headers=credential).status == 200


@PAY
def test_how_the_same_arguments_are_written_does_not_matter(pay: Any) -> None:
    stall = Stall(selling=BOUND)
    credential = authorized(pay(call(stall, {"a": 1, "b": {"c": "\u00e9", "d": [1, 2]}})))
    text = (
        '{ "params": {"arguments": {"b": {"d": [1, 2], "c": "\\u00e9"}, "a": 1},\n'
        ' "_meta": {"progressToken": 7}, "name": "search"}, "method": "tools/call",'
        ' "id": "another", "jsonrpc": "2.0"}'
    )
    answer = stall.send("POST", "/mcp", credential, text.encode())
    assert answer.status == 200


@PAY
def test_others_sell_calls_whatever_their_arguments(pay: Any) -> None:
    stall = Stall()
    credential = authorized(pay(call(stall, {"q": 1})))
    assert call(stall, {"q": 2}, headers=credential).status == 200


@PAY
def test_payments_from_before_are_held_to_what_was_sold(pay: Any) -> None:
    for before, after, admitted in ((BOUND, SELLING, 1), (SELLING, BOUND, 2)):
        stall = Stall(selling=before)
        first, second = (authorized(pay(call(stall, {"q": 1}))) for _ in range(2))
        stall.l402 = stall.rail_of(after)
        stall.reload(stall.policy)
        assert call(stall, {"q": 1}, headers=first).status == 200
        assert call(stall, {"q": 2}, headers=second).status == (200 if admitted == 2 else 402)


@PAY
def test_rows_that_sell_passes_and_calls_without_messages_are_bound_to_no_body(pay: Any) -> None:
    stall = Stall(Policy(default=replace(SATS, sells=PassTerms(2, 60))), selling=BOUND)
    credential = authorized(pay(call(stall, {"q": 1})))
    assert [call(stall, {"q": n}, headers=credential).status for n in (2, 3)] == [200, 200]
    plain = Stall(selling=BOUND)
    credential = authorized(pay(plain.send("POST", "/x", body=b"one")))
    assert plain.send("POST", "/x", credential, b"two").status == 200


def test_an_offer_for_other_arguments_is_not_made_again() -> None:
    stall = Stall(selling=replace(BOUND, free_invoices=Quota(1, 60_000)))
    first = document(call(stall, {"q": 1}))["error"]["data"]["payment_hash"]
    assert document(call(stall, {"q": 1}))["error"]["data"]["payment_hash"] == first
    assert "payment_hash" not in document(call(stall, {"q": 2}))["error"]["data"]


@pytest.mark.parametrize("deep", ["[" * 120 + "]" * 120, json.dumps("x" * LARGE), '"\\ud800"'])
def test_large_deep_and_odd_arguments_are_bound_too(deep: str) -> None:
    stall = Stall(selling=BOUND, body_limit=2 * LARGE)
    bodies = [
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":'
        b'{"q":%s,"n":%d}}}' % (deep.encode(), n)
        for n in (1, 2)
    ]
    credential = authorized(l402_credential(stall.send("POST", "/mcp", READS_HTTP, bodies[0])))
    statuses = [stall.send("POST", "/mcp", credential, body).status for body in reversed(bodies)]
    assert statuses == [402, 200]


@pytest.mark.parametrize(("octets", "is_beside"), [(0, False), (LARGE, True)])
def test_only_a_large_body_is_read_again_in_another_thread(
    octets: int, is_beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall, arguments = Stall(selling=BOUND, body_limit=2 * LARGE), {"q": "x" * octets}
    credential = authorized(l402_credential(call(stall, arguments)))
    threads = []

    def noting(text: bytes | str, **how: Any) -> Any:
        if isinstance(text, bytes):
            threads.append(threading.current_thread())
        return loads(text, **how)

    loads = json.loads
    monkeypatch.setattr(json, "loads", noting)
    answers = [call(stall, arguments, headers=credential).status for _ in range(2)]
    assert answers == [200, 402]
    assert len(threads) >= 4
    assert (threading.main_thread() not in threads) is is_beside


def test_messages_of_other_methods_are_bound_by_what_they_say() -> None:
    stall = Stall(selling=BOUND)
    for params in (None, [1], {"uri": "file:///r"}):
        stall_params = {} if params is None else {"params": params}
        asked = stall.post_mcp("custom/method", headers=READS_HTTP, **stall_params)
        sent = authorized(l402_credential(asked))
        assert stall.post_mcp("custom/method", [2], headers=sent).status == 402
        assert stall.post_mcp("custom/method", headers=sent, **stall_params).status == 200


APART = replace(SELLING, foreign_schemes=frozenset({"bearer"}))


def challenge(answer: Answer) -> PaymentChallenge:
    lines = [line.decode() for line in answer.values(b"www-authenticate")]
    (found,) = payment_wire.read_payment_challenges(lines)
    return found


def test_where_logins_have_authorization_payments_are_asked_for_in_another_header() -> None:
    assert challenge(Stall().send("GET")).header is None
    stall = Stall(selling=APART)
    login = (b"authorization", b"Bearer theirs")
    refused = stall.send("GET", headers=[login])
    assert challenge(refused).header == "Payment-Authorization"
    (offer,) = (one for one in offers(refused) if one["rail"] == "l402")
    assert offer["send"].startswith("Payment-Authorization: L402 ")
    credential = (b"payment-authorization", payment_credential(refused))
    assert stall.send("GET", headers=[login, credential]).status == 200
    assert stall.app.header(b"authorization") == [b"Bearer theirs"]


def test_so_they_are_where_a_token_can_pay_for_the_call() -> None:
    stall = Stall(Policy(default=replace(SATS, scopes=frozenset({"tools"}))))
    assert challenge(stall.send("GET")).header == "Payment-Authorization"


def test_clients_that_know_no_other_header_are_taken_too() -> None:
    stall = Stall(selling=APART)
    refused = stall.send("GET")
    asked, preimage = challenge(refused), paid(document(refused)["invoice"])
    forgotten = replace(asked, header=None)
    sent = payment_wire.PaymentCredential(forgotten, {"preimage": preimage.hex()})
    assert stall.send("GET", headers=authorized(sent.authorization().encode())).status == 200
    for changed in (replace(asked, header="X-Other"), replace(forgotten, expires=None)):
        sent = payment_wire.PaymentCredential(changed, {"preimage": preimage.hex()})
        answer = stall.send("GET", headers=authorized(sent.authorization().encode()))
        assert document(answer)["type"] == (
            "urn:pypow:error:already-spent" if changed.header else "urn:pypow:error:bad-signature"
        )

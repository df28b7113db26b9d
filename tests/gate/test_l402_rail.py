# SPDX-License-Identifier: Apache-2.0
"""The L402 rail in the gate: one payment admits one call, in whichever form it comes."""

import asyncio
import dataclasses
from typing import Any

import pytest

from pypow import bolt11, macaroon, payment_receipt
from pypow.base64_text import decode_either, encode
from pypow.lightning.development import preimage_of
from pypow.pricing import Quote
from pypow_server.payment_fields import Paying
from pypow_server.policy import Entry, PassTerms, Policy, Price
from pypow_server.rails import Verdict
from pypow_server.rails.l402 import L402Rail
from pypow_server.rails.l402_credential import Bought
from pypow_server.stores import Quota
from support import asgi_client
from support.gated import HOST, document, offers, solution, solved
from support.selling import (
    SATS,
    SELLING,
    Stall,
    authorized,
    l402_credential,
    narrowed,
    payment_credential,
)

pytest.importorskip("coincurve", reason="signatures need the extra l402")

MINUTE_MS = 60_000


def kind(answer: Any) -> str:
    body = document(answer)
    return str(body["type"].removeprefix("urn:pypow:error:"))


def test_an_invoice_is_offered_once_in_both_schemes_before_work() -> None:
    refusal = Stall().send("GET")
    schemes = [line.split()[0] for line in refusal.values(b"www-authenticate")]
    assert (refusal.status, kind(refusal)) == (402, "payment-required")
    assert schemes == [b"L402", b"Payment", b"PoW"]
    body = document(refusal)
    invoice = bolt11.decode(body["invoice"])
    assert (invoice.amount_msat, body["amountSats"]) == (5000, 5)
    assert body["paymentHash"] == body["payment_hash"] == invoice.payment_hash.hex()
    for line in refusal.values(b"www-authenticate")[:1]:
        assert line.startswith(f'L402 macaroon="{body["macaroon"]}", invoice="'.encode())
        assert line.endswith(f'version="0", token="{body["token"]}"'.encode())


def test_what_clients_look_for_stands_beside_the_members_of_the_problem() -> None:
    body = document(Stall().send("GET"))
    read = {
        "invoice", "payment_request", "macaroon", "token", "payment_hash", "paymentHash",
        "amount_sats", "amountSats", "price_sats", "priceSats", "expires_at", "description",
    }  # fmt: skip
    assert read | {"type", "title", "status", "detail", "decision", "offers"} == body.keys()


@pytest.mark.parametrize("pay", [l402_credential, payment_credential])
def test_a_payment_admits_once_and_its_replay_is_offered_a_new_invoice(pay: Any) -> None:
    stall = Stall()
    credential = pay(stall.send("GET"))
    assert stall.send("GET", headers=authorized(credential)).status == 200
    replay = stall.send("GET", headers=authorized(credential))
    assert (replay.status, kind(replay)) == (402, "already-spent")
    assert document(replay)["payment_hash"] != stall.wallet.made[0].payment_hash.hex()
    assert (stall.app.reached, len(stall.wallet.made)) == (1, 2)


def test_both_forms_of_one_payment_count_as_one() -> None:
    stall = Stall()
    refusal = stall.send("GET")
    first, second = l402_credential(refusal), payment_credential(refusal)
    assert stall.send("GET", headers=authorized(first)).status == 200
    assert kind(stall.send("GET", headers=authorized(second))) == "already-spent"


def test_a_thousand_that_present_one_preimage_at_once_get_one_call() -> None:
    stall = Stall()
    credential = stall.buy()

    async def race() -> list[int]:
        headers = [(b"host", HOST.encode()), *authorized(credential)]
        answers = await asyncio.gather(
            *(asgi_client.call(stall.gate, "GET", b"/x", headers=headers) for _ in range(1000))
        )
        return [answer.status for answer in answers]

    statuses = asyncio.run(race())
    assert (statuses.count(200), statuses.count(503), stall.app.reached) == (1, 999, 1)
    again = asyncio.run(race())
    assert (again.count(402), stall.app.reached) == (1000, 1)


@pytest.mark.parametrize(
    "form",
    [
        "lsat", "lower", "spaces", "unpadded", "url", "upper hex", "payment-authorization",
        "two lines", "joined", "macaroon header",
    ],
)  # fmt: skip
def test_what_clients_write_is_read(form: str) -> None:
    stall = Stall()
    credential = stall.buy()
    token, _, preimage = credential.removeprefix(b"L402 ").partition(b":")
    octets = decode_either(token.decode())
    narrowed = macaroon.macaroon_of_octets(octets).narrowed(b"preimage=" + preimage)
    written: dict[str, list[tuple[bytes, bytes]]] = {
        "lsat": authorized(b"LSAT " + token + b":" + preimage),
        "lower": authorized(b"l402 " + token + b":" + preimage),
        "spaces": authorized(b"L402   " + token + b":" + preimage),
        "unpadded": authorized(b"L402 " + token.rstrip(b"=") + b":" + preimage),
        "url": authorized(
            b"L402 " + token.translate(bytes.maketrans(b"+/", b"-_")) + b":" + preimage
        ),
        "upper hex": authorized(b"L402 " + token + b":" + preimage.upper()),
        "payment-authorization": [(b"payment-authorization", credential)],
        "two lines": [*authorized(b"LSAT " + token + b":" + preimage), *authorized(credential)],
        "joined": authorized(b"LSAT " + token + b":" + preimage + b", " + credential),
        "macaroon header": [(b"macaroon", narrowed.octets.hex().encode())],
    }
    assert stall.send("GET", headers=written[form]).status == 200
    secret = preimage.lower()
    assert all(
        secret not in value.lower() and name not in (b"authorization", b"payment-authorization")
        for name, value in stall.app.scopes[-1]["headers"]
    )


def test_a_login_and_a_payment_fit_in_one_request() -> None:
    stall = Stall(selling=dataclasses.replace(SELLING, foreign_schemes=frozenset({"bearer"})))
    login = (b"authorization", b"Bearer upstream-token")
    credential = stall.buy(headers=[login])
    assert stall.send("GET", headers=[login, (b"payment-authorization", credential)]).status == 200
    assert stall.app.header(b"authorization") == [b"Bearer upstream-token"]
    assert stall.app.header(b"payment-authorization") == []


def test_no_preimage_but_the_right_one_admits() -> None:
    stall = Stall()
    token, _, preimage = stall.buy().rpartition(b":")
    for wrong in (b"0" * 64, preimage[:-1] + (b"0" if preimage[-1:] != b"0" else b"1")):
        answer = stall.send("GET", headers=authorized(token + b":" + wrong))
        assert (answer.status, kind(answer)) == (402, "unpaid")
    assert (stall.app.reached, stall.ledger.spends) == (0, 0)


def test_no_flipped_bit_of_a_macaroon_is_admitted_or_reaches_the_ledger() -> None:
    stall = Stall()
    token, _, preimage = stall.buy().removeprefix(b"L402 ").partition(b":")
    octets = decode_either(token.decode())
    for at in range(0, 8 * len(octets), 5):
        changed = bytearray(octets)
        changed[at // 8] ^= 1 << at % 8
        sent = b"L402 " + encode(bytes(changed)).encode() + b":" + preimage
        assert stall.send("GET", headers=authorized(sent)).status in (401, 402)
    assert (stall.app.reached, stall.ledger.spends) == (0, 0)


@pytest.mark.parametrize("pay", [l402_credential, payment_credential])
@pytest.mark.parametrize(
    "call",
    [("GET", "/y"), ("POST", "/x"), ("GET", "/x/dear"), ("GET", "//x")],
)
def test_a_payment_is_for_its_own_call_and_price(pay: Any, call: tuple[str, str]) -> None:
    dear = Price("dear", 4 * 1024, sats=500)
    stall = Stall(Policy(default=SATS, entries=(Entry("* /x/dear", dear),)))
    credential = pay(stall.send("GET", "/x"))
    answer = stall.send(*call, headers=authorized(credential))
    assert (answer.status, kind(answer)) == (402, "wrong-resource")
    assert stall.ledger.spends == 0


def test_a_payment_for_another_gate_is_refused() -> None:
    stall = Stall()
    credential = stall.buy()
    other = stall.rail_of(SELLING, "other.example")
    stall.gate.decide_by(policy=stall.policy, rails=[stall.rail, other])
    assert kind(stall.send("GET", headers=authorized(credential))) == "wrong-resource"


def test_a_payment_that_settled_late_is_honoured_and_one_past_its_grace_is_not() -> None:
    for after_ms, status in ((69 * MINUTE_MS, 200), (70 * MINUTE_MS, 402)):
        for pay in (l402_credential, payment_credential):
            stall = Stall()
            credential = pay(stall.send("GET"))
            stall.clock.now_ms += after_ms
            assert stall.send("GET", headers=authorized(credential)).status == status


def test_a_payment_outlives_a_lost_ledger_and_counts_once_in_the_next() -> None:
    before, after = Stall(), Stall()
    credential = before.buy()
    gates = [before, before, after, after]
    statuses = [gate.send("GET", headers=authorized(credential)).status for gate in gates]
    assert statuses == [200, 402, 200, 402]
    assert asyncio.run(before.ledger.epoch()) != asyncio.run(after.ledger.epoch())


def spent_twice_by_narrowing(stall: Stall) -> int:
    """How many calls one payment gets whose holder first sends it narrowed to end soon."""
    credential = stall.buy()
    soon = stall.clock.now_ms // 1000 + 1
    short = narrowed(credential, b"pypow_valid_until=%d" % soon)
    first = stall.send("GET", headers=authorized(short)).status
    stall.clock.now_ms += 5 * MINUTE_MS
    # Others' spends let a ledger forget what has expired.
    for _ in range(50):
        assert stall.send("GET", headers=authorized(stall.buy())).status == 200
        stall.clock.now_ms += 30_000
    second = stall.send("GET", headers=authorized(credential)).status
    return [first, second].count(200)


def test_narrowing_a_macaroon_does_not_make_the_ledger_forget_it() -> None:
    assert spent_twice_by_narrowing(Stall()) == 1


def test_that_check_catches_a_rail_that_believes_the_caveat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admit = L402Rail._admit

    async def credulous(self: L402Rail, found: Bought, *asked: Any) -> Verdict:
        sold = found.sold._replace(expires_s=asked[-1] // 1000 + 1, after_s=0)
        return await admit(self, found._replace(sold=sold), *asked)

    monkeypatch.setattr(L402Rail, "_admit", credulous)
    assert spent_twice_by_narrowing(Stall()) == 2


def test_a_caveat_that_widens_is_refused() -> None:
    stall = Stall()
    sent = narrowed(stall.buy(), b"pypow_uses=100")
    answer = stall.send("GET", headers=authorized(sent))
    assert (answer.status, kind(answer)) == (402, "bad-caveat")


def test_a_price_of_n_calls_sells_n_calls_of_its_row_in_either_form() -> None:
    price = dataclasses.replace(SATS, sells=PassTerms(3, 300))
    stall = Stall(Policy(default=price))
    refusal = stall.send("GET")
    forms = [l402_credential(refusal), payment_credential(refusal)]
    statuses = [
        stall.send("GET", f"/{at}", headers=authorized(forms[at % 2])).status for at in range(4)
    ]
    assert statuses == [200, 200, 200, 402]


def test_a_price_of_a_time_opens_the_same_pass_as_work_does() -> None:
    price = dataclasses.replace(SATS, sells=PassTerms(0, 300))
    stall = Stall(Policy(default=price))
    admitted = stall.send("GET", headers=authorized(stall.buy()))
    (bought,) = admitted.values(b"x-pow-pass")
    for _ in range(3):
        answer = stall.send("GET", "/other", headers=authorized(b"Bearer " + bought))
        assert answer.status == 200
    worked = stall.send("GET", headers=solution(solved(offers(stall.send("GET"))[0])))
    assert len(worked.values(b"x-pow-pass")) == 1


def test_a_receipt_names_the_payment_and_holds_no_preimage() -> None:
    stall = Stall()
    credential = payment_credential(stall.send("GET"))
    answer = stall.send("GET", headers=authorized(credential))
    (value,) = answer.values(b"payment-receipt")
    receipt = payment_receipt.read_receipt(value.decode())
    invoice = stall.wallet.made[0]
    assert receipt.reference == invoice.payment_hash.hex()
    assert preimage_of(invoice).hex() not in repr(receipt)
    assert answer.values(b"cache-control") == [b"no-store"]
    assert stall.send("GET", headers=authorized(stall.buy())).values(b"payment-receipt") == []


def test_the_app_is_told_who_paid() -> None:
    stall = Stall()
    assert stall.send("GET", headers=authorized(stall.buy())).status == 200
    assert stall.app.scopes[-1]["pypow.principal"].startswith("l402:")
    assert (stall.decisions[-1].rail, stall.decisions[-1].q) == ("l402", None)


@pytest.mark.parametrize("value", [b"x", b"Bearer abc", b"Basic YTpi", b"nonsense:0"])
def test_an_unknown_authorization_gets_no_invoice_so_that_nobody_pays_in_a_loop(
    value: bytes,
) -> None:
    stall = Stall()
    answer = stall.send("GET", headers=authorized(value))
    assert (answer.status, kind(answer)) == (401, "unknown-authorization")
    assert [line.split()[0] for line in answer.values(b"www-authenticate")] == [b"PoW"]
    assert stall.wallet.made == []


@pytest.mark.parametrize("value", [b"L402 x", b"L402 YQ==:12", b"Payment e30", b"LSAT :"])
def test_a_payment_that_cannot_be_read_gets_no_invoice(value: bytes) -> None:
    stall = Stall()
    answer = stall.send("GET", headers=authorized(value))
    assert (answer.status, kind(answer)) == (401, "malformed-payment")
    assert stall.wallet.made == []


def test_two_different_payments_are_refused() -> None:
    stall = Stall()
    answer = stall.send("GET", headers=[*authorized(stall.buy()), *authorized(stall.buy())])
    assert (answer.status, kind(answer)) == (400, "conflicting-credentials")


def test_payments_joined_by_commas_are_counted_one_by_one() -> None:
    joined = b",".join([b"L402 bm9uZQ==:" + b"00" * 32] * 9)
    headers = [(b"payment-authorization", joined)]
    assert kind(Stall().send("GET", headers=headers)) == "headers-too-large"


def test_more_payments_than_are_read_are_refused() -> None:
    stall = Stall()
    fields = [(b"authorization", b"L402 YQ==:" + b"%064d" % n) for n in range(9)]
    assert stall.send("GET", headers=fields).status == 431


def test_work_is_taken_beside_an_authorization_of_the_upstreams() -> None:
    stall = Stall()
    work = next(offer for offer in offers(stall.send("GET")) if offer["rail"] == "work")
    sent = [*solution(solved(work)), (b"authorization", b"Bearer abc")]
    assert stall.send("GET", headers=sent).status == 200


def test_what_is_not_sold_for_sats_leaves_payments_alone() -> None:
    stall = Stall(Policy(default=Price("work", 4 * 1024), entries=(Entry("GET /free", None),)))
    fields = [
        *authorized(b"L402 YQ==:" + b"0" * 64),
        (b"payment-authorization", b"theirs"),
        (b"macaroon", b"00"),
    ]
    assert stall.send("GET", "/free", headers=fields).status == 200
    assert [stall.app.header(name) for name, _ in fields] == [[value] for _, value in fields]


def test_a_path_of_many_readings_is_sold_only_where_everything_is() -> None:
    sold = Entry("GET /cheap", SATS)
    assert Policy(default=Price("work", 4 * 1024), entries=(sold,)).dearest.sats is None
    dear = Price("dear", 4 * 1024, sats=900)
    assert Policy(default=SATS, entries=(Entry("GET /dear", dear),)).dearest.sats == 900


def test_sats_rise_with_use_as_work_does() -> None:
    asked = {q: SELLING.asked(5, Quote(0, 0, q, 0, 0, 0)) for q in (0, 1, 1024, 3072, 40960)}
    assert asked == {0: 5, 1: 6, 1024: 10, 3072: 40, 40960: 100_000}


def test_when_the_wallet_is_down_work_still_serves() -> None:
    stall = Stall()
    stall.wallet.is_down = True
    refusal = stall.send("GET")
    assert [offer["rail"] for offer in offers(refusal)] == ["work"]
    assert stall.send("GET", headers=solution(solved(offers(refusal)[0]))).status == 200
    assert stall.invoices.figures.failed == 1


def test_mcp_callers_get_the_same_offer_in_their_carriers() -> None:
    stall = Stall()
    answer = stall.post_mcp("tools/call", {"name": "search"})
    offer = next(one for one in offers(answer) if one["rail"] == "l402")
    assert answer.status == 200
    beside = document(answer)["result"]["_meta"]["io.pypow/refusal"]
    assert (beside["invoice"], beside["macaroon"]) == (offer["invoice"], offer["macaroon"])
    preimage = preimage_of(bolt11.decode(offer["invoice"])).hex()
    header = authorized(f"L402 {offer['macaroon']}:{preimage}".encode())
    assert stall.post_mcp("tools/call", {"name": "delete"}, headers=header).status == 402
    assert stall.app.reached == 0
    assert stall.post_mcp("tools/call", {"name": "search"}, headers=header).status == 200
    assert stall.app.reached == 1


@pytest.mark.parametrize("name", ["\U0001f600" * 256, "\U0001f600" * 64, "a" * 4000])
def test_a_tool_of_any_name_can_be_bought(name: str) -> None:
    stall = Stall()
    offer = next(
        one for one in offers(stall.post_mcp("tools/call", {"name": name})) if one["rail"] == "l402"
    )
    preimage = preimage_of(bolt11.decode(offer["invoice"])).hex()
    header = authorized(f"L402 {offer['macaroon']}:{preimage}".encode())
    assert stall.post_mcp("tools/call", {"name": name}, headers=header).status == 200
    assert stall.app.reached == 1


@pytest.mark.parametrize("later_ms", [0, 20 * MINUTE_MS])
def test_a_pass_that_is_used_up_or_expired_voids_no_payment_beside_it(later_ms: int) -> None:
    price = dataclasses.replace(SATS, sells=PassTerms(2, 600))
    stall = Stall(Policy(default=price))
    work = stall.gate._rulebook.rails[0]
    old = work.sell(price, now_ms=stall.clock.now_ms, used=0)  # type: ignore[attr-defined]
    cookie = [(b"cookie", b"pypow_pass=" + old.text.encode())]
    assert [stall.send("GET", headers=cookie).status for _ in range(3)] == [200, 200, 402]
    stall.clock.now_ms += later_ms
    both = [*cookie, *authorized(stall.buy(headers=cookie))]
    made = len(stall.wallet.made)
    assert [stall.send("GET", headers=both).status for _ in range(2)] == [200, 200]
    assert len(stall.wallet.made) == made
    assert stall.send("GET", headers=both).status == 402


def test_an_old_payment_voids_no_work_beside_it() -> None:
    stall = Stall()
    credential = stall.buy()
    stall.clock.now_ms += 120 * MINUTE_MS
    proof = solved(next(one for one in offers(stall.send("GET")) if one["rail"] == "work"))
    both = [*authorized(credential), (b"x-pow-solution", proof.encode())]
    assert [stall.send("GET", headers=both).status for _ in range(2)] == [200, 402]


def test_free_calls_come_before_paid_ones() -> None:
    price = dataclasses.replace(SATS, free=Quota(2, 60_000))
    stall = Stall(Policy(default=price))
    statuses = [stall.send("GET").status for _ in range(4)]
    assert (statuses[0], statuses[-1]) == (200, 402)


def test_no_secret_of_a_payment_is_shown() -> None:
    stall = Stall()
    credential = stall.buy()
    assert stall.send("GET", headers=authorized(credential)).status == 200
    paying = Paying(tuple(authorized(credential)), b"challenge=c,nonce=n")
    told = repr(stall.decisions) + repr(paying) + repr(stall.app.scopes)
    assert credential.rpartition(b":")[2].decode() not in told
    assert "nonce" not in repr(paying)

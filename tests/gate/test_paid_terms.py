# SPDX-License-Identifier: Apache-2.0
"""A payment buys what was offered when its invoice was made, no more or less, and one pass."""

from dataclasses import replace
from typing import Any

import pytest

from pypow import macaroon
from pypow.base64_text import decode_either, encode
from pypow.challenge import Key, Keyring
from pypow_server import passes, problems
from pypow_server.policy import Entry, PassTerms, Policy, Price
from pypow_server.problems import Problem
from pypow_server.rails.l402 import L402Rail
from pypow_server.rails.work import WorkRail
from support.asgi_client import Answer
from support.challenges import KEY
from support.gated import HOST, document
from support.selling import SATS, SELLING, Stall, authorized, l402_credential, payment_credential

pytest.importorskip("coincurve", reason="signatures need the extra l402")

MINUTE_MS = 60_000
HOUR = replace(SATS, sells=PassTerms(0, 3600))
FIVE_MINUTES = replace(SATS, sells=PassTerms(0, 300))
THREE = replace(SATS, sells=PassTerms(3, 300))
TWO = replace(SATS, sells=PassTerms(2, 300))
PAY = pytest.mark.parametrize("pay", [l402_credential, payment_credential])


def stall_of(price: Price) -> Stall:
    return Stall(Policy(default=price))


def bearer(text: bytes) -> list[tuple[bytes, bytes]]:
    return authorized(b"Bearer " + text)


def the_pass(answer: Answer) -> bytes:
    assert answer.status == 200, answer.body
    (text,) = answer.values(b"x-pow-pass")
    return text


def kind(answer: Answer) -> str:
    return str(document(answer)["type"].removeprefix("urn:pypow:error:"))


def calls(stall: Stall, credential: bytes, times: int = 4) -> list[int]:
    """The statuses of calls that present a credential, of two paths in turn."""
    sent = authorized(credential)
    return [stall.send("GET", f"/{at % 2}", headers=sent).status for at in range(times)]


@PAY
def test_whoever_lost_the_answer_gets_the_same_pass_again(pay: Any) -> None:
    stall = stall_of(FIVE_MINUTES)
    credential = pay(stall.send("GET"))
    first = the_pass(stall.send("GET", headers=authorized(credential)))
    stall.clock.now_ms += 4 * MINUTE_MS
    again = the_pass(stall.send("GET", "/other", headers=authorized(credential)))
    assert again == first
    assert stall.send("GET", headers=bearer(again)).status == 200


def test_both_forms_of_a_payment_open_one_pass_and_two_payments_two() -> None:
    stall = stall_of(FIVE_MINUTES)
    refusal = stall.send("GET")
    texts = {
        the_pass(stall.send("GET", headers=authorized(pay(refusal))))
        for pay in (l402_credential, payment_credential)
    }
    assert len(texts) == 1
    assert the_pass(stall.send("GET", headers=authorized(stall.buy()))) not in texts


@PAY
def test_the_pass_lasts_as_long_as_was_sold_from_the_end_of_the_invoice(pay: Any) -> None:
    stall = stall_of(FIVE_MINUTES)
    credential = pay(stall.send("GET"))
    given = passes.decode(the_pass(stall.send("GET", headers=authorized(credential))).decode())
    invoice = stall.wallet.made[0]
    assert given.expires_at_ms == invoice.expires_at_ms + 300_000
    stall.clock.now_ms = given.expires_at_ms - 1
    assert stall.send("GET", headers=authorized(credential)).status == 200
    stall.clock.now_ms += 1
    late = stall.send("GET", headers=authorized(credential))
    assert (late.status, kind(late)) == (402, "already-spent")


@PAY
def test_who_comes_late_with_a_payment_gets_the_whole_time_once(pay: Any) -> None:
    stall = stall_of(FIVE_MINUTES)
    credential = pay(stall.send("GET"))
    stall.clock.now_ms += 30 * MINUTE_MS
    given = passes.decode(the_pass(stall.send("GET", headers=authorized(credential))).decode())
    assert given.expires_at_ms == stall.clock.now_ms + 300_000
    assert kind(stall.send("GET", headers=authorized(credential))) == "already-spent"


def test_a_part_of_what_was_bought_does_not_open_the_whole() -> None:
    stall = stall_of(HOUR)
    token, _, preimage = stall.buy().removeprefix(b"L402 ").partition(b":")
    whole = macaroon.macaroon_of_octets(decode_either(token.decode()))
    for caveats, gets in (
        ((b"pypow_audience=gate.example/x",), []),
        ((b"pypow_uses=9",), []),
        ((), [1]),
    ):
        narrowed = encode(whole.narrowed(*caveats).octets).encode()
        answer = stall.send("GET", headers=authorized(b"L402 " + narrowed + b":" + preimage))
        assert answer.status == 200
        assert [1 for _ in answer.values(b"x-pow-pass")] == gets
    sent = whole.narrowed(b"preimage=" + preimage).octets.hex().encode()
    assert stall.send("GET", headers=[(b"macaroon", sent)]).values(b"x-pow-pass") != []


def test_a_payment_for_a_time_has_an_end_of_uses_that_no_caveat_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pypow_server.rails.l402.ANY_NUMBER", 3)
    stall = stall_of(HOUR)
    token, _, preimage = stall.buy().removeprefix(b"L402 ").partition(b":")
    whole = macaroon.macaroon_of_octets(decode_either(token.decode()))
    narrowed = encode(whole.narrowed(b"pypow_uses=9").octets).encode()
    credentials = [b"L402 " + text + b":" + preimage for text in (token, narrowed)]
    assert calls(stall, credentials[0], 2) == [200, 200]
    assert calls(stall, credentials[1], 2) == [200, 402]


def test_a_payment_whose_pass_was_revoked_opens_it_no_more() -> None:
    stall = stall_of(HOUR)
    credential = stall.buy()
    text = the_pass(stall.send("GET", headers=authorized(credential)))
    revoked = passes.decode(text.decode()).id

    async def denial(identity: bytes) -> Problem | None:
        return problems.revoked("by the operator") if identity == revoked else None

    stall.l402._denial = denial
    assert kind(stall.send("GET", headers=authorized(credential))) == "revoked"
    assert stall.send("GET", headers=authorized(stall.buy())).status == 200


def test_keys_that_were_turned_change_no_pass() -> None:
    stall = stall_of(HOUR)
    credential = stall.buy()
    text = the_pass(stall.send("GET", headers=authorized(credential)))
    turned = Keyring([Key(900, bytes(range(32))), KEY])
    work = WorkRail(turned, public_host=HOST)
    l402 = L402Rail(turned, SELLING, stall.invoices, public_host=HOST, grant=work.grant)
    stall.gate.decide_by(policy=stall.policy, rails=[work, l402])
    assert the_pass(stall.send("GET", headers=authorized(credential))) == text
    assert stall.send("GET", headers=bearer(text)).status == 200


FORMS = {
    "a call": (SATS, [200, 402, 402, 402]),
    "three calls": (THREE, [200, 200, 200, 402]),
    "two calls": (TWO, [200, 200, 402, 402]),
    "five minutes": (FIVE_MINUTES, [200, 200, 200, 200]),
    "an hour": (HOUR, [200, 200, 200, 200]),
}


@PAY
@pytest.mark.parametrize("after", FORMS)
@pytest.mark.parametrize("before", FORMS)
def test_a_row_that_changed_form_gives_what_it_sold(before: str, after: str, pay: Any) -> None:
    then, bought = FORMS[before]
    stall = stall_of(then)
    credential = pay(stall.send("GET", "/0"))
    stall.reload(Policy(default=FORMS[after][0]))
    assert calls(stall, credential) == bought


@PAY
def test_a_pass_that_was_sold_for_longer_or_shorter_lasts_as_it_was_sold(pay: Any) -> None:
    for then, now, lasts_ms in ((HOUR, FIVE_MINUTES, 3_600_000), (FIVE_MINUTES, HOUR, 300_000)):
        stall = stall_of(then)
        credential = pay(stall.send("GET"))
        stall.reload(Policy(default=now))
        given = passes.decode(the_pass(stall.send("GET", headers=authorized(credential))).decode())
        assert given.expires_at_ms == stall.wallet.made[0].expires_at_ms + lasts_ms


@PAY
def test_a_payment_is_taken_though_its_row_is_dearer_now_or_sold_for_work_only(pay: Any) -> None:
    other = Entry("GET /sold", replace(SATS, name="other"))
    for now in (replace(SATS, sats=500), replace(SATS, sats=None)):
        stall = Stall(Policy(default=SATS, entries=(other,)))
        credential = pay(stall.send("GET", "/0"))
        stall.reload(Policy(default=now, entries=(other,)))
        assert calls(stall, credential) == [200, 402, 402, 402]


def test_what_is_no_payment_of_ours_counts_for_nothing_where_work_only_is_sold() -> None:
    other = Entry("GET /sold", replace(SATS, name="other"))
    stall = Stall(Policy(default=replace(SATS, sats=None), entries=(other,)))
    for sent in (b"L402 x", b"Payment e30", b"L402 YQ==:" + b"0" * 64):
        answer = stall.send("GET", headers=authorized(sent))
        assert (answer.status, kind(answer)) == (402, "work-required")


def test_an_offer_made_before_a_row_changed_is_not_made_again() -> None:
    stall = stall_of(THREE)
    first = document(stall.send("GET"))["payment_hash"]
    none = replace(SELLING, free_invoices=None)
    stall.l402 = stall.rail_of(none)
    stall.reload(Policy(default=THREE))
    assert document(stall.send("GET"))["payment_hash"] == first
    stall.reload(Policy(default=TWO))
    assert "payment_hash" not in document(stall.send("GET"))

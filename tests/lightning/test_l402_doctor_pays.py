# SPDX-License-Identifier: Apache-2.0
"""What the doctor finds out with money, at sellers that count wrongly in one way each."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pypow import bolt11, payment_lightning
from pypow.bolt11 import Invoice
from pypow.errors import PowError
from pypow.findings import Level
from pypow.l402_doctor import paid_checks, paying
from pypow.l402_doctor.asking import Call, asker
from pypow.l402_doctor.observed import Answer, Offered, offered
from pypow.l402_doctor.paying import Outlay, Spending, Trial, Unpaid, passes, trials
from pypow.payment_headers import LightningCredential
from pypow.payment_receipt import Receipt
from pypow_server.scope import Receive, Scope, Send
from support.serving import served
from support.wrong_tolls import RIGHT, SATS, Purse, Wrong, WrongToll

pytest.importorskip("coincurve", reason="signatures need the extra l402")


class Seller(WrongToll):
    """Sells two paths, each payment for one call of one of them."""

    def __init__(self, wrong: Wrong = RIGHT) -> None:
        super().__init__(wrong, Purse(), most_offers=99)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_other = scope["path"].endswith("-other")
        fields = [(n, v) for n, v in scope["headers"] if not (is_other and n == b"authorization")]
        await super().__call__({**scope, "headers": fields}, receive, send)


class Everywhere(Seller):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await WrongToll.__call__(self, scope, receive, send)


class Forgetful(Seller):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._spent.clear()
        await super().__call__(scope, receive, send)


class SellsMore(Forgetful):
    """Says in its macaroons that a payment buys five calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 5


class CountsBySchemes(Seller):
    """Has a counter for each scheme."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_payment = any(v.startswith(b"Payment ") for _, v in scope["headers"])
        both = self.__dict__.setdefault("both", {True: set(), False: set()})
        self._spent = both[is_payment]
        await super().__call__(scope, receive, send)


class TakesNothing(Seller):
    def _payment(self, credential: LightningCredential) -> bytes | None:
        return None


class Careless(Seller):
    """Takes the first end that a macaroon says, and looks at none of what was added."""

    def _payment(self, credential: LightningCredential) -> bytes | None:
        preimage = getattr(credential, "preimage", None)
        if preimage is None:
            return super()._payment(credential)
        return next(hash for hash in self.made if self.purse._preimages[hash] == preimage)


class WithoutReceipt(Seller):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def bare(message: Any) -> None:
            headers = [(n, v) for n, v in message.get("headers", ()) if n != b"payment-receipt"]
            await send({**message, **({"headers": headers} if "headers" in message else {})})

        await super().__call__(scope, receive, bare)


class ReadsOneHeader(Seller):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = [(n, v) for n, v in scope["headers"] if n != b"payment-authorization"]
        await super().__call__({**scope, "headers": fields}, receive, send)


def spending(seller: Seller, url: str, **more: Any) -> Spending:
    async def pay(invoice: Invoice) -> bytes:
        preimage = seller.purse.pay(invoice.text)
        assert preimage is not None
        return preimage

    return replace(Spending(pay, 10 * SATS, f"{url}-other"), **more)


def outlays(seller: Seller, **more: Any) -> list[Outlay]:
    async def look(url: str) -> list[Outlay]:
        async with asker(Call(url), agent="test") as asking:
            refusal = await asking.ask()
            assert isinstance(refusal, Answer)
            means = spending(seller, url, **more)
            now_ms = lambda: time.time_ns() // 1_000_000  # noqa: E731
            return [one async for one in trials(asking, offered(refusal), means, now_ms)]

    with served(seller) as url:
        return asyncio.run(look(f"{url}/sold"))


def complaints(seller: Seller, **more: Any) -> set[tuple[str, str]]:
    findings = [*paid_checks.check(outlays(seller, **more))]
    assert all(bool(finding.fix) == (finding.level is not Level.OK) for finding in findings)
    return {(f.check, f.level.value) for f in findings if f.level is not Level.OK}


def test_a_seller_that_counts_has_nothing_to_fix_and_is_paid_once_by_each_scheme() -> None:
    seller = Seller()
    findings = [*paid_checks.check(outlays(seller))]
    assert {finding.level for finding in findings} == {Level.OK}
    assert [finding.check for finding in findings] == [
        "payment made", "replay", "other path", "widened",
        "payment made", "replay", "login beside", "receipt",
    ]  # fmt: skip
    assert len(seller.purse.paid) == 2


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Everywhere, {("payment made", "warn"), ("other path", "warn")}),
        (Forgetful, {("replay", "warn"), ("replay", "fail")}),
        (SellsMore, set()),
        (CountsBySchemes, {("one counter", "fail")}),
        (TakesNothing, {("payment made", "fail"), ("login beside", "warn")}),
        (Careless, {("payment made", "warn"), ("widened", "warn")}),
        (WithoutReceipt, {("receipt", "warn")}),
        (ReadsOneHeader, {("login beside", "warn")}),
    ],
)
def test_a_seller_that_counts_wrongly_is_found(
    kind: Callable[[], Seller], expected: set[tuple[str, str]]
) -> None:
    assert complaints(kind()) == expected


def test_no_more_is_paid_than_was_allowed() -> None:
    seller = Seller()
    assert complaints(seller, max_sats=2 * SATS - 1) == {("payment made", "fail")}
    assert len(seller.purse.paid) == 1
    assert complaints(dear := Seller(), max_sats=SATS - 1) == {("payment made", "fail")}
    assert dear.purse.paid == []


def test_a_part_of_a_satoshi_counts_as_a_whole_one() -> None:
    odd = bolt11.issue(
        bytes(31) + b"k",
        network=bolt11.Network.REGTEST,
        amount_msat=6_001,
        payment_hash=bytes(32),
        payment_secret=bytes(32),
        description="",
        created_at_s=0,
    )
    assert paying._Bought(Offered((), ()), odd, bytes(32)).sats == 7


@pytest.mark.parametrize(
    "wrong",
    [
        replace(RIGHT, sats=None),
        replace(RIGHT, lines=lambda s: [s.l402.replace("lnbcrt70n", "lnbcrt80n")]),
        replace(
            RIGHT,
            lines=lambda s: [s.l402.replace(s.challenge.token, Seller().sale().challenge.token)],
        ),
    ],
    ids=["any amount", "altered", "of another macaroon"],
)
def test_what_a_careful_client_does_not_pay_is_not_paid(wrong: Wrong) -> None:
    seller = Seller(wrong)
    (unpaid,) = outlays(seller)
    assert isinstance(unpaid, Unpaid)
    assert unpaid.why.startswith("not paid: expected")
    assert seller.purse.paid == []


def test_a_wallet_that_does_not_pay_ends_it() -> None:
    async def pay(_invoice: Invoice) -> bytes:
        raise PowError("no route")

    (unpaid,) = outlays(Seller(), pay=pay)
    assert unpaid == Unpaid(
        "the wallet did not pay: no route", "look at the wallet, and look again"
    )


def test_a_payment_is_presented_late_where_there_is_patience() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    *_, late = outlays(Seller(), patience_s=700, sleep=sleep)
    assert isinstance(late, Trial)
    assert late.is_late
    assert [500 < seconds < 602 for seconds in waited] == [True]
    assert [f.level for f in paid_checks.check([late])] == [Level.OK]
    lost = replace(late, used=Answer(402, ()))
    assert [(f.check, f.level) for f in paid_checks.check([lost])] == [("late", Level.FAIL)]


def test_a_payment_that_would_be_late_later_is_not_made() -> None:
    seller = Seller()
    assert complaints(seller, patience_s=60) == {("payment made", "warn")}
    assert len(seller.purse.paid) == 2


def trial(**how: Any) -> Trial:
    preimage = b"\x2a" * 32
    made = Trial("Payment", 7, b"\x01" * 32, preimage, Answer(200, ()), Answer(402, ()))
    return replace(made, **how)


def receipt(reference: str) -> Answer:
    made = Receipt(reference, "2026-01-01T00:00:00Z", payment_lightning.METHOD)
    return Answer(200, (("payment-receipt", made.header()),))


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (receipt("01" * 32), []),
        (receipt("02" * 32), ["receipt"]),
        (receipt("2a" * 32), ["receipt", "secret"]),
        (Answer(200, (("payment-receipt", "e30"),)), ["receipt"]),
        (Answer(200, receipt("01" * 32).fields, b"thank you for 2A" + b"2a" * 31), ["secret"]),
    ],
    ids=["its own", "of another", "the preimage", "empty", "a page with the preimage"],
)
def test_a_receipt_names_the_payment_and_keeps_the_preimage(
    used: Answer, expected: list[str]
) -> None:
    findings = paid_checks.check([trial(used=used)])
    assert [finding.check for finding in findings if finding.level is Level.FAIL] == expected


@pytest.mark.parametrize("status", [200, 204, 404, 418])
def test_a_call_that_reached_what_is_sold_has_passed(status: int) -> None:
    assert passes(Answer(status, ()))


@pytest.mark.parametrize("status", [400, 401, 402, 403, 429, 500, 503])
def test_a_call_that_was_turned_away_has_not(status: int) -> None:
    assert not passes(Answer(status, ()))


def test_a_trial_shows_no_preimage() -> None:
    assert "2a2a" not in repr(trial())

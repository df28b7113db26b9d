# SPDX-License-Identifier: Apache-2.0
"""Who gets an invoice: a few for nothing, and whoever did some work for one."""

import asyncio
import dataclasses
from typing import Any

import pytest

from pypow_server.invoices import AT_ONCE, Invoices
from pypow_server.stores import Quota
from pypow_server.stores.memory import MemoryLimiter
from support import asgi_client
from support.asgi_client import Answer
from support.gated import HOST, document, offers, solved
from support.selling import SELLING, Stall, authorized, l402_credential, paid

pytest.importorskip("coincurve", reason="signatures need the extra l402")

FEW = dataclasses.replace(SELLING, free_invoices=Quota(2, 60_000))


def sold(answer: Answer) -> dict[str, Any]:
    return next(offer for offer in offers(answer) if offer["rail"] == "l402")


def stamp(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The header of the work that an offer without an invoice asks for."""
    return [(b"x-pow-invoice", solved(sold(answer)["work"]).encode())]


def test_a_network_gets_a_few_invoices_and_then_the_last_again() -> None:
    stall = Stall(selling=FEW)
    hashes = [sold(stall.send("GET"))["payment_hash"] for _ in range(5)]
    assert len(set(hashes)) == 2
    assert hashes[1:] == [hashes[1]] * 4
    assert len(stall.wallet.made) == 2
    assert sold(stall.send("GET", client="198.51.100.1"))["payment_hash"] not in hashes


def test_past_the_few_an_offer_says_how_to_get_one_and_work_gets_it() -> None:
    stall = Stall(selling=FEW)
    for _ in range(2):
        stall.send("GET")
    other = stall.send("GET", "/other")
    assert other.status == 402
    assert sold(other)["invoice"] is None
    assert "X-PoW-Invoice: challenge=" in sold(other)["work"]["send"]
    assert [line.split()[0] for line in other.values(b"www-authenticate")] == [b"PoW"]
    bought = stall.send("GET", "/other", stamp(other))
    assert bought.status == 402
    assert stall.send("GET", "/other", authorized(l402_credential(bought))).status == 200


def test_a_stamp_buys_one_invoice_for_its_own_call_and_network() -> None:
    stall = Stall(selling=dataclasses.replace(SELLING, free_invoices=None))
    asked = stall.send("GET")
    proof = stamp(asked)
    assert sold(stall.send("GET", "/other", proof))["invoice"] is None
    assert sold(stall.send("GET", headers=proof, client="198.51.100.1"))["invoice"] is None
    assert sold(stall.send("GET", headers=proof))["invoice"] is not None
    for _ in range(3):
        stall.send("GET", headers=proof)
    assert len(stall.wallet.made) == 1
    late = stamp(stall.send("GET", "/third"))
    stall.clock.now_ms += 121_000
    assert sold(stall.send("GET", "/third", late))["invoice"] is None


def test_what_is_no_stamp_counts_as_none() -> None:
    stall = Stall(selling=dataclasses.replace(SELLING, free_invoices=None))
    work = next(offer for offer in offers(stall.send("GET")) if offer["rail"] == "work")
    for sent in (b"", b"x", b"\xff", b"challenge=abc,nonce=0", solved(work).encode()):
        assert sold(stall.send("GET", headers=[(b"x-pow-invoice", sent)]))["invoice"] is None
    assert stall.wallet.made == []
    stamped = stamp(stall.send("GET"))[0][1]
    assert stall.send("GET", headers=[(b"x-pow-solution", stamped)]).status == 402
    assert stall.app.reached == 0


def test_an_invoice_that_was_paid_is_not_offered_again() -> None:
    stall = Stall(selling=dataclasses.replace(SELLING, free_invoices=Quota(1, 60_000)))
    assert stall.send("GET", headers=authorized(stall.buy())).status == 200
    assert sold(stall.send("GET"))["invoice"] is None


async def settle(stall: Stall) -> None:
    await stall.wallet.pay(stall.wallet.made[-1], max_fee_msat=None)


def test_the_wallet_is_asked_now_and_then_whether_it_was_paid_elsewhere() -> None:
    stall = Stall(selling=dataclasses.replace(SELLING, free_invoices=Quota(1, 600_000)))
    first = sold(stall.send("GET"))["invoice"]
    for _ in range(9):
        assert sold(stall.send("GET"))["invoice"] == first
    assert stall.wallet.looked_up == 0
    stall.clock.now_ms += 5_000
    for _ in range(9):
        assert sold(stall.send("GET"))["invoice"] == first
    assert stall.wallet.looked_up == 1
    asyncio.run(settle(stall))
    stall.clock.now_ms += 5_000
    assert sold(stall.send("GET"))["invoice"] is None


def test_an_invoice_about_to_expire_is_not_offered_again() -> None:
    stall = Stall(selling=dataclasses.replace(SELLING, free_invoices=Quota(1, 3_600_000)))
    assert sold(stall.send("GET"))["invoice"] is not None
    stall.clock.now_ms += 541_000
    assert sold(stall.send("GET"))["invoice"] is None


FLOOD = 10_000


async def flood(stall: Stall, networks: int) -> None:
    """Requests without a payment, from many networks."""
    headers = [(b"host", HOST.encode())]
    for at in range(FLOOD):
        network = at % networks
        client = (f"198.18.{network // 256 % 256}.{network % 256}", 50000)
        path = b"/%d" % (at % 7)
        refusal = await asgi_client.call(stall.gate, "GET", path, headers=headers, client=client)
        assert refusal.status == 402


def test_a_flood_makes_no_row_and_no_more_invoices_than_all_may_have() -> None:
    stall = Stall(selling=dataclasses.replace(SELLING, all_invoices=Quota(50, 60_000)))
    asyncio.run(flood(stall, networks=5_000))
    assert len(stall.wallet.made) == 50
    assert stall.ledger.spends == 0
    assert (stall.invoices.figures.made, stall.invoices.figures.failed) == (50, 0)
    honest = stall.send("GET", "/honest", client="192.0.2.200")
    assert sold(honest)["invoice"] is None
    bought = stall.send("GET", "/honest", stamp(honest), client="192.0.2.200")
    sent = authorized(l402_credential(bought))
    assert stall.send("GET", "/honest", sent, client="192.0.2.200").status == 200


def test_work_for_an_invoice_that_the_wallet_did_not_make_is_not_lost() -> None:
    stall = Stall(selling=dataclasses.replace(SELLING, free_invoices=None))
    proof = stamp(stall.send("GET"))
    stall.wallet.is_down = True
    for _ in range(2):
        assert {offer["rail"] for offer in offers(stall.send("GET", headers=proof))} == {"work"}
    stall.wallet.is_down = False
    assert sold(stall.send("GET", headers=proof))["invoice"] is not None
    stall.send("GET", headers=proof)
    assert len(stall.wallet.made) == 1


@pytest.mark.parametrize("is_wallets_fault", [True, False])
def test_what_a_network_gets_is_not_used_up_by_invoices_that_were_not_made(
    is_wallets_fault: bool,
) -> None:
    one, soon = Quota(1, 60_000), Quota(1, 1_000)
    stall = Stall(selling=dataclasses.replace(SELLING, free_invoices=one, all_invoices=soon))
    if is_wallets_fault:
        stall.wallet.is_down = True
    else:
        assert sold(stall.send("GET", client="198.51.100.1"))["invoice"] is not None
    for _ in range(3):
        assert not any(offer.get("invoice") for offer in offers(stall.send("GET")))
    stall.wallet.is_down = False
    stall.clock.now_ms += 1_000
    first = sold(stall.send("GET", "/first"))
    assert first["invoice"] is not None
    stall.clock.now_ms += 1_000
    assert sold(stall.send("GET", "/second"))["invoice"] is None


def test_what_is_kept_of_offers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pypow_server.invoices.MOST_KEPT", 3)
    stall = Stall()
    for at in range(9):
        stall.send("GET", f"/{at}")
    assert len(stall.invoices._kept) == len(stall.invoices._wanted_by) == 3
    stall.wallet.is_down = True
    for at in range(9):
        stall.send("GET", client=f"198.51.100.{at}")
    assert len(stall.invoices._unused) == 3


def test_a_limiter_that_fails_gives_no_invoice_away() -> None:
    class Failing:
        async def take(self, *_: object, **__: object) -> object:
            raise OSError("gone")

        async def aclose(self) -> None: ...

    stall = Stall()
    stall.invoices._limiter = Failing()  # type: ignore[assignment]
    asked = stall.send("GET")
    assert sold(asked)["invoice"] is None
    assert sold(stall.send("GET", headers=stamp(asked)))["invoice"] is not None


def test_a_wallet_that_hangs_keeps_no_caller_waiting_and_takes_no_more_work() -> None:
    class Hanging:
        asked = 0

        async def create_invoice(self, *_: object, **__: object) -> object:
            self.asked += 1
            return await asyncio.Event().wait()

    stall, wallet = Stall(), Hanging()
    selling = dataclasses.replace(SELLING, free_invoices=Quota(1000, 60_000))
    stall.l402._selling = selling
    stall.l402._invoices = Invoices(wallet, MemoryLimiter(), deadline_s=0.05)  # type: ignore[arg-type]

    async def all_at_once() -> list[int]:
        headers = [(b"host", HOST.encode())]
        calls = (asgi_client.call(stall.gate, "GET", b"/x", headers=headers) for _ in range(40))
        return [answer.status for answer in await asyncio.gather(*calls)]

    assert set(asyncio.run(all_at_once())) == {402}
    assert wallet.asked == AT_ONCE
    assert {offer["rail"] for offer in offers(stall.send("GET"))} == {"work"}


def test_the_price_that_a_caller_is_asked_is_the_invoices() -> None:
    body = document(Stall().send("GET"))
    assert paid(body["invoice"])
    assert body["amount_sats"] == 5

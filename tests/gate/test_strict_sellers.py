# SPDX-License-Identifier: Apache-2.0
"""Strict sellers: no payment admits before the wallet calls it settled, and none is lost."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pypow.lightning import Reason, Standing, State, WalletError
from pypow_server import settled
from pypow_server.policy import PassTerms, Policy
from pypow_server.settled import Settled
from support import asgi_client
from support.asgi_client import Answer
from support.gated import HOST, document
from support.selling import SATS, Stall, authorized, l402_credential, payment_credential

pytest.importorskip("coincurve", reason="signatures need the extra l402")

DEADLINE_S = 0.03
"""Of a wallet that is to be given up."""

WHOLE = Standing(State.SETTLED, 5000)
PAY = pytest.mark.parametrize("pay", [l402_credential, payment_credential])


def strict(stall: Stall, deadline_s: float = settled.DEADLINE_S) -> Stall:
    """The same, with a seller that asks."""
    asks = Settled(stall.wallet, deadline_s=deadline_s)
    stall.l402 = stall.rail_of(stall.selling, settled=asks)
    stall.reload(stall.policy)
    return stall


def kind(answer: Answer) -> tuple[int, str]:
    return answer.status, str(document(answer)["type"].removeprefix("urn:pypow:error:"))


@PAY
def test_the_wallet_is_asked_once_and_its_yes_is_remembered(pay: Any) -> None:
    stall = strict(Stall(Policy(default=replace(SATS, sells=PassTerms(3, 300)))))
    credential = authorized(pay(stall.send("GET")))
    stall.wallet.say = WHOLE
    statuses = [stall.send("GET", headers=credential).status for _ in range(4)]
    assert (statuses, stall.wallet.looked_up) == ([200, 200, 200, 402], 1)


def test_others_ask_no_wallet() -> None:
    stall = Stall()
    stall.wallet.say = WalletError("no answer", Reason.UNREACHABLE)
    assert stall.send("GET", headers=authorized(stall.buy())).status == 200
    assert stall.wallet.looked_up == 0


REFUSED: dict[str, Standing | WalletError] = {
    "open": Standing(State.OPEN),
    "canceled": Standing(State.CANCELED),
    "expired": Standing(State.EXPIRED),
    "too little": Standing(State.SETTLED, 4999),
    "no such invoice": WalletError("unknown", Reason.UNKNOWN_INVOICE),
}
NO_WORD = (
    Reason.UNREACHABLE, Reason.TIMED_OUT, Reason.RESTING, Reason.MALFORMED, Reason.NOT_SUPPORTED,
)  # fmt: skip
SILENT: dict[str, Standing | WalletError] = {
    reason: WalletError("so it is told", reason) for reason in NO_WORD
}


@PAY
@pytest.mark.parametrize("says", [*REFUSED, *SILENT])
def test_what_is_no_yes_spends_nothing_and_a_later_yes_admits(says: str, pay: Any) -> None:
    stall = strict(Stall(), DEADLINE_S)
    credential = authorized(pay(stall.send("GET")))
    expected = (409, "not-settled") if says in REFUSED else (503, "wallet-unavailable")
    stall.wallet.say = {**REFUSED, **SILENT}[says]
    answer = stall.send("GET", headers=credential)
    assert kind(answer) == expected
    assert answer.values(b"retry-after") == [b"2"]
    assert answer.values(b"www-authenticate") == []
    assert (stall.app.reached, stall.ledger.spends, len(stall.wallet.made)) == (0, 0, 1)
    stall.wallet.say = WHOLE
    assert stall.send("GET", headers=credential).status == 200


def admitted_unsettled(stall: Stall) -> int:
    """How many calls are let in for a preimage that nobody paid for."""
    credential = authorized(stall.buy())
    return [stall.send("GET", headers=credential).status for _ in range(2)].count(200)


def test_a_preimage_that_was_read_at_the_wallet_is_worth_nothing() -> None:
    assert admitted_unsettled(strict(Stall(), DEADLINE_S)) == 0


def test_that_check_catches_a_seller_that_takes_silence_for_a_yes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def credulous(self: Settled, payment_hash: bytes, sats: int) -> object:
        return settled._Word.SETTLED

    monkeypatch.setattr(Settled, "_ask", credulous)
    assert admitted_unsettled(strict(Stall(), DEADLINE_S)) == 1


def test_a_payment_that_the_wallet_notes_a_moment_later_is_waited_for() -> None:
    stall = strict(Stall())
    credential = authorized(stall.buy())

    class Slow:
        abilities = stall.wallet.abilities
        answers = [Standing(State.OPEN), Standing(State.OPEN), WHOLE]  # noqa: RUF012

        async def state(self, _hash: bytes) -> Standing:
            return self.answers.pop(0)

    assert stall.l402._settled is not None
    stall.l402._settled._wallet = Slow()  # type: ignore[assignment]
    assert stall.send("GET", headers=credential).status == 200


def test_a_wallet_that_tells_what_is_left_of_a_payment_is_believed() -> None:
    stall = strict(Stall(), DEADLINE_S)
    stall.wallet.abilities = replace(stall.wallet.abilities, tells_what_was_paid=False)
    stall.wallet.say = Standing(State.SETTLED, 0)
    assert stall.send("GET", headers=authorized(stall.buy())).status == 200


class Gate:
    """A wallet that answers when it is let."""

    def __init__(self, stall: Stall) -> None:
        self.abilities = stall.wallet.abilities
        self.asked = 0
        self.asks: asyncio.Queue[bytes] = asyncio.Queue()
        self.let = asyncio.Event()

    async def state(self, payment_hash: bytes) -> Standing:
        self.asked += 1
        self.asks.put_nowait(payment_hash)
        await self.let.wait()
        return WHOLE


def held(stall: Stall) -> Gate:
    gate = Gate(stall)
    assert stall.l402._settled is not None
    stall.l402._settled._wallet = gate  # type: ignore[assignment]
    return gate


async def present(stall: Stall, credential: bytes) -> int:
    headers = [(b"host", HOST.encode()), *authorized(credential)]
    return (await asgi_client.call(stall.gate, "GET", b"/x", headers=headers)).status


def test_all_who_present_a_payment_at_once_ask_once_though_the_first_goes_away() -> None:
    stall = strict(Stall())
    credential = stall.buy()

    async def race() -> list[int]:
        wallet = held(stall)
        first = asyncio.create_task(present(stall, credential))
        others = [asyncio.create_task(present(stall, credential)) for _ in range(100)]
        await wallet.asks.get()
        first.cancel()
        wallet.let.set()
        statuses = await asyncio.gather(*others)
        assert wallet.asked == 1
        return list(statuses)

    statuses = asyncio.run(race())
    assert (statuses.count(200), statuses.count(503), stall.app.reached) == (1, 99, 1)


def test_no_more_payments_are_asked_for_at_once_than_the_wallet_bears(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settled, "AT_ONCE", 2)
    stall = strict(Stall())
    credentials = [stall.buy() for _ in range(3)]

    async def three() -> list[int]:
        wallet = held(stall)
        two = [asyncio.create_task(present(stall, one)) for one in credentials[:2]]
        assert await wallet.asks.get() != await wallet.asks.get()
        third = await present(stall, credentials[2])
        wallet.let.set()
        return [*await asyncio.gather(*two), third]

    assert asyncio.run(three()) == [200, 200, 503]


def test_what_is_remembered_of_payments_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, "MOST_KEPT", 2)
    stall = strict(Stall())
    stall.wallet.say = WHOLE
    for _ in range(5):
        assert stall.send("GET", headers=authorized(stall.buy())).status == 200
    assert stall.l402._settled is not None
    assert len(stall.l402._settled._known) == 2
    assert stall.l402._settled._asking == {}

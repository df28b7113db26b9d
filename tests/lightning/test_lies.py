# SPDX-License-Identifier: Apache-2.0
"""Wallets that lie, or talk nonsense: refused with a named reason, and nothing is offered."""

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import bolt11
from pypow.bolt11 import Invoice, Network
from pypow.errors import InvalidInputError, WireError
from pypow.lightning import Reason, Standing, State, Wallet, WalletError
from pypow.lightning.answer import Answer
from pypow.lightning.checked import CheckedWallet
from pypow.lightning.cln import ClnWallet
from pypow.lightning.development import DevelopmentWallet
from pypow.lightning.exchange import Exchange
from pypow.lightning.lightning_address import LightningAddressWallet
from pypow.lightning.lnbits import LnbitsWallet
from pypow.lightning.lnd import LndWallet
from pypow.lightning.phoenixd import PhoenixdWallet
from support.lightning_node import NETWORK, made_invoice, sha256

pytest.importorskip("coincurve", reason="signatures need the extra l402")

PREIMAGE = b"\1" * 32
HASH = sha256(PREIMAGE)


class Scripted(Exchange):
    """Answers every request in the same way."""

    def __init__(self, document: object, status: int = 200) -> None:  # it has no connections
        self.body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.status = status
        self.asked: list[tuple[str, Mapping[str, object] | None]] = []

    async def ask(
        self,
        method: str,
        path: str,
        *,
        document: Mapping[str, object] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        self.asked.append((path, document or form))
        return Answer(self.status, self.body)


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


WALLETS: dict[str, Callable[[Exchange], Wallet]] = {
    "lnd": LndWallet,
    "cln": ClnWallet,
    "phoenixd": PhoenixdWallet,
    "lnbits": LnbitsWallet,
    "lightning-address": lambda exchange: LightningAddressWallet("a@shop.example", exchange),
}


def created(kind: str, invoice: Invoice, claimed: bytes | None = None) -> dict[str, Any]:
    """How a wallet says that it made this invoice."""
    digest = invoice.payment_hash if claimed is None else claimed
    match kind:
        case "lnd":
            return {"payment_request": invoice.text, "r_hash": b64(digest)}
        case "cln":
            return {"bolt11": invoice.text, "payment_hash": digest.hex()}
        case "phoenixd":
            return {"serialized": invoice.text, "paymentHash": digest.hex()}
        case "lnbits":
            return {"bolt11": invoice.text, "payment_hash": digest.hex()}
        case _:
            return {
                "tag": "payRequest",
                "callback": "https://shop.example/pay",
                "minSendable": 1000,
                "maxSendable": 10**9,
                "pr": invoice.text,
            }


def settled(kind: str) -> dict[str, Any]:
    """How a wallet says that an invoice with payment hash `HASH` is paid."""
    match kind:
        case "lnd":
            return {"state": "SETTLED", "amt_paid_msat": "21000", "settle_date": "1700000000"}
        case "cln":
            found = {"status": "paid", "payment_hash": HASH.hex()}
            return {"invoices": [found | {"amount_received_msat": 21000, "paid_at": 1700000000}]}
        case "phoenixd":
            said = {"paymentHash": HASH.hex(), "isPaid": True, "receivedSat": 21}
            return said | {"completedAt": 1700000000123}
        case _:
            return {"paid": True, "details": {"amount": 21000, "bolt11": made_invoice().text}}


def paid(kind: str, preimage: bytes) -> dict[str, Any]:
    """How a wallet says that it paid."""
    match kind:
        case "lnd":
            return {"result": {"status": "SUCCEEDED", "payment_preimage": preimage.hex()}}
        case "cln":
            return {"status": "complete", "payment_preimage": preimage.hex()}
        case "phoenixd":
            return {"paymentPreimage": preimage.hex()}
        case _:
            return {"preimage": preimage.hex()}


def checked(kind: str, document: object, status: int = 200) -> CheckedWallet:
    return CheckedWallet(WALLETS[kind](Scripted(document, status)), network=NETWORK)


def offered(wallet: Wallet) -> Invoice:
    return asyncio.run(wallet.create_invoice(21, memo="tea", expiry_s=600))


def reason_of(asked: Callable[[], object]) -> str:
    with pytest.raises(WalletError) as caught:
        asked()
    return caught.value.reason


def came_of(asked: Coroutine[Any, Any, object]) -> object:
    """What a wallet answered, or the reason why it did not."""
    try:
        return asyncio.run(asked)
    except WalletError as error:
        return error.reason


each_kind = pytest.mark.parametrize("kind", WALLETS)
each_payer = pytest.mark.parametrize("kind", ["lnd", "cln", "phoenixd", "lnbits"])


@each_kind
def test_an_honest_wallet_is_believed(kind: str) -> None:
    invoice = made_invoice()
    assert offered(checked(kind, created(kind, invoice))) == invoice


LIES = {
    "too little": (made_invoice(20_999), bolt11.Reason.WRONG_AMOUNT),
    "too much": (made_invoice(21_001), bolt11.Reason.WRONG_AMOUNT),
    "any amount": (made_invoice(None), bolt11.Reason.NO_AMOUNT),
    "another chain": (made_invoice(network=Network.MAINNET), bolt11.Reason.WRONG_NETWORK),
    "expired": (made_invoice(age_s=601), bolt11.Reason.EXPIRED),
    "paid with preimages of the payer's": (
        made_invoice(features=bolt11.PLAIN_FEATURES | 1 << 31),
        bolt11.Reason.NOT_ONE_PAYMENT,
    ),
}


@each_kind
@pytest.mark.parametrize("lie", LIES)
def test_an_invoice_that_is_not_what_was_asked_for_is_refused(kind: str, lie: str) -> None:
    invoice, reason = LIES[lie]
    wallet = checked(kind, created(kind, invoice))
    assert reason_of(lambda: offered(wallet)) == reason


@pytest.mark.parametrize("lie", LIES)
def test_without_the_check_the_lie_would_be_offered(lie: str) -> None:
    invoice, _ = LIES[lie]
    assert offered(LndWallet(Scripted(created("lnd", invoice)))) == invoice


@each_payer
def test_a_payment_hash_that_is_not_the_invoices_is_refused(kind: str) -> None:
    wallet = checked(kind, created(kind, made_invoice(), claimed=b"\5" * 32))
    assert reason_of(lambda: offered(wallet)) == bolt11.Reason.WRONG_HASH


@each_kind
def test_an_invoice_altered_by_one_character_is_refused(kind: str) -> None:
    said = json.dumps(created(kind, made_invoice())).replace("lnbcrt210n1p", "lnbcrt211n1p")
    assert reason_of(lambda: offered(checked(kind, said.encode()))) == "wrong_checksum"


@each_kind
def test_a_payment_hash_that_was_there_before_is_refused(kind: str) -> None:
    wallet = checked(kind, created(kind, made_invoice()))
    offered(wallet)
    assert reason_of(lambda: offered(wallet)) == Reason.SEEN_BEFORE


@pytest.mark.parametrize("kind", ["lnd", "cln"])
def test_a_wallet_that_ignores_the_chosen_preimage_is_refused(kind: str) -> None:
    wallet = checked(kind, created(kind, made_invoice()))

    def ask() -> object:
        asked = wallet.create_invoice(21, memo="tea", expiry_s=600, preimage=b"\2" * 32)
        return asyncio.run(asked)

    assert reason_of(ask) == bolt11.Reason.WRONG_HASH


@each_payer
def test_a_wrong_preimage_proves_no_payment(kind: str) -> None:
    wallet = checked(kind, paid(kind, b"\2" * 32))
    asked = lambda: asyncio.run(wallet.pay(made_invoice(), max_fee_msat=None))  # noqa: E731
    assert reason_of(asked) == Reason.WRONG_PREIMAGE
    right = checked(kind, paid(kind, PREIMAGE))
    assert asyncio.run(right.pay(made_invoice(), max_fee_msat=None)) == PREIMAGE


@each_payer
@pytest.mark.parametrize(
    ("document", "status"),
    [
        (b"", 200),
        (b"{}", 200),
        (b"not json", 200),
        (b"", 500),
        ({"result": {"status": "IN_FLIGHT"}}, 200),
        ({"error": {"code": 2, "message": "?"}}, 200),
        ({"status": "pending"}, 201),
        ({"code": 200, "message": "still trying"}, 500),
        ({"detail": "still pending", "status": "pending"}, 520),
    ],
)
def test_a_payment_of_which_too_little_is_said_may_have_been_made(
    kind: str, document: object, status: int
) -> None:
    wallet = checked(kind, document, status)
    asked = lambda: asyncio.run(wallet.pay(made_invoice(), max_fee_msat=None))  # noqa: E731
    assert reason_of(asked) == Reason.OUTCOME_UNKNOWN


@pytest.mark.parametrize(
    ("kind", "document", "status"),
    [
        ("lnd", {"result": {"status": "FAILED"}}, 200),
        ("cln", {"code": 205, "message": "no route"}, 500),
        ("phoenixd", {"reason": "no route"}, 200),
        ("lnbits", {"detail": "Insufficient balance.", "status": "failed"}, 520),
    ],
)
def test_a_payment_that_surely_failed_is_not_in_doubt(
    kind: str, document: object, status: int
) -> None:
    wallet = checked(kind, document, status)
    asked = lambda: asyncio.run(wallet.pay(made_invoice(), max_fee_msat=None))  # noqa: E731
    assert reason_of(asked) == Reason.NOT_PAID


def test_an_invoice_that_must_not_be_paid_reaches_no_wallet() -> None:
    for invoice, reason in LIES.values():
        if reason is bolt11.Reason.WRONG_AMOUNT:
            continue  # the amount is for the payer to judge
        exchange = Scripted(paid("lnd", PREIMAGE))
        wallet = CheckedWallet(LndWallet(exchange), network=NETWORK)
        with pytest.raises(WireError) as caught:
            asyncio.run(wallet.pay(invoice, max_fee_msat=None))
        assert caught.value.reason == reason
        assert exchange.asked == []


@pytest.mark.parametrize(("kind", "fee"), [("phoenixd", 4084), ("lnbits", 5000)])
def test_a_fee_above_the_limit_is_not_paid(kind: str, fee: int) -> None:
    exchange = Scripted(paid(kind, PREIMAGE) | {"fee_reserve": 5000})
    wallet = CheckedWallet(WALLETS[kind](exchange), network=NETWORK)
    asked = lambda: asyncio.run(wallet.pay(made_invoice(), max_fee_msat=fee - 1))  # noqa: E731
    assert reason_of(asked) == Reason.NOT_PAID
    assert all("fee-reserve" in path for path, _ in exchange.asked)
    assert asyncio.run(wallet.pay(made_invoice(), max_fee_msat=fee)) == PREIMAGE


@pytest.mark.parametrize(
    ("kind", "member", "limited", "unlimited"),
    [("lnd", "fee_limit_msat", "500", "21000"), ("cln", "maxfee", 500, None)],
)
def test_a_node_is_told_the_limit_for_fees(
    kind: str, member: str, limited: object, unlimited: object
) -> None:
    exchange = Scripted(paid(kind, PREIMAGE))
    wallet = CheckedWallet(WALLETS[kind](exchange), network=NETWORK)
    for limit_msat, expected in ((500, limited), (None, unlimited)):
        asyncio.run(wallet.pay(made_invoice(), max_fee_msat=limit_msat))
        _, document = exchange.asked[-1]
        assert document is not None
        assert document.get(member) == expected


def test_an_invoice_that_outlives_whoever_asked_for_it_is_refused() -> None:
    wallet = DevelopmentWallet()

    class Everlasting:
        abilities = wallet.abilities

        async def create_invoice(self, amount_sat: int, **asked: Any) -> Invoice:
            return await wallet.create_invoice(amount_sat, **{**asked, "expiry_s": 10**12})

    checking = CheckedWallet(Everlasting(), network=Network.REGTEST)  # type: ignore[arg-type]
    asked = lambda: asyncio.run(  # noqa: E731
        checking.create_invoice(5, memo="memo", expiry_s=600)
    )
    assert reason_of(asked) == Reason.MALFORMED


@pytest.mark.parametrize("words", ["unable to locate invoice", "there are no existing invoices"])
def test_older_nodes_of_lnd_say_in_words_that_they_know_no_such_invoice(words: str) -> None:
    wallet = checked("lnd", {"code": 2, "message": words}, 500)
    assert reason_of(lambda: asyncio.run(wallet.state(HASH))) == Reason.UNKNOWN_INVOICE
    failing = checked("lnd", {"code": 2, "message": "the database is locked"}, 500)
    assert reason_of(lambda: asyncio.run(failing.state(HASH))) == Reason.FAILED


@pytest.mark.parametrize("kind", ["lnd", "cln", "phoenixd", "lnbits"])
def test_another_payment_than_was_asked_for_is_refused_or_unknown(kind: str) -> None:
    wallet = checked(kind, settled(kind))
    assert asyncio.run(wallet.state(HASH)).state is State.SETTLED
    if kind != "lnd":  # LND's answer names no payment: the path did
        asked = lambda: asyncio.run(wallet.state(b"\5" * 32))  # noqa: E731
        assert reason_of(asked) in (Reason.MALFORMED, bolt11.Reason.WRONG_HASH)


@pytest.mark.parametrize(
    ("callback", "is_taken"),
    [
        ("https://other.example/pay?x=1", True),
        ("http://shop.example/pay", False),
        ("https://127.0.0.1/pay", False),
        ("https://169.254.169.254/latest", False),
        ("https://[::1]/pay", False),
        ("https://localhost/pay", False),
        ("https://db.internal/pay", False),
        ("https://user@other.example/pay", False),
        ("file:///etc/passwd", False),
        ("https://other.example/a b", False),
        ("https://other.example/" + "a" * 3000, False),
        ("https://[", False),
        ("", False),
    ],
)
def test_an_address_sends_us_to_public_hosts_only(callback: str, is_taken: bool) -> None:
    exchange = Scripted(created("lightning-address", made_invoice()) | {"callback": callback})
    wallet = CheckedWallet(LightningAddressWallet("a@shop.example", exchange), network=NETWORK)
    if is_taken:
        offered(wallet)
        assert exchange.asked[-1][0] == "https://other.example/pay?x=1&amount=21000"
    else:
        assert reason_of(lambda: offered(wallet)) == Reason.MALFORMED
        assert len(exchange.asked) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=8,
)


def altered(document: dict[str, Any], data: st.DataObject) -> object:
    """A document with any of its values, at any depth, replaced or left out; or another one."""
    if data.draw(st.integers(0, 9)) == 0:
        return data.draw(JSON)
    name = data.draw(st.sampled_from(sorted(document)))
    inner = document[name]
    if isinstance(inner, list):
        return document | {name: [altered(each, data) for each in inner]}
    if isinstance(inner, dict) and data.draw(st.booleans()):
        return document | {name: altered(inner, data)}
    if data.draw(st.booleans()):
        return {other: value for other, value in document.items() if other != name}
    return document | {name: data.draw(JSON)}


@each_kind
@given(data=st.data())
def test_whatever_a_wallet_answers_an_invoice_is_right_or_refused(
    kind: str, data: st.DataObject
) -> None:
    invoice = made_invoice()
    document = altered(created(kind, invoice), data)
    wallet = checked(kind, document, data.draw(st.sampled_from([200, 201])))
    found = came_of(wallet.create_invoice(21, memo="tea", expiry_s=600))
    assert found in {invoice, *Reason, *bolt11.Reason}


@each_kind
@given(data=st.data())
def test_whatever_a_wallet_answers_a_state_is_read_or_refused(
    kind: str, data: st.DataObject
) -> None:
    document = altered(settled(kind), data)
    status = data.draw(st.sampled_from([200, 201, 302, 400, 404, 500, 520]))
    found = came_of(checked(kind, document, status).state(HASH))
    assert isinstance(found, Standing) or found in {*Reason, *bolt11.Reason}


@each_payer
@given(data=st.data())
def test_whatever_a_wallet_answers_a_payment_is_proved_refused_or_in_doubt(
    kind: str, data: st.DataObject
) -> None:
    document = altered(paid(kind, PREIMAGE), data)
    status = data.draw(st.sampled_from([200, 201, 400, 404, 500, 520]))
    found = came_of(checked(kind, document, status).pay(made_invoice(), max_fee_msat=None))
    assert found in {
        PREIMAGE,
        *(Reason.OUTCOME_UNKNOWN, Reason.WRONG_PREIMAGE, Reason.NOT_PAID, Reason.UNAUTHORIZED),
    }


@pytest.mark.parametrize(
    ("low", "high", "is_taken"),
    [(21_000, 21_000, True), (21_001, 10**9, False), (1, 20_999, False)],
)
def test_an_address_is_asked_for_what_it_takes_only(low: int, high: int, is_taken: bool) -> None:
    said = created("lightning-address", made_invoice()) | {"minSendable": low, "maxSendable": high}
    exchange = Scripted(said)
    wallet = CheckedWallet(LightningAddressWallet("a@shop.example", exchange), network=NETWORK)
    found = came_of(wallet.create_invoice(21, memo="tea", expiry_s=600))
    assert isinstance(found, Invoice) if is_taken else found == Reason.NOT_SUPPORTED
    assert len(exchange.asked) == 1 + is_taken


def test_an_address_whose_host_refuses_is_not_taken_at_its_word() -> None:
    said = created("lightning-address", made_invoice()) | {"status": "ERROR", "reason": "shut"}
    assert reason_of(lambda: offered(checked("lightning-address", said))) == Reason.FAILED


def test_an_address_whose_host_looks_up_says_how_an_invoice_stands() -> None:
    invoice = made_invoice()
    now_s = float(invoice.created_at_s)
    exchange = Scripted(
        created("lightning-address", invoice)
        | {"verify": "https://shop.example/verify", "settled": False}
    )

    async def story() -> None:
        nonlocal now_s
        wallet = LightningAddressWallet("a@shop.example", exchange, clock_s=lambda: now_s)
        await wallet.create_invoice(21, memo="tea", expiry_s=600)
        assert (await wallet.state(HASH)).state is State.OPEN
        now_s += invoice.expiry_s
        assert (await wallet.state(HASH)).state is State.EXPIRED
        exchange.body = exchange.body.replace(b"false", b"true")
        assert (await wallet.state(HASH)).state is State.SETTLED
        another = made_invoice(preimage=b"\2" * 32).text
        exchange.body = exchange.body.replace(invoice.text.encode(), another.encode())
        with pytest.raises(WalletError) as caught:
            await wallet.state(HASH)
        assert caught.value.reason == bolt11.Reason.WRONG_HASH

    asyncio.run(story())


def test_an_address_whose_host_does_not_look_up_says_so() -> None:
    async def story() -> None:
        exchange = Scripted(created("lightning-address", made_invoice()))
        wallet = LightningAddressWallet("a@shop.example", exchange)
        await wallet.create_invoice(21, memo="tea", expiry_s=600)
        with pytest.raises(WalletError) as caught:
            await wallet.state(HASH)
        assert caught.value.reason == Reason.NOT_SUPPORTED

    asyncio.run(story())


def test_no_words_of_a_wallet_are_repeated() -> None:
    secret = "a preimage, perhaps"
    for kind in WALLETS:
        for status in (200, 401, 500, 520):
            wallet = checked(kind, {"message": secret, "bolt11": secret, "pr": secret}, status)
            with pytest.raises(WalletError) as caught:
                offered(wallet)
            assert secret not in str(caught.value)
    assert secret not in repr(Answer(200, secret.encode()))


@pytest.mark.parametrize(
    ("amount_sat", "memo", "expiry_s", "preimage"),
    [
        (0, "tea", 600, None),
        (-1, "tea", 600, None),
        (True, "tea", 600, None),
        (2_100_000_000_000_001, "tea", 600, None),
        (21, "", 600, None),
        (21, "t" * 101, 600, None),
        (21, "te\na", 600, None),
        (21, "tea", 0, None),
        (21, "tea", 604_801, None),
        (21, "tea", 600, b"\1" * 31),
    ],
)
def test_what_no_invoice_of_ours_has_is_not_asked_for(
    amount_sat: int, memo: str, expiry_s: int, preimage: bytes | None
) -> None:
    exchange = Scripted({})
    wallet = CheckedWallet(LndWallet(exchange), network=NETWORK)
    with pytest.raises(InvalidInputError):
        asyncio.run(
            wallet.create_invoice(amount_sat, memo=memo, expiry_s=expiry_s, preimage=preimage)
        )
    assert exchange.asked == []


def test_a_development_wallet_says_that_it_is_one_and_pays_any_of_its_kind() -> None:
    async def story() -> None:
        seller, buyer = DevelopmentWallet(), DevelopmentWallet()
        invoice = await seller.create_invoice(21, memo="tea", expiry_s=600)
        assert invoice.description == "DEVELOPMENT, no money: tea"
        assert invoice.network is Network.REGTEST
        preimage = await buyer.pay(invoice, max_fee_msat=0)
        assert sha256(preimage) == invoice.payment_hash
        # Nobody told the seller.
        assert (await seller.state(invoice.payment_hash)).state is State.OPEN

    asyncio.run(story())


def test_a_development_wallet_lets_invoices_expire() -> None:
    now_s = 1_800_000_000.0

    async def story() -> None:
        nonlocal now_s
        wallet = DevelopmentWallet(clock_s=lambda: now_s)
        invoice = await wallet.create_invoice(21, memo="tea", expiry_s=600)
        now_s += 599.999
        assert (await wallet.state(invoice.payment_hash)).state is State.OPEN
        now_s += 0.001
        assert (await wallet.state(invoice.payment_hash)).state is State.EXPIRED

    asyncio.run(story())

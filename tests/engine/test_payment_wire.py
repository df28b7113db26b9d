# SPDX-License-Identifier: Apache-2.0
"""The ``Payment`` scheme: what is issued comes back as it was, or is refused."""

import dataclasses
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import base64_json, base64_text, bolt11, payment_lightning, payment_receipt, payment_wire
from pypow.accept_payment import AcceptPayment, read_accept_payment
from pypow.auth_params import MAX_FIELD, quoted, read_challenges
from pypow.bolt11 import Invoice, Network
from pypow.errors import InvalidInputError, WireError
from pypow.payment_headers import read_credential
from pypow.payment_receipt import Receipt
from pypow.payment_wire import PaymentChallenge, PaymentCredential

SECRET, PREIMAGE = bytes(range(32)), bytes([8]) * 32
NOW_MS = 1_800_000_000_000
INVOICE = Invoice(
    text="lnbcrt210n1x", network=Network.REGTEST, amount_msat=21_000, created_at_s=1_800_000_000,
    expiry_s=3600, payment_hash=hashlib.sha256(PREIMAGE).digest(), payment_secret=bytes(32),
    description="", description_hash=None, min_final_cltv=18, features=0, metadata=None,
    payee=bytes(33),
)  # fmt: skip


def issued(**changes: Any) -> PaymentChallenge:
    terms: dict[str, Any] = {
        "realm": "gate.example", "request": payment_lightning.request(INVOICE),
        "method": "lightning", "intent": "charge", "expires_at_ms": NOW_MS + 60_000,
    }  # fmt: skip
    return payment_wire.issue(SECRET, **(terms | changes))


def paid(challenge: PaymentChallenge, **payload: object) -> PaymentCredential:
    return PaymentCredential(challenge, payload or {"preimage": PREIMAGE.hex()})


def parameters(credential: PaymentCredential) -> str:
    return credential.authorization().removeprefix("Payment ")


sendable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20)
bound = sendable.filter(lambda text: "|" not in text)


@given(
    realm=bound,
    request=st.dictionaries(sendable, sendable | st.integers() | st.none(), max_size=3),
    method=st.from_regex(r"[a-z][a-z0-9:_-]{0,9}", fullmatch=True),
    intent=st.from_regex(r"[A-Za-z0-9-]{1,9}", fullmatch=True),
    expires_at_ms=st.integers(0, 253_402_300_799_999),
    digest=st.none() | bound,
    description=st.none() | sendable,
    opaque=st.none() | st.dictionaries(sendable, sendable, max_size=3),
    header=st.none() | st.just("Payment-Authorization"),
    source=st.none() | sendable,
)
def test_what_is_issued_comes_back_and_is_known_again(source: str | None, **terms: Any) -> None:
    challenge = issued(**terms)
    assert challenge.is_ours(SECRET)
    assert payment_wire.read_payment_challenges([challenge.www_authenticate()]) == (challenge,)
    assert challenge.expires_at_ms == terms["expires_at_ms"] // 1000 * 1000
    credential = dataclasses.replace(paid(challenge), source=source)
    again = payment_wire.credential_from_authorization(parameters(credential))
    assert again == credential
    assert again.challenge.is_ours(SECRET)
    assert payment_lightning.preimage(again) == PREIMAGE


def test_a_challenge_says_what_to_pay() -> None:
    asked = payment_lightning.asked(issued(request=payment_lightning.request(INVOICE)))
    assert asked == payment_lightning.Asked(21, INVOICE.text, INVOICE.payment_hash, "regtest")
    described = payment_lightning.request(INVOICE, description="Q&A")
    assert described["description"] == "Q&A"
    assert payment_lightning.asked(issued(request=described)) == asked


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(PaymentChallenge)])
def test_whatever_is_changed_is_noticed_but_for_what_people_read(name: str) -> None:
    challenge = issued(
        digest="sha-256=:X48E9q:", opaque={"a": "b"}, description="words",
        header="Payment-Authorization",
    )  # fmt: skip
    said = dataclasses.asdict(challenge)
    other = PaymentChallenge(**said | {name: said[name][:-1] + "x"})
    assert other.is_ours(SECRET) is (name == "description")
    if name in ("expires", "digest", "opaque", "header"):
        assert not PaymentChallenge(**said | {name: None}).is_ours(SECRET)


def test_no_word_moves_from_one_slot_to_another() -> None:
    challenge = issued(digest="d", opaque={"a": "b"}, header="h")
    with pytest.raises(WireError, match="text without"):
        dataclasses.replace(challenge, digest="d|h", header=None)
    assert not dataclasses.replace(challenge, digest="h", header="d").is_ours(SECRET)


def test_what_is_no_list_of_challenges_holds_no_offer() -> None:
    values = ['Payment id="', issued().www_authenticate(), "Payment", 'Bearer realm="a"']
    assert payment_wire.read_payment_challenges(values) == (issued(),)


def test_bars_stand_where_nothing_is_bound() -> None:
    barred = dataclasses.replace(issued(description="a|b"), id="c|d")
    assert payment_wire.read_payment_challenges([barred.www_authenticate()]) == (barred,)


@pytest.mark.parametrize("header", [None, "", "Authorization", "AUTHORIZATION"])
def test_the_usual_header_is_not_named(header: str | None) -> None:
    said = issued().to_json() | {"header": header}
    text = base64_json.dumps({"challenge": said, "payload": {}})
    assert payment_wire.credential_from_authorization(text).challenge == issued()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "missing_member"),
        ({"challenge": {}, "payload": {}}, "missing_member"),
        ({"challenge": [], "payload": {}}, "missing_member"),
        ({"challenge": issued().to_json(), "payload": "x"}, "missing_member"),
        ({"challenge": issued().to_json(), "payload": {}, "source": 1}, "malformed"),
        ({"challenge": issued().to_json() | {"id": ""}, "payload": {}}, "malformed"),
        ({"challenge": issued().to_json() | {"id": 7}, "payload": {}}, "malformed"),
        ({"challenge": issued().to_json() | {"method": "Light"}, "payload": {}}, "malformed"),
        ({"challenge": issued().to_json() | {"realm": "a\nb"}, "payload": {}}, "malformed"),
        ({"challenge": issued().to_json() | {"expires": 5}, "payload": {}}, "malformed"),
    ],
)
def test_a_credential_without_what_it_needs_is_refused(
    document: dict[str, object], reason: str
) -> None:
    with pytest.raises(WireError) as refused:
        payment_wire.credential_from_authorization(base64_json.dumps(document))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"[]", "bad_json"), (b"{", "bad_json"), (b'{"a":1,"a":2}', "bad_json"),
        (b"\xff", "bad_json"), (b'{"challenge":"\\ud800"}', "bad_json"), (b"[" * 9000, "bad_json"),
        (b"x" * 13_000, "too_long"),
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused_and_never_quoted(octets: bytes, reason: str) -> None:
    with pytest.raises(WireError) as refused:
        payment_wire.credential_from_authorization(base64_text.encode_url(octets))
    assert refused.value.reason == reason
    with pytest.raises(WireError) as refused:
        payment_wire.credential_from_authorization("se+cret")
    assert refused.value.reason == "bad_base64"
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize("preimage", [None, "", "ab", "A" * 64, "0" * 65, 7, ["0" * 64]])
def test_a_preimage_is_64_lower_case_hex_digits(preimage: object) -> None:
    with pytest.raises(WireError) as refused:
        payment_lightning.preimage(paid(issued(), preimage=preimage))
    assert refused.value.reason == "bad_preimage"
    assert "A" * 4 not in str(refused.value)


def test_a_credential_does_not_show_what_proves_it() -> None:
    assert PREIMAGE.hex() not in repr(paid(issued()))


@pytest.mark.parametrize("amount", [None, 999, 1001])
def test_only_whole_satoshis_are_asked_for(amount: int | None) -> None:
    with pytest.raises(InvalidInputError, match="whole satoshis"):
        payment_lightning.request(dataclasses.replace(INVOICE, amount_msat=amount))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"amount": "0"}, "amount"), ({"amount": 21}, "amount"), ({"amount": "1e3"}, "amount"),
        ({"currency": "usd"}, "currency"), ({"methodDetails": {}}, "invoice"),
        ({"methodDetails": {"invoice": "x", "network": 1}}, "network"),
        ({"methodDetails": {"invoice": "x", "paymentHash": "0"}}, "paymentHash"),
    ],
)  # fmt: skip
def test_a_request_that_asks_for_something_else_is_refused(
    change: dict[str, object], said: str
) -> None:
    request = payment_lightning.request(INVOICE) | change
    with pytest.raises(WireError, match=said):
        payment_lightning.asked(issued(request=request))


def test_another_method_and_intent_is_not_lightnings_to_read() -> None:
    for other in ({"method": "pow"}, {"intent": "session"}):
        with pytest.raises(WireError, match="expected lightning and charge"):
            payment_lightning.asked(issued(**other))


def test_without_a_word_on_it_a_request_is_for_the_main_network() -> None:
    request = payment_lightning.request(INVOICE) | {"methodDetails": {"invoice": "x"}}
    asked = payment_lightning.asked(issued(request=request))
    assert (asked.payment_hash, asked.network) == (None, "mainnet")


@given(st.lists(sendable, min_size=3, max_size=4))
def test_a_receipt_comes_back(texts: list[str]) -> None:
    receipt = Receipt(*texts)
    assert payment_receipt.read_receipt(receipt.header()) == receipt


@pytest.mark.parametrize(
    "change", [{"status": "failed"}, {"reference": ""}, {"method": None}, {"challengeId": 7}]
)
def test_what_is_no_receipt_of_a_success_is_refused(change: dict[str, object]) -> None:
    said = {"status": "success", "method": "lightning", "timestamp": "t", "reference": "r"}
    with pytest.raises(WireError, match="expected"):
        payment_receipt.read_receipt(base64_json.dumps(said | change))


def test_a_caller_says_what_it_can_pay_with_and_likes_best() -> None:
    accepts = read_accept_payment("tempo/*, solana/*;q=0.6 , */charge; q=0.3,tempo/session;q=0")
    ways = [("lightning", "charge"), ("lightning", "session"), ("tempo", "session"),
            ("solana", "charge"), ("tempo", "charge")]  # fmt: skip
    assert [accepts.weight(*way) for way in ways] == [300, 0, 0, 600, 1000]
    assert accepts.choose(ways, lambda way: way) == (ways[4], ways[3], ways[0])
    assert accepts.choose(ways[1:3], lambda way: way) == tuple(ways[1:3])
    assert AcceptPayment({("*", "*"): 5}).weight("a", "b") == 5
    assert AcceptPayment({("*", "*"): 5}).choose(ways, lambda way: way) == tuple(ways)


@pytest.mark.parametrize(
    "value",
    ["", ",", "lightning", "a/b;q=2", "a/b;q=0.1234", "A/b", "a/b;x=1", "a/b," * 400, "é/b"],
)
def test_a_wish_that_cannot_be_read_is_refused(value: str) -> None:
    with pytest.raises(WireError, match="expected ranges"):
        read_accept_payment(value)


@pytest.mark.parametrize(
    "value",
    ["=", 'a="b"', 'Payment id="x', 'Payment id="a\x00"', '"', "x" * (MAX_FIELD + 1), "(a)"],
)
def test_what_is_no_list_of_challenges_is_refused(value: str) -> None:
    with pytest.raises(WireError, match="expected"):
        read_challenges(value)


def test_a_scheme_may_have_one_word_instead_of_parameters() -> None:
    found = read_challenges("Negotiate YWJj, Bearer, Basic YQ== ,PoW a=b")
    assert [(one.scheme, dict(one.parameters)) for one in found] == [
        ("negotiate", {}), ("bearer", {}), ("basic", {}), ("pow", {"a": "b"}),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["a\nb", "\r", "\x7f", "\ud800"])
def test_what_no_header_can_carry_is_not_written(text: str) -> None:
    with pytest.raises(WireError, match="header can carry"):
        quoted(text)


LIGHTNING = paid(issued()).authorization().encode()
WORK = paid(issued(method="pow"), nonce="x").authorization().encode()
L402, MACAROON = b"L402 bWFj:" + b"00" * 32, b"preimage=".hex().encode()


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ([], None),
        ([(b"authorization", b"Bearer abc"), (b"x-pow-solution", L402)], None),
        ([(b"authorization", b"")], None),
        ([(b"authorization", b"b\xe9arer x")], None),
        ([(b"authorization", LIGHTNING)], "PaymentCredential"),
        ([(b"authorization", b"payment\t" + LIGHTNING[8:])], "PaymentCredential"),
        ([(b"authorization", b"Bearer x"), (b"payment-authorization", LIGHTNING)],
         "PaymentCredential"),
        ([(b"payment-authorization", L402)], "L402Credential"),
        ([(b"authorization", b"lsat   " + L402[5:]), (b"authorization", L402)], "L402Credential"),
        ([(b"authorization", L402), (b"authorization", b"L402 broken")], "L402Credential"),
        ([(b"authorization", b"L402 broken"), (b"payment-authorization", L402)], "L402Credential"),
        ([(b"authorization", b"LSAT " + L402[5:] + b"," + L402)], "L402Credential"),
        ([(b"authorization", b"Bearer a, " + LIGHTNING)], "PaymentCredential"),
        ([(b"authorization", b"Digest a=b, c=L402 d")], None),
        ([(b"authorization", WORK)], None),
        ([(b"authorization", WORK), (b"payment-authorization", LIGHTNING)], "PaymentCredential"),
        ([(b"macaroon", MACAROON)], "L402Credential"),
        ([(b"grpc-metadata-macaroon", MACAROON), (b"macaroon", MACAROON)], "L402Credential"),
        ([(b"macaroon", b"0201"), (b"authorization", LIGHTNING)], "PaymentCredential"),
        ([(b"macaroon", MACAROON), (b"authorization", LIGHTNING)], "PaymentCredential"),
        ([(b"macaroon", b"0201")], None),
    ],
)  # fmt: skip
def test_the_one_payment_of_a_request_is_found(
    fields: list[tuple[bytes, bytes]], kind: str | None
) -> None:
    found = read_credential(fields)
    assert (None if found is None else type(found).__name__) == kind


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([(b"authorization", L402), (b"authorization", LIGHTNING)], "conflicting"),
        ([(b"authorization", L402 + b", " + LIGHTNING)], "conflicting"),
        ([(b"authorization", L402), (b"payment-authorization", L402[:-1] + b"1")], "conflicting"),
        ([(b"authorization", LIGHTNING),
          (b"payment-authorization", paid(issued(realm="a")).authorization().encode())],
         "conflicting"),
        ([(b"macaroon", MACAROON), (b"grpc-metadata-macaroon", MACAROON + b"00")], "conflicting"),
        ([(b"authorization", b"L402 broken")], "malformed"),
        ([(b"authorization", b"L402")], "malformed"),
        ([(b"authorization", b"L402 b\xe9:" + b"00" * 32)], "malformed"),
        ([(b"authorization", b"Payment !"), (b"authorization", b"L402 broken")], "bad_base64"),
        ([(b"authorization", b"L402 broken"), (b"macaroon", MACAROON)], "malformed"),
    ],
)  # fmt: skip
def test_two_payments_or_none_that_can_be_read_are_refused(
    fields: list[tuple[bytes, bytes]], reason: str
) -> None:
    with pytest.raises(WireError) as refused:
        read_credential(fields)
    assert refused.value.reason == reason


def test_another_implementation_reads_and_writes_the_same() -> None:
    mpp = pytest.importorskip("mpp", reason="pympp is not installed")
    for terms in ({}, {"header": "Payment-Authorization"}, {"opaque": {"a": "b"}, "digest": "d"}):
        challenge = issued(**terms)
        theirs = mpp.Challenge.from_www_authenticate(challenge.www_authenticate())
        made = mpp.generate_challenge_id(
            secret_key=SECRET.decode("latin-1"), realm="gate.example", method="lightning",
            intent="charge", request=payment_lightning.request(INVOICE),
            expires=challenge.expires, digest=terms.get("digest"), opaque=terms.get("opaque"),
            header=terms.get("header"),
        )  # fmt: skip
        assert made == challenge.id
        answer = mpp.Credential(theirs.to_echo(), {"preimage": PREIMAGE.hex()}).to_authorization()
        read = payment_wire.credential_from_authorization(answer.removeprefix("Payment "))
        assert read == paid(challenge)


def test_an_invoice_that_is_read_is_what_is_asked_for() -> None:
    pytest.importorskip("coincurve", reason="signatures need the extra l402")
    invoice = bolt11.issue(
        bytes([7]) * 32, network=Network.SIGNET, amount_msat=5000, payment_secret=bytes(32),
        payment_hash=INVOICE.payment_hash, description="x", created_at_s=1_800_000_000,
    )  # fmt: skip
    asked = payment_lightning.asked(issued(request=payment_lightning.request(invoice)))
    assert bolt11.decode(asked.invoice) == invoice
    assert (asked.network, asked.amount_sat) == ("signet", 5)

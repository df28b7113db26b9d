# SPDX-License-Identifier: Apache-2.0
"""What those are told whose payments cannot be read, word for word, and where bounds lie."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from pypow import (
    accept_payment,
    auth_params,
    base64_json,
    base64_text,
    bech32,
    bolt11,
    canonical_json,
    l402_wire,
    moments,
    payment_headers,
    payment_lightning,
    payment_reasons,
    payment_receipt,
    payment_wire,
)
from pypow.bolt11 import Invoice, Network
from pypow.errors import InvalidInputError, WireError
from pypow.payment_wire import PaymentChallenge, PaymentCredential

ASKED = PaymentChallenge(id="i", realm="r", method="lightning", intent="charge", request="cQ")
PAID = PaymentCredential(ASKED, {})
INVOICE = Invoice(
    text="lnbcrt210n1x", network=Network.REGTEST, amount_msat=21_000, created_at_s=100,
    expiry_s=60, payment_hash=bytes(32), payment_secret=bytes(32), description="",
    description_hash=None, min_final_cltv=18, features=0, metadata=None, payee=bytes(33),
)  # fmt: skip
HEX = "00" * 32


def requesting(**said: object) -> PaymentChallenge:
    whole = {"amount": "1", "currency": "sat", "methodDetails": {"invoice": "x"}}
    return replace(ASKED, request=base64_json.dumps(whole | said))


def packed(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


def required(**changes: object) -> Invoice:
    terms = {"network": Network.REGTEST, "amount_msat": 21_000, "payment_hash": bytes(32),
             "now_ms": 0} | changes  # fmt: skip
    return bolt11.require(INVOICE, **terms)  # type: ignore[arg-type]


REFUSALS: list[tuple[Callable[[], object], str, str]] = [
    (lambda: bech32.decode("Ab"), "malformed", "expected bech32 in letters of one case, got both"),
    (lambda: bech32.decode("é"), "malformed", "expected bech32 (BIP 173), got 'é'"),
    (
        lambda: bech32.decode("a1qqqqqq"), "wrong_checksum",
        "expected a bech32 checksum that fits, got another: the text was altered",
    ),
    (
        lambda: bech32.to_octets(b"\1"), "malformed",
        "expected groups of 5 bits padded with the fewest zeros, got others",
    ),
    (
        lambda: bolt11.decode("x" * 7090), "malformed",
        "expected an invoice of at most 7089 characters, got 7090",
    ),
    (
        lambda: bolt11.decode("a12uel5l"), "malformed",
        "expected an invoice that begins with lnbc or its like, got 'a12uel5l'",
    ),
    (
        lambda: bolt11.decode(bech32.encode("lnbc", bytes(110))), "malformed",
        "expected an invoice with a time and a signature, got 'lnbc1qqqqqqqqqqqqqqq'... (121 long)",
    ),
    (
        lambda: bolt11.decode(bech32.encode("lnbc", bytes(111))), "malformed",
        "expected an invoice with a description or the hash of one, not both",
    ),
    (
        lambda: bolt11._required({}, "p"), "malformed",
        "expected an invoice with a payment hash of 32 bytes, got none",
    ),
    (
        lambda: bolt11._required({}, "s"), "malformed",
        "expected an invoice with a payment secret of 32 bytes, got none",
    ),
    (
        lambda: bolt11._fields(b"\1\0\1"), "malformed",
        "expected whole fields in the invoice, got the beginning of one",
    ),
    (
        lambda: bolt11._fields(b"\5\0\0\5\0\0"), "malformed",
        "expected one field 9 in the invoice, got several",
    ),
    (
        lambda: bolt11._number({"x": b"\0"}, "x", 1), "malformed",
        "expected a number of up to 60 bits without leading zeros in x",
    ),
    (
        lambda: bolt11._described({"d": b"\x1f\x1c"}), "malformed",
        "expected a description in UTF-8 in the invoice",
    ),
    (
        lambda: bolt11._features({"9": b"\0"}), "malformed",
        "expected features without leading zeros in the invoice",
    ),
    (
        lambda: bolt11._features({"9": bech32.of_number(1 << 30 | 1 << 20)}), "unknown_feature",
        "expected an invoice whose features are known, got feature 30, which its payer must know",
    ),
    (
        lambda: bolt11._amount("1", "p"), "malformed",
        "expected an amount in whole thousandths of a satoshi, up to all there are, got 1p",
    ),
    (
        lambda: required(network=Network.MAINNET), "wrong_network",
        "expected an invoice for mainnet, got one for regtest; is the wallet of another network?",
    ),
    (
        lambda: required(amount_msat=5), "wrong_amount",
        "expected an invoice of 5 msat, got 21000 msat",
    ),
    (
        lambda: bolt11.require(
            replace(INVOICE, amount_msat=None), network=Network.REGTEST, amount_msat=5,
            payment_hash=bytes(32), now_ms=0,
        ),
        "no_amount", "expected an invoice of 5 msat, got one for any amount",
    ),
    (
        lambda: required(payment_hash=b"\xab"), "wrong_hash",
        f"expected an invoice with payment hash ab, got {HEX}",
    ),
    (
        lambda: required(payee=b"\xab"), "wrong_payee",
        f"expected an invoice of node ab, got one of {HEX}00",
    ),
    (
        lambda: bolt11.require(
            replace(INVOICE, features=1 << 30), network=Network.REGTEST, amount_msat=21_000,
            payment_hash=bytes(32), now_ms=0,
        ),
        "not_one_payment",
        "expected an invoice that is paid once with one preimage, got one of LND's AMP",
    ),
    (
        lambda: required(now_ms=163_999), "expired",
        "expected an invoice that can still be paid, got one that expired 3 s ago",
    ),
    (
        lambda: base64_text.decode_url("a+"), "malformed",
        "expected base64url (RFC 4648 section 5), got 'a+'",
    ),
    (
        lambda: base64_json.loads("x" * 16385, "a credential"), "too_long",
        "expected a credential of at most 16384 characters, got 16385",
    ),
    (
        lambda: base64_json.loads("+", "a receipt"), "bad_base64",
        "expected a receipt in base64url, got other text",
    ),
    (
        lambda: base64_json.loads("ew", "a request"), "bad_json",
        "expected a request in JSON, got other text",
    ),
    (
        lambda: base64_json.loads("MQ", "a request"), "bad_json",
        "expected a request to be an object of JSON",
    ),
    (
        lambda: auth_params.read_challenges("x" * 16385), "too_long",
        "expected at most 16384 characters, got 16385",
    ),
    (
        lambda: auth_params.read_challenges("a b=c, ="), "malformed",
        "expected schemes with parameters (RFC 9110 section 11), got '='",
    ),
    (
        lambda: auth_params.quoted("\n"), "malformed",
        "expected text that a header can carry, got '\\n'",
    ),
    (
        lambda: l402_wire.credential_from_authorization("x" * 8193), "too_long",
        "expected a credential of at most 8192 characters, got 8193",
    ),
    (
        lambda: l402_wire.credential_from_authorization("x"), "malformed",
        "expected L402 <macaroon>:<preimage>, got no colon",
    ),
    (
        lambda: l402_wire.credential_from_authorization("x:yy"), "bad_preimage",
        "expected a preimage of 64 hex digits, got 2 other characters",
    ),
    (
        lambda: l402_wire.credential_from_authorization(f"a,b,c,d,e:{HEX}"), "bad_macaroon",
        "expected 1 to 4 macaroons with commas between them, got 5",
    ),
    (
        lambda: l402_wire.credential_from_authorization(f"a:{HEX}"), "bad_macaroon",
        "expected a macaroon in base64, got other text",
    ),
    (
        lambda: replace(ASKED, realm=""), "malformed", "challenge.realm: expected text, got ''",
    ),
    (
        lambda: replace(ASKED, opaque="a|b"), "malformed",
        "challenge.opaque: expected text without |, got 'a|b'",
    ),
    (
        lambda: replace(ASKED, intent="a b"), "malformed",
        "challenge.intent: expected a name, got 'a b'",
    ),
    (
        lambda: payment_wire._from_members({"id": "i", "method": "m", "intent": "c"}),
        "missing_member",
        "expected a challenge with id, realm, method, intent, request, got none of realm, request",
    ),
    (
        lambda: payment_wire.credential_from_authorization(packed({})), "missing_member",
        'expected a credential with the objects "challenge" and "payload"',
    ),
    (
        lambda: payment_wire.credential_from_authorization(
            packed({"challenge": ASKED.to_json(), "payload": {}, "source": 5})
        ),
        "malformed", 'expected "source" to be text',
    ),
    (
        lambda: payment_lightning.asked(replace(ASKED, method="pow")), "wrong_method",
        "expected lightning and charge, got 'pow' and 'charge'",
    ),
    (
        lambda: payment_lightning.asked(replace(ASKED, request="+")), "bad_base64",
        "expected a request in base64url, got other text",
    ),
    (
        lambda: payment_lightning.asked(requesting(amount=1)), "malformed",
        'expected an "amount" in digits, got 1',
    ),
    (
        lambda: payment_lightning.asked(requesting(currency="usd")), "malformed",
        "expected the \"currency\" sat, got 'usd'",
    ),
    (
        lambda: payment_lightning.asked(requesting(methodDetails=1)), "malformed",
        'expected "methodDetails" with an "invoice" in the request',
    ),
    (
        lambda: payment_lightning.asked(requesting(methodDetails={"invoice": "x", "network": 5})),
        "malformed", 'expected a "network" by its name, got 5',
    ),
    (
        lambda: payment_lightning.asked(
            requesting(methodDetails={"invoice": "x", "paymentHash": "5"})
        ),
        "malformed", 'expected "paymentHash" to be 64 lower-case hex digits, got others',
    ),
    (
        lambda: payment_lightning.preimage(PAID), "bad_preimage",
        'expected "preimage" to be 64 lower-case hex digits, got others',
    ),
    (
        lambda: payment_receipt.read_receipt(packed({"status": "x"})), "malformed",
        "expected the \"status\" success, got 'x'",
    ),
    (
        lambda: payment_receipt.read_receipt(packed({"status": "success"})), "malformed",
        'expected "reference" to be text, got None',
    ),
    (
        lambda: accept_payment.read_accept_payment("a"), "malformed",
        "expected ranges like lightning/charge;q=0.5, got 'a'",
    ),
    (
        lambda: moments.moment_of("now"), "malformed",
        "expected a moment like 2026-03-15T12:05:00Z (RFC 3339), got 'now'",
    ),
    (
        lambda: payment_headers.read_credential([(b"authorization", b"L402 \xe9")]), "malformed",
        "expected l402 and ASCII characters, got others",
    ),
    (
        lambda: payment_headers.read_credential(
            [(b"authorization", f"L402 bWFj:{HEX}".encode()),
             (b"authorization", f"L402 bWFk:{HEX}".encode())]
        ),
        "conflicting", "expected one payment, got 2 different ones; send one",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("attempt", "reason", "told"), REFUSALS, ids=[row[2] for row in REFUSALS])
def test_a_refusal_has_one_word_for_figures_and_one_line_for_people(
    attempt: Callable[[], object], reason: str, told: str
) -> None:
    with pytest.raises(WireError) as refused:
        attempt()
    assert (refused.value.reason, str(refused.value)) == (reason, told)
    assert reason in {*bolt11.Reason, *payment_reasons.Reason}


def test_every_word_for_a_refusal_is_used() -> None:
    used = {reason for _, reason, _ in REFUSALS}
    assert used == {*bolt11.Reason, *payment_reasons.Reason} - {bolt11.Reason.WRONG_SIGNATURE}


@pytest.mark.parametrize(
    ("attempt", "told"),
    [
        (
            lambda: payment_lightning.request(replace(INVOICE, amount_msat=1)),
            "expected an invoice of whole satoshis, got 1 msat",
        ),
        (
            lambda: bolt11._field("d", bytes(1024)),
            "expected a field of at most 639 bytes, got more in d",
        ),
        (
            lambda: moments.text_of(-1),
            "expected a moment before the year 10000, got -1",
        ),
        (lambda: canonical_json.dumps(b""), "expected a value of JSON, got b''"),
        (
            lambda: canonical_json.dumps(float("inf")),
            "expected a number that a double holds, got inf",
        ),
    ],
)
def test_who_asks_for_what_cannot_be_is_told(attempt: Callable[[], object], told: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        attempt()
    assert str(refused.value) == told


def test_the_longest_texts_are_still_read() -> None:
    assert len(auth_params.read_challenges("x" * auth_params.MAX_FIELD)) == 1
    padding = "x" * (l402_wire.MAX_CREDENTIAL - 65)
    assert l402_wire.credential_from_authorization(f"{padding[:-3]}:{HEX}").macaroons
    with pytest.raises(WireError, match="in base64"):
        l402_wire.credential_from_authorization(f"{padding}:{HEX}")
    macaroon = b"preimage=".ljust(l402_wire.MAX_CREDENTIAL, b"x").hex()
    assert l402_wire.credential_from_metadata(macaroon) is not None
    assert l402_wire.credential_from_metadata(f"{macaroon}00") is None
    document = {"a": "x" * (12288 - 8)}
    text = base64_json.dumps(document)
    assert len(text) == base64_json.MAX_TEXT
    assert base64_json.loads(f" {text[:-1]}"[1:] + text[-1], "it") == document
    ranges = ",".join(["a/b"] * 256) + ","
    assert len(ranges) == accept_payment.MAX_FIELD
    assert accept_payment.read_accept_payment(ranges).weights == {("a", "b"): 1000}
    assert bolt11._field("d", bytes(1023))[:3] == bytes((13, 31, 31))


def test_what_is_written_is_as_short_as_can_be() -> None:
    assert base64_json.dumps({"é": [1, 2]}) == base64_text.encode_url('{"é":[1,2]}'.encode())

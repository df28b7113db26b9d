# SPDX-License-Identifier: Apache-2.0
"""Invoices: the vectors of BOLT 11, round trips, and no altered invoice taken for what it was."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import invoice_readings as second
from pypow import bech32, bolt11, secp256k1
from pypow.bolt11 import Invoice, Network, Reason, decode, issue, require
from pypow.errors import InvalidInputError, PowError, WireError
from support import secp256k1_reference as curve

pytest.importorskip("coincurve", reason="signatures need the extra l402")

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "bolt11.json").read_text(encoding="utf-8")
)
SPEC_KEY = bytes.fromhex("e126f68f7eafcc8b74f54d269fe206be715000f94dac067d1c04a8ca3b2db734")
KEY, PREIMAGE, SECRET = bytes([7]) * 32, bytes([8]) * 32, bytes([9]) * 32
HASH = hashlib.sha256(PREIMAGE).digest()
NOW_S = 1_800_000_000


def by_name(kind: str) -> pytest.MarkDecorator:
    cases = VECTORS[kind]
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def issued(**changes: Any) -> Invoice:
    terms: dict[str, Any] = {
        "network": Network.REGTEST, "amount_msat": 21_000, "payment_hash": HASH,
        "payment_secret": SECRET, "description": "one call", "created_at_s": NOW_S,
    }  # fmt: skip
    return issue(KEY, **(terms | changes))


def required(invoice: Invoice | str, **changes: Any) -> Invoice:
    terms: dict[str, Any] = {
        "network": Network.REGTEST, "amount_msat": 21_000, "payment_hash": HASH,
        "now_ms": 1000 * NOW_S, "payee": secp256k1.public_key(KEY),
    }  # fmt: skip
    return require(invoice, **(terms | changes))


def said(invoice: Invoice) -> dict[str, Any]:
    """The fields of an invoice as the vectors write them."""
    fields = dataclasses.asdict(invoice)
    bits = enumerate(reversed(f"{invoice.features:b}"))
    fields["features"] = [bit for bit, one in bits if one == "1"]
    return {name: one.hex() if isinstance(one, bytes) else one for name, one in fields.items()}


def read_again(text: str) -> dict[str, Any] | None:
    """What the second reading finds."""
    found = second.invoice(text)
    return None if found is None else vars(found) | {"text": text.lower()}


def with_checksum(prefix: str, data: str) -> str:
    groups = bytes(map(second.CHARACTERS.index, data))
    return bech32.encode(prefix, groups)


def with_field(invoice: Invoice, letter: str, value: str) -> str:
    """The invoice with one field more, before its signature, which no longer fits."""
    prefix, _, data = invoice.text.rpartition("1")
    size = second.CHARACTERS[len(value) >> 5] + second.CHARACTERS[len(value) & 31]
    return with_checksum(prefix, f"{data[:-110]}{letter}{size}{value}{data[-110:-6]}")


@by_name("valid")
def test_what_the_standard_holds_valid_says_what_it_does(case: dict[str, Any]) -> None:
    invoice = decode(case["invoice"])
    assert said(invoice) == case["says"] | {"text": case["invoice"].lower()}
    assert dataclasses.asdict(invoice) == read_again(case["invoice"])


@by_name("invalid")
def test_what_the_standard_holds_invalid_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(WireError) as refused:
        decode(case["invoice"])
    assert refused.value.reason == Reason(case["reason"])
    assert second.invoice(case["invoice"]) is None


@by_name("others")
def test_invoices_of_nodes_say_what_was_asked_of_these(case: dict[str, Any]) -> None:
    found = said(decode(case["invoice"]))
    assert {name: found[name] for name in case["says"]} == case["says"]


@pytest.mark.parametrize("case", VECTORS["valid"][:4], ids=lambda case: case["name"])
def test_the_same_words_and_key_make_the_standards_own_text(case: dict[str, Any]) -> None:
    says = case["says"]
    description = says["description"] or bytes.fromhex(says["description_hash"])
    invoice = issue(
        SPEC_KEY,
        network=Network.MAINNET,
        amount_msat=says["amount_msat"],
        payment_hash=bytes.fromhex(says["payment_hash"]),
        payment_secret=bytes.fromhex(says["payment_secret"]),
        description=description,
        created_at_s=says["created_at_s"],
        expiry_s=says["expiry_s"],
    )
    assert invoice.text == case["invoice"]


@settings(max_examples=40)
@given(
    network=st.sampled_from(Network),
    amount_msat=st.none() | st.integers(1, bolt11.MAX_MSAT) | st.integers(1, 10**6),
    payment_hash=st.binary(min_size=32, max_size=32),
    description=st.text(max_size=150) | st.binary(min_size=32, max_size=32),
    created_at_s=st.integers(0, 2**35 - 1),
    expiry_s=st.integers(0, 2**60 - 1) | st.just(3600),
    min_final_cltv=st.integers(0, 2**60 - 1) | st.just(18),
    features=st.sampled_from([0, 1 << 8 | 1 << 14, 1 << 14 | 1 << 99 | 1 << 201]),
    metadata=st.none() | st.binary(max_size=60),
    names_payee=st.booleans(),
)
def test_what_is_issued_is_read_again(names_payee: bool, **terms: Any) -> None:
    invoice = issued(**terms, names_payee=names_payee)
    description = terms.pop("description")
    hashed = isinstance(description, bytes)
    told = terms | {
        "description": None if hashed else description,
        "description_hash": description if hashed else None,
        "payment_secret": SECRET,
        "payee": curve.public_key(KEY),
        "text": invoice.text,
    }
    assert dataclasses.asdict(invoice) == told == read_again(invoice.text)
    assert decode(invoice.text.upper()) == invoice


def one_character_changed(text: str) -> Iterator[str]:
    for place, there in enumerate(text):
        for other in "qpzry9x8gf2tvdw0s3jn54khce6mua7l1bio-\N{KELVIN SIGN}":
            if other != there:
                yield text[:place] + other + text[place + 1 :]
        yield text[:place] + there.swapcase() + text[place + 1 :] if there.isalpha() else text[1:]
        yield text[:place] + text[place + 1 :]
        yield text[:place] + there + text[place:]


def one_bit_changed(text: str) -> Iterator[str]:
    """As somebody does who makes the checksum anew."""
    prefix, _, data = text.rpartition("1")
    for place, there in enumerate(data[:-6]):
        for bit in range(5):
            other = second.CHARACTERS[second.CHARACTERS.index(there) ^ 1 << bit]
            yield with_checksum(prefix, data[:place] + other + data[place + 1 : -6])
    for other in ("lnbcrt220n", "lnbcrt210u", "lnbc210n", "lnbcrt"):
        yield with_checksum(other, data[:-6])


def taken_for(invoice: Invoice, altered: Iterator[str]) -> list[str]:
    """What an altered text says that is taken for the invoice; nothing where it says the same."""
    taken = []
    for text in altered:
        try:
            found = required(text)
        except WireError:
            continue
        taken += [text] if dataclasses.replace(found, text=invoice.text) != invoice else []
    return taken


def test_every_change_of_one_character_is_refused() -> None:
    for invoice in (issued(), issued(names_payee=True)):
        for text in one_character_changed(invoice.text):
            with pytest.raises(WireError):
                decode(text)


@pytest.mark.parametrize("names_payee", [False, True])
def test_no_alteration_with_a_right_checksum_is_taken_for_the_invoice(names_payee: bool) -> None:
    invoice = issued(names_payee=names_payee)
    assert taken_for(invoice, one_bit_changed(invoice.text)) == []


WRONG_TWINS: dict[str, tuple[object, str, Callable[..., object]]] = {
    "checks no signature of a named payee": (secp256k1, "is_signed_by", lambda *_: True),
    "takes every signer for the payee": (
        secp256k1, "signer", lambda *_: secp256k1.public_key(KEY),
    ),
    "signs nothing but the prefix": (
        bolt11, "_digest", lambda prefix, said: hashlib.sha256(prefix.encode()).digest(),
    ),
    "signs nothing but the fields": (
        bolt11, "_digest", lambda prefix, said: hashlib.sha256(said[:-6]).digest(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("twin", WRONG_TWINS)
def test_a_reader_that_takes_alterations_is_found_out(
    twin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*WRONG_TWINS[twin])
    found: list[str] = []
    for names_payee in (False, True):
        invoice = issued(names_payee=names_payee)
        found += taken_for(invoice, one_bit_changed(invoice.text))
    assert found != []


def test_bech32_texts_that_one_letter_more_leaves_valid_are_refused() -> None:
    ends_in_p = (issued(created_at_s=NOW_S + after).text for after in range(1000))
    text = next(text for text in ends_in_p if text.endswith("p"))
    longer = f"{text[:-1]}qp"
    assert bech32.decode(longer)[0] == "lnbcrt210n"
    with pytest.raises(WireError, match="whole fields"):
        decode(longer)


def test_a_letter_beyond_ascii_is_no_letter() -> None:
    text = issued().text.upper()
    assert "K" in text
    with pytest.raises(WireError, match="bech32"):
        decode(text.replace("K", "\N{KELVIN SIGN}"))


def test_the_invoice_that_was_asked_for_is_taken() -> None:
    invoice = issued()
    assert required(invoice) is invoice
    assert required(invoice.text) == invoice
    assert required(invoice, payee=None, network="regtest") is invoice


@pytest.mark.parametrize(
    ("terms", "asked", "reason"),
    [
        ({"network": Network.MAINNET}, {}, Reason.WRONG_NETWORK),
        ({"network": Network.TESTNET}, {"network": Network.SIGNET}, Reason.WRONG_NETWORK),
        ({"amount_msat": None}, {}, Reason.NO_AMOUNT),
        ({"amount_msat": 21_001}, {}, Reason.WRONG_AMOUNT),
        ({}, {"amount_msat": 20_999}, Reason.WRONG_AMOUNT),
        ({"payment_hash": PREIMAGE}, {}, Reason.WRONG_HASH),
        ({}, {"payee": secp256k1.public_key(SPEC_KEY)}, Reason.WRONG_PAYEE),
        ({"features": 1 << 14 | 1 << 31}, {}, Reason.NOT_ONE_PAYMENT),
        ({"created_at_s": NOW_S - 3600}, {}, Reason.EXPIRED),
        ({"expiry_s": 60}, {"now_ms": 1000 * NOW_S + 60_000}, Reason.EXPIRED),
    ],
)
def test_another_invoice_is_refused_by_name(
    terms: dict[str, Any], asked: dict[str, Any], reason: Reason
) -> None:
    with pytest.raises(WireError) as refused:
        required(issued(**terms), **asked)
    assert refused.value.reason == reason
    assert str(refused.value).startswith("expected an invoice")


def test_an_invoice_is_good_up_to_its_last_millisecond() -> None:
    assert required(issued(expiry_s=60), now_ms=1000 * NOW_S + 59_999)


@pytest.mark.parametrize("amount", [0, -1, None, 1.5, True, bolt11.MAX_MSAT + 1])
def test_no_amount_and_no_sensible_amount_can_be_required(amount: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^amount_msat: "):
        required(issued(), amount_msat=amount)


def test_the_least_and_the_most_can_be_required() -> None:
    for amount in (1, bolt11.MAX_MSAT):
        assert required(issued(amount_msat=amount), amount_msat=amount).amount_msat == amount


@pytest.mark.parametrize(
    ("letter", "value", "said"),
    [
        ("p", "q" * 52, "one field p"),
        ("s", "q" * 52, "one field s"),
        ("x", "qp", "without leading zeros in x"),
        ("c", "pqqqqqqqqqqqq", "up to 60 bits"),
        ("h", "q" * 52, "not both"),
        ("n", "q" * 53, "payee signed"),
        ("n", "q" * 52 + "p", "padded with the fewest zeros"),
        ("m", "qp", "padded with the fewest zeros"),
        ("m", "q", "padded with the fewest zeros"),
    ],
)
def test_a_field_that_two_readers_could_read_differently_is_refused(
    letter: str, value: str, said: str
) -> None:
    text = with_field(issued(), letter, value)
    with pytest.raises(WireError, match=said):
        decode(text)
    assert second.invoice(text) is None


def test_features_without_a_number_of_their_own_are_refused() -> None:
    with pytest.raises(WireError, match="features without leading zeros"):
        decode(with_field(issued(features=0), "9", "qp"))


def test_a_description_is_text() -> None:
    prefix, _, data = issued(description="ab").text.rpartition("1")
    letters = "".join(second.CHARACTERS[group] for group in bech32.of_octets(b"ab"))
    broken = "".join(second.CHARACTERS[group] for group in bech32.of_octets(b"\xff\xfe"))
    assert letters in data
    with pytest.raises(WireError, match="UTF-8"):
        decode(with_checksum(prefix, data[:-6].replace(letters, broken)))


@pytest.mark.parametrize("cut", [1, 2, 3, 30])
def test_an_invoice_that_ends_within_a_field_is_refused(cut: int) -> None:
    prefix, _, data = issued().text.rpartition("1")
    with pytest.raises(WireError, match="whole fields"):
        decode(with_checksum(prefix, data[: -110 - cut] + data[-110:-6]))


@pytest.mark.parametrize(
    "prefix",
    ["lnbcrt0n", "lnbcrt021n", "lnbcrt2x", "lnbcrt21nn", "lnxx21n", "bcrt21n", "lnbcrtn",
     "lnbcrt1p", "lnbcrt21000001", "lnbcrt99999999999999999999n", "lnBCRT", "ln"],
)  # fmt: skip
def test_a_prefix_of_no_network_or_amount_is_refused(prefix: str) -> None:
    data = issued().text.rpartition("1")[2]
    with pytest.raises(WireError):
        decode(with_checksum(prefix, data[:-6]))


@pytest.mark.parametrize(
    "amount",
    [1, 9, 10, 1000, 99_990, 10**8, 10**11, 3 * 10**12, bolt11.MAX_MSAT - 1, bolt11.MAX_MSAT],
)
def test_an_amount_is_written_as_short_as_can_be(amount: int) -> None:
    prefix = issued(amount_msat=amount).text.rpartition("1")[0]
    texts = [f"{amount * 10 // size}{unit}" for unit, size in bolt11._UNITS.items()
             if amount * 10 % size == 0]  # fmt: skip
    assert prefix == f"lnbcrt{min(texts, key=len)}"


def test_a_high_s_is_taken_for_another_payee_and_with_a_named_one_for_nobody() -> None:
    for names_payee in (False, True):
        prefix, _, data = issued(names_payee=names_payee).text.rpartition("1")
        groups = bytes(map(second.CHARACTERS.index, data[-110:-6]))
        octets = bech32.to_octets(groups)
        high = curve.ORDER - int.from_bytes(octets[32:64])
        other = bech32.of_octets(octets[:32] + high.to_bytes(32) + bytes([octets[64] ^ 1]))
        signature = "".join(second.CHARACTERS[group] for group in other)
        text = with_checksum(prefix, data[:-110] + signature)
        if names_payee:
            with pytest.raises(WireError, match="payee signed"):
                decode(text)
        else:
            assert decode(text).payee == secp256k1.public_key(KEY)


def test_signers_are_found_as_the_equations_say() -> None:
    for number in range(8):
        digest = hashlib.sha256(bytes([number])).digest()
        signature = secp256k1.sign(digest, KEY)
        for which in range(5):
            changed = signature[:64] + bytes([which])
            assert secp256k1.signer(digest, changed) == curve.signer(digest, changed)
    assert secp256k1.public_key(KEY) == curve.public_key(KEY)


@pytest.mark.parametrize("secret", [b"", bytes(32), bytes(31), curve.ORDER.to_bytes(32), b"x" * 33])
def test_what_is_no_private_key_signs_nothing(secret: bytes) -> None:
    with pytest.raises(InvalidInputError, match="private key"):
        issue(
            secret, network=Network.REGTEST, amount_msat=1, payment_hash=HASH,
            payment_secret=SECRET, description="", created_at_s=NOW_S,
        )  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_msat": 0}, {"created_at_s": -1}, {"created_at_s": 2**35}, {"expiry_s": 2**60},
        {"min_final_cltv": -1}, {"features": -1}, {"features": 1 << 100}, {"metadata": bytes(640)},
        {"description": "x" * 640}, {"payment_hash": bytes(31)}, {"payment_secret": b""},
        {"description": bytes(33)},
    ],
    ids=str,
)  # fmt: skip
def test_no_invoice_is_issued_that_cannot_be_read(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        issued(**changes)


def test_a_text_that_is_too_long_is_not_read() -> None:
    with pytest.raises(WireError, match="at most 7089 characters, got 100000"):
        decode("lnbc1" + "q" * 99_995)


def test_without_its_library_an_invoice_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = issued().text
    monkeypatch.setitem(sys.modules, "coincurve", None)
    with pytest.raises(PowError, match=r"pip install 'pypow-engine\[l402\]'"):
        decode(text)


def test_the_library_is_loaded_when_a_signature_is_looked_at() -> None:
    program = "import sys, pypow, pypow.bolt11; assert 'coincurve' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)

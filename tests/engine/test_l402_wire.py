# SPDX-License-Identifier: Apache-2.0
"""L402's header texts: one form out that all clients read, all their forms in."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import Key, Keyring, base64_text, l402
from pypow.errors import WireError
from pypow.l402_wire import (
    MAX_CREDENTIAL,
    L402Challenge,
    L402Credential,
    credential_from_authorization,
    credential_from_metadata,
    read_l402_challenges,
)

SENT: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "l402_headers.json").read_text(encoding="utf-8")
)
OURS = SENT["ours"]
MACAROON = base64.b64decode(OURS["macaroon"])
PREIMAGE = bytes.fromhex(OURS["preimage"])
CREDENTIAL = L402Credential((MACAROON,), PREIMAGE)
TEXT = OURS["authorization"].removeprefix("L402 ")
OFFER = L402Challenge.of(MACAROON, OURS["invoice"])


def test_a_challenge_is_written_in_the_form_and_order_that_all_clients_read() -> None:
    macaroon, invoice = OURS["macaroon"], OURS["invoice"]
    assert OFFER.www_authenticate() == (
        f'L402 macaroon="{macaroon}", invoice="{invoice}", version="0", token="{macaroon}"'
    )
    assert OFFER.lsat_www_authenticate() == f'LSAT macaroon="{macaroon}", invoice="{invoice}"'


@pytest.mark.parametrize(
    "pattern",
    [
        # What clients look for: aperture's own, l402-requests, npm l402, the written standard.
        r'(?:LSAT|L402) macaroon="(?P<token>.*?)", invoice="(?P<invoice>.*?)"',
        r'(?:L402|LSAT)\s+macaroon="(?P<token>[^"]+)"\s*,\s*invoice="(?P<invoice>[^"]+)"',
        r'^(?:LSAT|L402) .*?macaroon="(?P<token>[^"]*)".*?invoice="(?P<invoice>[^"]*)"',
        r'^L402 .*?version="0".*(?P<token>(?<=token=").*?)"',
    ],
)
def test_a_challenge_is_found_by_the_patterns_of_clients(pattern: str) -> None:
    match = re.search(pattern, OFFER.www_authenticate())
    assert match is not None
    assert match["token"] == OURS["macaroon"]
    assert match.groupdict().get("invoice", OURS["invoice"]) == OURS["invoice"]


M, I = "bWFj", "lnbc10n1x"  # noqa: E741 - as the standard calls them


@pytest.mark.parametrize(
    "values",
    [
        [f'LSAT macaroon="{M}", invoice="{I}"'],
        [f'LSAT macaroon="{M}", invoice="{I}"', f'L402 macaroon="{M}", invoice="{I}"'],
        [f'L402 version="0", token="{M}", invoice="{I}"'],
        [f'L402 version="0" token="{M}", invoice="{I}"'],
        [f'l402 Token="{M}",INVOICE = "{I}",unknown=1'],
        [f"L402 macaroon={M} invoice={I}"],
        [f'Bearer realm="x", L402 macaroon="{M}", invoice="{I}", PoW challenge="x"'],
        ["Negotiate", 'Basic realm="unfinished', f'L402 macaroon="{M}", invoice="{I}"'],
        [f'Negotiate YWJj==, L402 macaroon="{M}", invoice="{I}", token="{M}"'],
    ],
)
def test_challenges_of_other_servers_are_read(values: list[str]) -> None:
    assert read_l402_challenges(values) == (L402Challenge(M, I),)


@pytest.mark.parametrize(
    "value",
    [
        f'L402 invoice="{I}"', f'L402 macaroon="{M}"', f'L402 macaroon="", invoice="{I}"',
        f'L402 macaroon="{M}", token="b3RoZXI=", invoice="{I}"', f'Payment macaroon="{M}"', "",
        "L402", f'L402 macaroon="{M}", invoice="' + "x" * 20_000 + '"',
        'L402 macaroon="a\nb", invoice="c"',
    ],
)  # fmt: skip
def test_no_half_a_challenge_is_an_offer(value: str) -> None:
    assert read_l402_challenges([value]) == ()


def test_an_offer_that_a_gateway_made_is_read_and_paid() -> None:
    case = SENT["challenge_of_aperture"]
    (offer,) = read_l402_challenges([case["header"]])
    preimage = bytes.fromhex(case["preimage"])
    paid = credential_from_authorization(offer.authorization(preimage).removeprefix("L402 "))
    assert hashlib.sha256(preimage).hexdigest() == case["payment_hash"]
    assert paid == L402Credential((base64.b64decode(offer.token),), preimage)


@given(macaroon=st.binary(min_size=1, max_size=200), preimage=st.binary(min_size=32, max_size=32))
def test_what_is_asked_for_comes_back(macaroon: bytes, preimage: bytes) -> None:
    offer = L402Challenge.of(macaroon, OURS["invoice"])
    assert read_l402_challenges([offer.www_authenticate()]) == (offer,)
    assert read_l402_challenges([offer.lsat_www_authenticate()]) == (offer,)
    scheme, _, parameters = offer.authorization(preimage).partition(" ")
    assert scheme == "L402"
    assert credential_from_authorization(parameters) == L402Credential((macaroon,), preimage)


def test_what_comes_back_is_what_the_check_takes_in_every_form() -> None:
    key = Key(id=1, secret=bytes(32))
    terms = l402.Terms("pypow", valid_until_s=2_000_000_000)
    payment_hash = hashlib.sha256(PREIMAGE).digest()
    issued = l402.issue(key, terms, payment_hash=payment_hash, identity=bytes(30))
    paid = issued.narrowed(b"preimage=" + PREIMAGE.hex().encode())
    in_json = base64_text.encode_url(issued.json.encode())
    for credential in (
        credential_from_authorization(f"{issued.text}:{PREIMAGE.hex()}"),
        credential_from_authorization(f"{issued.json}:{PREIMAGE.hex()}"),
        credential_from_authorization(f"{in_json}:{PREIMAGE.hex().upper()}"),
        credential_from_metadata(paid.hex),
    ):
        assert credential is not None
        (macaroon,), preimage = credential.macaroons, credential.preimage or b""
        checked = l402.check(macaroon, preimage, Keyring([key]), l402.Expected("pypow"), now_s=0)
        assert isinstance(checked, l402.Checked), checked
        assert checked.payment_hash == payment_hash


def test_a_paid_token_of_a_live_gateway_is_read() -> None:
    for case in SENT["tokens"]:
        text = f"{case['macaroon']}:{case['preimage']}"
        credential = credential_from_authorization(text)
        assert credential.preimage is not None
        assert hashlib.sha256(credential.preimage).hexdigest() == case["payment_hash"]


URL_SAFE = base64_text.encode_url(MACAROON)


@pytest.mark.parametrize(
    "text",
    [
        TEXT, TEXT.replace("=:", ":"), f"{URL_SAFE}:{PREIMAGE.hex()}",
        f"  {TEXT.replace(':', ' : ')}\t",
        f"{URL_SAFE}{'=' * (-len(URL_SAFE) % 4)}:{PREIMAGE.hex()}",
        f"{OURS['macaroon']}:{PREIMAGE.hex().upper()}",
    ],
)  # fmt: skip
def test_a_credential_is_read_in_every_form_that_clients_send(text: str) -> None:
    assert credential_from_authorization(text) == CREDENTIAL


def test_several_macaroons_and_one_in_json_are_read() -> None:
    two = credential_from_authorization(f"{OURS['macaroon']}, bWFj:{PREIMAGE.hex()}")
    assert two == L402Credential((MACAROON, b"mac"), PREIMAGE)
    four = credential_from_authorization(f"bWFj,bWFj ,\tbWFj,bWFj:{PREIMAGE.hex()}")
    assert four.macaroons == (b"mac",) * 4
    text = SENT["json_macaroon"]["text"]
    bare = credential_from_authorization(f"{text}:{PREIMAGE.hex()}")
    packed = base64_text.encode(text.encode())
    assert bare == credential_from_authorization(f"{packed}:{PREIMAGE.hex()}")
    assert bare.macaroons == (text.encode(),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "malformed"),
        (OURS["macaroon"], "malformed"),
        (f"{OURS['macaroon']}:", "bad_preimage"),
        (f"{OURS['macaroon']}:{'0' * 63}", "bad_preimage"),
        (f"{OURS['macaroon']}:{'0' * 65}", "bad_preimage"),
        (f"{OURS['macaroon']}:{'g' * 64}", "bad_preimage"),
        ("bWFj:" + "\N{FULLWIDTH DIGIT ONE}" * 64, "bad_preimage"),
        (f":{'0' * 64}", "bad_macaroon"),
        (f"a:{'0' * 64}", "bad_macaroon"),
        (f"YR==:{'0' * 64}", "bad_macaroon"),
        (f"YQ=:{'0' * 64}", "bad_macaroon"),
        (f"YQ===:{'0' * 64}", "bad_macaroon"),
        (f"YW\nJj:{'0' * 64}", "bad_macaroon"),
        (f"bWFj,:{'0' * 64}", "bad_macaroon"),
        (f"bWFj,bWFj,bWFj,bWFj,bWFj:{'0' * 64}", "bad_macaroon"),
        (f"bWFj:{'0' * 64}:{'0' * 64}", "bad_macaroon"),
        (f"{{é}}:{'0' * 64}", "bad_macaroon"),
        ("x" * (MAX_CREDENTIAL + 1), "too_long"),
    ],
)
def test_anything_else_is_refused_by_name_and_never_quoted(text: str, reason: str) -> None:
    with pytest.raises(WireError) as refused:
        credential_from_authorization(text)
    assert refused.value.reason == reason
    assert "0000" not in str(refused.value)
    assert "bWFj" not in str(refused.value)


def test_a_credential_shows_nothing_of_itself() -> None:
    assert repr(CREDENTIAL) == "L402Credential()"


def test_a_macaroon_header_is_read_where_a_caveat_holds_the_preimage() -> None:
    text = OURS["grpc_metadata_macaroon"]
    expected = L402Credential((bytes.fromhex(text),), None)
    for sent in (text, f" {text.upper()} "):
        assert credential_from_metadata(sent) == expected


@pytest.mark.parametrize(
    "text",
    ["", MACAROON.hex(), "abc", "xyz", OURS["macaroon"], "00" * MAX_CREDENTIAL + "0000", "é"],
)
def test_a_macaroon_header_of_somebody_else_is_nothing_of_ours(text: str) -> None:
    assert credential_from_metadata(text) is None

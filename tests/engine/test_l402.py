# SPDX-License-Identifier: Apache-2.0
"""L402 credentials: what is issued stands, and whatever differs is refused by name."""

import base64
import binascii
import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import l402, macaroon
from pypow._native import ffi
from pypow.challenge import Key, Keyring
from pypow.errors import InvalidInputError
from pypow.l402 import Checked, Expected, Outcome, Reason, Refusal, Terms, check, issue
from support import macaroon_reference
from support.macaroon_cases import (
    BODY,
    CALL,
    CASES,
    HOLDER,
    KEY,
    KEYRING,
    NOW_S,
    OTHER_KEY,
    PAYMENT_HASH,
    PLAIN,
    PREIMAGE,
    SECRETS,
    TERMS,
    WHOLE,
    Case,
    any_case,
    expected,
    signed,
)
from support.macaroon_reference import Call

Check = Callable[..., Outcome]
EXPECTED = expected(CALL)


def reason_of(outcome: Outcome) -> str | None:
    return outcome.reason.value if isinstance(outcome, Refusal) else None


@functools.cache
def right(case: Case) -> str | None:
    return macaroon_reference.judge(case.text, case.preimage, SECRETS, case.call, case.now_s)


def mistakes(check_one: Check) -> Iterator[Case]:
    demands: dict[Call, Expected] = {}
    for case in CASES:
        demand = demands.setdefault(case.call, expected(case.call))
        outcome = check_one(case.text, case.preimage, KEYRING, demand, now_s=case.now_s)
        if reason_of(outcome) != right(case):
            yield case


def test_the_check_finds_what_the_description_says() -> None:
    assert [*mistakes(check)] == []


def test_the_cases_have_every_reason() -> None:
    assert {right(case) for case in CASES} == {*map(str, Reason), None}


@given(any_case())
def test_any_credential_is_judged_as_the_description_says(case: Case) -> None:
    outcome = check(case.text, case.preimage, KEYRING, expected(case.call), now_s=case.now_s)
    assert reason_of(outcome) == right(case)


def a_second_early(*given: Any, now_s: int) -> Outcome:
    return check(*given, now_s=max(now_s, 1 - 2**63) - 1)


def a_second_late(*given: Any, now_s: int) -> Outcome:
    return check(*given, now_s=min(now_s, 2**63 - 2) + 1)


def knows_one_key(text: str, preimage: str, keyring: Keyring, *given: Any, now_s: int) -> Outcome:
    return check(text, preimage, Keyring([OTHER_KEY]), *given, now_s=now_s)


def takes_any_preimage(text: str, preimage: str, *given: Any, now_s: int) -> Outcome:
    return check(text, PREIMAGE.hex(), *given, now_s=now_s)


def takes_any_holder(
    text: str, preimage: str, keyring: Keyring, demand: Expected, **more: Any
) -> Outcome:
    return check(text, preimage, keyring, replace(demand, holder=HOLDER), **more)


def ignores_the_path(
    text: str, preimage: str, keyring: Keyring, demand: Expected, **more: Any
) -> Outcome:
    host = demand.audience.partition("/")[0]
    return check(text, preimage, keyring, replace(demand, audience=host), **more)


def signs_again(text: str, *given: Any, now_s: int) -> Outcome:
    """Trusts whatever the macaroon says."""
    try:
        read = macaroon.decode(text)
        text = signed(read.caveats, read.identifier).text
    except (InvalidInputError, KeyError):
        pass
    return check(text, *given, now_s=now_s)


def forgets_what_it_does_not_know(text: str, *given: Any, now_s: int) -> Outcome:
    outcome = check(text, *given, now_s=now_s)
    if reason_of(outcome) != Reason.UNKNOWN_CAVEAT:
        return outcome
    read = macaroon.decode(text)
    known = [one for one in read.caveats if one.startswith((b"services=", b"pypow_valid_until="))]
    return check(signed(known, read.identifier).text, *given, now_s=now_s)


def lets_the_last_decide(text: str, *given: Any, now_s: int) -> Outcome:
    outcome = check(text, *given, now_s=now_s)
    if reason_of(outcome) != Reason.WIDENED:
        return outcome
    read = macaroon.decode(text)
    last = {caveat.partition(b"=")[0]: caveat for caveat in read.caveats}
    return check(signed([*last.values()], read.identifier).text, *given, now_s=now_s)


@pytest.mark.parametrize(
    "wrong",
    [
        a_second_early, a_second_late, knows_one_key, takes_any_preimage, takes_any_holder,
        ignores_the_path, signs_again, forgets_what_it_does_not_know, lets_the_last_decide,
    ],
)  # fmt: skip
def test_the_comparison_catches_a_wrong_check(wrong: Check) -> None:
    assert next(mistakes(wrong), None) is not None


@pytest.mark.parametrize("whole", [WHOLE, PLAIN], ids=["whole", "plain"])
def test_every_flipped_bit_of_a_macaroon_is_refused(whole: macaroon.Macaroon) -> None:
    assert isinstance(check(whole.text, PREIMAGE.hex(), KEYRING, EXPECTED, now_s=NOW_S), Checked)
    text_in_base64, text_in_hex = whole.text, whole.hex
    for text in (text_in_base64, text_in_hex):
        for at in range(len(text)):
            for bit in range(8):
                flipped = chr(ord(text[at]) ^ 1 << bit)
                outcome = check(
                    text[:at] + flipped + text[at + 1 :],
                    PREIMAGE.hex(),
                    KEYRING,
                    EXPECTED,
                    now_s=NOW_S,
                )
                same = text is text_in_hex and flipped.lower() == text[at]
                assert isinstance(outcome, Checked) == same


def test_every_flipped_bit_of_a_preimage_is_refused() -> None:
    for at in range(256):
        flipped = (int.from_bytes(PREIMAGE) ^ 1 << at).to_bytes(32).hex()
        outcome = check(PLAIN.text, flipped, KEYRING, EXPECTED, now_s=NOW_S)
        assert reason_of(outcome) == Reason.WRONG_PREIMAGE


def test_a_credential_that_stands_says_what_it_is_good_for() -> None:
    assert check(WHOLE.text, PREIMAGE.hex(), KEYRING, EXPECTED, now_s=NOW_S) == Checked(
        payment_hash=PAYMENT_HASH,
        token_id=KEY.id.to_bytes(2) + bytes(30),
        valid_until_s=NOW_S + 600,
        uses=20,
        tier=3,
    )
    plain = check(PLAIN.text, PREIMAGE.hex(), KEYRING, EXPECTED, now_s=NOW_S)
    assert plain == Checked(PAYMENT_HASH, PLAIN.identifier[34:], NOW_S + 1, None, 0)
    narrowed = WHOLE.narrowed(b"pypow_uses=3", b"services=pypow:1", b"pypow_valid_until=1800000001")
    checked = check(narrowed.text, PREIMAGE.hex(), KEYRING, EXPECTED, now_s=NOW_S)
    assert checked == Checked(PAYMENT_HASH, WHOLE.identifier[34:], NOW_S + 1, 3, 1)


def test_octets_are_judged_as_their_text_is() -> None:
    for case in CASES[::7]:
        with contextlib.suppress(binascii.Error):
            octets = base64.b64decode(case.text, validate=True)
            found = check(octets, PREIMAGE, KEYRING, EXPECTED, now_s=NOW_S)
            right = macaroon_reference.judge(octets, PREIMAGE.hex(), SECRETS, CALL, NOW_S)
            assert reason_of(found) == right
    for preimage in (b"", PREIMAGE[:-1], bytes(32), PREIMAGE + b"0"):
        outcome = check(PLAIN.octets, preimage, KEYRING, EXPECTED, now_s=NOW_S)
        assert reason_of(outcome) == Reason.WRONG_PREIMAGE


def test_a_credential_in_json_is_as_good_as_in_binary() -> None:
    in_base64 = base64.urlsafe_b64encode(WHOLE.json.encode()).decode().rstrip("=")
    for text in (WHOLE.json, in_base64):
        assert isinstance(check(text, PREIMAGE.hex(), KEYRING, EXPECTED, now_s=NOW_S), Checked)
    wrong = WHOLE.json.replace("pypow:3", "pypow:4")
    outcome = check(wrong, PREIMAGE.hex(), KEYRING, EXPECTED, now_s=NOW_S)
    assert reason_of(outcome) == Reason.BAD_MAC
    octets = WHOLE.json.encode()
    assert isinstance(check(octets, PREIMAGE, KEYRING, EXPECTED, now_s=NOW_S), Checked)
    outcome = check(b"{", PREIMAGE, KEYRING, EXPECTED, now_s=NOW_S)
    assert reason_of(outcome) == Reason.MALFORMED
    outcome = check("{}", PREIMAGE.hex(), KEYRING, EXPECTED, now_s=NOW_S)
    assert outcome == Refusal(Reason.MALFORMED, 'expected a macaroon as a JSON object with "v": 2')


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    """Any that a macaroon has room for."""
    name = st.text("abcxyz019_.-", min_size=1, max_size=12)
    capabilities = st.none() | st.lists(name, max_size=4).map(tuple)
    return Terms(
        service=draw(name),
        valid_until_s=draw(st.integers(1, l402.MAX_VALID_UNTIL_S)),
        tier=draw(st.integers(0, 255)),
        capabilities=draw(capabilities),
        uses=draw(st.none() | st.integers(1, l402.MAX_USES)),
        audience=draw(st.text(max_size=30)),
        tool=draw(st.text(max_size=30)),
        body=draw(st.sampled_from([b"", BODY])),
        holder=draw(st.sampled_from(["", HOLDER])),
    )


@given(terms(), st.binary(min_size=32, max_size=32), st.binary(min_size=30, max_size=30))
def test_what_is_issued_stands_for_just_the_call_that_it_names(
    given_terms: Terms, preimage: bytes, identity: bytes
) -> None:
    payment_hash = hashlib.sha256(preimage).digest()
    made = issue(KEY, given_terms, payment_hash=payment_hash, identity=identity)
    capability = (given_terms.capabilities or ("",))[0]
    demand = Expected(
        given_terms.service, capability, given_terms.audience, given_terms.tool,
        given_terms.body, given_terms.holder,
    )  # fmt: skip
    outcome = check(made.text, preimage.hex(), KEYRING, demand, now_s=given_terms.valid_until_s - 1)
    if given_terms.capabilities == ():
        assert reason_of(outcome) == Reason.WRONG_CAPABILITY
    else:
        assert outcome == Checked(
            payment_hash,
            made.identifier[34:],
            given_terms.valid_until_s,
            given_terms.uses,
            given_terms.tier,
        )


def test_whoever_is_sold_one_call_cannot_make_more_of_it() -> None:
    sold = issue(
        KEY, Terms("pypow", NOW_S + 1), payment_hash=PAYMENT_HASH, identity=bytes(range(30))
    )
    checked = check(sold.text, PREIMAGE, KEYRING, EXPECTED, now_s=NOW_S)
    assert isinstance(checked, Checked)
    assert checked.uses == 1
    more = sold.narrowed(b"pypow_uses=2")
    outcome = check(more.text, PREIMAGE, KEYRING, EXPECTED, now_s=NOW_S)
    assert reason_of(outcome) == Reason.WIDENED


def test_old_keys_verify_what_they_issued_and_a_key_that_is_gone_verifies_nothing() -> None:
    fresh = Key(id=7, secret=b"f" * 32)
    rotated = Keyring([fresh, *(KEY, OTHER_KEY)])
    assert isinstance(check(WHOLE.text, PREIMAGE.hex(), rotated, EXPECTED, now_s=NOW_S), Checked)
    outcome = check(WHOLE.text, PREIMAGE.hex(), Keyring([fresh]), EXPECTED, now_s=NOW_S)
    assert reason_of(outcome) == Reason.UNKNOWN_KEY
    same_id = Keyring([Key(id=KEY.id, secret=b"f" * 32)])
    outcome = check(WHOLE.text, PREIMAGE.hex(), same_id, EXPECTED, now_s=NOW_S)
    assert reason_of(outcome) == Reason.BAD_MAC


def test_tokens_of_other_issuers_are_refused_however_well_they_were_paid_for() -> None:
    foreign = macaroon.mint(b"their root key", PLAIN.identifier, PLAIN.caveats)
    outcome = check(foreign.text, PREIMAGE.hex(), KEYRING, EXPECTED, now_s=NOW_S)
    assert reason_of(outcome) == Reason.BAD_MAC
    other = macaroon.mint(b"their root key", b"their identifier", location="https://mybank")
    outcome = check(other.text, PREIMAGE.hex(), KEYRING, EXPECTED, now_s=NOW_S)
    assert reason_of(outcome) == Reason.FOREIGN


def test_every_reason_has_its_number_and_its_words() -> None:
    numbers = ffi.typeof("enum pypow_macaroon_reason").relements
    named = {f"PYPOW_MACAROON_{reason.name}": number for number, reason in enumerate(Reason, 1)}
    assert named | {"PYPOW_MACAROON_STANDS": 0} == numbers
    assert l402._DETAILS.keys() == set(Reason)
    assert [l402.reason_of_code(code) for code in range(18)] == [None, *Reason]
    for code in (-1, 18):
        with pytest.raises(InvalidInputError):
            l402.reason_of_code(code)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"service": ""}, "service: expected 1 to 64 printable"),
        ({"service": "a,b"}, "service"),
        ({"service": "a:b"}, "service"),
        ({"service": "a=b"}, "service"),
        ({"service": "a b"}, "service"),
        ({"service": "x" * 65}, "service"),
        ({"service": None}, "service"),
        ({"valid_until_s": -1}, "valid_until_s"),
        ({"valid_until_s": 1.5}, "valid_until_s"),
        ({"valid_until_s": 10**15}, "valid_until_s"),
        ({"tier": 256}, "tier"),
        ({"uses": 0}, "uses"),
        ({"uses": 2**32}, "uses"),
        ({"capabilities": ("a,b",)}, "capability"),
        ({"capabilities": ("",)}, "capability"),
        ({"capabilities": ("a",) * 33}, "at most 32"),
        ({"audience": None}, "audience: expected text"),
        ({"tool": b"x"}, "tool: expected text"),
        ({"body": b"x"}, "32 bytes"),
        ({"body": "0" * 32}, "32 bytes"),
        ({"holder": "x"}, "43 characters"),
    ],
)
def test_terms_that_cannot_be_are_refused_in_words(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        replace(TERMS, **change)
    call = {name: value for name, value in change.items() if hasattr(EXPECTED, name)}
    if call:
        with pytest.raises(InvalidInputError, match=says):
            replace(EXPECTED, **call)
    if says == "capability":
        with pytest.raises(InvalidInputError, match=says):
            Expected("pypow", capability="a,b")


@pytest.mark.parametrize(
    ("payment_hash", "identity"),
    [(bytes(31), bytes(30)), (bytes(32), bytes(32)), ("0" * 32, bytes(30)), (bytes(32), None)],
)
def test_what_names_no_payment_is_refused(payment_hash: Any, identity: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"expected 3[02] bytes"):
        issue(KEY, TERMS, payment_hash=payment_hash, identity=identity)


@pytest.mark.parametrize(
    ("text", "preimage", "now_s"),
    [(None, "", 0), (2, "", 0), ("AgE", None, 0), ("AgE", 32, 0), ("AgE", "", 0.5),
     ("AgE", "", 2**63), ("AgE", "", None)],
)  # fmt: skip
def test_what_is_no_credential_at_all_is_refused(text: Any, preimage: Any, now_s: Any) -> None:
    with pytest.raises(InvalidInputError, match="as text or bytes, and an integer"):
        check(text, preimage, KEYRING, EXPECTED, now_s=now_s)


def test_a_tool_with_half_a_character_in_its_name_is_just_another_tool() -> None:
    demand = replace(EXPECTED, tool="search\ud800")
    outcome = check(WHOLE.text, PREIMAGE.hex(), KEYRING, demand, now_s=NOW_S)
    assert reason_of(outcome) == Reason.WRONG_TOOL


def test_no_representation_shows_a_key() -> None:
    shown = repr((KEY, KEYRING, EXPECTED, WHOLE))
    for secret in (KEY.secret, KEY.macaroon_mac, l402.root_key(KEY, WHOLE.identifier)):
        assert secret.hex() not in shown
        assert repr(secret) not in shown


def test_a_call_that_asks_for_nothing_in_particular_may_use_what_is_not_narrowed() -> None:
    demand = expected(Call("pypow"))
    assert isinstance(check(PLAIN.text, PREIMAGE.hex(), KEYRING, demand, now_s=NOW_S), Checked)
    outcome = check(WHOLE.text, PREIMAGE.hex(), KEYRING, demand, now_s=NOW_S)
    assert reason_of(outcome) == Reason.WRONG_CAPABILITY

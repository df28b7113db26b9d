# SPDX-License-Identifier: Apache-2.0
"""Passes: what was signed is what counts, and every other text is refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow.challenge import Expected, Key, Keyring, Reason, Refusal
from pypow.errors import WireError
from pypow_server import passes
from pypow_server.passes import Pass
from support.challenges import KEY, KEYRING, NOW_MS
from support.gated import Bench, document

RESOURCE = b"r" * 12
EXPECTED = Expected(now_ms=NOW_MS, epoch=0, resource=RESOURCE, weight=2, principal=b"p" * 12)
SOON_MS = NOW_MS + 60_000


def some_pass(**changes: int | bytes) -> Pass:
    arguments: dict[str, int | bytes] = {
        "identity": bytes(range(16)),
        "calls": 3,
        "weight": 2,
        "expires_at_ms": SOON_MS,
        "resource": RESOURCE,
        **changes,
    }
    return passes.issue(KEY, **arguments)  # type: ignore[arg-type]


def reason(text: str, expected: Expected = EXPECTED) -> Reason | None:
    found = passes.check(text, KEYRING, expected)
    return found.reason if isinstance(found, Refusal) else None


@given(
    calls=st.integers(0, 0xFFFF),
    weight=st.integers(1, 0xFFFF),
    expires_at_ms=st.integers(0, 2**48 - 1),
    identity=st.binary(min_size=16, max_size=16),
    thumbprint=st.binary(min_size=32, max_size=32),
)
def test_what_is_issued_decodes_to_itself(
    calls: int, weight: int, expires_at_ms: int, identity: bytes, thumbprint: bytes
) -> None:
    issued = some_pass(
        calls=calls, weight=weight, expires_at_ms=expires_at_ms, identity=identity,
        thumbprint=thumbprint,
    )  # fmt: skip
    assert passes.decode(issued.text) == issued
    assert len(issued.text) == 139


def test_a_pass_that_stands_is_returned() -> None:
    issued = some_pass()
    assert passes.check(issued.text, KEYRING, EXPECTED) == issued


def test_every_flipped_bit_and_every_truncation_is_refused() -> None:
    text = some_pass().text
    for index in range(len(text)):
        assert reason(text[:index]) is Reason.MALFORMED
        for bit in range(8):
            flipped = text[:index] + chr(ord(text[index]) ^ 1 << bit) + text[index + 1 :]
            assert reason(flipped) in (Reason.MALFORMED, Reason.UNKNOWN_KEY, Reason.BAD_MAC)


def test_another_secret_under_the_same_id_does_not_sign_for_us() -> None:
    forged = passes.issue(
        Key(id=KEY.id, secret=bytes(32)), identity=bytes(16), calls=1, expires_at_ms=SOON_MS
    )
    assert reason(forged.text) is Reason.BAD_MAC


def test_a_retired_key_is_named() -> None:
    assert passes.check(
        some_pass().text, Keyring([Key(id=9, secret=bytes(32))]), EXPECTED
    ) == Refusal(Reason.UNKNOWN_KEY, "key 1 is not known here; get a new pass")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"expires_at_ms": NOW_MS + 1}, None),
        ({"expires_at_ms": NOW_MS}, Reason.EXPIRED),
        ({"resource": bytes(12)}, None),
        ({"resource": b"x" * 12}, Reason.WRONG_RESOURCE),
        ({"weight": 1}, Reason.UNDERWEIGHT),
        ({"principal": b"p" * 12}, None),
        ({"principal": b"x" * 12}, Reason.WRONG_PRINCIPAL),
        ({"thumbprint": b"t" * 32}, Reason.WRONG_PRINCIPAL),
    ],
)
def test_the_terms_of_a_pass_are_held_against_the_call(
    changes: dict[str, int | bytes], expected: Reason | None
) -> None:
    assert reason(some_pass(**changes).text) is expected


def test_a_bound_pass_is_good_for_whoever_proved_the_key() -> None:
    bound = some_pass(thumbprint=b"t" * 32)
    held = passes.check(bound.text, KEYRING, EXPECTED, thumbprint=b"t" * 32)
    assert isinstance(held, Pass)


@pytest.mark.parametrize(
    "changes",
    [{"calls": 65536}, {"weight": 0}, {"expires_at_ms": 2**48}, {"identity": b"short"},
     {"thumbprint": b""}, {"resource": b"long" * 4}],
)  # fmt: skip
def test_a_pass_that_does_not_fit_its_layout_is_not_issued(
    changes: dict[str, int | bytes],
) -> None:
    with pytest.raises(WireError, match=r"pass\.\w+: expected"):
        some_pass(**changes)


def test_an_error_does_not_quote_a_pass_that_is_nearly_right() -> None:
    with pytest.raises(WireError) as caught:
        passes.decode(some_pass().text + "x")
    assert "pyp_A" not in str(caught.value)


def bearer(issued: Pass) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + issued.text.encode())]


def test_a_pass_of_three_calls_admits_three_calls_even_across_a_lost_ledger() -> None:
    bench = Bench()
    three = bearer(some_pass(resource=bytes(12)))
    answers = [bench.send("GET", f"/{n}", three) for n in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 402]
    assert document(answers[-1])["type"] == "urn:pypow:error:already-spent"
    assert bench.app.header(b"authorization") == []


def test_a_pass_without_a_number_of_calls_touches_no_store_until_it_expires() -> None:
    bench = Bench()
    timed = some_pass(calls=0, resource=bytes(12))
    cookie = [(b"cookie", b"pypow_pass=" + timed.text.encode())]
    assert [bench.send("GET", headers=cookie).status for _ in range(5)] == [200] * 5
    assert bench.app.scopes[0]["pypow.principal"] == f"pass:{timed.id.hex()}"
    assert bench.ledger.spends == 0
    bench.clock.now_ms = timed.expires_at_ms
    assert bench.send("GET", headers=cookie).status == 402

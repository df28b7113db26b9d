# SPDX-License-Identifier: Apache-2.0
"""However deep a message is, a gate answers it: what it has read it can write again."""

import json
import sys
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import strict_json
from pypow.errors import InvalidInputError
from pypow.strict_json import MAX_LEVELS
from support.asgi_client import Answer
from support.gated import document
from support.selling import SELLING, Stall

pytest.importorskip("coincurve", reason="signatures need the extra l402")

ENVELOPE: Final = 3
"""Levels around what is deep: the message, its parameters, and arguments or `_meta`."""

MOST: Final = MAX_LEVELS - ENVELOPE
PLACES: Final = {
    "arguments": '"name":"search","arguments":{"q":%s}',
    "proof": '"name":"search","_meta":{"io.pypow/proof":%s}',
    "payment": '"name":"search","_meta":{"io.pypow/payment":%s}',
    "credential": '"name":"search","_meta":{"org.paymentauth/credential":%s}',
    "invoice": '"name":"search","_meta":{"io.pypow/invoice":%s}',
    "others": '"name":"search","_meta":{"io.pypow/proof":"x","theirs":%s}',
}
BRACKETS: Final = {"arrays": ("[", "]"), "objects": ('{"a":', "}")}
EVERY = pytest.mark.parametrize("place", PLACES)
BOUND = pytest.mark.parametrize("binds", [True, False], ids=["body", "call"])


def asked(place: str, value: str, *, binds: bool) -> Answer:
    """How a gate that sells calls answers a message with this value in it."""
    params = PLACES[place] % value
    body = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{params}}}}}'
    stall = Stall(selling=replace(SELLING, binds_bodies=binds), body_limit=1 << 21)
    return stall.send("POST", "/mcp", [(b"x-pow-accept", b"puzzles=1")], body.encode())


def is_malformed(answer: Answer) -> bool:
    kind: str = document(answer)["error"]["data"]["type"]
    return kind == "urn:pypow:error:malformed-mcp"


@BOUND
@EVERY
@pytest.mark.parametrize("around", BRACKETS.values(), ids=BRACKETS)
def test_what_is_too_deep_is_malformed(around: tuple[str, str], place: str, binds: bool) -> None:
    opening, closing = around
    near = range(sys.getrecursionlimit() - 120, sys.getrecursionlimit(), 4)
    for levels in (MOST + 1, 400, *near, 10_000, 100_000):
        answer = asked(place, f"{opening * levels}1{closing * levels}", binds=binds)
        assert answer.status == 400, levels
        assert is_malformed(answer)


@BOUND
@EVERY
@pytest.mark.parametrize("around", BRACKETS.values(), ids=BRACKETS)
def test_what_is_just_not_too_deep_is_read(
    around: tuple[str, str], place: str, binds: bool
) -> None:
    opening, closing = around
    answer = asked(place, f"{opening * MOST}1{closing * MOST}", binds=binds)
    assert 400 <= answer.status < 500
    assert not is_malformed(answer)


@pytest.mark.parametrize("around", BRACKETS.values(), ids=BRACKETS)
def test_the_level_at_which_json_is_too_deep_is_one(around: tuple[str, str]) -> None:
    opening, closing = around
    deepest = f"[{opening * (MAX_LEVELS - 1)}1{closing * (MAX_LEVELS - 1)},[]]"
    strict_json.loads(deepest)
    with pytest.raises(InvalidInputError, match="128 levels, got too deep a nesting"):
        strict_json.loads(f"[{deepest}]")


def levels_of(value: object) -> int:
    match value:
        case dict():
            return 1 + max(map(levels_of, value.values()), default=0)
        case list():
            return 1 + max(map(levels_of, value), default=0)
        case _:
            return 0


odd_text = st.text(st.sampled_from('[]{}"\\,:a\u00e9\n'), max_size=6)


@given(
    st.recursive(
        odd_text | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3),
        max_leaves=20,
    ),
    st.integers(0, 8),
    st.booleans(),
)
def test_levels_are_those_of_values_not_of_texts(value: object, most: int, escapes: bool) -> None:
    text = json.dumps(value, ensure_ascii=escapes)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(strict_json, "MAX_LEVELS", most)
        if levels_of(value) > most:
            with pytest.raises(InvalidInputError, match="too deep"):
                strict_json.loads(text)
        else:
            assert strict_json.loads(text) == value


@BOUND
@pytest.mark.parametrize("wide", ["[]", "{}", '"[{"', "0"])
def test_what_is_wide_is_not_deep(wide: str, binds: bool) -> None:
    answer = asked("arguments", f"[{','.join([wide] * 50_000)}]", binds=binds)
    assert answer.status == 402

# SPDX-License-Identifier: Apache-2.0
"""One text for each value of JSON, and for each moment."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import payment_readings
from pypow import canonical_json, moments
from pypow.errors import InvalidInputError, WireError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"))
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)  # fmt: skip


def doubled(value: Any) -> Any:
    """The value with doubles for its numbers, and without the sign of zero."""
    if isinstance(value, list):
        return [doubled(one) for one in value]
    if isinstance(value, dict):
        return {name: doubled(one) for name, one in value.items()}
    return value if isinstance(value, bool | str | None) else float(value)


@given(values)
def test_the_text_says_the_value_and_nothing_else_does(value: Any) -> None:
    text = canonical_json.dumps(value)
    assert doubled(json.loads(text)) == doubled(value)
    assert canonical_json.dumps(json.loads(text)) == text
    assert text == payment_readings.canonical(value)


@given(values.map(doubled))
def test_another_implementation_writes_the_same(value: Any) -> None:
    rfc8785 = pytest.importorskip("rfc8785", reason="rfc8785 is not installed")
    assert canonical_json.dumps(value) == rfc8785.dumps(value).decode()


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "a double holds"), (math.inf, "a double holds"), (10**400, "a double holds"),
        (b"", "a value of JSON"), ({1: 2}, "a value of JSON"), ([object()], "a value of JSON"),
        ("\ud800", "lone surrogates"), ({"\udfff": 1}, "lone surrogates"),
        (nested(100_000), "too deep"),
    ],
)  # fmt: skip
def test_what_json_cannot_say_is_refused(value: object, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        canonical_json.dumps(value)


@given(st.integers(0, 253_402_300_799_999))
def test_a_moment_is_read_as_it_was_written_but_for_parts_of_a_second(moment_ms: int) -> None:
    assert moments.moment_of(moments.text_of(moment_ms)) == moment_ms // 1000 * 1000


@pytest.mark.parametrize(
    ("text", "moment_ms"),
    [
        ("1970-01-01T00:00:00Z", 0), ("1970-01-01t00:00:00.1239z", 123),
        ("2026-03-15T12:05:00+00:30", 1_773_574_500_000), ("1969-12-31T23:59:59-00:00", -1000),
    ],
)  # fmt: skip
def test_every_form_of_rfc_3339_is_a_moment(text: str, moment_ms: int) -> None:
    assert moments.moment_of(text) == moment_ms


@pytest.mark.parametrize(
    "text",
    ["", "2026-03-15", "2026-03-15 12:05:00Z", "2026-03-15T12:05:00", "2026-02-30T12:05:00Z",
     "2026-03-15T25:05:00Z", "2026-03-15T12:05Z", "20260315T120500Z", "2026-W11-7T12:05:00Z",
     "9999-12-31T23:59:60Z", "0000-01-01T00:00:00Z", "2026-03-15T12:05:00+24:00",
     "\N{ARABIC-INDIC DIGIT TWO}026-03-15T12:05:00Z", "2026-03-15T12:05:00Z\n"],
)  # fmt: skip
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(WireError, match="RFC 3339"):
        moments.moment_of(text)


@pytest.mark.parametrize("moment_ms", [-1, 253_402_300_800_000])
def test_no_moment_out_of_four_digits_of_years_is_written(moment_ms: int) -> None:
    with pytest.raises(InvalidInputError, match="before the year 10000"):
        moments.text_of(moment_ms)

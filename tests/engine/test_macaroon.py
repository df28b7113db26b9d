# SPDX-License-Identifier: Apache-2.0
"""Macaroons as other libraries write and read them, and every form in which they travel."""

import base64
import contextlib
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import macaroon
from pypow.errors import WireError
from pypow.macaroon import Macaroon, decode, macaroon_of_octets, mint
from support.macaroon_cases import PLAIN, WHOLE, field

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "macaroons.json").read_text())


def named(vectors: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=[one["name"] for one in vectors])


TEXTS = st.text(max_size=70).map(str.encode)
BYTES = TEXTS | st.binary(max_size=140)


@st.composite
def macaroons(draw: st.DrawFn, parts: st.SearchStrategy[bytes] = BYTES) -> tuple[bytes, Macaroon]:
    """Any that can be, with its root key."""
    root_key = draw(st.binary(min_size=1, max_size=80))
    identifier = draw(st.binary(max_size=140))
    caveats = draw(st.lists(parts))
    location = draw(st.text(max_size=9))
    while True:
        try:
            return root_key, mint(root_key, identifier, tuple(caveats), location)
        except WireError:
            caveats = caveats[: len(caveats) // 2]


@named(VECTORS["go"])
def test_what_go_mints_is_minted_here_too(vector: dict[str, Any]) -> None:
    root_key, identifier = map(bytes.fromhex, (vector["root_key_hex"], vector["identifier_hex"]))
    made = mint(root_key, identifier, tuple(map(str.encode, vector["caveats"])))
    assert made.text == vector["macaroon_v2_b64"]
    assert made.signature.hex() == vector["signature_hex"]
    for form in ("macaroon_v2_b64", "macaroon_v2_json", "grpc_metadata_macaroon_hex"):
        given_form = vector.get(form, made.text)
        text = given_form if isinstance(given_form, str) else json.dumps(given_form)
        carried = (b"preimage=" + vector["preimage"].encode(),) if form.endswith("hex") else ()
        assert decode(text) in (made, made.narrowed(*carried))


@named(VECTORS["npm"])
def test_what_npm_mints_is_minted_here_too(vector: dict[str, Any]) -> None:
    made = mint(
        bytes.fromhex(vector["root_key"]),
        bytes.fromhex(vector["identifier"]),
        tuple(map(str.encode, vector["caveats"])),
        vector["location"],
    )
    assert made.octets.hex() == (vector["octets"] or made.octets.hex())
    assert json.loads(made.json) == vector["json"]
    assert decode(json.dumps(vector["json"])) == made


@named(VECTORS["public"])
def test_tokens_of_live_apertures_are_read_and_written_again(vector: dict[str, Any]) -> None:
    read = decode(vector["macaroon"])
    assert read.text == vector["macaroon"]
    assert read.identifier[2:34].hex() == vector["payment_hash"]
    if "caveats" in vector:
        assert [caveat.decode() for caveat in read.caveats] == vector["caveats"]


@given(macaroons(TEXTS))  # it takes no other caveats
def test_pymacaroons_reads_and_writes_the_same_octets(made: tuple[bytes, Macaroon]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pymacaroons = pytest.importorskip("pymacaroons", reason="pymacaroons is not installed")
    root_key, own = made
    theirs = pymacaroons.Macaroon(
        location=own.location,
        identifier=own.identifier,
        key=root_key,
        version=pymacaroons.MACAROON_V2,
    )
    for caveat in own.caveats:
        theirs.add_first_party_caveat(caveat)
    assert theirs.signature_bytes == own.signature.hex().encode()
    if own.location and own.identifier:
        padded = theirs.serialize() + "=" * (-len(theirs.serialize()) % 4)
        assert base64.urlsafe_b64decode(padded) == own.octets
    verifier = pymacaroons.Verifier()
    verifier.satisfy_general(lambda _: True)
    assert verifier.verify(pymacaroons.Macaroon.deserialize(own.text), root_key)


@given(macaroons())
def test_every_form_is_read_as_it_was_written(made: tuple[bytes, Macaroon]) -> None:
    _, own = made
    url = own.text.translate(str.maketrans("+/", "-_"))
    in_base64 = base64.b64encode(own.json.encode()).decode()
    for form in (own.text, own.text.rstrip("="), url, url.rstrip("="), own.hex, own.hex.upper()):
        assert decode(form) == own
    assert decode(own.json) == decode(in_base64) == own
    assert macaroon_of_octets(own.octets) == own


@given(macaroons(), st.binary(max_size=40))
def test_a_holder_narrows_as_the_issuer_would_have(
    made: tuple[bytes, Macaroon], caveat: bytes
) -> None:
    root_key, own = made
    if len(own.caveats) < macaroon.MAX_CAVEATS and len(own.octets) < macaroon.MAX_BYTES - 50:
        whole = mint(root_key, own.identifier, (*own.caveats, caveat), own.location)
        assert own.narrowed(caveat) == whole


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: PLAIN.octets[:9] + rest))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    with contextlib.suppress(WireError):
        read = macaroon_of_octets(octets)
        assert macaroon_of_octets(read.octets) == read


HEAD = b"\x02" + field(1, b"lsat") + field(2, b"id") + b"\0"
END = b"\0" + field(6, b"s" * 32)


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"", "version 2"),
        (b"\x01" + HEAD[1:] + END, "version 2"),
        (HEAD, "field 2 of a macaroon at byte"),
        (HEAD[:-1] + END, "field 2"),
        (HEAD[:6] + END, "expected field 2"),
        (HEAD + field(2, b"c") + END, "field 2"),
        (HEAD + b"\x02\x05c\0" + END, "end of a macaroon's section"),
        (HEAD + b"\x02\x7fc\0" + END, "127 bytes"),
        (HEAD + b"\x02\x81\0c\0" + END, "length"),
        (HEAD + b"\x02\x81\x80\1c\0" + END, "length"),
        (HEAD + b"\x02\x81", "length"),
        (HEAD + b"\x02", "length"),
        (HEAD + field(2, b"c") + field(4, b"v") + b"\0" + END, "third party"),
        (HEAD + field(1, b"l") + field(2, b"c") + b"\0" + END, "third party"),
        (HEAD + b"\0" + field(6, b"s" * 31), "32 bytes, got 31"),
        (HEAD + END + b"\0", "nothing after"),
        (b"\x02" + field(1, b"\xff") + HEAD[7:] + END, "UTF-8"),
        (HEAD + (field(2, b"c") + b"\0") * 17 + END, "at most 16"),
        (bytes(1025), "at most 1024"),
    ],
)
def test_other_octets_are_refused_in_words(octets: bytes, says: str) -> None:
    with pytest.raises(WireError, match=says):
        macaroon_of_octets(octets)


GOOD = {"v": 2, "l": "lsat", "i": "id", "c": [{"i": "c"}], "s64": "cw" * 21 + "c"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"v": 1}, '"v": 2'),
        ({"v": None}, '"v": 2'),
        ({"x": 1}, "just"),
        ({"c": {}}, "just"),
        ({"c": ["c"]}, "each caveat"),
        ({"c": [{"i": "c", "x": 1}]}, "each caveat"),
        ({"c": [{"i": "c", "v64": "dg"}]}, "third party"),
        ({"c": [{"i": "c", "l": "there"}]}, "third party"),
        ({"c": [{}]}, 'either "i" or "i64"'),
        ({"i64": "aWQ"}, 'either "i" or "i64"'),
        ({"i": 1}, "a number"),
        ({"l": []}, "expected a string"),
        ({"l": "\ud800"}, "half of one"),
        ({"i": "\ud800"}, "half of one"),
        ({"s64": "c"}, "base64 or hex"),
        ({"s64": "cx"}, "base64 or hex"),
        ({"s64": "cw"}, "32 bytes, got 1"),
    ],
)
def test_other_json_is_refused_in_words(change: dict[str, object], says: str) -> None:
    assert decode(json.dumps(GOOD)).caveats == (b"c",)
    with pytest.raises(WireError, match=says):
        decode(json.dumps(GOOD | change))


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"v":2,"v":2}', "e30", "ew", "Ag=", "Ag===", "A", " AgE", "AgE\n",
        "Ag\0E", "é" * 8, "0", "02", "02g0", "A" * 8193, "0" * 8193, "{" * 8000,
    ],
)  # fmt: skip
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        decode(text)


@pytest.mark.parametrize("given_text", [None, b"AgE", 2])
def test_what_is_no_text_is_refused(given_text: Any) -> None:
    with pytest.raises(WireError, match="at most 8192 characters"):
        decode(given_text)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"identifier": "id"}, "identifier: expected bytes, got str"),
        ({"signature": bytes(31)}, "32 bytes, got 31"),
        ({"caveats": [b"c"]}, "a tuple of bytes"),
        ({"caveats": ("c",)}, "a tuple of bytes"),
        ({"caveats": (b"c",) * 17}, "at most 16, got 17"),
        ({"caveats": (b"c" * 1000,)}, "at most 1024 bytes, got 1059; use fewer"),
        ({"location": b"lsat"}, "location: expected text"),
    ],
)
def test_what_cannot_be_a_macaroon_is_refused_in_words(change: dict[str, Any], says: str) -> None:
    parts = {"identifier": b"identifier", "caveats": (), "signature": bytes(32)}
    with pytest.raises(WireError, match=says):
        Macaroon(**(parts | change))


def test_the_longest_json_of_a_macaroon_is_read() -> None:
    for identifier, caveats in ((bytes(950), ()), (b"", (bytes(57),) * 16)):
        made = mint(b"key", identifier, caveats)
        assert len(made.octets) > 980
        assert decode(base64.b64encode(made.json.encode()).decode()) == made


def test_neither_representation_nor_errors_show_what_would_be_good_for_a_call() -> None:
    assert WHOLE.signature.hex() not in repr(WHOLE)
    assert repr(WHOLE.signature) not in repr(WHOLE)
    with pytest.raises(WireError) as caught:
        decode(WHOLE.text[:-1] + "!")
    assert WHOLE.text[:20] not in str(caught.value)

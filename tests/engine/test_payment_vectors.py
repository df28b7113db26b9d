# SPDX-License-Identifier: Apache-2.0
"""Every vector that another gateway publishes for the ``Payment`` scheme."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pypow import (
    auth_params,
    base64_json,
    base64_text,
    canonical_json,
    payment_receipt,
    payment_wire,
    strict_json,
)
from pypow.errors import InvalidInputError, WireError
from pypow.payment_wire import PaymentChallenge

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "mpp.json").read_text(encoding="utf-8")
)
SECRET = bytes.fromhex(VECTORS["hmacSecretHex"])


def each(kind: str) -> pytest.MarkDecorator:
    cases = VECTORS[kind]
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def test_no_kind_of_vector_is_left_out() -> None:
    tried = {"canonicalization", "base64url", "challengeHeaders", "challengeLists", "challengeIds"}
    assert set(VECTORS) - {"version", "description", "hmacSecretHex"} == tried | {
        "credentials", "receipts",
    }  # fmt: skip


@each("canonicalization")
def test_canonical_json(case: dict[str, Any]) -> None:
    if case.get("error"):
        with pytest.raises(InvalidInputError):
            strict_json.loads(case["input"])
        return
    document = strict_json.loads(case["input"])
    assert canonical_json.dumps(document) == case["canonical"]


@each("base64url")
def test_base64url(case: dict[str, Any]) -> None:
    if case.get("error"):
        with pytest.raises(WireError):
            base64_text.decode_url(case["encoded"])
        return
    octets = bytes.fromhex(case.get("decodedHex", ""))
    assert base64_text.decode_url(case["encoded"]) == octets
    assert (base64_text.encode_url(octets) == case["encoded"]) is case["canonical"]


@each("challengeHeaders")
def test_challenges_written_and_read(case: dict[str, Any]) -> None:
    challenge = PaymentChallenge(**case["params"])
    assert challenge.www_authenticate() == case["header"]
    assert payment_wire.read_payment_challenges([case["header"]]) == (challenge,)
    (read,) = auth_params.read_challenges(case["header"])
    assert (read.scheme, read.parameters) == ("payment", case["parsed"])


@each("challengeLists")
def test_lists_of_challenges(case: dict[str, Any]) -> None:
    found = payment_wire.read_payment_challenges([case["header"]])
    expected = [] if case.get("error") else case["challenges"]
    assert found == tuple(PaymentChallenge(**one) for one in expected)


@each("challengeIds")
def test_ids_of_challenges(case: dict[str, Any]) -> None:
    params = case["params"]
    slots = [params.get(name, "") for name in ("realm", "method", "intent", "request", "expires",
                                               "digest", "opaque")]  # fmt: skip
    assert "|".join(slots) == case["hmacInput"]
    assert payment_wire.bound_id(SECRET, slots) == params["id"]
    if "pipe" in case["name"]:
        with pytest.raises(WireError, match=re.escape("text without |")):
            PaymentChallenge(**params)
    else:
        challenge = PaymentChallenge(**params)
        assert challenge.slots == tuple(slots)
        assert challenge.is_ours(SECRET)
        assert not challenge.is_ours(SECRET[1:])


@each("credentials")
def test_credentials_written_and_read(case: dict[str, Any]) -> None:
    scheme, _, parameters = case["header"].partition(" ")
    if scheme == "Bearer":  # not of this scheme: somebody else reads it
        return
    if case.get("error"):
        with pytest.raises(WireError):
            payment_wire.credential_from_authorization(parameters)
        return
    credential = payment_wire.credential_from_authorization(parameters)
    said = json.loads(case["credentialJson"])
    assert credential.challenge.to_json() == said["challenge"]
    assert credential.payload == said["payload"]
    assert credential.source == said.get("source")
    assert credential.authorization() == f"Payment {parameters}"


@each("receipts")
def test_receipts_written_and_read(case: dict[str, Any]) -> None:
    said = json.loads(case["receiptJson"])
    assert base64_json.dumps(said) == case["header"]
    assert base64_json.loads(case["header"], "a receipt") == said
    if "status" not in said:
        with pytest.raises(WireError, match="success"):
            payment_receipt.read_receipt(case["header"])
        return
    receipt = payment_receipt.read_receipt(case["header"])
    assert receipt.reference == said["reference"]
    if "refundStatus" not in said:
        assert receipt.header() == case["header"]

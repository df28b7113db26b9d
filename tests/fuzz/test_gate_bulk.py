# SPDX-License-Identifier: Apache-2.0
"""The gate's parsers and their second readings agree, on inputs drawn as `make fuzzbulk` does."""

import base64
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fuzz import gate_bulk, gate_parsers, payment_parsers
from fuzz.gate_inputs import KITS
from pypow import (
    auth_params,
    base64_text,
    bech32,
    bolt11,
    l402_wire,
    payment_headers,
    payment_wire,
    strict_json,
    wire,
)
from pypow.auth_params import AuthChallenge
from pypow.wire import Proof
from pypow_server import passes, standing
from pypow_server.call import Call, read_call
from pypow_server.passes import Pass
from pypow_server.problems import Problem
from pypow_server.scope import Scope
from pypow_server.standing import StandingToken

INPUTS = 2000


def test_every_parser_has_what_its_inputs_are_made_from() -> None:
    assert tuple(gate_parsers.PARSERS) == tuple(KITS)


@pytest.mark.parametrize("parser", gate_parsers.PARSERS)
def test_a_parser_reads_what_a_second_reading_does(parser: str) -> None:
    tally = gate_bulk.feed(parser, 0, INPUTS)
    assert tally.findings == ()
    assert tally.fed.total() == INPUTS
    assert 0 < tally.taken.total() < INPUTS, "inputs that are all alike show nothing"


def test_the_parser_of_invoices_is_among_them() -> None:
    pytest.importorskip("coincurve", reason="signatures need the extra l402")
    assert "an invoice" in gate_parsers.PARSERS


@pytest.mark.parametrize("parser", gate_parsers.PARSERS)
def test_what_is_right_is_taken(parser: str) -> None:
    assert gate_parsers.PARSERS[parser](KITS[parser].right[0])


def test_a_round_is_the_same_each_time_and_like_no_other() -> None:
    first, again, other = (
        list(gate_bulk.drawn(KITS["Host"], random.Random(f"Host {number}"), 100))
        for number in (1, 1, 2)
    )
    assert first == again != other


def _loose_base64(value: str) -> str | None:
    if not value.startswith("=?base64?") or not value.endswith("?="):
        return value
    try:
        return base64.b64decode(value[9:-2]).decode()
    except ValueError:
        return None


def _any_last_character(text: str) -> Pass:
    return decode_pass(text[:-1] + "A")


def _any_version(text: str) -> StandingToken:
    return decode_token(text[:4] + "AQ" + text[6:])


def _one_nonce(value: str) -> Proof:
    proof = proof_from_header(value)
    return replace(proof, nonces=(b".".join(proof.nonces),))


def _last_length(scope: Scope) -> Call | Problem:
    lengths = [pair for pair in scope["headers"] if pair[0] == b"content-length"]
    others = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
    return read_call({**scope, "headers": [*others, *lengths[-1:]]})


def _no_underscores(scope: Scope) -> Call | Problem:
    call = read_call(scope)
    kept = tuple(pair for pair in scope["headers"] if pair[0].startswith(b"x_pow"))
    return call._replace(headers=call.headers + kept) if isinstance(call, Call) else call


def _one_challenge(value: str) -> tuple[AuthChallenge, ...]:
    found = read_challenges(value)
    merged = {name: said for one in found for name, said in one.parameters.items()}
    return tuple(AuthChallenge(one.scheme, merged) for one in found[:1])


def _any_last_payment(found: list[Any], credential: object) -> None:
    found[:] = [credential] if credential is not None else found


def _any_padding(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


read_challenges = auth_params.read_challenges
proof_from_header, decode_pass = wire.proof_from_header, passes.decode
decode_token = standing.decode

WRONG_TWINS: dict[str, tuple[str, Any, str, Callable[..., object]]] = {
    "a proof that is always of one nonce": (
        "X-PoW-Solution", wire, "proof_from_header", _one_nonce,
    ),
    "a pass with several texts": ("a pass", passes, "decode", _any_last_character),
    "a token of any version": ("a standing token", standing, "decode", _any_version),
    "a name with several texts": ("a wrapped name", gate_parsers, "decode_header", _loose_base64),
    "the last of several lengths": ("Content-Length", gate_parsers, "read_call", _last_length),
    "a credential in another spelling travels on": (
        "a request's fields", gate_parsers, "read_call", _no_underscores,
    ),
    "a path that is folded": (
        "a path", gate_parsers, "is_canonical", lambda path: b".." not in path.split(b"/"),
    ),
    "JSON with repeated keys": ("JSON", strict_json, "loads", json.loads),
    "the first hop of many": (
        "X-Forwarded-For", gate_parsers, "client_network",
        lambda peer, fields, trusted: fields[0][1].split(b",")[0].decode("latin-1"),
    ),
    "base64 with several texts": ("base64url", base64_text, "decode_url", _any_padding),
    "challenges that run into each other": (
        "WWW-Authenticate", auth_params, "read_challenges", _one_challenge,
    ),
    "the last of several payments": (
        "a request's payments", payment_headers, "_add", _any_last_payment,
    ),
    "a challenge of anything": (
        "a payment in JSON", payment_wire.PaymentChallenge, "__post_init__", lambda self: None,
    ),
    "any number of macaroons": (
        "Authorization: L402", l402_wire, "_macaroons",
        lambda tokens: tuple(map(base64_text.decode_either, tokens.split(","))),
    ),
    "an invoice without a checksum": (
        "an invoice", bech32, "_remainder", lambda prefix, groups: 1,
    ),
    "an invoice with any features": (
        "what an invoice says", bolt11, "_features",
        lambda fields: bech32.to_number(fields.get("9", b"")),
    ),
    "an invoice with any spare bits": (
        "what an invoice says", bech32, "to_octets",
        lambda groups: bech32.to_filled_octets(groups)[: 5 * len(groups) // 8],
    ),
}  # fmt: skip


@pytest.mark.parametrize("twin", WRONG_TWINS)
def test_a_parser_that_reads_something_else_is_found_out(
    twin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser, place, name, wrong = WRONG_TWINS[twin]
    if parser in payment_parsers.OF_INVOICES:
        pytest.importorskip("coincurve", reason="signatures need the extra l402")
    monkeypatch.setattr(place, name, wrong)
    assert gate_bulk.feed(parser, 0).findings


def test_no_inputs_and_no_processes_are_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gate_bulk", "--executions", "1", "--jobs", "0"])
    with pytest.raises(SystemExit, match="2"):
        gate_bulk.main()
    assert "--jobs of at least 1" in capsys.readouterr().err

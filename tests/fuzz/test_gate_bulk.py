# SPDX-License-Identifier: Apache-2.0
"""The gate's parsers and their second readings agree, on inputs drawn as `make fuzzbulk` does."""

import base64
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fuzz import gate_bulk, gate_parsers
from fuzz.gate_inputs import KITS
from pypow import strict_json, wire
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
}  # fmt: skip


@pytest.mark.parametrize("twin", WRONG_TWINS)
def test_a_parser_that_reads_something_else_is_found_out(
    twin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser, place, name, wrong = WRONG_TWINS[twin]
    monkeypatch.setattr(place, name, wrong)
    assert gate_bulk.feed(parser, 0).findings


def test_no_inputs_and_no_processes_are_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gate_bulk", "--executions", "1", "--jobs", "0"])
    with pytest.raises(SystemExit, match="2"):
        gate_bulk.main()
    assert "--jobs of at least 1" in capsys.readouterr().err

# SPDX-License-Identifier: Apache-2.0
"""What fuzzing the gate's parsers found worth keeping is tried again, with mutations of it."""

import json
import random
from collections.abc import Callable

import pytest

from fuzz import gate_targets
from fuzz.gate_run import TARGETS
from fuzz.run import known
from pypow import payment_wire, strict_json, wire
from pypow.errors import InvalidInputError, WireError
from pypow_server import call, mcp_message, passes
from pypow_server.identity import fetching

MUTATIONS = 3000
"""How many mutated inputs each target is fed besides: borders that no corpus keeps."""


def _mutated(octets: bytes, draw: random.Random) -> bytes:
    changed = bytearray(octets)
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(0, len(changed))
        match draw.randrange(3):
            case 0:
                changed[at:at] = draw.choice((b"\n", b'"', b"=", b"\0", b"%", b"\xff", b"e9", b"{"))
            case 1:
                del changed[at : at + draw.randint(1, 8)]
            case _:
                changed[at : at + 1] = bytes([draw.randrange(256)])
    return bytes(changed)


def _feed(target: str, mutations: int) -> None:
    inputs = [*known(target), *gate_targets.seeds()[target]]
    draw = random.Random(target)
    for octets in inputs:
        gate_targets.TARGETS[target](octets)
    for _ in range(mutations):
        gate_targets.TARGETS[target](_mutated(draw.choice(inputs), draw))


def test_every_target_has_a_runner_and_a_corpus() -> None:
    assert tuple(gate_targets.TARGETS) == TARGETS == tuple(gate_targets.seeds())
    assert all(known(target) for target in TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_no_parser_fails_but_as_documented_whatever_it_is_fed(target: str) -> None:
    _feed(target, MUTATIONS)


def _keeps_the_underscore(scan: call._Scan, name: bytes, value: bytes) -> None:
    scan.kept.append((name, value))


def _lets_an_error_out(text: str) -> passes.Pass:
    if not text.startswith("pyp_"):
        raise ValueError(text)
    raise WireError("expected a pass")


def _takes_the_first_of_two(document: bytes) -> object:
    try:
        return json.loads(document, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    except (ValueError, RecursionError):
        raise InvalidInputError("expected JSON") from None


def _ignores_stray_characters(value: str) -> wire.Proof:
    challenge, _, nonce = value.removeprefix("challenge=").partition(",nonce=")
    return wire.Proof((nonce.strip().encode("latin-1", "replace"),), challenge)


WRONG_TWINS: dict[str, tuple[str, object, str, Callable[..., object]]] = {
    "a scan that lets credentials travel on": (
        "gate_headers", call._Scan, "_take_ours", _keeps_the_underscore,
    ),
    "a pass parser that lets another error out": (
        "gate_text", passes, "decode", _lets_an_error_out,
    ),
    "a proof parser that reads what no other form can say": (
        "gate_text", wire, "proof_from_header", _ignores_stray_characters,
    ),
    "a message that keeps its proof": (
        "gate_message", mcp_message, "_without",
        lambda _ours, document: json.dumps(document).encode(),
    ),
    "a payment that says another thing when it travels on": (
        "gate_payments", payment_wire.PaymentChallenge, "to_json", lambda self: {"id": self.id},
    ),
    "a token whose members may come twice": (
        "gate_tokens", strict_json, "loads", _takes_the_first_of_two,
    ),
    "a host that is another's": (
        "gate_urls", fetching, "is_public", lambda address: True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("twin", WRONG_TWINS)
def test_a_wrong_parser_is_found_out(twin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, place, name, wrong = WRONG_TWINS[twin]
    monkeypatch.setattr(place, name, wrong)
    with pytest.raises((AssertionError, ValueError)):
        _feed(target, 50)

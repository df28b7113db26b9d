# SPDX-License-Identifier: Apache-2.0
"""`pypow explain` of a challenge: what it asks for, what for, and how long it is good."""

import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from pypow import difficulty
from pypow.wire import Challenge
from support.challenges import NOW_MS, challenges, fixed_challenge
from support.command import Command


@pytest.fixture
def explained(command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setattr(time, "time_ns", lambda: (NOW_MS + 20_000) * 1_000_000)
    return command


def test_a_challenge_for_one_call_is_explained_in_words(explained: Command) -> None:
    challenge = replace(
        fixed_challenge(q=18 * 1024, puzzles=16, weight=4, resource=b"r" * 12, principal=b"p" * 12),
        overdraft=10,
    )
    assert explained("explain", challenge.text, "--profile", "laptop").out == (
        "work       18 bits, 262 k hashes, 16.9 ms on laptop, in 16 sub-puzzles of 14 bits\n"
        "overdraft  up to 1.25 of these bits, 2.38 times the work: the caller, its network or "
        "newcomers used more than their share\n"
        "weight     4 units\n"
        "for        one call only, by one caller only\n"
        "issued     2027-01-15 08:00:00 UTC, for 120 s; 1 min 40 s are left\n"
        "signed by  key 1, in epoch 7 of the ledger\n"
    )


def test_a_plain_challenge_is_explained_in_words(explained: Command) -> None:
    assert explained("explain", fixed_challenge(lifetime_s=10).text).out == (
        "work       4 bits, 16 hashes, 0.00 ms on laptop\n"
        "overdraft  none: the work is for price and weight alone\n"
        "weight     1 unit\n"
        "for        any call of no more weight, by anybody\n"
        "issued     2027-01-15 08:00:00 UTC, for 10 s; expired 10.0 s ago\n"
        "signed by  key 1, in epoch 7 of the ledger\n"
    )


def test_a_challenge_expires_at_its_moment(explained: Command) -> None:
    expired = [
        explained("explain", fixed_challenge(lifetime_s=lifetime_s).text, "--json").json["expired"]
        for lifetime_s in (20, 21)
    ]
    assert expired == [True, False]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(challenges())
def test_whatever_a_challenge_can_hold_is_explained(command: Command, challenge: Challenge) -> None:
    told = command("explain", challenge.text)
    assert (told.status, told.err) == (0, "")
    found = command("explain", challenge.text, "--json", "--profile", "phone").json

    assert found["bits"] == difficulty.bits(challenge.q)
    assert found["bits_each"] * 1024 == challenge.sub_q
    assert found["overdraft_bits"] * 8 == challenge.overdraft
    assert found["milliseconds"] == pytest.approx(found["hashes"] / 4100, rel=0.01, abs=0.001)
    for name in ("puzzles", "weight", "key", "epoch", "issued_at_ms", "lifetime_s"):
        assert found[name] == getattr(challenge, name)
    assert found["id"] == challenge.id.hex()
    assert "mac" not in found

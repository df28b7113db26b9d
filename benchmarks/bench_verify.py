# SPDX-License-Identifier: Apache-2.0
"""What checking costs the gate: the work alone, everything, and a forgery."""

from dataclasses import replace

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import pypow
from pypow import Challenge, Checked, Expected, Key, Keyring, Proof, Refusal

KEY = Key(id=1, secret=bytes(32))
KEYRING = Keyring([KEY])
EXPECTED = Expected(now_ms=0, epoch=0)


def solved(puzzles: int) -> tuple[Challenge, Proof]:
    challenge = pypow.issue(
        KEY, q=14 * 1024, now_ms=0, epoch=0, identity=bytes(16), puzzles=puzzles
    )
    return challenge, pypow.solve(challenge)


@pytest.mark.parametrize("puzzles", [1, 16])
def test_verify_the_work(benchmark: BenchmarkFixture, puzzles: int) -> None:
    benchmark.group = "verify"
    challenge, proof = solved(puzzles)
    assert benchmark(pypow.verify, challenge, proof)


@pytest.mark.parametrize("puzzles", [1, 16])
def test_check_everything(benchmark: BenchmarkFixture, puzzles: int) -> None:
    benchmark.group = "check"
    _, proof = solved(puzzles)
    assert isinstance(benchmark(pypow.check, proof, KEYRING, EXPECTED), Checked)


def test_check_a_forgery(benchmark: BenchmarkFixture) -> None:
    """The dearest refusal that costs a stranger nothing: well-formed, with a wrong MAC."""
    benchmark.group = "check"
    challenge, proof = solved(1)
    forged = replace(proof, challenge=replace(challenge, mac=bytes(16)).text)
    assert isinstance(benchmark(pypow.check, forged, KEYRING, EXPECTED), Refusal)


def test_issue(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "issue"
    benchmark(pypow.issue, KEY, q=16 * 1024, now_ms=0, epoch=0, identity=bytes(16))

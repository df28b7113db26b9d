# SPDX-License-Identifier: Apache-2.0
"""How long a refusal takes does not tell how many octets of a forged MAC were right.

Who could see that would find a MAC octet by octet. Forgeries with none and with all but one octet
right are timed in one random order, each several times, of which the quickest counts; Welch's t
says whether their means differ. Each forgery is made anew: where it lies in memory costs more time
than what is looked for, and must not be the same for all of a kind.
"""

import base64
import gc
import hmac
import math
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import TypeVar

import pytest

from pypow import challenge, l402
from pypow.challenge import Expected, Outcome, Reason, Refusal
from pypow.macaroon import SIGNATURE_BYTES, Macaroon
from pypow.wire import MAC_BYTES, Proof
from pypow_server import passes
from pypow_server.passes import Pass
from support.challenges import EPOCH, KEY, KEYRING, NOW_MS

FORGERIES = int(os.environ.get("PYPOW_TEST_FORGERIES", "60000"))
"""Of either kind."""

SUSPECT = 5.0
"""Of a t that is normally distributed, one in two million is farther from 0."""

REPEATS = 5
BATCH = 500

pytestmark = pytest.mark.deep

TERMS = l402.Terms("pypow", valid_until_s=1)
CALL = l402.Expected("pypow")
EXPECTED = Expected(now_ms=NOW_MS, epoch=EPOCH)

_T = TypeVar("_T")


def forged(mac: bytes, *, right: int, source: random.Random) -> bytes:
    """A MAC whose first octets are right, and none of the others."""
    wrong = (octet ^ source.randrange(1, 256) for octet in mac[right:])
    return mac[:right] + bytes(wrong)


def challenge_with(right: int, source: random.Random) -> Proof:
    """A proof for a challenge whose MAC is right in its first octets."""
    issued = challenge.issue(KEY, q=1024, now_ms=NOW_MS, epoch=EPOCH, identity=source.randbytes(16))
    return Proof((b"0",), replace(issued, mac=forged(issued.mac, right=right, source=source)).text)


def pass_with(right: int, source: random.Random) -> Pass:
    """A pass whose MAC is right in its first octets."""
    issued = passes.issue(KEY, identity=source.randbytes(16), calls=1, expires_at_ms=NOW_MS + 1000)
    return replace(issued, mac=forged(issued.mac, right=right, source=source))


def macaroon_with(right: int, source: random.Random) -> Macaroon:
    """A macaroon of whose signature no octet is right, or all but the last."""
    issued = l402.issue(KEY, TERMS, payment_hash=bytes(32), identity=source.randbytes(30))
    octets = right and SIGNATURE_BYTES - 1
    return replace(issued, signature=forged(issued.signature, right=octets, source=source))


def quickest_ns(refuse: Callable[[_T], object], given: list[_T]) -> list[int]:
    """How long each takes, at best."""
    times = [[0] * len(given) for _ in range(REPEATS)]
    clock = time.perf_counter_ns
    for row in times:
        for place, one in enumerate(given):
            began = clock()
            refuse(one)
            row[place] = clock() - began
    return list(map(min, *times))


def welch(refuse: Callable[[_T], object], make: Callable[[int, random.Random], _T]) -> float:
    """Welch's t between refusals of forgeries with no octet right and with all but one."""
    source = random.Random(20261123)
    found: dict[int, list[int]] = {0: [], MAC_BYTES - 1: []}
    for _ in range(FORGERIES // BATCH):
        rights = [*found] * BATCH
        source.shuffle(rights)
        given = [make(right, source) for right in rights]
        gc.disable()
        try:
            times = quickest_ns(refuse, given)
        finally:
            gc.enable()
        for right, spent in zip(rights, times, strict=True):
            found[right].append(spent)
    # Interruptions lie at the upper end, and would hide everything.
    end = statistics.quantiles([*found[0], *found[MAC_BYTES - 1]], n=20)[-1]
    few, many = ([spent for spent in kind if spent <= end] for kind in found.values())
    error = math.sqrt(statistics.variance(few) / len(few) + statistics.variance(many) / len(many))
    return (statistics.fmean(many) - statistics.fmean(few)) / error


def check_challenge(given: Proof) -> Outcome:
    """As the work rail does it."""
    return challenge.check(given, KEYRING, EXPECTED)


def check_pass(given: Pass) -> Pass | Refusal:
    """As the work rail does it."""
    return passes.check(given, KEYRING, EXPECTED)


def check_macaroon(given: Macaroon) -> l402.Outcome:
    """As a rail does it."""
    return l402.check(given.octets, bytes(32), KEYRING, CALL, now_s=0)


def octet_by_octet(one: bytes, other: bytes) -> bool:
    """A wrong twin: ends at the first octet that differs."""
    return all(a == b for a, b in zip(one, other, strict=True))


def half_by_half(one: bytes, other: bytes) -> bool:
    """A wrong twin: looks at the second half only when the first is right."""
    half = MAC_BYTES // 2
    return one[:half] == other[:half] and one[half:] == other[half:]


def test_forgeries_are_what_they_are_timed_as() -> None:
    source = random.Random(1)
    for right in range(MAC_BYTES):
        challenge_given, pass_given = challenge_with(right, source), pass_with(right, source)
        for outcome in (check_challenge(challenge_given), check_pass(pass_given)):
            assert isinstance(outcome, Refusal)
            assert outcome.reason is Reason.BAD_MAC
        whole = hmac.digest(KEY.pass_mac, pass_given.octets[:-MAC_BYTES], "sha256")[:MAC_BYTES]
        assert pass_given.mac[:right] == whole[:right]
        assert all(a != b for a, b in zip(pass_given.mac[right:], whole[right:], strict=True))


def test_refusing_a_challenge_does_not_tell_how_much_of_its_mac_was_right() -> None:
    assert abs(welch(check_challenge, challenge_with)) < SUSPECT


def test_refusing_a_pass_does_not_tell_how_much_of_its_mac_was_right() -> None:
    assert abs(welch(check_pass, pass_with)) < SUSPECT


def test_refusing_a_macaroon_does_not_tell_how_much_of_its_signature_was_right() -> None:
    for right in (0, 1):
        outcome = check_macaroon(macaroon_with(right, random.Random(1)))
        assert isinstance(outcome, l402.Refusal)
        assert outcome.reason is l402.Reason.BAD_MAC
    assert abs(welch(check_macaroon, macaroon_with)) < SUSPECT


@pytest.mark.parametrize("twin", [octet_by_octet, half_by_half])
def test_a_comparison_of_passes_that_tells_is_caught(
    twin: Callable[[bytes, bytes], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    leaking = SimpleNamespace(digest=hmac.digest, compare_digest=twin)
    monkeypatch.setattr(passes, "hmac", leaking)
    assert abs(welch(check_pass, pass_with)) > SUSPECT


def test_a_comparison_of_challenges_that_tells_is_caught() -> None:
    def leaking(given: Proof) -> Outcome:
        octets = base64.urlsafe_b64decode(given.challenge or "")
        signed, mac = octets[:-MAC_BYTES], octets[-MAC_BYTES:]
        half_by_half(hmac.digest(KEY.challenge_mac, signed, "sha256")[:MAC_BYTES], mac)
        return check_challenge(given)

    assert abs(welch(leaking, challenge_with)) > SUSPECT

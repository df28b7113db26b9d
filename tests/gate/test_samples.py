# SPDX-License-Identifier: Apache-2.0
"""Which solves are timed, of whom: one sample of each known network and day, and no favourites."""

from dataclasses import replace
from typing import Any

import pytest

from pypow.steering import Sample
from pypow_server.calibration.samples import DAY_MS, Samples
from pypow_server.decision import Decision
from support.decisions import refused, solved

KEY = b"k" * 32
DAY = 20_000
NOON_MS = DAY * DAY_MS + DAY_MS // 2
MINUTE_MS = 60_000
HOME = "192.0.2.7/32"


def known(samples: Samples, client: str = HOME, *, at_ms: int = NOON_MS) -> None:
    """Have a network admitted a minute before."""
    samples.record(solved(1, client=client, at_ms=at_ms - MINUTE_MS))


def timed(*solves_ms: int, **changes: Any) -> list[Sample]:
    """The samples, after solves of these lengths by a known network."""
    samples = Samples(KEY)
    known(samples)
    for number, solve_ms in enumerate(solves_ms):
        samples.record(solved(solve_ms, client=HOME, at_ms=NOON_MS + 1000 * number, **changes))
    return told(samples)


def told(samples: Samples) -> list[Sample]:
    return list(samples.take()[1].values())


def test_a_known_network_has_one_sample_of_its_solves() -> None:
    assert timed(300, q=20_000) == [Sample(20_000, 300)]
    assert len(timed(300, 400, 500)) == 1


def test_the_sample_is_neither_the_luckiest_nor_the_slowest_but_the_one_between() -> None:
    assert timed(900, 1, 300, 310, 10_000) == [Sample(20 * 1024, 310)]
    assert timed(300, 900) == [Sample(20 * 1024, 300)]
    assert timed(*[5000] * 40, 310, 320, 330, 340, 350) == [Sample(20 * 1024, 330)]


def test_a_hard_solve_that_took_long_is_not_slower_than_an_easy_one_that_took_as_long() -> None:
    samples = Samples(KEY)
    known(samples)
    for number, (q, solve_ms) in enumerate([(22 * 1024, 900), (20 * 1024, 900), (18 * 1024, 900)]):
        samples.record(solved(solve_ms, q=q, client=HOME, at_ms=NOON_MS + number))
    assert told(samples) == [Sample(20 * 1024, 900)]


@pytest.mark.parametrize(("age_ms", "count"), [(0, 0), (59_999, 0), (60_000, 1)])
def test_a_network_is_known_a_minute_after_it_was_first_admitted(age_ms: int, count: int) -> None:
    samples = Samples(KEY)
    samples.record(solved(1, client=HOME, at_ms=NOON_MS - age_ms))
    samples.record(solved(300, client=HOME, at_ms=NOON_MS))
    assert len(told(samples)) == count


@pytest.mark.parametrize(
    "decision",
    [
        solved(300, at_ms=NOON_MS, client=HOME, q=None),
        replace(solved(300, at_ms=NOON_MS, client=HOME), solve_ms=None, q=None),
        refused(at_ms=NOON_MS, client=HOME, q=20 * 1024),
    ],
    ids=["pass", "free", "refused"],
)
def test_what_was_not_solved_for_the_call_is_not_timed(decision: Decision) -> None:
    samples = Samples(KEY)
    known(samples)
    samples.record(decision)
    assert told(samples) == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_proof_that_was_sent_away_and_comes_again_is_not_timed(status: int) -> None:
    samples = Samples(KEY)
    known(samples)
    samples.record(refused(status=status, client=HOME, at_ms=NOON_MS))
    samples.record(solved(30_000, client=HOME, at_ms=NOON_MS + 29_999))
    assert told(samples) == []
    samples.record(solved(300, client=HOME, at_ms=NOON_MS + 30_300))
    assert told(samples) == [Sample(20 * 1024, 300)]


def test_a_proof_that_was_sent_away_and_then_waited_for_its_turn_is_not_timed() -> None:
    samples = Samples(KEY)
    known(samples)
    samples.record(refused(status=503, client=HOME, at_ms=NOON_MS))
    # Issued half a second before that, back two seconds after, and then in the queue.
    samples.record(solved(2_500, client=HOME, at_ms=NOON_MS + 3_500, waited_ms=1_500))
    assert told(samples) == []
    samples.record(solved(300, client=HOME, at_ms=NOON_MS + 5_000, waited_ms=1_500))
    assert told(samples) == [Sample(20 * 1024, 300)]


def test_what_was_told_is_not_told_again_until_it_changes() -> None:
    samples = Samples(KEY)
    known(samples)
    samples.record(solved(300, client=HOME, at_ms=NOON_MS))
    day, first = samples.take()
    assert (day, len(first)) == (DAY, 1)
    assert samples.take() == (DAY, {})
    samples.put_back(DAY, set(first))
    assert samples.take() == (DAY, first)
    samples.put_back(DAY - 1, set(first))
    assert samples.take() == (DAY, {})
    samples.record(solved(900, client=HOME, at_ms=NOON_MS + 1))
    samples.record(solved(900, client=HOME, at_ms=NOON_MS + 2))
    assert samples.take() == (DAY, {next(iter(first)): Sample(20 * 1024, 900)})


def test_each_day_begins_anew_and_gives_other_names() -> None:
    samples = Samples(KEY)
    names: set[str] = set()
    for day in (0, 1):
        at_ms = NOON_MS + day * DAY_MS
        samples.record(solved(300, client=HOME, at_ms=at_ms))
        assert samples.take() == (DAY + day, {})
        samples.record(solved(300, client=HOME, at_ms=at_ms + MINUTE_MS))
        names |= samples.take()[1].keys()
    assert len(names) == 2


def test_a_clock_that_steps_back_over_midnight_begins_no_day_anew() -> None:
    samples = Samples(KEY)
    known(samples, at_ms=DAY * DAY_MS + MINUTE_MS)
    samples.record(solved(300, client=HOME, at_ms=DAY * DAY_MS + MINUTE_MS))
    samples.record(solved(300, client="192.0.2.8/32", at_ms=DAY * DAY_MS - 1))
    assert samples.take()[0] == DAY


def names_of(samples: Samples, clients: list[str]) -> list[str]:
    """The names told of networks that are known and solve, in the order of their coming."""
    for client in clients:
        known(samples, client)
    for client in clients:
        samples.record(solved(300, client=client, at_ms=NOON_MS))
    return sorted(samples.take()[1])


def test_of_too_many_networks_the_same_few_are_kept_whoever_comes_first_or_often() -> None:
    clients = [f"192.0.{number // 256}.{number % 256}/32" for number in range(500)]
    kept = names_of(Samples(KEY, most=50), clients)
    assert len(kept) == 50
    assert names_of(Samples(KEY, most=50), clients[::-1]) == kept
    assert names_of(Samples(KEY, most=50), clients[:100] * 3 + clients) == kept
    assert set(kept) <= set(names_of(Samples(KEY), clients))


def test_which_are_kept_nobody_can_tell_without_the_key() -> None:
    clients = [f"192.0.2.{number}/32" for number in range(100)]
    assert names_of(Samples(KEY), clients) != names_of(Samples(b"another"), clients)
    told_of = names_of(Samples(KEY), clients)
    assert not any("192" in name or len(name) != 16 for name in told_of)

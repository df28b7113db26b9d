# SPDX-License-Identifier: Apache-2.0
"""The laboratory: what is played is what is said, and pypow's known callers hold."""

import dataclasses
import math

import numpy as np
import pytest

from pypow import pricing
from pypow.errors import InvalidInputError
from pypow.laboratory.attack import SCENARIOS, Attack, Past, parse
from pypow.laboratory.callers import Callers, Identities, Kind
from pypow.laboratory.gates import Line
from pypow.laboratory.lineup import LINEUP, OURS, contender
from pypow.laboratory.outcome import Outcome, outcome
from pypow.laboratory.run import Diary, play
from pypow.laboratory.timeline import known_served, taken
from pypow.laboratory.world import MIX, Machine, World, parse_mix

SMALL = World(seconds=60, capacity=25, callers=300, patience_s=10)
"""A tenth of the time and half of the size: a run takes about a second."""

ORDERED = (OURS, "bucket-queue", "no-escalation", "no-standing")
"""Gates that serve least served first."""

FLOODS = (
    "botnet:200",
    "gpu:1",
    "gpu:1,addresses:64,connections:400",
    "gpu:1,addresses:1000,connections:800",
    "gpu:1,addresses:20000,connections:800",
    "botnet:200,pulse:6",
)


def found(gate: str, attack: str, world: World = SMALL, *, seed: int = 1) -> Outcome:
    return outcome(world, [play(world, parse(attack), contender(gate).make, seed=seed)])


def holds(one: Outcome) -> bool:
    """The goal: known callers are served, and at once."""
    served, p99_s = one.known.served, one.known.p99_s
    return served is not None and served >= 0.995 and p99_s is not None and p99_s <= 1


@pytest.mark.parametrize("attack", ["none", *FLOODS])
def test_known_callers_hold_under_every_flood(attack: str) -> None:
    assert holds(found(OURS, attack))


@pytest.mark.parametrize("gate", [name for name in LINEUP if name not in ORDERED])
def test_without_the_order_of_admission_they_do_not_under_a_botnet(gate: str) -> None:
    assert not holds(found(gate, "botnet:200"))


def test_a_plain_limit_before_our_queue_holds_without_any_work() -> None:
    assert holds(found("bucket-queue", "botnet:200"))


def test_identities_used_like_users_are_served_like_users() -> None:
    farmed, bought = (
        found(OURS, f"gpu:1,{past}:500,connections:500") for past in ("farmed", "addresses")
    )
    assert holds(bought)
    assert not holds(farmed)


def test_age_without_use_buys_nothing_because_use_makes_standing() -> None:
    aged = "gpu:1,aged:500,connections:500"
    assert holds(found(OURS, aged))
    assert not holds(found("no-standing", aged))


def test_hash_power_buys_one_address_next_to_nothing() -> None:
    ours, fixed = found(OURS, "gpu:1"), found("fixed-18", "gpu:1")
    assert ours.attacker_per_s < 0.2 * fixed.attacker_per_s
    assert ours.bits_per_call is not None
    assert fixed.bits_per_call is not None
    assert ours.bits_per_call > fixed.bits_per_call + 8


def test_prices_and_queue_are_the_code_of_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("asked")

    for name in ("quote", "may_redeem", "redeem"):
        with monkeypatch.context() as changed:
            changed.setattr(pricing, name, refuse)
            with pytest.raises(RuntimeError, match="asked"):
                found(OURS, "none")


def test_the_same_seed_gives_the_same_run_and_another_another() -> None:
    one, same, other = (
        play(SMALL, parse("botnet:30"), contender(OURS).make, seed=seed) for seed in (1, 1, 2)
    )
    assert dataclasses.asdict(one) == dataclasses.asdict(same)
    assert one.ended != other.ended


@pytest.mark.parametrize("gate", LINEUP)
def test_no_gate_serves_more_than_the_server_can(gate: str) -> None:
    diary = play(SMALL, parse("botnet:100"), contender(gate).make)
    served = sum(diary.admitted) + sum(math.isfinite(took) for _, _, took in diary.ended)
    assert 0 < served <= SMALL.capacity * SMALL.seconds


def test_solves_take_as_long_as_hashrate_and_price_say() -> None:
    world = dataclasses.replace(SMALL, seconds=400, mix=(Machine("one", 0.78e6, 1.0),))
    quiet = found("fixed-18", "none", world)
    assert quiet.all.served == 1
    mean_s = 2**18 / 0.78e6
    # Asking waits for the next step, and the answer takes one.
    assert quiet.all.p50_s == pytest.approx(math.log(2) * mean_s + 0.2, abs=0.06)
    assert quiet.all.p99_s == pytest.approx(math.log(100) * mean_s + 0.2, abs=0.25)


def test_an_attacker_gets_what_its_machines_can_solve_and_no_more() -> None:
    one = found("fixed-18", "botnet:5,hashrate:1e6,connections:30")
    assert one.attacker_per_s == pytest.approx(5 * 1e6 / 2**18, rel=0.1)
    assert one.bits_per_call == pytest.approx(18, abs=0.15)


def test_machines_share_their_time_among_what_they_solve() -> None:
    callers = Callers(SMALL, parse("gpu:1,connections:4").attack, np.random.default_rng(1))
    rows = np.arange(callers.honest, callers.honest + 4)
    assert callers.speed(rows).tolist() == [16.3e9 / 4] * 4
    assert callers.speed(rows[:1]).tolist() == [16.3e9]


def test_hardware_comes_in_the_shares_of_the_mix() -> None:
    callers = Callers(SMALL, Attack(), np.random.default_rng(1))
    speeds = callers.hashes_per_s[: SMALL.callers].tolist()
    for machine in MIX:
        assert speeds.count(machine.hashes_per_s) == round(machine.share * SMALL.callers)


def test_identities_are_taken_in_turn_and_no_more_than_are_worth_it() -> None:
    attack = parse("gpu:1,addresses:2,connections:9").attack
    callers = Callers(SMALL, attack, np.random.default_rng(1))
    identities = Identities(callers, attack, outstanding=2)
    rows = range(callers.honest, callers.honest + 5)
    assert [identities.take(row) for row in rows] == [True] * 4 + [False]
    first = SMALL.callers
    assert callers.who[rows[0] : rows[4]].tolist() == [first, first + 1, first, first + 1]
    identities.give_back(rows[1])
    assert identities.take(rows[4])
    assert callers.who[rows[4]] == first + 1


def test_a_line_turns_away_who_finds_it_full_and_who_waited_too_long() -> None:
    line = Line(room=3, longest_s=2)
    assert line.join(np.arange(5), 0.0).away.tolist() == [3, 4]
    served, turned = line.leave(1, 2.0)
    assert (served.tolist(), turned.away.tolist()) == ([0], [])
    served, turned = line.leave(1, 2.1)
    assert (served.tolist(), turned.away.tolist()) == ([], [1, 2])


def test_calls_are_counted_that_the_attack_outlasted() -> None:
    world = dataclasses.replace(SMALL, seconds=100)  # attacked from 20 to 80
    ended = [(Kind.KNOWN, at, 1.0) for at in (19.9, 20.0, 69.9, 70.0)]
    ended += [(Kind.KNOWN, 30.0, math.inf), (Kind.FRESH, 30.0, 3.0), (Kind.BURST, 30.0, math.inf)]
    diary = Diary(ended=[(int(kind), at, took) for kind, at, took in ended], admitted=[6] * 100)
    one = outcome(world, [diary])
    assert (one.known.calls, one.known.served) == (3, 2 / 3)
    assert (one.all.calls, one.all.served, one.all.p50_s) == (4, 0.75, 1.0)
    assert (one.bursts.calls, one.bursts.served) == (1, 0.0)
    assert (one.attacker_per_s, one.bits_per_call) == (10.0, None)


def test_a_timeline_tells_who_was_served_when() -> None:
    world = dataclasses.replace(SMALL, seconds=60)
    known = int(Kind.KNOWN)
    diary = Diary(
        ended=[(known, 1.0, 2.0), (known, 2.0, math.inf), (known, 59.9, 1.0), (2, 31.0, 1.0)],
        admitted=[5] * 30 + [20] * 30,
    )
    assert known_served(world, [diary], 2) == [0.5, 1.0]
    assert known_served(world, [diary], 3) == [0.5, None, 1.0]
    assert taken(world, [diary, diary], 2) == [0.2, 0.8]


def test_words_of_an_attack_say_what_it_owns() -> None:
    assert parse("gpu:1,addresses:256").attack == SCENARIOS["S3b"].attack
    assert parse("botnet:1000").attack == SCENARIOS["S2"].attack
    assert parse("pulse:40").attack == SCENARIOS["S5"].attack
    assert parse("farmed:1024").attack == SCENARIOS["S4c"].attack
    assert parse("none").attack == Attack()
    many = parse("gpu:3,aged:10,connections:7,hashrate:2.5e9").attack
    assert many == Attack(3, 2.5e9, 10, 7, Past.AGED)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("gpus:1", "did you mean gpu?"),
        ("s3b", "did you mean"),
        ("zzzz", "known: gpu, botnet"),
        ("", "'' is unknown"),
        ("gpu", "expected gpu:N"),
        ("gpu:", "expected gpu:N"),
        ("gpu:0", "from 1 to 10000, got 'gpu:0'"),
        ("gpu:1.5", "a whole number"),
        ("gpu:nan", "expected gpu:N"),
        ("gpu:-1", "expected gpu:N"),
        ("gpu:1e9", "from 1 to 10000"),
        ("gpu:1,gpu:2", "'gpu' twice"),
        ("gpu:1,botnet:1", "gpu or botnet, got both"),
        ("addresses:1,farmed:1", "addresses or farmed, got both"),
        ("aged:1,farmed:1", "aged or farmed, got both"),
        ("gpu:1," * 99, "at most 200 characters"),
    ],
)
def test_an_attack_that_cannot_be_is_one_clear_error(spec: str, says: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse(spec)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"capacity": 0}, "capacity: expected a number from 1 to 10000 calls a second, got 0"),
        ({"capacity": math.nan}, "got nan"),
        ({"callers": 0}, "callers: expected a number from 1"),
        ({"fresh": 1.1}, "fresh: expected a number from 0 to 1"),
        ({"seconds": 30}, "a run of 33 or more, got 30"),
        ({"retry_s": True}, "retry_s"),
        ({"mix": (Machine("x", 1e6, 0.5),)}, "expected a sum of 1, got 0.5"),
        ({"mix": (Machine("x", math.inf, 1.0),)}, "hashes_per_s of x"),
    ],
)
def test_a_world_that_cannot_be_is_one_clear_error(changed: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        dataclasses.replace(SMALL, **changed)  # type: ignore[arg-type]
    assert says in str(refused.value)


def test_a_mix_names_classes_or_rates() -> None:
    assert parse_mix("hashlib:60,2e9:40") == (
        Machine("hashlib", 0.78e6, 0.6),
        Machine("2e9", 2e9, 0.4),
    )
    for bad in ("hashlib", "hashlib:x", "abacus:100", ":", ""):
        with pytest.raises(InvalidInputError, match="expected NAME:PERCENT"):
            parse_mix(bad)


def test_an_unknown_gate_is_told_the_nearest() -> None:
    with pytest.raises(InvalidInputError, match="did you mean fair-share"):
        contender("fairshare")
    with pytest.raises(InvalidInputError, match="known: fixed-18"):
        contender("\x00")

# SPDX-License-Identifier: Apache-2.0
"""The queue before an upstream: who goes next, who is sent away, and that nobody is forgotten."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow import InvalidInputError
from pypow.admission import Lane, Queue, Shares, Waiting, lane_of
from pypow.pricing import (
    Account,
    Constants,
    Principal,
    Redeemable,
    Tariff,
    Wait,
    admit,
    may_redeem,
    redeem,
)
from support.pricing_laws import START_MS, standing

NO_LOTS = Shares(lottery=0)


def queue(places: int = 1000, shares: Shares | None = None, seed: int = 0) -> Queue:
    return Queue(places, Random(seed).randrange, shares=shares)


def call(ticket: int, principal: str = "", lane: Lane = Lane.KNOWN, score: int = 0,
         since_ms: int = 0, weight: int = 1) -> Waiting:  # fmt: skip
    return Waiting(ticket, principal or f"p{ticket}", lane, score, since_ms, weight)


def drained(waiting: Queue) -> list[object]:
    taken = []
    while (next_one := waiting.take()) is not None:
        taken.append(next_one.ticket)
    return taken


def test_nobody_is_taken_from_an_empty_queue() -> None:
    assert queue().take() is None


def test_the_lowest_score_goes_first_and_of_equals_who_came_first() -> None:
    waiting = queue(shares=NO_LOTS)
    for ticket, score in enumerate((300, 100, 200, 100)):
        assert waiting.join(call(ticket, score=score)) is None
    assert drained(waiting) == [1, 3, 2, 0]


def test_each_call_that_waits_puts_the_next_of_the_same_principal_back_by_one() -> None:
    waiting = queue(shares=NO_LOTS)
    for ticket in range(3):
        waiting.join(call(ticket, "busy"))
    waiting.join(call(3, "quiet", score=512))
    waiting.join(call(4, "other", score=1536))
    assert drained(waiting) == [0, 3, 1, 4, 2]


def test_a_heavy_call_puts_the_next_back_by_its_weight() -> None:
    waiting = queue(shares=NO_LOTS)
    waiting.join(call(0, "heavy", weight=5))
    waiting.join(call(1, "heavy"))
    waiting.join(call(2, "light", score=3000))
    assert drained(waiting) == [0, 2, 1]


def turns(shares: Shares, lanes: list[Lane], rounds: int = 1000) -> Counter[Lane]:
    """How many turns each lane gets while as many wait in each."""
    waiting, served, ticket = queue(shares=shares), Counter[Lane](), 0
    for _ in range(20):
        for lane in lanes:
            ticket += 1
            waiting.join(call(ticket, lane=lane))
    for _ in range(rounds):
        taken = waiting.take()
        assert taken is not None
        served[taken.lane] += 1
        ticket += 1
        waiting.join(call(ticket, lane=taken.lane))
    return served


def test_lanes_have_their_shares_while_all_wait() -> None:
    served = turns(Shares(lottery=0, new=205, paid=410), list(Lane))
    assert served == {Lane.PAID: 400, Lane.KNOWN: 400, Lane.NEW: 200}


def test_what_a_lane_leaves_flows_on() -> None:
    shares = Shares(lottery=0, new=205, paid=410)
    assert turns(shares, [Lane.KNOWN]) == {Lane.KNOWN: 1000}
    assert turns(shares, [Lane.NEW]) == {Lane.NEW: 1000}
    assert turns(shares, [Lane.KNOWN, Lane.NEW]) == {Lane.KNOWN: 800, Lane.NEW: 200}
    assert turns(shares, [Lane.PAID, Lane.NEW]) == {Lane.PAID: 800, Lane.NEW: 200}


def test_a_lane_that_had_all_turns_owes_nothing_when_others_come() -> None:
    waiting = queue(shares=Shares(lottery=0))
    for ticket in range(500):
        waiting.join(call(ticket, lane=Lane.NEW))
    for _ in range(300):
        waiting.take()
    for ticket in range(500, 1000):
        waiting.join(call(ticket))
    taken = Counter(found.lane for _ in range(100) if (found := waiting.take()) is not None)
    assert taken == {Lane.NEW: 20, Lane.KNOWN: 80}


def test_shares_are_of_weight_and_not_of_calls() -> None:
    waiting = queue(10_000, shares=Shares(lottery=0))
    for ticket in range(1000):
        waiting.join(call(ticket, lane=Lane.NEW, weight=10))
        waiting.join(call(10_000 + ticket))
    weights: Counter[Lane] = Counter()
    while (taken := waiting.take()) is not None and sum(weights.values()) < 1000:
        weights[taken.lane] += taken.weight
    assert 190 <= weights[Lane.NEW] <= 215


def test_in_any_four_turns_one_is_drawn_among_those_who_wait() -> None:
    waiting, ticket, drawn = queue(), 0, 0
    for _ in range(40):
        ticket += 1
        waiting.join(call(ticket, score=-1))
    outcast = Counter[object]()
    for ticket_of_outcast in range(10):
        waiting.join(call(-1 - ticket_of_outcast, score=10**9))
    for _ in range(2000):
        taken = waiting.take()
        assert taken is not None
        ticket += 1
        if taken.score > 0:
            drawn += 1
            outcast[taken.principal] += 1
            assert isinstance(taken.ticket, int)
            waiting.join(call(taken.ticket - 100, str(taken.principal), score=10**9))
        else:
            waiting.join(call(ticket, score=-1))
    assert 70 <= drawn <= 130  # a quarter of the turns, a fifth of which is theirs: 100
    assert len(outcast) == 10


def test_lots_are_drawn_among_principals_and_not_among_their_calls() -> None:
    wins = 0
    for seed in range(400):
        waiting = queue(seed=seed, shares=Shares(lottery=1024))
        for ticket in range(99):
            waiting.join(call(ticket, "many"))
        waiting.join(call(99, "one"))
        taken = waiting.take()
        assert taken is not None
        wins += taken.principal == "one"
    assert 160 <= wins <= 240


def test_a_full_queue_sends_the_worst_away_and_perhaps_the_one_that_comes() -> None:
    waiting = queue(places=2)
    waiting.join(call(0, score=10))
    waiting.join(call(1, score=30))
    sent = waiting.join(call(2, score=20))
    assert sent is not None
    assert sent.ticket == 1
    itself = waiting.join(call(3, score=90))
    assert itself is not None
    assert itself.ticket == 3
    assert (len(waiting), waiting.fill) == (2, 1024)


def test_who_has_most_waiting_is_sent_away_first() -> None:
    waiting = queue(places=4)
    for ticket in range(3):
        waiting.join(call(ticket, "many"))
    waiting.join(call(3, "few"))
    sent = waiting.join(call(4, "fresh", score=1000))
    assert sent is not None
    assert sent.ticket == 2


def test_no_crowd_of_one_lane_takes_the_places_of_another() -> None:
    for crowd, other in ((Lane.KNOWN, Lane.NEW), (Lane.NEW, Lane.KNOWN), (Lane.PAID, Lane.NEW)):
        waiting = queue(places=100)
        for ticket in range(10):
            waiting.join(call(ticket, lane=other, score=10**6))
        for ticket in range(100, 1000):
            waiting.join(call(ticket, lane=crowd))
        kept = Counter(found.lane for _ in range(100) if (found := waiting.take()) is not None)
        assert kept[other] == 10


def test_who_waited_too_long_is_sent_away_unserved() -> None:
    waiting = queue()
    waiting.join(call(0, since_ms=1000))
    waiting.join(call(1, since_ms=2000))
    assert waiting.expire(3000) == []
    assert [late.ticket for late in waiting.expire(3001)] == [0]
    assert drained(waiting) == [1]


def test_who_goes_away_waits_no_more() -> None:
    waiting = queue()
    waiting.join(call(0, "p"))
    waiting.join(call(1, "p"))
    gone = waiting.leave(0)
    assert gone is not None
    assert gone.ticket == 0
    assert waiting.leave(0) is None
    assert drained(waiting) == [1]


def test_a_ticket_waits_once() -> None:
    waiting = queue()
    waiting.join(call(7))
    with pytest.raises(InvalidInputError, match="expected a ticket of its own, got 7 again"):
        waiting.join(call(7))


def test_lanes_follow_from_who_one_is() -> None:
    constants = Constants()
    new = Principal(Account.new(constants, START_MS))
    known = standing(constants, START_MS)
    assert lane_of(new, constants, START_MS, paid=False) is Lane.NEW
    assert lane_of(known, constants, START_MS, paid=False) is Lane.KNOWN
    assert lane_of(new, constants, START_MS, paid=True) is Lane.PAID


def test_values_that_cannot_be_are_refused() -> None:
    for wrong in (
        lambda: queue(places=0),
        lambda: Queue(1, Random(0).randrange, sojourn_ms=0),
        lambda: Shares(lottery=1025),
        lambda: Shares(new=600, paid=600),
        lambda: call(0, weight=0),
    ):
        with pytest.raises(InvalidInputError, match=r"expected \w+ from \d+ to \d+"):
            wrong()


class Plain:
    """The same rules, looked up from the beginning at each turn."""

    def __init__(self, places: int, draw: Random, shares: Shares) -> None:
        self.places, self.draw, self.shares = places, draw, shares
        self.calls: list[Waiting] = []
        self.scores: dict[tuple[Lane, object], int] = {}

    def of(self, lane: Lane) -> list[tuple[int, int]]:
        """Score with rank, and place in the order of coming, of each call of a lane."""
        ranks: Counter[object] = Counter()
        found = []
        for index, waiting in enumerate(self.calls):
            if waiting.lane is lane:
                rank = ranks[waiting.principal]
                ranks[waiting.principal] += 1
                found.append((self.scores[lane, waiting.principal] + rank * 1024, index))
        return found

    def join(self, waiting: Waiting) -> Waiting | None:
        self.scores[waiting.lane, waiting.principal] = waiting.score
        self.calls.append(waiting)
        if len(self.calls) <= self.places:
            return None
        shares = {
            Lane.PAID: self.shares.paid,
            Lane.KNOWN: 1024 - self.shares.paid - self.shares.new,
            Lane.NEW: self.shares.new,
        }
        lane = max(lane for lane in Lane if len(self.of(lane)) * 1024 > shares[lane] * self.places)
        return self.calls.pop(max(self.of(lane))[1])


operations = st.lists(
    st.one_of(
        st.tuples(
            st.just("join"), st.integers(0, 5), st.sampled_from(list(Lane)), st.integers(0, 10**6)
        ),
        st.just(("leave",)),
        st.just(("expire",)),
    ),
    max_size=60,
)


@given(operations, st.integers(0, 1000))
def test_the_worst_of_a_lane_that_has_too_much_is_sent_away_as_by_looking_at_everybody(
    done: list[tuple[object, ...]], seed: int
) -> None:
    draw = Random(seed)
    shares = Shares()
    waiting, plain = queue(10, shares, seed), Plain(10, draw, shares)
    for now_ms, step in enumerate(done):
        match step:
            case ("join", int(principal), Lane() as lane, int(score)):
                # Scores that no two principals share: of equals either may go.
                score = score * 6 + principal
                one = call(now_ms, f"p{principal}", lane, score, since_ms=now_ms * 200)
                sent, expected = waiting.join(one), plain.join(one)
                assert sent == expected
            case ("leave",):
                if plain.calls:
                    gone = plain.calls.pop(draw.randrange(len(plain.calls)))
                    assert waiting.leave(gone.ticket) == gone
            case _:
                limit = now_ms * 200 - 2000
                late = [other for other in plain.calls if other.since_ms < limit]
                plain.calls = [other for other in plain.calls if other.since_ms >= limit]
                assert waiting.expire(now_ms * 200) == late
        assert len(waiting) == len(plain.calls)
    assert sorted(map(str, drained(waiting))) == sorted(str(left.ticket) for left in plain.calls)


@given(st.integers(0, 1000))
def test_the_same_seed_and_calls_give_the_same_order(seed: int) -> None:
    orders = []
    for _ in range(2):
        draw, waiting = Random(seed), queue(50, seed=seed)
        taken: list[object] = []
        for ticket in range(100):
            lane = Lane(draw.randrange(3))
            sent = waiting.join(call(ticket, f"p{draw.randrange(20)}", lane, draw.randrange(5000)))
            taken.append(sent and sent.ticket)
            if draw.random() < 0.5:
                found = waiting.take()
                taken.append(found and found.ticket)
        orders.append(taken + drained(waiting))
    assert orders[0] == orders[1]


def new_users_served(places: int, new: int, seconds: int) -> int:
    """How many strangers are served while known principals want twice the capacity of 50/s."""
    waiting, ticket, served = queue(places), 0, 0
    for stranger in range(new):
        waiting.join(call(-1 - stranger, lane=Lane.NEW, since_ms=10**9))
    for _ in range(seconds * 50):
        for _ in range(2):
            ticket += 1
            waiting.join(call(ticket, f"k{ticket % 600}", since_ms=10**9))
        taken = waiting.take()
        served += taken is not None and taken.lane is Lane.NEW
    return served


def test_strangers_are_served_in_their_share_while_known_principals_want_it_all() -> None:
    # A fifth of three quarters of 50 a second, and their part of the lots.
    assert new_users_served(places=2000, new=200, seconds=20) >= 150


@pytest.mark.parametrize(("looks_again", "served"), [(True, 60 + 8), (False, 400)])
def test_what_waits_is_looked_at_again_when_its_turn_comes(looks_again: bool, served: int) -> None:
    """Else all proofs hoarded at the base price pass the first look before any is charged."""
    tariff = Tariff()
    account = Account.new(tariff.constants, START_MS)
    hoarder = Principal(replace(account, credit=tariff.constants.burst))
    waiting, admitted = queue(), 0
    for ticket in range(400):
        assert may_redeem(0, hoarder, 1, tariff, START_MS) == Redeemable()
        waiting.join(call(ticket, "hoarder"))
    while waiting.take() is not None:
        done = (redeem if looks_again else lambda _, *rest: admit(*rest))(
            0, hoarder, 1, tariff, START_MS
        )
        if isinstance(done, Wait):
            assert done.retry_after_ms == 1000
            continue
        hoarder, admitted = done.principal, admitted + 1
    assert admitted == served


def test_it_is_told_when_somebody_will_have_waited_too_long() -> None:
    assert queue().late_at_ms is None
    waiting = queue()
    for ticket, since_ms in ((0, 500), (1, 700)):
        waiting.join(call(ticket, since_ms=since_ms))
    assert waiting.late_at_ms == 2501
    assert waiting.expire(2500) == []
    assert [away.ticket for away in waiting.expire(2501)] == [0]
    told = [waiting.late_at_ms]
    assert told == [2701]


def test_with_fewer_places_the_worst_go_as_if_there_had_never_been_more() -> None:
    waiting, small = queue(8), queue(4)
    away = set()
    for ticket, lane in enumerate([Lane.NEW, Lane.KNOWN] * 4):
        waiting.join(call(ticket, lane=lane, score=ticket))
        sent = small.join(call(ticket, lane=lane, score=ticket))
        away |= {sent.ticket} if sent else set()
    assert {sent.ticket for sent in waiting.resize(4)} == away
    assert (waiting.places, len(waiting), waiting.fill) == (4, 4, 1024)
    assert waiting.resize(8) == []
    assert (waiting.places, waiting.fill) == (8, 512)
    with pytest.raises(InvalidInputError, match="expected places from 1"):
        waiting.resize(0)

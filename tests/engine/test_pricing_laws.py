# SPDX-License-Identifier: Apache-2.0
"""What nobody can do to a price, over random traces; wrong controllers are shown to be caught."""

from random import Random

import pytest

import pypow
from pypow import Expected, Key, Keyring
from pypow.pricing import Account, Beyond, Constants, Level, Principal, Quote, Redeemable, Tariff
from support import pricing_laws as laws
from support import pricing_twins as twins
from support.pricing_laws import RIGHT, START_MS, Controller, Hoarder, log_bound

TRACES = 200
DEEP_TRACES = 10_000
BULK_TRACES = 1_000
DEEP_BULK_TRACES = 100_000
H100 = 16.3e9


def test_no_trace_admits_more_than_the_log_bound() -> None:
    assert max(laws.excess_over_log_bound(RIGHT, seed) for seed in range(TRACES)) <= 0


@pytest.mark.deep
def test_no_trace_of_10_000_admits_more_than_the_log_bound() -> None:
    assert max(laws.excess_over_log_bound(RIGHT, seed) for seed in range(DEEP_TRACES)) <= 0


@pytest.mark.parametrize("twin", twins.BREAK_LOG_BOUND.values(), ids=twins.BREAK_LOG_BOUND)
def test_a_controller_that_breaks_the_log_bound_is_caught(twin: Controller) -> None:
    assert any(laws.excess_over_log_bound(twin, seed) > 0 for seed in range(TRACES))


def test_nothing_that_others_do_makes_a_known_principal_pay_within_its_guarantee() -> None:
    dearest = (laws.dearest_surcharge_within_guarantee(RIGHT, seed) for seed in range(BULK_TRACES))
    assert set(dearest) == {0}


@pytest.mark.deep
def test_nothing_that_others_do_over_100_000_traces_makes_a_known_principal_pay() -> None:
    dearest = (
        laws.dearest_surcharge_within_guarantee(RIGHT, seed) for seed in range(DEEP_BULK_TRACES)
    )
    assert set(dearest) == {0}


@pytest.mark.parametrize("twin", twins.LET_OTHERS_PRICE.values(), ids=twins.LET_OTHERS_PRICE)
def test_a_controller_that_lets_others_price_is_caught(twin: Controller) -> None:
    assert any(laws.dearest_surcharge_within_guarantee(twin, seed) for seed in range(BULK_TRACES))


def test_no_proof_waits_for_a_change_of_load_policy_or_replica() -> None:
    assert sum(laws.proofs_made_to_wait(RIGHT, seed) for seed in range(BULK_TRACES)) == 0


@pytest.mark.deep
def test_no_proof_of_100_000_traces_waits_for_a_change_of_load_policy_or_replica() -> None:
    assert sum(laws.proofs_made_to_wait(RIGHT, seed) for seed in range(DEEP_BULK_TRACES)) == 0


@pytest.mark.parametrize("twin", twins.LOSE_WORK.values(), ids=twins.LOSE_WORK)
def test_a_controller_that_loses_work_is_caught(twin: Controller) -> None:
    assert any(laws.proofs_made_to_wait(twin, seed) for seed in range(BULK_TRACES))


def refusals_of_finished_work(seeds: range) -> list[object]:
    """Solve real challenges at quoted prices, change prices and keys, and present the proofs."""
    keys = [Key(id=number, secret=bytes([number]) * 32) for number in range(3)]
    before, after = Keyring(keys[:2]), Keyring([keys[2], *keys[:2]])
    refused: list[object] = []
    for seed in seeds:
        draw = Random(seed)
        constants = Constants(base_q=draw.randint(1024, 4096), max_q=20 * 1024)
        principal = Principal(Account.new(constants, START_MS))
        for _ in range(draw.randint(0, 12)):
            principal = RIGHT.admit(principal, 1, Tariff(constants), START_MS).principal
        here = Tariff(constants, laws.any_climate(draw, constants))
        offered = RIGHT.quote(principal, 1, here, START_MS)
        assert isinstance(offered, Quote)
        proof = pypow.solve(
            pypow.issue(
                before.signing,
                q=min(offered.q, 10 * 1024),  # to be quick: what follows knows only what is signed
                now_ms=START_MS,
                epoch=0,
                identity=draw.randbytes(16),
                overdraft=offered.overdraft,
            ),
            threads=1,
        )
        now_ms = START_MS + draw.randint(0, 119_000)
        dearer = Constants(base_q=30 * 1024)
        outcome = pypow.check(proof, after, Expected(now_ms=now_ms, epoch=0))
        old = Tariff(constants, laws.any_climate(draw, dearer))
        if (
            not isinstance(outcome, pypow.Checked)
            or RIGHT.may_redeem(outcome.challenge.overdraft, principal, 1, old, now_ms)
            != Redeemable()
        ):
            refused.append((seed, outcome))
    return refused


def test_finished_work_outlives_changes_of_key_price_and_load() -> None:
    assert refusals_of_finished_work(range(300)) == []


@pytest.mark.deep
def test_finished_work_outlives_100_000_changes_of_key_price_and_load() -> None:
    assert refusals_of_finished_work(range(DEEP_BULK_TRACES)) == []


def admitted_in(seconds: float, hashrate: float, *, ahead: int, dearest_q: int) -> int:
    """How often a solver gets in that fetches ahead, whenever it is cheap enough for it."""
    attacker = Hoarder(RIGHT, Constants(), hashrate)
    while attacker.seconds < seconds:
        offered = RIGHT.quote(attacker.principal, 1, attacker.tariff, attacker.now_ms)
        cheap = isinstance(offered, Quote) and offered.overdraft_q <= dearest_q
        if cheap and len(attacker.solved) < ahead:
            attacker.fetch(ahead)
            attacker.solve(seconds)
        else:
            attacker.seconds += 0.25
        attacker.redeem()
    return attacker.admitted


@pytest.mark.parametrize(
    ("ahead", "dearest_q"), [(1, 18 * 1024), (8, 0), (8, 6 * 1024), (8, 12 * 1024), (32, 18 * 1024)]
)
def test_the_fastest_gpu_gets_at_most_a_fiftieth_over_what_everybody_may_in_an_hour(
    ahead: int, dearest_q: int
) -> None:
    fair = 3600 + 60
    admitted = admitted_in(3600, H100, ahead=ahead, dearest_q=dearest_q)
    assert admitted <= 1.02 * fair
    assert admitted <= log_bound(Constants(), H100, 3600)


def test_the_fastest_gpu_does_get_more_than_everybody_may() -> None:
    assert admitted_in(3600, H100, ahead=1, dearest_q=18 * 1024) > 3600 + 60


def admitted_from(addresses: list[int], budget_q: int, seconds: int) -> int:
    """How often a caller gets in from these /64s of one /48, taking all that is cheap enough."""
    constants = Constants()
    tariff = Tariff(constants)
    leaves = {address: Account.new(constants, START_MS) for address in addresses}
    wider = {address >> 8: Account.new(constants, START_MS) for address in addresses}
    widest = Account.new(constants, START_MS)
    admitted = 0
    for second in range(seconds):
        now_ms = START_MS + second * 1000
        for address in addresses:
            while True:
                around = (Level(wider[address >> 8], 16), Level(widest, 64))
                principal = Principal(leaves[address], around)
                offered = RIGHT.quote(principal, 1, tariff, now_ms)
                if isinstance(offered, Beyond) or offered.q > budget_q:
                    break
                after = RIGHT.admit(principal, 1, tariff, now_ms).principal
                leaves[address] = after.leaf
                wider[address >> 8], widest = (level.account for level in after.networks)
                admitted += 1
    return admitted


@pytest.mark.parametrize("seed", range(3))
def test_walking_an_ipv6_48_gets_no_more_than_64_times_one_64(seed: int) -> None:
    draw = Random(seed)
    budget_q = 18 * 1024 + draw.randint(0, 8 * 1024)
    walked = draw.sample(range(1 << 16), 400)
    seconds = draw.randint(5, 30)
    assert admitted_from(walked, budget_q, seconds) <= 64 * admitted_from([7], budget_q, seconds)


def test_a_network_of_256_addresses_gets_no_more_than_16_times_one() -> None:
    one = admitted_from([7], 20 * 1024, 20)
    assert one < admitted_from(list(range(256)), 20 * 1024, 20) <= 16 * one


def standings_farmed(seconds: int) -> int:
    """Identities that one address gets standing for, serving each just often enough."""
    constants = Constants(standing_minutes=10)
    tariff = Tariff(constants)
    address = Account.new(constants, START_MS)
    wider = Account.new(constants, START_MS)
    growing: list[Account] = []
    farmed = 0
    for second in range(seconds):
        now_ms = START_MS + second * 1000
        tended = 0
        while True:  # the one nearest to standing that was not served this minute, or a new one
            ready = [leaf for leaf in growing if leaf.last_minute < now_ms // 60_000]
            leaf = max(ready, key=lambda leaf: leaf.minutes, default=Account.new(constants, now_ms))
            around = (Level(address, 1), Level(wider, 16))
            principal = Principal(leaf, around, identified=True)
            offered = RIGHT.quote(principal, 1, tariff, now_ms)
            if isinstance(offered, Beyond) or offered.overdraft_q > 1024 or tended > 100:
                break
            tended += 1
            after = RIGHT.admit(principal, 1, tariff, now_ms).principal
            address, wider = (level.account for level in after.networks)
            growing = [other for other in growing if other is not leaf]
            if after.leaf.minutes >= constants.standing_minutes:
                farmed += 1
            else:
                growing.append(after.leaf)
    return farmed


def test_standing_costs_an_address_its_own_allowance() -> None:
    seconds = 1500
    allowance = 60 + seconds + 8  # its burst, what it earns, and the overdraft it goes into
    assert 0 < standings_farmed(seconds) <= allowance // 10

# SPDX-License-Identifier: Apache-2.0
"""A decision says how much work was asked or paid, and how long the solving took."""

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families as parse_text

from pypow.pricing import Quote
from pypow_server.decision import Outcome
from pypow_server.meter import Pricing
from pypow_server.metrics import Metrics
from pypow_server.policy import FREE, Entry, Policy, Price
from pypow_server.stores import Quota, Spend
from support.decisions import ADMITTED, refused
from support.gated import EASY, Bench, solution


def test_a_refusal_tells_the_work_that_it_asks_for() -> None:
    bench = Bench()
    bench.send("GET")
    assert (bench.decisions[0].q, bench.decisions[0].solve_ms) == (EASY.q, None)


def test_a_refusal_tells_what_it_asks_of_this_caller() -> None:
    bench = Bench(policy=Policy(default=replace(EASY, q=EASY.q + 1)))
    bench.send("GET")
    bench.send("GET", "/x", [(b"x-pow-accept", b"puzzles=1")])
    assert [decision.q for decision in bench.decisions] == [EASY.q, EASY.q + 1]


def test_an_admission_tells_the_work_that_was_paid_and_when_it_was_asked_for() -> None:
    bench = Bench()
    proof = bench.proof()
    bench.clock.now_ms += 1234
    assert bench.send("GET", "/x", solution(proof)).status == 200
    admitted = bench.decisions[-1]
    assert (admitted.outcome, admitted.q, admitted.solve_ms) == (Outcome.ADMITTED, EASY.q, 1234)


def test_a_proof_from_a_gate_whose_clock_is_ahead_took_no_time() -> None:
    bench = Bench()
    proof = bench.proof()
    bench.clock.now_ms -= 1
    assert bench.send("GET", "/x", solution(proof)).status == 200
    assert bench.decisions[-1].solve_ms == 0


def test_what_was_not_won_paid_nothing() -> None:
    bench = Bench()
    proof = bench.proof()
    bench.ledger.answer = Spend.UNKNOWN
    assert bench.send("GET", "/x", solution(proof)).status == 503
    assert (bench.decisions[-1].q, bench.decisions[-1].solve_ms) == (None, None)


def test_what_is_free_asks_for_none() -> None:
    bench = Bench(policy=Policy(default=EASY, entries=(Entry("GET /x", FREE),)))
    bench.send("GET")
    assert bench.decisions[0].q is None


ONE_FREE = replace(EASY, free=Quota(1, 50_000))
FINE = [(b"x-pow-accept", b"puzzles=1")]


def test_a_refusal_tells_what_the_price_is_made_of_and_whose_use_raised_it() -> None:
    bench = Bench(policy=Policy(default=ONE_FREE))
    for client in ("192.0.2.7", "192.0.2.7", "192.0.2.8"):
        bench.send("GET", headers=FINE, client=client)
    free, own, others = bench.decisions
    assert (free.outcome, free.quote, free.overdrawn) == (Outcome.FREE, None, None)
    assert own.quote == Quote(EASY.q, 0, 1024, 0, level=0, free_in_ms=50_000)
    assert (own.q, own.overdrawn) == (EASY.q + 1024, "192.0.2.7/32")
    assert others.quote == Quote(EASY.q, 0, 64, 0, level=1, free_in_ms=3_125)
    assert (others.q, others.overdrawn) == (EASY.q + 128, "192.0.2.0/24")


def test_a_dear_call_tells_its_weight() -> None:
    dear = Price("dear", 8 * 1024, weight=16, pricing=Pricing(quota=Quota(60, 60_000)))
    bench = Bench(policy=Policy(default=EASY, entries=(Entry("GET /x", dear),)))
    bench.send("GET", headers=FINE)
    quote = bench.decisions[0].quote
    assert quote is not None
    assert (quote.base_q, quote.weight_q) == (4 * 1024, 4 * 1024)


def test_a_call_that_is_not_sold_now_tells_what_it_would_have_cost_and_the_wait() -> None:
    capped = replace(ONE_FREE, pricing=Pricing(max_overdraft_q=512))
    bench = Bench(policy=Policy(default=capped))
    assert [bench.send("GET").status for _ in range(2)] == [200, 429]
    refused = bench.decisions[-1]
    assert refused.quote is not None
    assert (refused.problem, refused.q, refused.quote.overdraft_q) == ("overdrawn", None, 1024)
    assert (refused.overdrawn, refused.retry_after_s) == ("192.0.2.7/32", 25)


def test_a_price_that_follows_no_use_is_made_of_nothing() -> None:
    bench = Bench()
    bench.send("GET")
    assert (bench.decisions[0].quote, bench.decisions[0].retry_after_s) == (None, None)


def test_work_and_solving_are_figures() -> None:
    metrics = Metrics(version="1", kernel="k")
    metrics.record(refused(q=16 * 1024))
    metrics.record(refused(q=18 * 1024))
    metrics.record(ADMITTED)
    metrics.record(refused(outcome=Outcome.ADMITTED, q=17 * 1024, solve_ms=2500))
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parse_text(metrics.exposition("")[0].decode())
        for sample in family.samples
    }
    assert samples["pypow_difficulty_count", "asked"] == 2
    assert samples["pypow_difficulty_sum", "asked"] == 34
    assert samples["pypow_difficulty_bucket", "16.0", "asked"] == 1
    assert samples["pypow_difficulty_sum", "paid"] == 17
    assert samples["pypow_solve_seconds_count",] == 1
    assert samples["pypow_solve_seconds_sum",] == 2.5

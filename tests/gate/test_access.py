# SPDX-License-Identifier: Apache-2.0
"""Allow and deny lists, hosts and free calls: who is let in for nothing, and who waits."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypow.errors import InvalidInputError
from pypow.pricing import Offered
from pypow_server.access import Access
from pypow_server.decision import Decision, Outcome
from pypow_server.gate import Gate
from pypow_server.match import Match
from pypow_server.policy import Entry, PassTerms, Policy, Price
from pypow_server.resource import Resource
from pypow_server.stores import Charge, Charged, Quota, StoreError
from support.gated import EASY, HOST, Bench, CountingLedger, document, offers, solution, solved
from support.limiters import CountingLimiter, FailingLimiter

OFFICE = Access(networks=("198.51.100.0/24", "2001:db8:1::/48"))
TWO = Quota(2, 1000)


def kind(body: bytes) -> str:
    name: str = json.loads(body)["type"]
    return name.removeprefix("urn:pypow:error:")


@pytest.mark.parametrize(
    ("client", "status"),
    [
        ("198.51.100.9", 200),
        ("::ffff:198.51.100.9", 200),
        ("2001:db8:1:5::7", 200),
        ("198.51.101.9", 402),
        ("2001:db8:2::7", 402),
        ("testclient", 402),
    ],
)
def test_a_network_on_the_allow_list_pays_nothing(client: str, status: int) -> None:
    bench = Bench(policy=Policy(default=EASY, allowed=(OFFICE,)))
    assert bench.send("GET", client=client).status == status
    assert bench.decisions[0].entry == ("allow" if status == 200 else EASY.name)


def test_an_allowed_call_is_the_one_that_is_written() -> None:
    rows = (Access(match=Match("GET /open/*")), Access(match=Match("tools/call free_*")))
    bench = Bench(policy=Policy(default=EASY, allowed=rows))
    paths = ("/open/a", "/Open/a", "/open/../x", "/open%2Fa", "/open")
    assert [bench.send("GET", path).status for path in paths] == [200, 402, 402, 402, 402]
    assert bench.post_mcp("tools/call", {"name": "free_x"}).body == b"reached"
    assert bench.post_mcp("tools/call", {"name": "dear"}).body != b"reached"


@pytest.mark.parametrize(
    "path", ["/admin/x", "/Admin/x", "/admin/x/", "//admin/x", "/a/../admin/x", "/%61dmin/x"]
)
def test_a_denied_path_is_denied_however_it_is_written(path: str) -> None:
    bench = Bench(policy=Policy(default=EASY, denied=(Access(match=Match("GET /admin/*")),)))
    proof = bench.proof("GET", "/other")
    answer = bench.send("GET", path, solution(proof))
    assert (answer.status, kind(answer.body), bench.app.reached) == (403, "denied", 0)
    assert bench.ledger.spends == 0
    assert bench.decisions[-1].entry == "deny"


def test_a_denied_tool_is_told_in_a_tool_result_that_keeps_the_session() -> None:
    bench = Bench(policy=Policy(default=EASY, denied=(Access(match=Match("tools/call drop_*")),)))
    answer = bench.post_mcp("tools/call", {"name": "drop_all"})
    assert (answer.status, document(answer)["result"]["isError"]) == (200, True)
    assert bench.app.reached == 0


@pytest.mark.parametrize("row", ["POST /mcp", "POST *", "POST /MCP/"])
def test_a_network_that_may_not_post_may_make_no_mcp_call(row: str) -> None:
    denied = (Access(networks=("192.0.2.0/24",), match=Match(row)),)
    bench = Bench(policy=Policy(default=EASY, denied=denied))
    for method, params in (("tools/list", {}), ("tools/call", {"name": "search"})):
        assert b"urn:pypow:error:denied" in bench.post_mcp(method, params).body
    assert (bench.app.reached, bench.ledger.spends) == (0, 0)


def test_denying_beats_allowing() -> None:
    bench = Bench(policy=Policy(default=EASY, denied=(OFFICE,), allowed=(OFFICE,)))
    assert bench.send("GET", client="198.51.100.9").status == 403


def test_a_row_may_be_about_a_call_from_a_network() -> None:
    row = Access(networks=("198.51.100.0/24",), match=Match("POST /jobs"))
    bench = Bench(policy=Policy(default=EASY, allowed=(row,)))
    tries = [("POST", "198.51.100.9"), ("POST", "203.0.113.9"), ("GET", "198.51.100.9")]
    statuses = [bench.send(method, "/jobs", client=client).status for method, client in tries]
    assert statuses == [200, 402, 402]


@pytest.mark.parametrize(
    ("networks", "complaint"),
    [
        (("10.0.0.1/8",), "host bits"),
        (("example.com",), "expected a network"),
        (("2001:db8::1/128",), "/64 or wider"),
        ((), "network, match or both"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(networks: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        Access(networks=networks)


NAMED = Policy(default=EASY, hosts=frozenset({HOST, "localhost"}))


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        ([b"gate.example"], 402),
        ([b"GATE.example:8402"], 402),
        ([b"localhost:1"], 402),
        ([b"127.0.0.1:8402"], 402),
        ([b"[::1]:8402"], 402),
        ([b"10.1.2.3"], 402),
        ([], 421),
        ([b""], 421),
        ([b"evil.example"], 421),
        ([b"gate.example.evil.example"], 421),
        ([b"gate.example."], 421),
        ([b"gate.example@evil.example"], 421),
        ([b"gate.example:80:80"], 421),
        ([b"127.0.0.1.evil.example"], 421),
        ([b"gate.example", b"gate.example"], 421),
        ([b"gate.example", b"evil.example"], 421),
        ([b"gate.example\xff"], 421),
        ([b"g" * 263], 421),
    ],
)
def test_a_name_that_is_not_the_gates_is_refused_and_an_address_is_not(
    hosts: list[bytes], status: int
) -> None:
    bench = Bench(policy=NAMED)
    answer = bench.send_bare("GET", "/x", [(b"host", host) for host in hosts])
    assert (answer.status, bench.app.reached) == (status, 0)


def test_a_page_of_another_site_reaches_not_even_what_is_free() -> None:
    bench = Bench(policy=NAMED)
    for method, path in (("GET", "/.well-known/x"), ("OPTIONS", "/x"), ("POST", "/mcp")):
        answer = bench.send_bare(method, path, [(b"host", b"rebound.example")])
        assert (answer.status, kind(answer.body)) == (421, "misdirected")
    assert bench.app.reached == 0


def test_free_calls_of_a_network_are_counted_together_and_then_wait() -> None:
    limiter = CountingLimiter()
    bench = Bench(policy=Policy(default=EASY, free_limit=TWO), limiter=limiter)
    assert bench.send("GET", "/.well-known/x").status == 200
    assert bench.post_mcp("tools/list").status == 200
    third = bench.send("GET", "/.well-known/x")
    assert (third.status, kind(third.body)) == (429, "rate-limited")
    assert third.values(b"retry-after") == [b"2"]
    assert bench.send("GET", "/.well-known/x", client="203.0.113.5").status == 200
    assert bench.send("GET").status == 402
    assert [one.entry for one in bench.decisions] == ["free", "free", "free", "free", EASY.name]


def test_a_stock_client_that_lists_too_often_gets_a_json_rpc_error_under_its_id() -> None:
    bench = Bench(policy=Policy(default=EASY, free_limit=Quota(1, 1000)), limiter=CountingLimiter())
    bench.post_mcp("tools/list")
    answer = bench.post_mcp("tools/list", id=7)
    assert (answer.status, document(answer)["id"]) == (200, 7)
    assert document(answer)["error"]["code"] == 429


def test_an_allowed_network_is_not_counted_and_an_allowed_call_is() -> None:
    rows = (OFFICE, Access(match=Match("GET /open")))
    policy = Policy(default=EASY, allowed=rows, free_limit=TWO)
    bench = Bench(policy=policy, limiter=CountingLimiter())
    office = {bench.send("GET", "/open", client="198.51.100.9").status for _ in range(5)}
    others = [bench.send("GET", "/open").status for _ in range(3)]
    assert (office, others) == ({200}, [200, 200, 429])


FREE_TWICE = Price("search", EASY.q, free=TWO)


def test_past_its_free_calls_a_principal_pays_the_price() -> None:
    policy = Policy(default=EASY, entries=(Entry("GET /search", FREE_TWICE),))
    bench = Bench(policy=policy, limiter=CountingLimiter())
    statuses = [bench.send("GET", "/search").status for _ in range(2)]
    bench.clock.now_ms += 60_000  # a newcomer has a part of the quota, and grows into it
    statuses += [bench.send("GET", "/search").status for _ in range(3)]
    assert statuses == [200, 402, 200, 200, 402]
    assert bench.send("GET", "/search", client="203.0.113.5").status == 200
    paid = solution(solved(offers(bench.send("GET", "/search"))[0]))
    assert bench.send("GET", "/search", paid).status == 200
    outcomes = [one.outcome for one in bench.decisions]
    assert outcomes.count(Outcome.FREE) == 4
    assert {one.entry for one in bench.decisions} == {"search"}


def test_a_proof_is_judged_before_a_free_call_is_taken() -> None:
    policy = Policy(default=EASY, entries=(Entry("GET /search", FREE_TWICE),))
    bench = Bench(policy=policy)
    bench.send("GET", "/search")
    paid = solution(bench.proof("GET", "/search"))
    asked = bench.ledger.quotes
    bench.clock.now_ms += 60_000
    assert bench.send("GET", "/search", paid).status == 200
    assert (bench.ledger.quotes - asked, bench.ledger.spends) == (0, 1)


def test_a_replayed_proof_buys_no_free_call() -> None:
    policy = Policy(default=EASY, entries=(Entry("GET /search", FREE_TWICE),))
    bench = Bench(policy=policy)
    bench.send("GET", "/search")
    paid = solution(bench.proof("GET", "/search"))
    bench.send("GET", "/search", paid)
    bench.clock.now_ms += 60_000
    assert bench.send("GET", "/search", paid).status == 402


class CannotTell(CountingLedger):
    """Does not know what anybody used."""

    async def take_free(self, charge: Charge, *, now_ms: int) -> Charged | Offered:
        raise StoreError("out of reach")


def test_a_limiter_that_fails_holds_nothing_back_and_gives_nothing_away() -> None:
    policy = Policy(
        default=EASY, entries=(Entry("GET /search", FREE_TWICE),), free_limit=Quota(1, 1000)
    )
    bench = Bench(policy=policy, limiter=FailingLimiter(), ledger=CannotTell())
    assert {bench.send("GET", "/.well-known/x").status for _ in range(3)} == {200}
    assert bench.send("GET", "/search").status == 402
    assert all(one.limiter_failed for one in bench.decisions)


def test_without_credits_a_price_has_no_free_calls() -> None:
    ledger = CountingLedger()
    bench = Bench(policy=Policy(default=FREE_TWICE), ledger=ledger)
    bench.gate = Gate(
        bench.app, rails=[bench.rail], ledger=ledger, policy=bench.policy, clock=bench.clock,
        recorders=[bench.decisions.append],
    )  # fmt: skip
    assert bench.send("GET", "/search").status == 402
    assert bench.send("GET", "/search", solution(bench.proof("GET", "/search"))).status == 200
    assert not bench.decisions[0].limiter_failed


def test_every_request_is_one_decision_whose_id_the_refusal_carries() -> None:
    bench = Bench()
    refused = bench.send("GET", "/a")
    admitted = bench.send("GET", "/a", solution(solved(offers(refused)[0])))
    bench.post_mcp("ping")
    no, yes, free = bench.decisions
    assert no == Decision(
        id=document(refused)["decision"],
        outcome=Outcome.REFUSED,
        at_ms=bench.clock.now_ms,
        seconds=no.seconds,
        entry=EASY.name,
        rail=None,
        problem="work-required",
        status=402,
        client="192.0.2.7/32",
        principal=None,
        method="GET",
        name="/a",
        q=EASY.q,
    )
    assert (admitted.status, yes.outcome, yes.rail) == (200, Outcome.ADMITTED, "work")
    assert (yes.principal, yes.problem, yes.status) == ("192.0.2.7/32", None, None)
    assert (free.outcome, free.entry, free.rail) == (Outcome.FREE, "free", None)
    assert len({no.id, yes.id, free.id}) == 3


def test_a_recorder_that_fails_keeps_nobody_out_and_the_others_from_nothing() -> None:
    def broken(decision: Decision) -> None:
        raise RuntimeError("the disk is full")

    seen: list[Decision] = []
    bench = Bench(recorders=(broken, seen.append))
    assert bench.post_mcp("ping").status == 200
    assert len(seen) == 1


@given(st.text("ab*", max_size=6), st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_a_row_that_is_said_to_be_hidden_is_hidden(above: str, below: str, name: str) -> None:
    upper, lower = Match(f"m {above}".strip()), Match(f"m {below}".strip())
    if upper.hides(lower):
        resource = Resource("mcp", "m", name)
        assert upper.covers(resource) or not lower.covers(resource)


@pytest.mark.parametrize(
    ("above", "below", "hidden"),
    [
        ("*", "tools/call x", True),
        ("tools/call", "tools/call search", True),
        ("tools/call s*", "tools/call search_*", True),
        ("tools/call search_*", "tools/call s*", False),
        ("tools/call a", "tools/call b", False),
        ("POST /v1/*", "* /v1/a", False),
    ],
)
def test_what_is_hidden_by_a_row_above_is_found(above: str, below: str, hidden: bool) -> None:
    assert Match(above).hides(Match(below)) is hidden


def test_what_a_row_gives_away_is_not_to_be_had_by_an_ambiguous_path() -> None:
    generous = Price("generous", 8 * 1024, 16, free=TWO, sells=PassTerms(9, 60), observe=True)
    policy = Policy(default=EASY, entries=(Entry("GET /generous", generous),))
    bench = Bench(policy=policy, limiter=CountingLimiter())
    assert bench.send("GET", "/generous").status == 200
    answer = bench.send("GET", "/closed/../closed")
    assert (answer.status, bench.decisions[-1].entry) == (402, "dearest")
    assert offers(answer)[0]["difficulty"] == 2
    paid = bench.send("GET", "/closed/../closed", solution(solved(offers(answer)[0])))
    assert (paid.status, paid.values(b"x-pow-pass")) == (200, [])

# SPDX-License-Identifier: Apache-2.0
"""Logins: whom a token lets in, what it is worth beside other prices, and what everybody hears."""

import asyncio
import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from pypow.base64_text import encode_url
from pypow_server import problems
from pypow_server.call import Call
from pypow_server.decision import Outcome
from pypow_server.fronts.dialects import UPSTREAM
from pypow_server.fronts.forward_auth import vouch
from pypow_server.hearing import Hearing
from pypow_server.identity.dpop import Nonces
from pypow_server.policy import Entry, PassTerms, Policy, Price
from pypow_server.price import dearest_of
from pypow_server.problems import Problem
from pypow_server.rails import Absent, Admit, Refuse, Verdict, nobody, opening
from pypow_server.rails.oauth import OAuthRail, subject_id
from pypow_server.settings import Settings
from pypow_server.stores import Quota
from support.asgi_client import Answer
from support.challenges import KEYRING, NOW_MS
from support.gated import EASY, Bench, document, offers, solution, solved
from support.logins import (
    ALL_OF,
    ANY_OF,
    BOUND,
    EXPIRED,
    GOOD,
    ISSUER,
    METADATA,
    NARROW,
    ONLY,
    OTHER,
    READ,
    UNTOLD,
    Desk,
    PlayedIssuer,
    bearer,
    identity,
    login_rail,
)
from support.selling import SATS, Stall, authorized

Standing: TypeAlias = list[tuple[str, Admit]] | Problem | None
ALICE = f"oauth:{subject_id(ISSUER, 'alice').hex()}"


def problem(answer: Answer) -> str:
    """The name of a refusal's type."""
    assert answer.body != b"reached"
    body = document(answer)
    body = body.get("error", {}).get("data", body)
    name: str = body["type"].removeprefix("urn:pypow:error:")
    return name


def bearer_line(answer: Answer) -> str:
    (line,) = [v for v in answer.values(b"www-authenticate") if v.startswith(b"Bearer ")]
    return line.decode()


@pytest.mark.parametrize("price", [ANY_OF, ONLY])
def test_a_good_token_lets_its_holder_in_without_a_payment(price: Price) -> None:
    desk = Desk(price)
    assert desk.send("GET", headers=bearer(GOOD)).status == 200
    (decision,) = desk.decisions
    assert (decision.outcome, decision.rail, decision.principal) == (
        Outcome.ADMITTED, "oauth", ALICE,
    )  # fmt: skip
    assert desk.app.scopes[-1]["pypow.principal"] == ALICE
    assert desk.ledger.spends == 0


def test_who_signs_in_is_named_by_what_tells_nobody_who_that_is() -> None:
    desk = Desk(ONLY)
    desk.send("GET", headers=bearer(GOOD))
    desk.send("GET", headers=bearer(OTHER))
    first, second = (one.principal or "" for one in desk.decisions)
    assert first != second
    assert "alice" not in first
    assert subject_id("a", "1 b") != subject_id("a 1", "b")


def test_a_call_that_needs_a_login_is_told_where_to_get_one() -> None:
    answer = Desk(ONLY).send("GET")
    assert (answer.status, problem(answer)) == (401, "login-required")
    assert bearer_line(answer) == f'Bearer resource_metadata="{METADATA}", scope="tools:read"'
    (offer,) = offers(answer)
    assert (offer["rail"], offer["authorization_servers"]) == ("oauth", [ISSUER])


def test_a_call_that_may_be_paid_or_signed_in_for_is_offered_both() -> None:
    answer = Desk(ANY_OF).send("GET")
    assert (answer.status, problem(answer)) == (402, "work-required")
    assert [offer["rail"] for offer in offers(answer)] == ["work", "oauth"]
    schemes = [line.split(b" ")[0] for line in answer.values(b"www-authenticate")]
    assert schemes == [b"Bearer", b"PoW"]


def test_a_gate_whose_entry_is_oauth_asks_for_a_login_first_with_every_offer() -> None:
    desk = Desk(replace(ANY_OF, free=Quota(1, 60_000)), policy={"asks_login_first": True})
    answer = desk.send("GET")
    assert (answer.status, problem(answer)) == (401, "login-required")
    assert [offer["rail"] for offer in offers(answer)] == ["work", "oauth"]
    assert bearer_line(answer)


def test_only_calls_that_a_login_is_of_use_for_ask_for_one_first() -> None:
    desk = Desk(EASY, policy={"asks_login_first": True})
    answer = desk.send("GET", headers=bearer(GOOD))
    assert (answer.status, desk.issuer.asked) == (402, [])
    assert [offer["rail"] for offer in offers(answer)] == ["work"]


@pytest.mark.parametrize(
    ("token", "status", "name", "error"),
    [
        (EXPIRED, 401, "invalid-token", "invalid_token"),
        ("unheard-of", 401, "invalid-token", "invalid_token"),
        ("", 401, "invalid-token", "invalid_token"),
        (BOUND, 401, "invalid-token", "invalid_token"),
        (NARROW, 403, "insufficient-scope", "insufficient_scope"),
    ],
)
@pytest.mark.parametrize("price", [ANY_OF, ONLY, ALL_OF, replace(ANY_OF, free=Quota(5, 60_000))])
def test_a_token_that_is_not_good_is_refused_with_its_error(
    token: str, status: int, name: str, error: str, price: Price
) -> None:
    desk = Desk(price)
    answer = desk.send("GET", headers=bearer(token))
    assert (answer.status, problem(answer), desk.app.reached) == (status, name, 0)
    line = bearer_line(answer)
    assert f'error="{error}"' in line
    assert 'scope="tools:read"' in line
    assert f'resource_metadata="{METADATA}"' in line


def test_a_token_behind_the_wrong_scheme_is_refused() -> None:
    answer = Desk(ONLY).send("GET", headers=bearer(GOOD, "DPoP"))
    assert (answer.status, problem(answer)) == (401, "invalid-token")


def test_while_the_issuer_cannot_be_asked_nobody_signs_in() -> None:
    answer = Desk(ONLY).send("GET", headers=bearer(UNTOLD))
    assert (answer.status, problem(answer)) == (503, "issuer-unavailable")
    assert answer.values(b"retry-after") == [b"7"]


def test_a_payment_admits_whatever_the_token_is_where_either_will_do() -> None:
    for token in (EXPIRED, NARROW, UNTOLD):
        desk = Desk(ANY_OF)
        paid = [*solution(desk.proof()), *bearer(token)]
        assert desk.send("GET", headers=paid).status == 200, token


def test_a_good_token_makes_nobody_spend_more_than_once() -> None:
    desk = Desk(ANY_OF)
    paid = [*solution(desk.proof()), *bearer(GOOD)]
    assert desk.send("GET", headers=paid).status == 200
    assert desk.ledger.spends == 1
    assert desk.decisions[-1].principal == ALICE


def test_what_is_used_up_takes_nothing_from_a_login_that_lets_in() -> None:
    desk, key = bound_desk(ANY_OF)
    used = solution(desk.proof())
    assert desk.send("GET", headers=used).status == 200
    assert desk.send("GET", headers=[*used, *bearer(GOOD)]).status == 200
    signed = [*used, *bearer(BOUND, "DPoP"), proof_of(key)]
    assert [desk.send("GET", headers=signed).status for _ in range(2)] == [200, 401]
    fresh = [*used, *bearer(BOUND, "DPoP"), proof_of(key, jti="2")]
    assert desk.send("GET", headers=fresh).status == 200
    assert {one.rail for one in desk.decisions[2:] if one.status is None} == {"oauth"}


def test_a_used_up_pass_voids_no_payment_beside_the_proof_of_a_key() -> None:
    price = replace(SATS, scopes=READ, login=True, sells=PassTerms(1, 60))
    issuer, key = PlayedIssuer(), ECKey.generate_key("P-256")
    issuer.known[BOUND] = identity("alice", *READ, key_thumbprint=key.thumbprint())
    stall = Stall(Policy(default=price, takes_tokens=True), login=login_rail(issuer))
    given = stall.rail.sell(price, now_ms=NOW_MS, used=0)
    assert given is not None
    cookie = (b"cookie", f"pypow_pass={given.text}".encode())
    login = bearer(BOUND, "DPoP")
    assert stall.send("GET", headers=[cookie, *login, proof_of(key)]).status == 200
    paid = authorized(stall.buy(headers=[*login, proof_of(key, jti="2")]))
    answer = stall.send("GET", headers=[cookie, *paid, *login, proof_of(key, jti="3")])
    assert answer.status == 200, answer.body
    assert (stall.decisions[-1].rail, stall.decisions[-1].principal) == ("l402", ALICE)


def test_where_both_are_needed_neither_alone_admits_and_nothing_is_spent() -> None:
    desk = Desk(ALL_OF)
    refusal = desk.send("GET", headers=bearer(GOOD))
    assert (refusal.status, problem(refusal)) == (402, "work-required")
    assert [offer["rail"] for offer in offers(refusal)] == ["work"]
    proof = solution(desk.proof(headers=bearer(GOOD)))
    alone = desk.send("GET", headers=proof)
    assert (alone.status, problem(alone), desk.ledger.spends) == (401, "login-required", 0)
    expired = desk.send("GET", headers=[*proof, *bearer(EXPIRED)])
    assert (expired.status, problem(expired), desk.ledger.spends) == (401, "invalid-token", 0)
    assert desk.send("GET", headers=[*proof, *bearer(GOOD)]).status == 200
    assert (desk.decisions[-1].principal, desk.decisions[-1].rail) == (ALICE, "work")
    assert desk.send("GET", headers=[*proof, *bearer(GOOD)]).status == 402


def test_work_buys_nothing_where_only_a_login_does() -> None:
    desk = Desk(ONLY)
    bought = Bench(policy=Policy(default=EASY)).proof()
    for headers in (solution(bought), [(b"authorization", b"Bearer pyp_" + b"A" * 135)]):
        answer = desk.send("GET", headers=headers)
        assert answer.status in (400, 401)
        assert desk.app.reached == desk.ledger.spends == 0


def test_a_pass_that_work_bought_opens_nothing_that_needs_a_login() -> None:
    sells = replace(EASY, sells=PassTerms(0, 60))
    for needs in (ONLY, ALL_OF):
        desk = Desk(sells, policy={"entries": (Entry("GET /members", needs),)})
        (bought,) = desk.send("GET", headers=solution(desk.proof())).values(b"x-pow-pass")
        assert desk.send("GET", headers=bearer(bought.decode())).status == 200
        refused = desk.send("GET", "/members", bearer(bought.decode()))
        assert (refused.status, problem(refused)) == (401, "login-required")


def test_free_calls_are_their_subjects_own_and_then_the_price_applies() -> None:
    desk = Desk(replace(ALL_OF, free=Quota(2, 60_000)))
    for token in (GOOD, OTHER):
        # From two networks: they are charged to nobody's but the subject's account.
        statuses = [
            desk.send("GET", headers=bearer(token), client=client).status
            for client in ("192.0.2.7", "192.0.2.7", "198.51.100.9")
        ]
        assert statuses == [200, 200, 402]
    assert {one.rail for one in desk.decisions if one.outcome is Outcome.ADMITTED} == {"oauth"}
    proof = solution(desk.proof(headers=bearer(GOOD)))
    assert desk.send("GET", headers=[*proof, *bearer(GOOD)]).status == 200


def test_who_signs_in_may_have_more_free_calls_than_everybody() -> None:
    desk = Desk(replace(ANY_OF, free=Quota(1, 60_000), login_free=Quota(3, 60_000)))
    assert [desk.send("GET", headers=bearer(GOOD)).status for _ in range(4)] == [200, 200, 200, 402]
    assert [desk.send("GET").status for _ in range(2)] == [200, 402]
    own = Desk(replace(ANY_OF, login_free=Quota(1, 60_000)))
    assert [own.send("GET", headers=bearer(GOOD)).status for _ in range(2)] == [200, 402]
    assert own.send("GET").status == 402


def test_who_has_not_signed_in_has_no_free_calls_where_a_login_is_needed() -> None:
    desk = Desk(replace(ALL_OF, free=Quota(2, 60_000)))
    assert [desk.send("GET").status for _ in range(2)] == [401, 401]


def test_an_account_that_could_not_pay_hears_when_it_may_call_again() -> None:
    desk = Desk(replace(ONLY, free=Quota(3, 60_000)))
    statuses = [desk.send("GET", headers=bearer(GOOD)).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    last = desk.send("GET", headers=bearer(GOOD))
    assert (problem(last), last.values(b"retry-after")) == ("overdrawn", [b"20"])
    desk.clock.now_ms += 20_000
    assert desk.send("GET", headers=bearer(GOOD)).status == 200


def test_sats_alone_may_be_asked_of_members() -> None:
    price = replace(SATS, scopes=READ, login=True, takes_work=False)
    stall = Stall(Policy(default=price, takes_tokens=True), login=login_rail())
    refusal = stall.send("GET", headers=bearer(GOOD))
    assert [offer["rail"] for offer in offers(refusal)] == ["l402"]
    paid = stall.buy(headers=bearer(GOOD))
    without = stall.send("GET", headers=authorized(paid))
    assert (without.status, problem(without)) == (401, "login-required")
    for place in (b"authorization", b"payment-authorization"):
        both = [(place, stall.buy(headers=bearer(GOOD))), *bearer(GOOD)]
        assert stall.send("GET", headers=both).status == 200
        assert stall.decisions[-1].principal == ALICE


def test_a_login_is_no_unknown_scheme_to_who_sells_for_sats() -> None:
    """Where no issuer is trusted, its clients would pay again and again."""
    price = replace(SATS, scopes=READ)
    trusting = Stall(Policy(default=price, takes_tokens=True), login=login_rail())
    other = trusting.send("GET", headers=bearer(EXPIRED))
    assert problem(other) == "invalid-token"
    assert "l402" in [offer["rail"] for offer in offers(other)]
    without = Stall().send("GET", headers=bearer(GOOD))
    assert problem(without) == "unknown-authorization"


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?access_token=good-token", [], 400),
        ("?a=1;access%5ftoken=good-token", [], 400),
        ("?access_token=good-token", bearer(GOOD), 400),
        ("?token=good-token", bearer(GOOD), 200),
        ("", [*bearer(GOOD), *bearer(OTHER)], 400),
        ("", [*bearer(GOOD), *bearer(GOOD)], 200),
        ("", bearer("x" * 8193), 431),
    ],
)
def test_a_token_comes_once_in_its_own_header_and_nowhere_else(
    query: str, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    desk = Desk(ONLY)
    answer = desk.send("GET", "/x" + query, headers)
    assert answer.status == status, answer.body
    if status != 200:
        assert 'error="invalid_request"' in bearer_line(answer)
        assert desk.issuer.asked == []


@pytest.mark.parametrize("forwards", [False, True])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "\tBearer\t", "\x0bBearer \x0c"])
def test_a_token_travels_on_only_where_the_operator_says_so(forwards: bool, scheme: str) -> None:
    desk = Desk(ONLY, policy={"forwards_tokens": forwards})
    assert desk.send("GET", headers=bearer(GOOD, scheme)).status == 200
    sent = [f"{scheme} {GOOD}".encode()] if forwards else []
    assert desk.app.header(b"authorization") == sent


@pytest.mark.parametrize("forwards", [False, True])
def test_the_proof_of_a_tokens_key_travels_with_the_token_or_not_at_all(forwards: bool) -> None:
    desk, key = bound_desk(ONLY, forwards_tokens=forwards)
    proof = proof_of(key)
    sent = [*bearer(BOUND, "DPoP"), (b"DPoP", proof[1])]
    assert desk.send("GET", headers=sent).status == 200
    assert desk.app.header(b"dpop") == ([proof[1]] if forwards else [])
    assert len(desk.app.header(b"authorization")) == forwards


def test_a_token_for_a_free_call_is_neither_looked_at_nor_passed_on() -> None:
    desk = Desk(ONLY, policy={"entries": (Entry("GET /free", None),)})
    assert desk.send("GET", "/free", bearer(EXPIRED)).status == 200
    assert (desk.app.header(b"authorization"), desk.issuer.asked) == ([], [])


def test_without_a_trusted_issuer_foreign_tokens_are_the_upstreams() -> None:
    bench = Bench(policy=Policy(default=EASY, entries=(Entry("GET /free", None),)))
    assert bench.send("GET", "/free", bearer(GOOD)).status == 200
    assert bench.app.header(b"authorization") == [f"Bearer {GOOD}".encode()]


def test_a_price_that_needs_a_login_is_closed_where_no_issuer_is_trusted() -> None:
    bench = Bench(policy=Policy(default=ONLY))
    answer = bench.send("GET", headers=bearer(GOOD))
    assert (answer.status, problem(answer)) == (503, "issuer-unavailable")


def test_stock_mcp_clients_get_the_http_status_that_begins_a_login() -> None:
    desk = Desk(ONLY)
    for headers, status in (((), 401), (bearer(EXPIRED), 401), (bearer(NARROW), 403)):
        answer = desk.post_mcp("tools/call", {"name": "x"}, headers=headers)
        assert (answer.status, document(answer)["id"]) == (status, 1)
        assert document(answer)["error"]["code"] == status
        assert bearer_line(answer)


def test_an_mcp_client_that_has_signed_in_keeps_its_session_when_it_must_pay() -> None:
    desk = Desk(ALL_OF)
    answer = desk.post_mcp("tools/call", {"name": "x"}, headers=bearer(GOOD))
    assert answer.status == 200
    assert document(answer)["result"]["isError"] is True


def test_who_is_revoked_is_turned_away_at_the_gate() -> None:
    async def denial(identity: bytes) -> Problem | None:
        return problems.revoked("revoked") if identity == subject_id(ISSUER, "alice") else None

    desk = Desk(ONLY, denial=denial)
    answer = desk.send("GET", headers=bearer(GOOD))
    assert (answer.status, problem(answer)) == (401, "invalid-token")
    assert desk.send("GET", headers=bearer(OTHER)).status == 200


def test_while_nobody_can_tell_who_is_revoked_nobody_signs_in() -> None:
    async def denial(_identity: bytes) -> Problem | None:
        return problems.store_unavailable("the store does not tell")

    answer = Desk(ONLY, denial=denial).send("GET", headers=bearer(GOOD))
    assert (answer.status, problem(answer)) == (503, "store-unavailable")


def test_an_ambiguous_path_asks_all_that_any_row_asks() -> None:
    members = replace(ONLY, scopes=frozenset({"admin"}))
    work = Price("work", 10 * 1024)
    sats = Price("sats", EASY.q, sats=7, takes_work=False)
    cases: list[tuple[list[Price], tuple[bool, set[str], bool, int | None]]] = [
        ([EASY, members], (True, {"admin"}, True, None)),
        ([EASY, ANY_OF], (False, set(), True, None)),
        ([members, ONLY], (True, {"admin", "tools:read"}, False, None)),
        ([EASY, sats], (False, set(), False, 7)),
        ([sats, members, work], (True, {"admin"}, False, 7)),
        ([ALL_OF, work], (True, {"tools:read"}, True, None)),
    ]
    for prices, expected in cases:
        found = dearest_of(prices)
        assert (found.login, set(found.scopes), found.takes_work, found.sats) == expected


def test_a_token_alone_opens_no_ambiguous_path_where_another_row_is_paid_for() -> None:
    desk = Desk(EASY, policy={"entries": (Entry("GET /members", ONLY),)})
    assert desk.send("GET", "/members", bearer(GOOD)).status == 200
    refusal = desk.send("GET", "//members", bearer(GOOD))
    assert (refusal.status, problem(refusal)) == (402, "work-required")
    assert desk.send("GET", "//members").status == 401


def test_observing_lets_everybody_pass_and_counts_who_would_not() -> None:
    desk = Desk(replace(ONLY, observe=True))
    for headers in ((), bearer(EXPIRED), bearer(GOOD)):
        assert desk.send("GET", headers=headers).status == 200
    assert [one.outcome for one in desk.decisions] == [
        Outcome.OBSERVED, Outcome.OBSERVED, Outcome.ADMITTED,
    ]  # fmt: skip


def test_no_repr_shows_a_token() -> None:
    desk = Desk(ONLY)
    call = asyncio.run(_call_of(desk))
    assert GOOD not in call


async def _call_of(desk: Desk) -> str:
    from pypow_server.token_fields import take_tokens

    _, tokens = take_tokens(bearer(GOOD), b"")
    return repr(tokens)


def proof_of(
    key: ECKey,
    token: str = BOUND,
    url: str = "https://gate.example/x",
    jti: str = "1",
    **more: str,
) -> tuple[bytes, bytes]:
    """The header by which the holder of a key signs a request."""
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    digest = hashlib.sha256(token.encode()).digest()
    claims = {
        "jti": jti, "htm": "GET", "htu": url, "iat": NOW_MS // 1000, "ath": encode_url(digest),
        **more,
    }  # fmt: skip
    return b"dpop", jwt.encode(header, claims, key).encode()


def bound_desk(price: Price, nonces: Nonces | None = None, **policy: bool) -> tuple[Desk, ECKey]:
    """A gate, and the key that `BOUND` is bound to."""
    key = ECKey.generate_key("P-256")
    desk = Desk(price, nonces=nonces, policy=policy)
    desk.issuer.known[BOUND] = identity("alice", *READ, key_thumbprint=key.thumbprint())
    return desk, key


@pytest.mark.parametrize("price", [ONLY, ANY_OF, replace(ONLY, free=Quota(5, 60_000))])
def test_a_token_of_a_key_is_good_for_its_holder_once_for_each_proof(price: Price) -> None:
    desk, key = bound_desk(price)
    headers = [*bearer(BOUND, "DPoP"), proof_of(key)]
    assert desk.send("GET", headers=headers).status == 200
    again = desk.send("GET", headers=headers)
    assert (again.status, problem(again)) == (401, "invalid-dpop-proof")
    fresh = [*bearer(BOUND, "DPoP"), proof_of(key, jti="2")]
    assert desk.send("GET", headers=fresh).status == 200
    assert desk.app.reached == 2


def test_a_replayed_proof_uses_up_no_free_call_and_no_payment() -> None:
    desk, key = bound_desk(replace(ALL_OF, free=Quota(2, 60_000)))
    first = [*bearer(BOUND, "DPoP"), proof_of(key)]
    statuses = [desk.send("GET", headers=first).status for _ in range(5)]
    assert statuses == [200, 401, 401, 401, 401]
    second = [*bearer(BOUND, "DPoP"), proof_of(key, jti="2")]
    assert desk.send("GET", headers=second).status == 200
    refused = desk.send("GET", headers=[*bearer(BOUND, "DPoP"), proof_of(key, jti="3")])
    paid = solution(solved(offers(refused)[0]))
    replayed = desk.send("GET", headers=[*second, *paid])
    assert (replayed.status, problem(replayed)) == (401, "invalid-dpop-proof")
    good = [*bearer(BOUND, "DPoP"), proof_of(key, jti="4"), *paid]
    assert desk.send("GET", headers=good).status == 200


@pytest.mark.parametrize("price", [ONLY, ALL_OF])
def test_an_account_that_is_used_up_fills_no_store_with_fresh_proofs_of_its_key(
    price: Price,
) -> None:
    desk, key = bound_desk(replace(price, free=Quota(1, 60_000)))
    numbers = itertools.count()

    def send() -> int:
        jti = str(next(numbers))
        return desk.send("GET", headers=[*bearer(BOUND, "DPoP"), proof_of(key, jti=jti)]).status

    refused = 402 if price.is_sold else 429
    assert [send() for _ in range(20)] == [200, *[refused] * 19]
    assert desk.ledger.spends == 2
    desk.clock.now_ms += 61_000
    assert send() == 200


def test_proofs_are_for_the_resources_host_where_no_public_url_is_said(tmp_path: Path) -> None:
    path = tmp_path / "pypow.toml"
    path.write_text(
        '[oauth]\nresource = "https://gate.example/mcp"\n'
        '[[oauth.issuer]]\nissuer = "https://issuer.example"\n',
        encoding="utf-8",
    )
    settings = Settings.from_env({"PYPOW_CONFIG": str(path), "PYPOW_STATE_DIR": str(tmp_path)})
    desk, key = bound_desk(ONLY)
    rail = opening.login_rail(settings, KEYRING, desk.issuer, issuers=[ISSUER], denial=nobody)
    desk.gate.decide_by(policy=desk.policy, rails=[desk.rail], login=rail)
    headers = [*bearer(BOUND, "DPoP"), proof_of(key)]
    assert desk.send("GET", headers=headers).status == 200


@pytest.mark.parametrize("price", [ONLY, ANY_OF, replace(ONLY, free=Quota(5, 60_000))])
def test_a_proof_needs_a_nonce_where_the_gate_says_so_and_is_told_one(price: Price) -> None:
    desk, key = bound_desk(price, Nonces((b"n" * 32,)))
    first = desk.send("GET", headers=[*bearer(BOUND, "DPoP"), proof_of(key)])
    assert (first.status, problem(first)) == (401, "use-dpop-nonce")
    (nonce,) = first.values(b"dpop-nonce")
    assert b'error="use_dpop_nonce"' in first.values(b"www-authenticate")[1]
    told = [*bearer(BOUND, "DPoP"), proof_of(key, nonce=nonce.decode())]
    answer = desk.send("GET", headers=told)
    assert (answer.status, answer.values(b"dpop-nonce")) == (200, [nonce])


def test_whoever_pays_beside_a_login_is_told_the_nonce_too() -> None:
    desk, key = bound_desk(ALL_OF, Nonces((b"n" * 32,)))
    (nonce,) = desk.send("GET", headers=[*bearer(BOUND, "DPoP"), proof_of(key)]).values(
        b"dpop-nonce"
    )
    signed = [*bearer(BOUND, "DPoP"), proof_of(key, nonce=nonce.decode())]
    paid = solution(solved(offers(desk.send("GET", headers=signed))[0]))
    signed = [*bearer(BOUND, "DPoP"), proof_of(key, jti="2", nonce=nonce.decode())]
    answer = desk.send("GET", headers=[*signed, *paid])
    assert (answer.status, answer.values(b"dpop-nonce")) == (200, [nonce])


def test_a_bound_token_is_worth_nothing_without_a_proof_of_its_key() -> None:
    desk, key = bound_desk(ONLY)
    other = ECKey.generate_key("P-256")
    for headers, name in (
        ([*bearer(BOUND, "DPoP")], "invalid-dpop-proof"),
        ([*bearer(BOUND, "DPoP"), (b"dpop", b"junk")], "invalid-dpop-proof"),
        ([*bearer(BOUND, "DPoP"), proof_of(key), proof_of(key, jti="2")], "invalid-dpop-proof"),
        ([*bearer(BOUND, "DPoP"), proof_of(key, GOOD)], "invalid-dpop-proof"),
        (
            [*bearer(BOUND, "DPoP"), proof_of(key, url="http://gate.example/x")],
            "invalid-dpop-proof",
        ),
        ([*bearer(BOUND, "DPoP"), proof_of(other)], "invalid-token"),
        ([*bearer(BOUND), proof_of(key)], "invalid-token"),
        ([*bearer(GOOD, "DPoP"), proof_of(key, GOOD)], "invalid-token"),
    ):
        answer = desk.send("GET", headers=headers)
        assert (answer.status, problem(answer)) == (401, name)
        schemes = [line.split(b" ")[0] for line in answer.values(b"www-authenticate")]
        assert schemes == [b"Bearer", b"DPoP"]
        lines = b" ".join(answer.values(b"www-authenticate"))
        assert lines.count(b"resource_metadata=") == 2
    assert (desk.app.reached, desk.ledger.spends) == (0, 0)


@pytest.mark.parametrize("forwards", [False, True])
def test_a_proxy_that_asks_is_told_to_leave_the_token_out(forwards: bool) -> None:
    desk = Desk(ONLY, app=vouch, policy={"forwards_tokens": forwards})
    answer = desk.send("GET", headers=bearer(GOOD))
    assert answer.values(b"x-pow-principal") == [ALICE.encode()]
    sent = f"Bearer {GOOD}".encode() if forwards else b""
    assert answer.values(UPSTREAM + b"authorization") == [sent]


class Permissive(OAuthRail):
    """Permits every token everything."""

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        return await super().judge(
            call, replace(price, scopes=frozenset({"profile"})), now_ms=now_ms
        )


class Unguarded(OAuthRail):
    """Takes a proof of a key as often as it comes."""

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        verdict = await super().judge(call, price, now_ms=now_ms)
        return verdict._replace(guard=None) if isinstance(verdict, Admit) else verdict


class Forgiving(OAuthRail):
    """Lets whoever brings a token that is not good go on as if none had come."""

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        verdict = await super().judge(call, price, now_ms=now_ms)
        return Absent() if isinstance(verdict, Refuse) else verdict


class Mixing(OAuthRail):
    """Knows all subjects by one name."""

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        verdict = await super().judge(call, price, now_ms=now_ms)
        return verdict._replace(principal=ALICE) if isinstance(verdict, Admit) else verdict


def paid_or_signed_in(
    hearing: Hearing, price: Price, standing: Standing, refused: Problem | None
) -> Standing:
    """Takes either of the two, though both are needed."""
    login = hearing.login
    return standing or refused or (None if login is None else [("oauth", login)])


def told_about(token: str, price: Price) -> None:
    status, name, error = {
        NARROW: (403, "insufficient-scope", "insufficient_scope"),
        EXPIRED: (401, "invalid-token", "invalid_token"),
    }[token]
    test_a_token_that_is_not_good_is_refused_with_its_error(token, status, name, error, price)


WRONG: list[tuple[str, object, Callable[[], None]]] = [
    ("support.logins.OAuthRail", Permissive, partial(told_about, NARROW, ONLY)),
    (
        "support.logins.OAuthRail",
        Unguarded,
        partial(test_a_token_of_a_key_is_good_for_its_holder_once_for_each_proof, ONLY),
    ),
    (
        "support.logins.OAuthRail",
        Unguarded,
        test_a_replayed_proof_uses_up_no_free_call_and_no_payment,
    ),
    ("support.logins.OAuthRail", Forgiving, partial(told_about, EXPIRED, ANY_OF)),
    (
        "support.logins.OAuthRail",
        Mixing,
        test_free_calls_are_their_subjects_own_and_then_the_price_applies,
    ),
    (
        "pypow_server.signing_in.with_login",
        paid_or_signed_in,
        test_where_both_are_needed_neither_alone_admits_and_nothing_is_spent,
    ),
    (
        "pypow_server.hearing.Hearing.charged",
        property(lambda hearing: hearing.client),
        test_free_calls_are_their_subjects_own_and_then_the_price_applies,
    ),
]


@pytest.mark.parametrize(("where", "wrong", "law"), WRONG)
def test_what_is_wrong_is_caught(
    where: str, wrong: object, law: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    law()
    monkeypatch.setattr(where, wrong)
    with pytest.raises(AssertionError):
        law()

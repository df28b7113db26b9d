# SPDX-License-Identifier: Apache-2.0
"""Workloads prove who they are by their platform's JWT; rules shut other tenants out."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pypow.errors import InvalidInputError
from pypow_server.identity import BadToken, Unavailable
from pypow_server.identity.claim_rules import ClaimRule
from pypow_server.identity.issuers import Issuer, IssuerError
from pypow_server.identity.jwks import IssuerKeys
from pypow_server.identity.platforms import PLATFORMS
from pypow_server.identity.trust import TrustedWorkloads
from pypow_server.identity.workload import Assertions, Attested, WorkloadError, Workloads
from support import tokens
from support.token_issuer import issuing
from support.tokens import NOW_MS, NOW_S, minted

KEY, OTHER = tokens.rsa_key("one"), tokens.rsa_key("one")
US = "https://mcp.example.com"
TOKENS = f"{US}/token"
GITHUB = "https://token.actions.githubusercontent.com"
AZURE = f"https://sts.windows.net/{'0' * 8}-0000-0000-0000-{'0' * 12}/"
SCOPES = frozenset(("tools:search",))
ACME = Workloads(
    "github-actions",
    (ClaimRule("repository", "acme/*"), ClaimRule("ref", "refs/heads/main")),
    SCOPES,
)


def said(**changed: object) -> dict[str, object]:
    """What a job of acme's says; a change to None leaves a claim out."""
    claims: dict[str, object] = {
        "iss": GITHUB,
        "aud": US,
        "sub": "repo:acme/site:ref:refs/heads/main",
        "repository": "acme/site",
        "repository_owner": "acme",
        "repository_owner_id": "4711",
        "ref": "refs/heads/main",
        "iat": NOW_S - 10,
        "nbf": NOW_S - 10,
        "exp": NOW_S + 290,
        "jti": "job-1",
    }
    return {name: value for name, value in (claims | changed).items() if value is not None}


def assertion(**changed: object) -> str:
    return minted(said(**changed), KEY, algorithm="RS256", typ="JWT")


def keys_of(_: Issuer) -> IssuerKeys:
    return tokens.known_keys(KEY)


def judged(
    token: str,
    *rows: Workloads,
    audiences: frozenset[str] = frozenset((US, TOKENS)),
    now_ms: int = NOW_MS,
) -> Attested | BadToken | Unavailable:
    assertions = Assertions(rows or (ACME,), keys_of)
    return asyncio.run(assertions.judge(token, audiences=audiences, now_ms=now_ms))


def test_a_job_that_fits_gets_what_the_operator_gives() -> None:
    found = judged(assertion())
    assert isinstance(found, Attested)
    assert (found.platform, found.identity.issuer) == ("github-actions", GITHUB)
    assert found.identity.subject == "repo:acme/site:ref:refs/heads/main"
    assert found.identity.scopes == SCOPES
    assert found.until_ms == (NOW_S + 290 + 60) * 1000
    assert isinstance(judged(assertion(aud=[TOKENS])), Attested)


def test_an_assertion_comes_once_by_its_issuer_and_id() -> None:
    def once(**changed: object) -> bytes | None:
        found = judged(assertion(**changed))
        assert isinstance(found, Attested)
        return found.once

    assert once() == once(sub="repo:acme/site:environment:live") is not None
    assert once() != once(jti="job-2")


WRONG: dict[str, tuple[Callable[[], str], str]] = {
    "no JWT": (lambda: "opaque", "of 3 parts"),
    "alg none": (lambda: minted(said(), KEY, algorithm="RS256", alg="none", typ="JWT"), "as alg"),
    "HS256": (
        lambda: minted(said(), KEY.as_pem(private=False), algorithm="HS256", typ="JWT"), "as alg",
    ),
    "another key": (
        lambda: minted(said(), OTHER, algorithm="RS256", typ="JWT"), "a signature by a key",
    ),
    "an access token": (lambda: minted(said(), KEY, algorithm="RS256"), "as typ"),
    "a proof": (lambda: minted(said(), KEY, algorithm="RS256", typ="dpop+jwt"), "as typ"),
    "a foreign issuer": (lambda: assertion(iss="https://evil.example"), "(iss)"),
    "no issuer": (lambda: assertion(iss=None), "(iss)"),
    "a foreign audience": (lambda: assertion(aud="https://github.com/acme"), "(aud)"),
    "no audience": (lambda: assertion(aud=None), "(aud)"),
    "another audience beside": (lambda: assertion(aud=[US, "https://other.example"]), "(aud)"),
    "two names of ours": (lambda: assertion(aud=[US, TOKENS]), "(aud)"),
    "expired": (lambda: assertion(iat=NOW_S - 400, exp=NOW_S - 60), "(exp)"),
    "not yet": (lambda: assertion(nbf=NOW_S + 61), "(nbf)"),
    "issued tomorrow": (lambda: assertion(iat=NOW_S + 61), "(iat)"),
    "too long a life": (lambda: assertion(exp=NOW_S + 900), "lives at most 900 s"),
    "no beginning": (lambda: assertion(iat=None), "lives at most"),
    "no end": (lambda: assertion(exp=None), "(exp)"),
    "no id": (lambda: assertion(jti=None), "(jti)"),
    "no subject": (lambda: assertion(sub=None), "as sub"),
    "a subject of no text": (lambda: assertion(sub=["repo:acme/site"]), "as sub"),
    "another owner": (lambda: assertion(repository="evil/site"), "fit the rules"),
    "an owner that begins alike": (lambda: assertion(repository="acme-evil/site"), "fit the rules"),
    "an owner in capitals": (lambda: assertion(repository="ACME/site"), "fit the rules"),
    "a path behind the repository": (lambda: assertion(repository="acme/a/b"), "fit the rules"),
    "another branch": (lambda: assertion(ref="refs/heads/main2"), "fit the rules"),
    "a line behind the branch": (lambda: assertion(ref="refs/heads/main\n"), "fit the rules"),
    "a missing claim": (lambda: assertion(ref=None), "fit the rules"),
    "a claim of no text": (lambda: assertion(repository=["acme/site"]), "fit the rules"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_assertion_is_refused_with_its_reason(name: str) -> None:
    make, reason = WRONG[name]
    found = judged(make())
    assert isinstance(found, BadToken)
    assert reason in found.detail


def test_the_row_that_fits_first_decides_what_is_given() -> None:
    live = Workloads("github-actions", (ClaimRule("sub", "repo:acme/site:environment:live"),),
                     frozenset(("deploy",)))  # fmt: skip
    found = judged(assertion(sub="repo:acme/site:environment:live", ref="x"), ACME, live)
    assert isinstance(found, Attested)
    assert found.identity.scopes == {"deploy"}


SUBJECTS: list[tuple[Workloads, dict[str, object], dict[str, object]]] = [
    (
        Workloads("kubernetes", (ClaimRule("kubernetes.io/namespace", "shop"),), SCOPES,
                  issuer="https://cluster.example"),
        {"sub": "system:serviceaccount:shop:agent", "kubernetes.io": {"namespace": "shop"}},
        {"sub": "system:serviceaccount:shop:agent", "kubernetes.io": {"namespace": "shop2"}},
    ),
    (
        Workloads("kubernetes", (ClaimRule("sub", "system:serviceaccount:shop:*"),), SCOPES,
                  issuer="https://cluster.example"),
        {"sub": "system:serviceaccount:shop:agent"},
        {"sub": "system:serviceaccount:shop-evil:agent"},
    ),
    (
        Workloads("spiffe", (ClaimRule("sub", "spiffe://prod.example/ns/*/sa/agent"),), SCOPES,
                  issuer="https://spire.example"),
        {"sub": "spiffe://prod.example/ns/shop/sa/agent"},
        {"sub": "spiffe://prod.example/ns/shop/x/sa/agent"},
    ),
    (
        Workloads("google", (ClaimRule("email", "agent@acme.iam.gserviceaccount.com"),), SCOPES),
        {"sub": "1", "email": "agent@acme.iam.gserviceaccount.com", "email_verified": True},
        {"sub": "1", "email": "agent@acme.iam.gserviceaccount.com", "email_verified": False},
    ),
    (
        Workloads("google",
                  (ClaimRule("google/compute_engine/project_id", "acme"),), SCOPES),
        {"sub": "1", "google": {"compute_engine": {"project_id": "acme"}}},
        {"sub": "1", "google": {"compute_engine": {"project_id": "evil"}}},
    ),
    (
        Workloads("aws", (ClaimRule("sub", "arn:aws:iam::123456789012:role/agents/**"),), SCOPES,
                  issuer="https://9c9f.tokens.sts.global.api.aws"),
        {"sub": "arn:aws:iam::123456789012:role/agents/a/b"},
        {"sub": "arn:aws:iam::210987654321:role/agents/a/b"},
    ),
    (
        Workloads("azure", (ClaimRule("oid", "0a1b"),), SCOPES,
                  issuer=AZURE),
        {"sub": "x", "oid": "0a1b"},
        {"sub": "x", "oid": "0a1c"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("row", "good", "bad"), SUBJECTS)
def test_workloads_of_every_platform_are_told_apart(
    row: Workloads, good: dict[str, object], bad: dict[str, object]
) -> None:
    def shown(**claims: object) -> Attested | BadToken | Unavailable:
        basic = {"iss": row.trusted.url, "aud": US, "iat": NOW_S, "exp": NOW_S + 300}
        return judged(minted(basic | claims, KEY, algorithm="RS256", typ=None), row)

    found = shown(**good)
    assert isinstance(found, Attested)
    assert found.once is None
    assert isinstance(shown(**bad), BadToken)


def test_every_platform_is_tried() -> None:
    assert {row.platform for row, _, _ in SUBJECTS} | {ACME.platform} == set(PLATFORMS)


@pytest.mark.parametrize(
    ("platform", "rules", "issuer"),
    [
        ("github-actions", [], None),
        ("github-actions", [("ref", "refs/heads/main")], None),
        ("github-actions", [("actor", "somebody")], None),
        ("github-actions", [("repository", "*/site")], None),
        ("github-actions", [("repository", "acme*")], None),
        ("github-actions", [("repository", "ac*/site")], None),
        ("github-actions", [("repository_owner", "acme*")], None),
        ("github-actions", [("repository_owner_id", "47*")], None),
        ("github-actions", [("sub", "repo:**")], None),
        ("github-actions", [("sub", "repo:acme**")], None),
        ("kubernetes", [("sub", "system:serviceaccount:*:agent")], "https://cluster.example"),
        ("kubernetes", [("sub", "system:serviceaccount:shop*:a")], "https://cluster.example"),
        ("kubernetes", [("kubernetes.io/namespace", "shop*")], "https://cluster.example"),
        ("spiffe", [("sub", "spiffe://*/agent")], "https://spire.example"),
        ("spiffe", [("sub", "spiffe://prod*")], "https://spire.example"),
        ("google", [("email", "*@acme.example")], None),
        ("google", [("hd", "acme.example")], None),
        ("aws", [("sub", "arn:aws:iam::*:role/agent")], "https://x.tokens.sts.global.api.aws"),
        ("azure", [("tid", "0000")], AZURE),
    ],
)  # fmt: skip
def test_rules_that_other_tenants_could_fit_are_refused_with_the_fix(
    platform: str, rules: list[tuple[str, str]], issuer: str | None
) -> None:
    with pytest.raises(WorkloadError, match="whoever's they are") as caught:
        Workloads(platform, tuple(ClaimRule(*rule) for rule in rules), SCOPES, issuer)
    assert "add a rule that no other tenant fits" in caught.value.fix


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"platform": "jenkins"}, "no platform is called 'jenkins'"),
        ({"platform": "kubernetes"}, "have no issuer"),
        ({"platform": "azure", "issuer": "https://login.microsoftonline.com/common/v2.0"},
         "is no issuer of one tenant"),
        ({"platform": "aws", "issuer": "https://evil.s3.amazonaws.com"}, "is no issuer of one"),
    ],
)  # fmt: skip
def test_workloads_of_nobody_in_particular_are_refused(changed: Any, found: str) -> None:
    good = {"platform": "github-actions", "rules": ACME.rules, "scopes": SCOPES}
    with pytest.raises(WorkloadError, match=found):
        Workloads(**{**good, **changed})


def test_rows_that_say_different_things_of_one_issuer_are_refused() -> None:
    elsewhere = Workloads("github-actions", ACME.rules, SCOPES, jwks_uri="https://keys.example/")
    with pytest.raises(WorkloadError, match="different things"):
        judged(assertion(), ACME, elsewhere)


def test_an_issuer_of_workloads_is_asked_over_https() -> None:
    with pytest.raises(IssuerError, match="https"):
        Workloads("github-actions", ACME.rules, SCOPES, issuer="http://ghes.example/token")


@pytest.mark.parametrize(
    ("claim", "pattern"),
    [("", "x"), ("sub", ""), ("sub", "*"), ("sub", "**"), ("sub", "*:*"), ("sub", "*/**"),
     ("sub", "a*b*c*"), ("sub", "a***")],
)  # fmt: skip
def test_a_rule_that_takes_anything_is_none(claim: str, pattern: str) -> None:
    with pytest.raises(InvalidInputError):
        ClaimRule(claim, pattern)


@pytest.mark.parametrize(
    ("pattern", "value", "holds"),
    [
        ("refs/heads/*", "refs/heads/main", True),
        ("refs/heads/*", "refs/heads/", True),
        ("refs/heads/*", "refs/heads/a/b", False),
        ("refs/heads/**", "refs/heads/a/b", True),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/site:ref:refs/heads/main", True),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/x:y:ref:refs/heads/main", False),
        ("a.c", "abc", False),
        ("true", True, True),
        ("7", 7, True),
        ("7", 7.0, False),
        ("x", None, False),
        ("a**", "a" * 513, False),
    ],
)
def test_a_star_stays_in_its_part_and_two_do_not(pattern: str, value: object, holds: bool) -> None:
    assert ClaimRule("c", pattern).holds({"c": value}) is holds


def test_claims_whose_names_hold_slashes_are_found() -> None:
    claims = {"https://sts.example/": {"account/id": "1"}, "a/b": "2", "a": {"b": "3"}}
    assert ClaimRule("https://sts.example//account/id", "1").holds(claims)
    assert ClaimRule("a/b", "2").holds(claims)
    assert not ClaimRule("a/c", "2").holds(claims)


def test_keys_of_a_platform_are_got_when_a_workload_comes() -> None:
    async def play() -> None:
        async with issuing(KEY) as issuer:
            told: list[tuple[str, str]] = []
            row = Workloads("spiffe", (ClaimRule("sub", "spiffe://prod.example/**"),), SCOPES,
                            issuer=issuer.url)  # fmt: skip
            workloads = TrustedWorkloads([row], told=lambda *what: told.append(what))
            shown = minted(
                {"iss": issuer.url, "aud": US, "sub": "spiffe://prod.example/a",
                 "iat": NOW_S, "exp": NOW_S + 60},
                KEY, algorithm="RS256", typ="JOSE",
            )  # fmt: skip
            found = await workloads.judge(shown, audiences=frozenset((US,)), now_ms=NOW_MS)
            await workloads.aclose()
            assert isinstance(found, Attested)
            assert told == [(issuer.url, "read")]

    asyncio.run(play())


class _PinsNothing(Workloads):
    """A wrong twin: any rule will do."""

    def fits(self, said: object) -> bool:
        return True


def test_rules_that_are_not_held_against_claims_are_caught() -> None:
    twin = _PinsNothing("github-actions", ACME.rules, SCOPES)
    assert isinstance(judged(WRONG["another owner"][0](), twin), Attested)

# SPDX-License-Identifier: Apache-2.0
"""Tokens for whom others answer: jobs of platforms, and holders of others' tokens."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from pypow import InvalidInputError
from pypow_server.identity import platforms
from pypow_server.logins import Logins, TrustedIssuer
from pypow_server.policy_rows import PriceRow
from pypow_server.price import Ways
from pypow_server.pypow_toml import read
from pypow_server.token_sales import TokenSales, WorkloadRow
from support.asgi_client import Answer, call
from support.dpop_proofs import KeyHolder
from support.gated import document
from support.issuing import ISSUER, Desk
from support.token_issuer import TokenIssuer, issuing
from support.tokens import ec_key, minted

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
KEY = ec_key()
JOB = "spiffe://prod.example/job"
TOOLS = frozenset({"tools"})


class Office(Desk):
    """A gate that trusts a platform and an issuer, both played on this machine."""

    def __init__(
        self, state_dir: Path, url: str, platform: TokenIssuer, *, knows_jobs: bool = True
    ) -> None:
        self.platform = platform
        row = WorkloadRow(
            "spiffe", (("sub", "spiffe://prod.example/**"),), TOOLS, issuer=url, near=True
        )
        needs_login = PriceRow(
            "GET /mcp/dear", 4 * 1024, ways=Ways(TOOLS, login=True, takes_work=False)
        )
        super().__init__(
            state_dir,
            rows={
                "token_sales": TokenSales(workloads=(row,) if knows_jobs else ()),
                "logins": Logins((TrustedIssuer(url, near=True),)),
                "prices": (needs_login,),
            },
        )

    def shown(self, **changed: object) -> str:
        """What the platform says of a job."""
        now_s = int(time.time())
        said = {
            "iss": self.platform.url, "aud": ISSUER, "sub": JOB, "iat": now_s, "exp": now_s + 300,
            **changed,
        }  # fmt: skip
        kept = {name: value for name, value in said.items() if value is not None}
        return minted(kept, KEY, typ="JWT")

    def login(self, **changed: object) -> str:
        """An access token of the issuer."""
        now_s = int(time.time())
        said = {
            "aud": f"{ISSUER}/mcp", "iat": now_s, "exp": now_s + 300, "scope": "tools",
            "sub": "somebody", **changed,
        }  # fmt: skip
        return self.platform.mint(KEY, **said)

    def exchanged(self, theirs: str) -> Answer:
        return self.token_for(
            grant_type=EXCHANGE, subject_token=theirs, subject_token_type=ACCESS_TOKEN
        )

    def bearer(self, assertion: str, **more: str) -> Answer:
        return self.token_for(grant_type=JWT_BEARER, assertion=assertion, **more)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with _office(tmp_path) as made:
        yield made


@contextmanager
def _office(tmp_path: Path, *, knows_jobs: bool = True) -> Iterator[Office]:
    with asyncio.Runner() as runner:
        entered = issuing(KEY)
        platform = runner.run(entered.__aenter__())
        office = Office(tmp_path, platform.url, platform, knows_jobs=knows_jobs)
        # One event loop for who asks and who answers.
        office._runner.close()
        office._runner = runner
        try:
            yield office
        finally:
            runner.run(office.app.stop())
            runner.run(entered.__aexit__(None, None, None))


def claims_of(office: Office, answer: Answer) -> dict[str, Any]:
    found = KeySet.import_key_set(document(office.get("/oauth/jwks")))
    return jwt.decode(document(answer)["access_token"], found, algorithms=["ES256"]).claims


def test_a_job_gets_in_with_its_platforms_word_and_with_what_it_may_do(office: Office) -> None:
    assert office.get("/mcp/dear").status == 401
    answer = office.bearer(office.shown())
    assert answer.status == 200, answer.body
    said = document(answer)
    assert (said["scope"], said["token_type"]) == ("tools", "Bearer")
    assert 0 < said["expires_in"] <= 300
    assert office.call_with(said["access_token"], "/mcp/dear").status == 200
    assert office.upstream.header(b"authorization") == []


def test_the_same_word_is_a_client_assertion(office: Office) -> None:
    answer = office.token_for(
        grant_type="client_credentials",
        client_assertion_type=ASSERTION,
        client_assertion=office.shown(aud=f"{ISSUER}/oauth/token"),
    )
    token = document(answer)["access_token"]
    assert office.call_with(token, "/mcp/dear").status == 200


def test_its_name_is_the_same_in_all_its_tokens_and_is_not_what_the_platform_calls_it(
    office: Office,
) -> None:
    first, second = (claims_of(office, office.bearer(office.shown())) for _ in range(2))
    other = claims_of(office, office.bearer(office.shown(sub="spiffe://prod.example/other")))
    assert first["sub"] == second["sub"] != other["sub"]
    assert first["jti"] != second["jti"]
    assert "prod.example" not in json.dumps(first)


def test_a_token_bought_with_work_does_nothing_where_a_login_is_needed(office: Office) -> None:
    assert office.call_with(office.token(), "/mcp/dear").status == 401


def test_a_token_of_a_job_is_for_its_resource(office: Office) -> None:
    token = document(office.bearer(office.shown()))["access_token"]
    assert office.call_with(token, "/v1/x").status == 401
    for scheme in ("Bearer\t", "bearer  ", "\tBEARER \t"):
        for path, status in (("/mcp/dear", 200), ("/v1/x", 401)):
            answer = office.get(path, authorization=f"{scheme}{token}")
            assert (scheme, path, answer.status) == (scheme, path, status)


@pytest.mark.parametrize("knows_jobs", [True, False])
def test_anothers_access_token_can_be_exchanged(tmp_path: Path, *, knows_jobs: bool) -> None:
    with _office(tmp_path, knows_jobs=knows_jobs) as office:
        answer = office.exchanged(office.login())
        assert answer.status == 200, answer.body
        said = document(answer)
        assert said["issued_token_type"] == ACCESS_TOKEN
        assert office.call_with(said["access_token"], "/mcp/dear").status == 200
        assert claims_of(office, answer)["iss"] == ISSUER


def test_who_exchanges_a_token_stays_the_same_account(office: Office) -> None:
    theirs = office.login()
    ours = document(office.exchanged(theirs))["access_token"]
    assert [office.call_with(one, "/mcp/dear").status for one in (theirs, ours)] == [200, 200]
    first, second = (scope["pypow.principal"] for scope in office.upstream.scopes)
    assert first == second


def test_a_word_that_has_just_ended_gets_no_token_that_has(office: Office) -> None:
    past_s = int(time.time()) - 5  # clocks may differ by so much, but a token must last
    for answer in (
        office.bearer(office.shown(iat=past_s - 60, exp=past_s)),
        office.exchanged(office.login(iat=past_s - 60, exp=past_s)),
    ):
        assert (answer.status, "access_token" in document(answer)) == (400, False), answer.body


def test_a_token_of_one_resource_does_not_come_in_beside_another(office: Office) -> None:
    with_login = office.bearer(office.shown(), resource=f"{ISSUER}/mcp")
    elsewhere = document(with_login)["access_token"]
    bought = document(
        office.token_for(
            grant_type="client_credentials", client_secret=office.proof(), resource=ISSUER
        )
    )["access_token"]
    fields = [(b"authorization", f"Bearer {one}".encode()) for one in (bought, elsewhere)]
    answer = office._runner.run(
        call(office.app, "GET", b"/v1/x", headers=[(b"host", b"gate.example"), *fields])
    )
    assert (answer.status, office.upstream.reached) == (401, 0)


def test_what_was_bought_is_nobodys_login_however_often_it_is_shown(tmp_path: Path) -> None:
    with _office(tmp_path) as office:
        bought = office.token()
        fields = [(b"authorization", f"Bearer {bought}".encode())] * 2
        answer = office._runner.run(
            call(office.app, "GET", b"/mcp/dear", headers=[(b"host", b"gate.example"), *fields])
        )
        assert answer.status == 401


NOW = int(time.time())
BAD: dict[str, dict[str, object]] = {
    "another audience": {"aud": "https://elsewhere.example"},
    "two audiences": {"aud": [ISSUER, "https://elsewhere.example"]},
    "no audience": {"aud": None},
    "an issuer that is not trusted": {"iss": "https://evil.example"},
    "another tenant": {"sub": "spiffe://evil.example/job"},
    "no subject": {"sub": None},
    "long ago": {"iat": NOW - 9000, "exp": NOW - 8000},
    "not yet": {"iat": NOW + 8000, "exp": NOW + 8300},
    "for ever": {"exp": NOW + 10_000_000},
}


@pytest.mark.parametrize("changed", BAD.values(), ids=list(BAD))
def test_a_word_that_is_not_good_gets_nothing(office: Office, changed: dict[str, object]) -> None:
    answer = office.bearer(office.shown(**changed))
    assert (answer.status, document(answer)["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é", "x" * 9000])
def test_what_is_no_assertion_gets_nothing(office: Office, text: str) -> None:
    assert document(office.bearer(text))["error"] == "invalid_grant"
    answer = office.token_for(
        grant_type="client_credentials", client_assertion_type=ASSERTION, client_assertion=text
    )
    assert (answer.status, document(answer)["error"]) == (401, "invalid_client")
    answer = office.token_for(
        grant_type=EXCHANGE, subject_token=text, subject_token_type=ACCESS_TOKEN
    )
    assert document(answer)["error"] == "invalid_request"


def test_where_nobody_is_trusted_no_word_is_taken(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        assert document(desk.token_for(grant_type=JWT_BEARER, assertion="x"))["error"]
        answer = desk.token_for(
            grant_type=EXCHANGE, subject_token="x", subject_token_type=ACCESS_TOKEN
        )
        assert document(answer)["error"] == "invalid_request"


def test_a_job_that_may_show_its_word_once_gets_one_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = replace(platforms.PLATFORMS["spiffe"], is_single_use=True)
    monkeypatch.setattr(
        "pypow_server.identity.workload.PLATFORMS", {**platforms.PLATFORMS, "spiffe": once}
    )
    with _office(tmp_path) as office:
        word = office.shown(jti="one")
        assert office.bearer(word, resource="https://elsewhere.example").status == 400
        assert [office.bearer(word).status for _ in range(2)] == [200, 400]
        assert office.bearer(office.shown(jti="two")).status == 200


FILE = """
[gate]
public_url = "https://mcp.example.com"
[oauth]
server = true
[[oauth.workload]]
platform = "github-actions"
claims = { repository = "acme/*" }
scope = "tools:search"
[[price]]
match = "tools/call search"
scope = "tools:search"
"""


def test_the_file_says_whose_jobs_get_tokens() -> None:
    rows = read(FILE).rows
    assert rows.token_sales is not None
    (row,) = rows.token_sales.workloads
    assert row == WorkloadRow(
        "github-actions", (("repository", "acme/*"),), frozenset({"tools:search"})
    )
    assert rows.logins == Logins(())


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ('"acme/*"', '"*/*"', r"oauth.workload"),
        ("github-actions", "gitlab", r"no platform is called"),
        ("server = true", "server = false", r"expected oauth.server = true"),
        ('scope = "tools:search"\n[[price]]', 'scope = ""\n[[price]]', r"expected scopes"),
    ],
)
def test_jobs_that_could_be_anybodys_end_the_start(old: str, new: str, wrong: str) -> None:
    with pytest.raises(InvalidInputError, match=wrong):
        read(FILE.replace(old, new))


def test_a_job_that_proves_a_key_gets_a_token_for_its_holder_alone(office: Office) -> None:
    holder = KeyHolder()

    def proof(method: str, path: str, token: str | None = None) -> str:
        at_ms = time.time_ns() // 1_000_000
        return holder.proof(method, ISSUER + path, now_ms=at_ms, token=token)

    asking = {"grant_type": JWT_BEARER, "assertion": office.shown()}
    once = proof("POST", "/oauth/token")
    answer = office.post("/oauth/token", asking, dpop=once)
    assert document(answer)["token_type"] == "DPoP"
    theirs = office.platform.mint(
        KEY,
        aud=f"{ISSUER}/mcp",
        iat=int(time.time()),
        exp=int(time.time()) + 300,
        scope="tools",
        sub="somebody",
    )
    exchange = {
        "grant_type": EXCHANGE,
        "subject_token": theirs,
        "subject_token_type": ACCESS_TOKEN,
    }
    for said in (asking, exchange):
        again = office.post("/oauth/token", said, dpop=once)
        assert document(again)["error"] == "invalid_dpop_proof"
    fresh = office.post("/oauth/token", exchange, dpop=proof("POST", "/oauth/token"))
    assert document(fresh)["token_type"] == "DPoP"

    token = document(answer)["access_token"]
    assert office.call_with(token, "/mcp/dear").status == 401
    sent = {"authorization": f"DPoP {token}", "dpop": proof("GET", "/mcp/dear", token=token)}
    assert [office.get("/mcp/dear", **sent).status for _ in range(2)] == [200, 401]

# SPDX-License-Identifier: Apache-2.0
"""Access tokens for work: given once for each proof, and good for what that paid for."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from pypow_server.policy_rows import PriceRow
from support.gated import document
from support.issuing import ISSUER, Desk

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
PROOF = "urn:pypow:token-type:proof"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path) as made:
        yield made


def test_a_proof_is_a_client_secret_and_its_token_admits_as_many_calls_as_were_bought(
    desk: Desk,
) -> None:
    answer = desk.token_for(
        grant_type="client_credentials", client_id="me", client_secret=desk.proof()
    )
    said = document(answer)
    assert answer.values(b"cache-control") == [b"no-store"]
    assert (said["token_type"], said["scope"]) == ("Bearer", "work calls:3")
    assert 290 <= said["expires_in"] <= 300

    calls = [desk.call_with(said["access_token"]).status for _ in range(4)]
    assert calls == [200, 200, 200, 402]
    assert desk.upstream.reached == 3
    assert desk.upstream.header(b"authorization") == []


def test_one_proof_buys_one_token(desk: Desk) -> None:
    proof = desk.proof()
    first, second = (
        desk.token_for(grant_type="client_credentials", client_id="me", client_secret=proof)
        for _ in range(2)
    )
    assert first.status == 200
    assert (second.status, document(second)["error"]) == (401, "invalid_client")


def test_the_token_is_a_jwt_that_anybody_can_check_and_that_names_nobody(desk: Desk) -> None:
    token, other = desk.token(), desk.token()
    keys = KeySet.import_key_set(document(desk.get("/oauth/jwks")))
    (key,) = keys.keys
    assert isinstance(key, ECKey)
    assert not key.is_private
    assert key.kid == key.thumbprint()
    read = jwt.decode(token, keys, algorithms=["ES256"])
    assert (read.header["typ"], read.header["kid"]) == ("at+jwt", key.kid)
    claims = read.claims
    assert (claims["iss"], claims["aud"]) == (ISSUER, f"{ISSUER}/mcp")
    assert (claims["client_id"], claims["scope"]) == ("me", "work calls:3")
    again = jwt.decode(other, keys, algorithms=["ES256"]).claims
    assert not {claims[name] for name in ("sub", "jti", "pypow")} & set(map(str, again.values()))
    assert "pyp_" not in base64.urlsafe_b64decode(token.split(".")[1] + "==").decode()


def test_the_metadata_says_what_the_endpoints_do(desk: Desk) -> None:
    said = document(desk.get("/.well-known/oauth-authorization-server"))
    assert said["issuer"] == ISSUER
    for name in ("authorization_endpoint", "token_endpoint", "registration_endpoint", "jwks_uri"):
        assert desk.get(said[name].removeprefix(ISSUER)).status != 404
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert said["authorization_response_iss_parameter_supported"] is True


def test_basic_and_form_are_two_ways_to_say_the_same(desk: Desk) -> None:
    pair = f"{quote('a b')}:{quote(desk.proof(), safe='')}"
    basic = f"Basic {base64.b64encode(pair.encode()).decode()}"
    answer = desk.post("/oauth/token", {"grant_type": "client_credentials"}, authorization=basic)
    assert answer.status == 200


def test_a_proof_for_one_call_names_it_and_its_token_is_for_that_call(tmp_path: Path) -> None:
    row = PriceRow("GET /mcp/dear", 5 * 1024)
    with Desk(tmp_path, rows={"prices": (row,)}) as desk:
        resource = "GET /mcp/dear"
        proof = desk.proof(f"?resource={quote(resource)}")
        answer = desk.token_for(
            grant_type="client_credentials",
            client_id="me",
            client_secret=f"{proof},resource={resource}",
        )
        token = document(answer)["access_token"]
        assert document(answer)["scope"] == "work calls:1"
        assert desk.call_with(token, "/mcp/other").status == 402
        assert desk.call_with(token, "/mcp/dear").status == 200
        assert desk.call_with(token, "/mcp/dear").status == 402


def test_a_token_is_for_one_resource(desk: Desk) -> None:
    proof = desk.proof()
    answer = desk.token_for(
        grant_type="client_credentials",
        client_id="me",
        client_secret=proof,
        resource=f"{ISSUER}/mcp/",
    )
    token = document(answer)["access_token"]
    elsewhere = desk.call_with(token, "/v1/items")
    assert elsewhere.status == 401
    (asked,) = elsewhere.values(b"www-authenticate")
    assert b'error="invalid_token"' in asked
    where = re.findall(rb'resource_metadata="https://gate.example([^"]+)"', asked)
    assert document(desk.get(where[0].decode()))["authorization_servers"] == [ISSUER]
    assert desk.call_with(token, "/mcp").status in (200, 405)


def test_a_proof_can_be_exchanged(desk: Desk) -> None:
    answer = desk.token_for(
        grant_type=EXCHANGE, subject_token=desk.proof(), subject_token_type=PROOF
    )
    said = document(answer)
    assert said["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert desk.call_with(said["access_token"]).status == 200


def changed(token: str, **changes: object) -> str:
    """The token with another header, claims or signature."""
    head, body, signature = token.split(".")

    def edited(part: str, more: object) -> str:
        said = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        text = json.dumps({**said, **(more if isinstance(more, dict) else {})})
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    if "head" in changes:
        head = edited(head, changes["head"])
    if "claims" in changes:
        body = edited(body, changes["claims"])
    return f"{head}.{body}.{changes.get('signature', signature)}"


@pytest.mark.parametrize(
    "change",
    [
        {"claims": {"exp": 99999999999}},
        {"claims": {"aud": ISSUER}},
        {"head": {"alg": "none"}, "signature": ""},
        {"head": {"alg": "HS256"}},
        {"head": {"typ": "JWT"}},
        {"head": {"crit": ["x"], "x": 1}},
        {"head": {"jwk": {}}},
        {"signature": "AAAA"},
    ],
    ids=str,
)
def test_a_token_that_was_changed_is_refused(desk: Desk, change: dict[str, object]) -> None:
    answer = desk.call_with(changed(desk.token(), **change))
    assert answer.status == 401
    assert document(answer)["type"] == "urn:pypow:error:invalid-token"
    assert desk.upstream.reached == 0


def test_a_token_that_is_changed_by_one_character_of_its_signature_is_refused(desk: Desk) -> None:
    token = desk.token()
    other = "A" if token[-10] != "A" else "B"
    assert desk.call_with(token[:-10] + other + token[-9:]).status == 401
    assert desk.call_with(token).status == 200


def test_a_token_that_is_refused_is_counted_as_what_the_gate_refuses(desk: Desk) -> None:
    assert desk.call_with(changed(desk.token(), signature="AAAA")).status == 401
    figures, _ = desk.app.telemetry.metrics.exposition("")
    line = b'{entry="none",outcome="refused",problem="invalid-token",rail=""} 1.0'
    assert b"pypow_decisions_total" + line in figures


def test_a_gate_that_observes_lets_a_bad_token_through_and_keeps_it(tmp_path: Path) -> None:
    with Desk(tmp_path, mode="observe") as desk:
        assert desk.call_with(changed(desk.token(), signature="AAAA")).status == 200
        assert desk.upstream.header(b"authorization") == []
        assert not any(b"pow" in name for name, _ in desk.upstream.scopes[-1]["headers"])


def test_tokens_of_others_are_left_to_the_upstream(desk: Desk) -> None:
    foreign = jwt.encode({"alg": "ES256", "kid": "x"}, {"iss": "x"}, ECKey.generate_key())
    assert desk.call_with(foreign).status == 402


@pytest.mark.parametrize("kid", [[], {}, 1, None, "x"], ids=repr)
def test_what_names_no_key_as_it_should_is_a_token_of_others(desk: Desk, kid: object) -> None:
    assert desk.call_with(changed(desk.token(), head={"kid": kid})).status == 402


WRONG: list[tuple[dict[str, str], int, str]] = [
    ({}, 400, "unsupported_grant_type"),
    ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ({"grant_type": "refresh_token"}, 400, "unsupported_grant_type"),
    ({"grant_type": "client_credentials"}, 401, "invalid_client"),
    ({"grant_type": "client_credentials", "client_secret": "x"}, 401, "invalid_client"),
    (
        {"grant_type": "client_credentials", "client_secret": "challenge=x,nonce=1"},
        401,
        "invalid_client",
    ),
    (
        {"grant_type": "client_credentials", "client_secret": "x" * 9000},
        401,
        "invalid_client",
    ),
    (
        {"grant_type": "client_credentials", "client_secret": "challenge=x,nonce=1,resource=?"},
        401,
        "invalid_client",
    ),
    (
        {"grant_type": "client_credentials", "resource": "https://elsewhere.example/mcp"},
        400,
        "invalid_target",
    ),
    (
        {"grant_type": "client_credentials", "resource": f"{ISSUER}/mcp#x"},
        400,
        "invalid_target",
    ),
    (
        {"grant_type": "client_credentials", "resource": "https://[x/"},
        400,
        "invalid_target",
    ),
    ({"grant_type": "authorization_code"}, 400, "invalid_grant"),
    ({"grant_type": "authorization_code", "code": "x"}, 400, "invalid_grant"),
    ({"grant_type": EXCHANGE}, 400, "invalid_request"),
    ({"grant_type": EXCHANGE, "subject_token": "x"}, 400, "invalid_request"),
    (
        {"grant_type": EXCHANGE, "subject_token": "x", "subject_token_type": PROOF},
        400,
        "invalid_request",
    ),
    (
        {
            "grant_type": EXCHANGE,
            "subject_token": "challenge=x,nonce=1",
            "subject_token_type": PROOF,
            "actor_token": "x",
        },
        400,
        "invalid_request",
    ),
    (
        {
            "grant_type": EXCHANGE,
            "subject_token": "challenge=x,nonce=1",
            "subject_token_type": PROOF,
            "requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token",
        },
        400,
        "invalid_request",
    ),
    ({"grant_type": "client_credentials", "client_id": "x" * 5000}, 400, "invalid_request"),
    # In a token it would be six characters long, and one of many is too long to come back.
    ({"grant_type": "client_credentials", "client_id": "é"}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("said", "status", "error"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_said_as_the_standard_has_it(
    desk: Desk, said: dict[str, str], status: int, error: str
) -> None:
    answer = desk.token_for(**said)
    told = document(answer)
    assert (answer.status, told["error"]) == (status, error)
    assert told.keys() == {"error", "error_description"}
    assert answer.values(b"cache-control") == [b"no-store"]


RAW: list[tuple[bytes, dict[str, str], int]] = [
    (b"grant_type=client_credentials&grant_type=client_credentials", {}, 400),
    (b"&".join(b"a%d=1" % n for n in range(40)), {}, 400),
    (b"x" * 20_000, {}, 413),
    (b"grant_type", {}, 400),
    (b"a=\xff", {}, 400),
    (b"a=%ff", {}, 400),
    (b"{}", {"content_type": "application/json"}, 400),
    (b"grant_type=client_credentials", {"authorization": "Basic %%%"}, 401),
    (b"grant_type=client_credentials", {"authorization": "Basic YQ=="}, 401),
    (b"grant_type=client_credentials", {"authorization": "Bearer x"}, 401),
    (b"grant_type=client_credentials&client_secret=x", {"authorization": "Basic YTpi"}, 400),
    (b"grant_type=client_credentials&client_id=x", {"authorization": "Basic YTpi"}, 400),
]


@pytest.mark.parametrize(("body", "headers", "status"), RAW, ids=range(len(RAW)))
def test_what_cannot_be_read_is_refused(
    desk: Desk, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert desk.post("/oauth/token", body, **headers).status == status


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_a_token_is_asked_for_by_post(desk: Desk, method: str) -> None:
    answer = desk.send(method, "/oauth/token", {})
    assert (answer.status, answer.values(b"allow")) == (405, [b"POST"])


def test_a_refused_request_writes_nothing(desk: Desk) -> None:
    proof = desk.proof()
    for said in (
        {"resource": "https://elsewhere.example/"},
        {"client_secret": proof + "!"},
        {"client_secret": proof + ",resource=tools/list"},
        {"client_secret": proof.replace("challenge=", "challenge=x")},
    ):
        refused = desk.token_for(
            **{"grant_type": "client_credentials", "client_secret": proof, **said}
        )
        assert refused.status in (400, 401)
    assert desk.token_for(grant_type="client_credentials", client_secret=proof).status == 200

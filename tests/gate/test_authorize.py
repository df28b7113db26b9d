# SPDX-License-Identifier: Apache-2.0
"""Codes: earned by whoever asks, sent where a client asked for them, and good once."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest

from pypow.macaroon import decode
from pypow_server.authorization.redirects import is_redirect, is_same
from pypow_server.policy import PassTerms
from pypow_server.selling import Selling
from support.gated import document
from support.issuing import HERE, ISSUER, VERIFIER, Desk, told
from support.selling import paid

HTML = "text/html,*/*;q=0.8"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path) as made:
        yield made


def test_without_a_browser_a_client_registers_works_and_gets_in(desk: Desk) -> None:
    client = desk.register(client_name="Any agent")
    answer = desk.earn(document(desk.get(desk.asked(client))))
    sent = document(answer)
    assert (sent["state"], sent["iss"]) == ("s t&te", ISSUER)
    assert told(sent["redirect_to"]) == {
        "code": sent["code"], "state": "s t&te", "iss": ISSUER,
    }  # fmt: skip
    token = document(desk.redeem(sent["code"], client))
    assert (token["token_type"], token["scope"]) == ("Bearer", "work calls:3")
    assert [desk.call_with(token["access_token"]).status for _ in range(4)] == [200] * 3 + [402]


def test_a_code_is_good_once(desk: Desk) -> None:
    client = desk.register()
    code = desk.code(client)
    assert desk.redeem(code, client).status == 200
    again = desk.redeem(code, client)
    assert (again.status, document(again)["error"]) == (400, "invalid_grant")


def test_one_proof_earns_one_token_however_many_codes_it_earned(desk: Desk) -> None:
    client = desk.register()
    offered = document(desk.get(desk.asked(client)))
    first, second = (document(desk.earn(offered))["code"] for _ in range(2))
    assert desk.redeem(first, client).status == 200
    assert document(desk.redeem(second, client))["error"] == "invalid_grant"


MISUSE = {
    "no verifier": {"code_verifier": ""},
    "another verifier": {"code_verifier": "w" * 43},
    "a short verifier": {"code_verifier": "v" * 42},
    "its challenge as verifier": {"code_verifier": VERIFIER[:-1] + "w"},
    "no redirect": {"redirect_uri": ""},
    "another redirect": {"redirect_uri": "http://127.0.0.1:3031/callback"},
    "no client": {"client_id": ""},
    "another client": {"client_id": "me"},
    "another resource": {"resource": ISSUER},
    "a foreign resource": {"resource": "https://elsewhere.example/mcp"},
}


@pytest.mark.parametrize("changes", MISUSE.values(), ids=list(MISUSE))
def test_a_code_that_is_misused_is_refused_and_stays_good(
    desk: Desk, changes: dict[str, str]
) -> None:
    client = desk.register()
    code = desk.code(client)
    refused = desk.redeem(code, client, **changes)
    assert refused.status == 400
    assert document(refused)["error"] in ("invalid_grant", "invalid_target")
    assert desk.redeem(code, client).status == 200


def test_a_token_is_for_the_resource_that_its_code_was_earned_for(desk: Desk) -> None:
    client = desk.register()
    code = desk.code(client, resource=ISSUER)
    # Who says nothing means the default, and would get a token for what nobody asked for.
    assert document(desk.redeem(code, client))["error"] == "invalid_target"
    token = document(desk.redeem(code, client, resource=ISSUER))["access_token"]
    assert desk.call_with(token, "/v1/items").status == 200


def test_a_code_of_one_client_is_worth_nothing_to_another(desk: Desk) -> None:
    first, second = desk.register(), desk.register(client_name="other")
    code = desk.code(first)
    assert document(desk.redeem(code, second))["error"] == "invalid_grant"


@pytest.mark.parametrize("text", ["", "x", "AAAA" * 20, "é", "A" * 9000])
def test_what_is_no_code_is_refused(desk: Desk, text: str) -> None:
    assert document(desk.redeem(text, desk.register()))["error"] == "invalid_grant"


def test_what_was_sealed_for_one_purpose_is_good_for_no_other(desk: Desk) -> None:
    client = desk.register()
    offered = document(desk.get(desk.asked(client)))
    for sealed in (client, offered["request"]):
        assert document(desk.redeem(sealed, client))["error"] == "invalid_grant"
    assert desk.get(desk.asked(desk.code(client))).status == 400
    assert desk.earn({**offered, "request": client}).status == 400


def test_a_code_ends_after_a_minute(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from pypow_server.authorization import codes

    monkeypatch.setattr(codes.Codes, "code", _coded_long_ago(codes.Codes.code))
    client = desk.register()
    code = desk.code(client)
    assert document(desk.redeem(code, client))["error"] == "invalid_grant"


def _coded_long_ago(code: object) -> object:
    def made(self: object, wanted: object, secret: object, *, until_ms: int) -> object:
        assert callable(code)
        return code(self, wanted, secret, until_ms=until_ms - 60_000)

    return made


HERE_ONLY: dict[str, dict[str, str | None]] = {
    "no client": {"client_id": None},
    "a client that is not from here": {"client_id": "https://client.example/metadata.json"},
    "another host": {"redirect_uri": "https://evil.example/callback"},
    "another path": {"redirect_uri": "http://127.0.0.1:3030/other"},
    "another query": {"redirect_uri": HERE + "?x=1"},
    "a fragment": {"redirect_uri": HERE + "#x"},
    "a user": {"redirect_uri": "http://127.0.0.1:3030@evil.example/callback"},
    "another scheme": {"redirect_uri": "javascript:alert(1)"},
    "a name like it": {"redirect_uri": "http://127.0.0.1.evil.example/callback"},
}


@pytest.mark.parametrize("changes", HERE_ONLY.values(), ids=list(HERE_ONLY))
@pytest.mark.parametrize("accept", [HTML, "application/json"])
def test_nobody_is_sent_where_no_client_asked_to_be(
    desk: Desk, changes: dict[str, str | None], accept: str
) -> None:
    answer = desk.get(desk.asked(desk.register(), **changes), accept=accept)
    assert answer.status >= 400
    assert answer.values(b"location") == []
    assert b"evil" not in answer.body


TOLD: dict[str, tuple[dict[str, str | None], str]] = {
    "no response type": ({"response_type": None}, "unsupported_response_type"),
    "the implicit grant": ({"response_type": "token"}, "unsupported_response_type"),
    "no PKCE": ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    "no method, which would be plain": ({"code_challenge_method": None}, "invalid_request"),
    "plain PKCE": ({"code_challenge_method": "plain"}, "invalid_request"),
    "a short challenge": ({"code_challenge": "x" * 42}, "invalid_request"),
    "a foreign resource": ({"resource": "https://elsewhere.example/mcp"}, "invalid_target"),
    "a request object": ({"request": "x"}, "invalid_request"),
    "a request elsewhere": ({"request_uri": "https://evil.example/"}, "invalid_request"),
    "an answer in the fragment": ({"response_mode": "fragment"}, "invalid_request"),
    "a long state": ({"state": "x" * 1025}, "invalid_request"),
    "a state that is longer than it looks": ({"state": "é" * 1024}, "invalid_request"),
}


@pytest.mark.parametrize(("changes", "error"), TOLD.values(), ids=list(TOLD))
def test_a_client_is_told_what_it_did_wrong_by_whom_it_asked(
    desk: Desk, changes: dict[str, str | None], error: str
) -> None:
    client = desk.register()
    answer = desk.get(desk.asked(client, **changes), accept=HTML)
    # Whoever registers chooses the address: a link to here must not lead there by itself.
    assert (answer.status, answer.values(b"location")) == (400, [])
    (back,) = re.findall(r'<a href="([^"]+)">', answer.body.decode())
    assert unescape(back).startswith(HERE)
    said = told(unescape(back))
    assert (said["error"], said["iss"]) == (error, ISSUER)
    assert said.get("state") == (None if "state" in changes else "s t&te")


def test_a_parameter_that_comes_twice_is_refused(desk: Desk) -> None:
    target = desk.asked(desk.register())
    for more in ({"redirect_uri": HERE}, {"resource": ISSUER}, {"state": "x"}):
        answer = desk.get(f"{target}&{urlencode(more)}&{urlencode(more)}", accept=HTML)
        assert (answer.status, answer.values(b"location")) == (400, [])


def test_a_loopback_address_may_have_any_port(desk: Desk) -> None:
    client = desk.register("http://127.0.0.1/callback")
    code = desk.code(client, redirect_uri="http://127.0.0.1:51234/callback")
    sent = {"redirect_uri": "http://127.0.0.1:51234/callback"}
    assert desk.redeem(code, client, **sent).status == 200


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        ("https://client.example/cb?x=1", True),
        ("http://localhost:1/cb", True),
        ("http://[::1]:1/cb", True),
        ("http://client.example/cb", False),
        ("https://user@client.example/cb", False),
        ("https://client.example/cb#", False),
        ("https:///cb", False),
        ("https://client.example/a b", False),
        ('https://client.example/";', False),
        ("https://client.example\\@evil.example/", False),
        ("cursor://callback", False),
        ("data:text/html,x", False),
        ("//client.example/cb", False),
        ("https://client.example:x/cb", False),
        ("https://[x/cb", False),
        ("https://client.example;sandbox/cb", False),
        ("https://client.example,evil.example/cb", False),
        ("https://'self'/cb", False),
        ("https://client.example/" + "x" * 512, False),
        ("https://cl\u0131ent.example/", False),
    ],
)
def test_codes_go_by_https_or_stay_on_the_machine(uri: str, good: bool) -> None:
    assert is_redirect(uri) is good


def test_only_a_port_of_this_machine_may_differ() -> None:
    assert is_same("http://127.0.0.1:2/cb", "http://127.0.0.1:1/cb")
    assert not is_same("http://localhost:2/cb", "http://127.0.0.1:1/cb")
    assert not is_same("https://a.example:2/cb", "https://a.example/cb")
    assert not is_same("http://127.0.0.1:2/cb", "https://127.0.0.1/cb")
    assert not is_same("http://127.0.0.1:2/cb/", "http://127.0.0.1/cb")


WRONG_CLIENTS: list[tuple[bytes, str]] = [
    (b"", "invalid_client_metadata"),
    (b"[]", "invalid_client_metadata"),
    (b'{"redirect_uris":[],"redirect_uris":[]}', "invalid_client_metadata"),
    (b"{}", "invalid_redirect_uri"),
    (b'{"redirect_uris":[]}', "invalid_redirect_uri"),
    (b'{"redirect_uris":"https://x.example/"}', "invalid_redirect_uri"),
    (b'{"redirect_uris":[1]}', "invalid_redirect_uri"),
    (b'{"redirect_uris":["http://x.example/"]}', "invalid_redirect_uri"),
    (b'{"redirect_uris":[%s]}' % b",".join([b'"https://x.example/"'] * 6), "invalid_redirect_uri"),
    (
        b'{"redirect_uris":["https://x.example/"],"token_endpoint_auth_method":"private_key_jwt"}',
        "invalid_client_metadata",
    ),
    (
        b'{"redirect_uris":["https://x.example/"],"grant_types":["implicit"]}',
        "invalid_client_metadata",
    ),
]


@pytest.mark.parametrize(("body", "error"), WRONG_CLIENTS, ids=range(len(WRONG_CLIENTS)))
def test_a_registration_that_cannot_be_is_refused(desk: Desk, body: bytes, error: str) -> None:
    answer = desk.send("POST", "/oauth/register", {"content_type": "application/json"}, body)
    assert (answer.status, document(answer)["error"]) == (400, error)


def test_a_client_that_says_all_it_may_gets_in(tmp_path: Path) -> None:
    redirects = [f"https://client.example/{number}".ljust(204, "x") for number in range(5)]
    redirect = redirects[0]
    with Desk(tmp_path, rows=SOLD) as desk:
        client = desk.register(*redirects, client_name="漢" * 80)
        asked = desk.asked(client, redirect_uri=redirect, state='"' * 1024)
        offered = document(desk.get(asked))
        preimage = paid(offered["l402"]["invoice"]).hex()
        # Wallets may narrow what they paid for, which makes it longer.
        paid_for = decode(offered["l402"]["macaroon"])
        until = next(one for one in paid_for.caveats if b"valid_until" in one)
        macaroon = paid_for.narrowed(*[until] * (16 - len(paid_for.caveats))).text
        sent = {"request": offered["request"], "macaroon": macaroon, "preimage": preimage}
        code = document(desk.post("/oauth/authorize", sent))["code"]
        token = document(desk.redeem(code, client, redirect_uri=redirect))["access_token"]
        assert desk.call_with(token).status == 200


def test_a_registration_is_bounded(desk: Desk) -> None:
    body = b'{"x":"' + b"x" * 20_000 + b'"}'
    answer = desk.send("POST", "/oauth/register", {"content_type": "application/json"}, body)
    assert answer.status == 413


def test_the_page_needs_no_script_and_lets_none_of_others_run(desk: Desk) -> None:
    client = desk.register(client_name="<script>alert(1)</script>")
    answer = desk.get(desk.asked(client), accept=HTML)
    body = answer.body.decode()
    (policy,) = answer.values(b"content-security-policy")
    assert b"default-src 'none'; script-src 'self'" in policy
    assert b"frame-ancestors 'none'" in policy
    assert b"form-action 'self' http://127.0.0.1:3030;" in policy
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert" in body
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', body))
    assert f"pypow solve --challenge {fields['challenge']}" in unescape(body)

    offered = {
        "request": fields["request"],
        "work": {"challenge": fields["challenge"], "difficulty": 1},
    }
    sent = desk.earn(offered, accept=HTML)
    assert sent.status == 303
    assert sent.values(b"cache-control") == [b"no-store"]
    code = told(sent.values(b"location")[0].decode())["code"]
    assert desk.redeem(code, client).status == 200


def test_a_person_who_was_wrong_may_try_again_and_a_program_is_told(desk: Desk) -> None:
    offered = document(desk.get(desk.asked(desk.register())))
    sent = {"request": offered["request"], "challenge": "x", "nonce": "1"}
    page = desk.post("/oauth/authorize", sent, accept=HTML)
    assert page.status == 200
    assert b'role="alert"' in page.body
    refused = desk.post("/oauth/authorize", sent)
    assert (refused.status, document(refused)["error"]) == (400, "access_denied")


def test_what_was_not_asked_for_here_is_not_answered(desk: Desk) -> None:
    answer = desk.post("/oauth/authorize", {"request": "x"}, accept=HTML)
    assert (answer.status, answer.values(b"location")) == (400, [])


SOLD = {
    "selling": Selling("development:", public_development=True),
    "default_sats": 5,
    "default_sells": PassTerms(2, 300),
}


def test_who_pays_gets_the_calls_that_were_paid_for_and_no_more(tmp_path: Path) -> None:
    with Desk(tmp_path, rows=SOLD) as desk:
        client = desk.register()
        target = desk.asked(client)
        assert b"Or pay 5 sats" in desk.get(target, accept=HTML).body
        offered = document(desk.get(target))
        preimage = paid(offered["l402"]["invoice"]).hex()
        macaroon = offered["l402"]["macaroon"]
        sent = {"request": offered["request"], "macaroon": macaroon, "preimage": preimage}
        code = document(desk.post("/oauth/authorize", sent))["code"]
        token = document(desk.redeem(code, client))
        assert token["scope"] == "sats calls:2"
        # What it holds is not spent yet, and still it is good once.
        assert document(desk.redeem(code, client))["error"] == "invalid_grant"

        bought = document(
            desk.token_for(grant_type="client_credentials", client_secret=f"{macaroon}:{preimage}")
        )
        admitted = [
            desk.call_with(one["access_token"]).status for one in (token, bought, token, bought)
        ]
        assert admitted == [200, 200, 402, 402]
        assert desk.upstream.header(b"authorization") == []


def test_what_was_not_paid_buys_nothing(tmp_path: Path) -> None:
    with Desk(tmp_path, rows=SOLD) as desk:
        offered = document(desk.get(desk.asked(desk.register())))
        macaroon = offered["l402"]["macaroon"]
        for secret in (f"{macaroon}:{'00' * 32}", f"{macaroon}:", macaroon, "x:y"):
            answer = desk.token_for(grant_type="client_credentials", client_secret=secret)
            assert (answer.status, document(answer)["error"]) == (401, "invalid_client")


def test_where_nothing_is_sold_no_payment_is_taken(desk: Desk) -> None:
    assert "l402" not in document(desk.get(desk.asked(desk.register())))
    answer = desk.token_for(grant_type="client_credentials", client_secret=f"x:{'00' * 32}")
    assert answer.status == 401


def test_a_network_that_asks_too_much_waits(tmp_path: Path) -> None:
    from pypow_server.stores import Quota

    with Desk(tmp_path, free_limit=Quota(2, 60_000)) as desk:
        answers = [desk.token_for(grant_type="x") for _ in range(3)]
    assert [answer.status for answer in answers] == [400, 400, 429]
    assert int(answers[-1].values(b"retry-after")[0]) > 0

# SPDX-License-Identifier: Apache-2.0
"""What operators say of tokens that the gate gives out, and what a gate without them is spared."""

import asyncio
import base64
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pypow import InvalidInputError
from pypow.challenge import Key, Keyring
from pypow_server import keyfile
from pypow_server.authorization.place import Place
from pypow_server.authorization.sealing import Seals
from pypow_server.authorization.signing import SigningKeys
from pypow_server.authorization.tokens import Bought, Tokens
from pypow_server.identity import BadToken, Identity
from pypow_server.meter import Pricing
from pypow_server.policy_rows import Rows
from pypow_server.pypow_toml import read
from pypow_server.stores import Quota
from pypow_server.token_sales import TokenSales
from support.gated import document
from support.issuing import ISSUER, Desk
from support.tokens import MODELS


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", None),
        ("[oauth]\nserver = false\n", None),
        ("[oauth]\nserver = true\n", TokenSales()),
        ('[gate]\nentry = "oauth"\n[oauth]\nserver = true\n', TokenSales(asks_first=True)),
        (
            "[oauth]\nserver = true\nclient_documents = true\n",
            TokenSales(fetches_clients=True),
        ),
    ],
)
def test_the_file_says_whether_tokens_are_given_out(said: str, found: TokenSales | None) -> None:
    assert read(said).rows.token_sales == found


def test_documents_of_clients_without_clients_are_a_mistake() -> None:
    with pytest.raises(InvalidInputError, match=r"line 2: .*expected oauth.server = true"):
        read("[oauth]\nclient_documents = true\n")


def test_tokens_are_given_out_over_https_only(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected an https:// public URL"):
        Desk(tmp_path, public_url="http://gate.example")


def test_to_begin_or_to_move_takes_a_restart(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        desk.app.reload(desk.settings)
        without = replace(desk.settings, rows=Rows())
        elsewhere = replace(desk.settings, public_url="https://other.example")
        for changed in (without, elsewhere):
            with pytest.raises(InvalidInputError, match="takes a restart"):
                desk.app.reload(changed)


def test_tokens_outlive_a_turn_of_keys_and_new_ones_are_signed_with_the_new(
    tmp_path: Path,
) -> None:
    with Desk(tmp_path) as desk:
        before = desk.token()
        (old,) = document(desk.get("/oauth/jwks"))["keys"]
        kept = keyfile.load_keys(desk.settings.key_file)
        keyfile.replace(desk.settings.key_file, [keyfile.fresh_key(7), *kept])
        desk.app.reload(desk.settings)
        first, second = document(desk.get("/oauth/jwks"))["keys"]
        assert second == old
        assert first["kid"] != old["kid"]
        assert desk.call_with(before).status == 200
        assert desk.call_with(desk.token()).status == 200
        keyfile.replace(desk.settings.key_file, [keyfile.fresh_key(8)])
        desk.app.reload(desk.settings)
        # A token that nobody here knows is somebody else's.
        assert desk.call_with(before).status == 402


def test_where_prices_follow_use_tokens_are_charged_for(tmp_path: Path) -> None:
    pricing = Pricing(quota=Quota(4, 60_000))
    with Desk(tmp_path, rows={"pricing": pricing}) as desk:
        tokens = [desk.token() for _ in range(4)]
        assert desk.call_with(tokens[0]).status == 200
        dear = document(desk.get("/api/challenge"))["difficulty"]
        assert dear > 1


def test_a_gate_that_asks_first_says_where_tokens_are(tmp_path: Path) -> None:
    with Desk(tmp_path, rows={"token_sales": TokenSales(asks_first=True)}) as desk:
        refused = desk.get("/mcp/items")
        assert refused.status == 401
        lines = [line.decode() for line in refused.values(b"www-authenticate")]
        where = f"{ISSUER}/.well-known/oauth-protected-resource/mcp"
        assert f'Bearer resource_metadata="{where}"' in lines
        assert [line.split(" ")[0] for line in lines] == ["Bearer", "PoW"]
        said = document(desk.get(where.removeprefix(ISSUER)))
        assert said["resource"] == f"{ISSUER}/mcp"
        assert said["authorization_servers"] == [ISSUER]
        wrong = desk.send("GET", "/mcp/items", {"x_pow_solution": "challenge=x,nonce=1"})
        assert wrong.status == 400


def test_a_gate_that_does_not_ask_first_says_it_beside_the_others(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        refused = desk.get("/mcp/items")
    assert refused.status == 402
    assert [one["rail"] for one in document(refused)["offers"]] == ["work", "token"]


def test_a_gate_that_gives_out_none_loads_and_says_nothing_of_it(tmp_path: Path) -> None:
    with Desk(tmp_path, rows={"token_sales": None}) as desk:
        for path in ("/oauth/token", "/oauth/authorize", "/oauth/register"):
            assert desk.post(path, {}).status == 402
        assert desk.get("/.well-known/oauth-authorization-server").body == b"reached"
    program = (
        "import sys, pypow_server.app\n"
        "loaded = {n.partition('.')[0] for n in sys.modules}\n"
        "sys.exit(bool({'joserfc', 'cryptography'} & loaded))"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert ran.returncode == 0


def test_a_proxy_that_asks_hears_of_the_call_that_the_token_is_for(tmp_path: Path) -> None:
    asks = {
        "forward_auth": "nginx",
        "trusted_proxies": ("192.0.2.0/24",),
        "hosts": ("*",),
    }
    with Desk(tmp_path, around=None, **asks) as desk:

        def decided(path: str) -> int:
            return desk.get(
                "/decide",
                authorization=f"Bearer {token}",
                x_original_method="GET",
                x_original_uri=path,
                x_forwarded_for="198.51.100.7",
            ).status

        token = desk.token()
        assert [decided("/mcp/x"), decided("/v1/x")] == [200, 401]


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tokens whose signatures are looked at from now on."""
    found: list[str] = []
    read = SigningKeys.read

    def noted(keys: SigningKeys, token: str) -> object:
        found.append(token)
        return read(keys, token)

    monkeypatch.setattr(SigningKeys, "read", noted)
    return found


def test_who_never_had_a_token_costs_no_signature(tmp_path: Path, verified: list[str]) -> None:
    with Desk(tmp_path) as desk:
        token = desk.token()
        head, body, signature = token.split(".")
        for made_up in (f"{head}.e30.{signature}", f"{head}.{body[:-8]}AAAAAAAA.{signature}", head):
            assert desk.call_with(made_up).status in (401, 402)
        assert verified == []
        assert [desk.call_with(token).status for _ in range(3)] == [200, 200, 200]
        assert verified == [token]


def test_tokens_that_are_made_up_push_none_out_that_is_known(verified: list[str]) -> None:
    bought = Bought("Bearer pyp_x", "work", 0, 10_000)
    judging = tokens()
    good = judging.issue(bought, client_id="", audience=ISSUER, now_ms=4_000).token
    for token in (good, *(f"{good.partition('.')[0]}.e30.{n}" for n in range(5000)), good):
        judging.worth(token, path="/", now_ms=4_000)
    assert verified == [good]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (f"{ISSUER}/mcp", f"{ISSUER}/mcp"),
        (f"{ISSUER}/mcp/", f"{ISSUER}/mcp"),
        ("HTTPS://GATE.example/mcp", f"{ISSUER}/mcp"),
        (ISSUER, ISSUER),
        (f"{ISSUER}/", ISSUER),
        (f"{ISSUER}/other", None),
        (f"{ISSUER}/mcp?x", None),
        (f"{ISSUER}/mcp#", None),
        (f"{ISSUER}:8443/mcp", None),
        ("http://gate.example/mcp", None),
        ("https://gate.example.evil/mcp", None),
        ("https://user@gate.example/mcp", None),
        ("", None),
        ("https://[", None),
        (ISSUER + "/" + "x" * 600, None),
    ],
)
def test_a_resource_is_named_in_one_way(said: str, found: str | None) -> None:
    assert Place.of(ISSUER, ("/mcp",)).resource(said) == found


def test_a_token_covers_its_resource_and_what_is_below() -> None:
    place = Place.of(ISSUER, ("/mcp", "/other"))
    assert place.covers(f"{ISSUER}/mcp", "/mcp")
    assert place.covers(f"{ISSUER}/mcp", "/mcp/x")
    assert not place.covers(f"{ISSUER}/mcp", "/mcpx")
    assert not place.covers(f"{ISSUER}/mcp", "/mcp/../other")
    assert not place.covers(f"{ISSUER}/mcp", "/mcp/%2e%2e/other")
    assert not place.covers(f"{ISSUER}/mcp", "/other")
    assert place.covers(ISSUER, "/other")
    assert not place.covers("https://gate.example.evil", "/mcp")


RING = Keyring([Key(1, bytes(range(32))), Key(2, bytes(range(1, 33)))])


def test_a_seal_is_opened_for_its_purpose_in_its_time_by_its_keys_alone() -> None:
    seals = Seals(RING)
    text = seals.seal("code", {"a": 1}, until_ms=1000)
    assert seals.open("code", text, now_ms=999) == {"a": 1}
    assert seals.open("code", text, now_ms=1000) is None
    assert seals.open("client", text, now_ms=0) is None
    assert Seals(Keyring([Key(1, bytes(32))])).open("code", text, now_ms=0) is None
    assert Seals(Keyring([Key(2, bytes(range(32)))])).open("code", text, now_ms=0) is None
    for at in range(len(text) - 1):
        other = "A" if text[at] != "A" else "B"
        assert seals.open("code", text[:at] + other + text[at + 1 :], now_ms=0) is None
    for other in ("", "A", text[:-4], text + "AAAA", "=", text + "=", " " + text):
        assert seals.open("code", other, now_ms=0) is None


def test_keys_are_the_same_wherever_the_secret_is_and_differ_with_it() -> None:
    first, again = SigningKeys(RING), SigningKeys(RING)
    assert first.jwks == again.jwks
    keys = first.jwks["keys"]
    assert isinstance(keys, list)
    assert len({key["kid"] for key in keys}) == 2
    assert all("d" not in key for key in keys)
    token = first.sign({"a": 1})
    assert again.read(token) == {"a": 1}
    assert SigningKeys(Keyring([Key(1, bytes(32))])).read(token) is None


def tokens() -> Tokens:
    return Tokens(Place.of(ISSUER, ("/mcp",)), SigningKeys(RING), Seals(RING))


def test_a_token_ends_with_what_it_stands_for() -> None:
    bought = Bought("Bearer pyp_x", "work", 0, 10_000)
    issued = tokens().issue(bought, client_id="", audience=f"{ISSUER}/mcp", now_ms=4_000)
    assert (issued.expires_in_s, issued.scope) == (6, "work")

    def at(now_ms: int) -> object:
        return tokens().worth(issued.token, path="/mcp", now_ms=now_ms)

    assert at(9_999) == ("Bearer pyp_x", None)
    assert isinstance(at(10_000), BadToken)


def test_the_word_of_others_is_taken_for_ten_minutes_at_most_and_no_longer_than_theirs() -> None:
    def vouched(lasts_ms: int) -> int:
        found = Identity("i", "s", "", frozenset({"a"}), lasts_ms, 0)
        return tokens().vouch(found, client_id="", audience=ISSUER, now_ms=0).expires_in_s

    assert [vouched(ms) for ms in (60_000, 600_000, 86_400_000)] == [60, 600, 600]


def test_what_a_token_is_bought_with_is_not_shown() -> None:
    bought = Bought("Bearer pyp_SECRET", "work", 0, 10_000)
    issued = tokens().issue(bought, client_id="", audience=ISSUER, now_ms=0)
    assert "SECRET" not in repr(bought)
    assert issued.token not in repr(issued)
    assert "SECRET" not in issued.token


def test_whoever_judges_a_token_finds_who_it_is_until_it_ends() -> None:
    who = Identity("i", "s", "", frozenset({"tools"}), 10_000, 0)
    issued = tokens().vouch(who, client_id="me", audience=ISSUER, now_ms=4_000)
    found = asyncio.run(tokens().judge(issued.token, now_ms=9_999))
    assert isinstance(found, Identity)
    assert (found.issuer, found.subject, found.client_id) == ("i", "s", "me")
    assert found.scopes == frozenset({"tools"})
    assert isinstance(asyncio.run(tokens().judge(issued.token, now_ms=10_000)), BadToken)
    assert isinstance(asyncio.run(tokens().judge("x.y.z", now_ms=0)), BadToken)


def test_what_was_bought_says_of_nobody_who_it_is() -> None:
    bought = Bought("Bearer pyp_x", "work", 0, 10_000)
    issued = tokens().issue(bought, client_id="me", audience=ISSUER, now_ms=4_000)
    assert isinstance(asyncio.run(tokens().judge(issued.token, now_ms=9_999)), BadToken)


@pytest.mark.parametrize(
    "more", [{}, {"crit": ["exp"]}, {"jwk": {}}, {"typ": "JWT"}, {"kid": "x"}], ids=str
)
def test_a_header_says_what_ours_say_and_nothing_else(more: dict[str, object]) -> None:
    keys = SigningKeys(RING)
    key = keys._signing
    header = {"typ": "at+jwt", "alg": "ES256", "kid": key.thumbprint(), **more}
    signed = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in (header, {"a": 1})
    )
    signature = base64.urlsafe_b64encode(MODELS["ES256"].sign(signed.encode(), key)).decode()
    token = f"{signed}.{signature.rstrip('=')}"
    assert keys.read(token) == ({"a": 1} if not more else None)

# SPDX-License-Identifier: Apache-2.0
"""A whole gate that takes the tokens of a real issuer: what clients are told, and who gets in."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from pypow import InvalidInputError
from pypow.__main__ import main
from pypow_server import keyfile
from pypow_server.app import App, create_app
from pypow_server.fronts import live
from pypow_server.rails.oauth import subject_id
from pypow_server.resource_metadata import WELL_KNOWN
from pypow_server.scope import Receive, Scope, Send
from pypow_server.settings import Settings
from support import tokens
from support.asgi_client import call
from support.dpop_proofs import KeyHolder
from support.gated import RecordingApp
from support.serving import serving
from support.token_issuer import TokenIssuer, issuing

RESOURCE = "https://mcp.example/mcp"
SUBJECT = "somebody-whom-nobody-else-knows"
ROWS = """
[[price]]
match = "GET /members"
scope = "tools:read"
[[price]]
match = "GET /either"
bits = 8
scope = "tools:read tools:write"
free = "3/60s"
"""


def settings(tmp_path: Path, issuer: TokenIssuer, *, top: str = "", more: str = "") -> Settings:
    path = tmp_path / "pypow.toml"
    path.write_text(
        f'[gate]\npublic_url = "https://mcp.example"\nhosts = ["*"]\n{top}\n'
        f'[log]\naudit = "{tmp_path / "audit"}"\n'
        f'[[oauth.issuer]]\nissuer = "{issuer.url}"\n{more}\n{ROWS}',
        encoding="utf-8",
    )
    said = {"PYPOW_CONFIG": str(path), "PYPOW_STATE_DIR": str(tmp_path), "HOME": str(tmp_path)}
    return Settings.from_env(said)


class Upstream(RecordingApp):
    """The same with a lifespan."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
        else:
            await super().__call__(scope, receive, send)


class Running:
    """A gate on a port, its issuer, and who asks it."""

    def __init__(self, app: App, issuer: TokenIssuer, key: ECKey, http: Any, path: Path) -> None:
        self.app, self.issuer, self.key, self.http, self.path = app, issuer, key, http, path
        self.upstream = Upstream()

    def token(self, **changed: object) -> str:
        now_s = int(time.time())
        said = {
            "sub": SUBJECT, "aud": RESOURCE, "iat": now_s, "exp": now_s + 60,
            "scope": "tools:read", **changed,
        }  # fmt: skip
        return tokens.minted(tokens.claims(**({"iss": self.issuer.url} | said)), self.key)

    async def get(self, path: str, token: str | None = None, **fields: str) -> httpx2.Response:
        if token is not None:
            fields["authorization"] = f"Bearer {token}"
        found: httpx2.Response = await self.http.get(path, headers=fields)
        return found


@asynccontextmanager
async def running(tmp_path: Path, **said: str) -> AsyncIterator[Running]:
    key = tokens.ec_key()
    async with issuing(key) as issuer:
        upstream = Upstream()
        app = create_app(settings(tmp_path, issuer, **said), around=upstream)
        async with serving(app, lifespan=True) as url, httpx2.AsyncClient(base_url=url) as http:
            gate = Running(app, issuer, key, http, tmp_path)
            gate.upstream = upstream
            yield gate


def test_clients_find_where_to_sign_in(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as gate:
            refused = await gate.get("/members")
            assert refused.status_code == 401
            line = refused.headers["www-authenticate"]
            assert f'resource_metadata="https://mcp.example{WELL_KNOWN}/mcp"' in line
            for path in ("", "/mcp"):
                found = await gate.get(f"{WELL_KNOWN}{path}")
                assert found.json() == {
                    "resource": RESOURCE,
                    "authorization_servers": [gate.issuer.url],
                    "scopes_supported": ["tools:read", "tools:write"],
                    "bearer_methods_supported": ["header"],
                    "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519"],
                }
                assert found.headers["access-control-allow-origin"] == "*"
            assert (await gate.http.post(WELL_KNOWN)).status_code == 405
            assert (await gate.http.options(WELL_KNOWN)).status_code == 204
            assert gate.upstream.reached == 0
            assert gate.issuer.asked == {}

    asyncio.run(story())


def test_operators_see_how_issuers_answer(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as gate:
            asked = "pypow_issuer_answers_total"
            fields = [(b"host", b"127.0.0.1")]
            before = await call(gate.app.admin, "GET", b"/metrics", headers=fields)
            assert (await gate.get("/members", gate.token())).status_code == 200
            after = await call(gate.app.admin, "GET", b"/metrics", headers=fields)
            assert asked not in before.body.decode()
            assert f'{asked}{{answer="read",issuer="{gate.issuer.url}"}} 1.0' in after.body.decode()

    asyncio.run(story())


def test_a_token_of_a_trusted_issuer_lets_its_subject_in(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as gate:
            for path in ("/members", "/either"):
                token = gate.token(scope="tools:read tools:write")
                assert (await gate.get(path, token)).status_code == 200
            scope = gate.upstream.scopes[-1]
            assert scope["pypow.principal"] == f"oauth:{_id(gate)}"
            assert not [value for name, value in scope["headers"] if name == b"authorization"]
            again = [
                await gate.get("/either", gate.token(scope="tools:read tools:write"))
                for _ in range(3)
            ]
            assert [one.status_code for one in again] == [200, 200, 402]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"aud": "https://other.example/mcp"}, 401, "invalid_token"),
        ({"iss": "https://other.example"}, 401, "invalid_token"),
        ({"exp": 1}, 401, "invalid_token"),
        ({"scope": "tools:write"}, 403, "insufficient_scope"),
        ({"scope": None}, 403, "insufficient_scope"),
    ],
)
def test_other_tokens_do_not(
    changed: dict[str, object], status: int, error: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with running(tmp_path) as gate:
            refused = await gate.get("/members", gate.token(**changed))
            assert refused.status_code == status
            assert f'error="{error}"' in refused.headers["www-authenticate"]
            assert gate.upstream.reached == 0

    asyncio.run(story())


def test_an_issuer_that_gives_no_keys_lets_nobody_in(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as gate:
            gate.issuer.instead["/.well-known/oauth-authorization-server"] = _broken
            refused = await gate.get("/members", gate.token())
            assert (refused.status_code, refused.json()["type"]) == (
                503, "urn:pypow:error:issuer-unavailable",
            )  # fmt: skip
            assert int(refused.headers["retry-after"]) >= 1

    asyncio.run(story())


def test_whoever_is_revoked_is_turned_away_within_seconds(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as gate:
            token, other = gate.token(), gate.token(sub="another")
            assert (await gate.get("/members", token)).status_code == 200
            said = ["pass", "revoke", f"oauth:{_id(gate)}", "--state-dir", str(tmp_path)]
            assert await asyncio.to_thread(main, said) == 0
            async with asyncio.timeout(20):
                while (refused := await gate.get("/members", token)).status_code == 200:
                    pass
            assert (refused.status_code, refused.json()["type"]) == (
                401, "urn:pypow:error:invalid-token",
            )  # fmt: skip
            assert (await gate.get("/members", other)).status_code == 200

    asyncio.run(story())


def test_what_is_told_of_a_login_names_no_person_and_shows_no_token(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    async def story() -> None:
        async with running(tmp_path) as gate:
            good, bad = gate.token(), gate.token(exp=1)
            for token in (good, bad):
                told.extend([(await gate.get("/members", token)).text, *token.split(".")[1:]])

    asyncio.run(story())
    answers, parts = told[0::3], [*told[1::3], *told[2::3]]
    lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert [line["rail"] for line in lines] == ["oauth", None]
    assert [line["outcome"] for line in lines] == ["admitted", "refused"]
    said = "".join([*answers, (tmp_path / "audit").read_text(), *capfd.readouterr()])
    assert SUBJECT not in said
    assert not [part for part in parts if part in said]


def test_a_reload_takes_over_scopes_and_refuses_other_issuers(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as gate:
            held = settings(tmp_path, gate.issuer)
            with pytest.raises(InvalidInputError, match=r"oauth: other issuers.* take a restart"):
                gate.app.reload(settings(tmp_path, gate.issuer, more='skew = "5s"'))
            assert (await gate.get("/members", gate.token())).status_code == 200
            path = tmp_path / "pypow.toml"
            text = path.read_text().replace('"tools:read"', '"admin"')
            path.write_text(text.replace('skew = "5s"', ""))
            changed = Settings.from_env(
                {"PYPOW_CONFIG": str(path), "PYPOW_STATE_DIR": str(tmp_path), "HOME": "/"}
            )
            gate.app.reload(changed)
            assert held.rows.logins == changed.rows.logins
            assert (await gate.get("/members", gate.token())).status_code == 403
            assert (await gate.get("/members", gate.token(scope="admin"))).status_code == 200
            found = await gate.get(WELL_KNOWN)
            assert found.json()["scopes_supported"] == ["admin", "tools:read", "tools:write"]

    asyncio.run(story())


def test_nonces_outlive_the_key_that_they_were_made_by(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, top="[oauth]\ndpop_nonces = true") as gate:
            held, holder = settings(tmp_path, gate.issuer), KeyHolder()
            token = gate.token(cnf={"jkt": holder.thumbprint})

            async def asked(**claims: Any) -> httpx2.Response:
                proof = holder.proof(
                    "GET",
                    "https://mcp.example/members",
                    now_ms=time.time_ns() // 1_000_000,
                    token=token,
                    **claims,
                )
                return await gate.get("/members", authorization=f"DPoP {token}", dpop=proof)

            nonce = (await asked()).headers["dpop-nonce"]
            old = keyfile.load_keys(held.key_file)
            keyfile.replace(held.key_file, [keyfile.fresh_key(2), *old])
            gate.app.reload(settings(tmp_path, gate.issuer, top="[oauth]\ndpop_nonces = true"))
            after = await asked(nonce=nonce)
            assert (after.status_code, after.headers["dpop-nonce"] == nonce) == (200, False)
            keyfile.replace(held.key_file, [keyfile.fresh_key(3)])
            gate.app.reload(settings(tmp_path, gate.issuer, top="[oauth]\ndpop_nonces = true"))
            assert (await asked(nonce=nonce)).status_code == 401

    asyncio.run(story())


def test_logins_are_taken_beside_tokens_of_the_gates_own(tmp_path: Path) -> None:
    async def story() -> None:
        top = 'entry = "oauth"\n[oauth]\nserver = true'
        async with running(tmp_path, top=top) as gate:
            either = gate.token(scope="tools:read tools:write")
            for path, token in (("/members", gate.token()), ("/either", either)):
                assert (await gate.get(path, token)).status_code == 200
            assert (await gate.get("/members", gate.token(exp=1))).status_code == 401
            refused = await gate.get("/either")
            assert refused.status_code == 401
            rails = [offer["rail"] for offer in refused.json()["offers"]]
            assert rails == ["work", "token", "oauth"]
            found = (await gate.get(WELL_KNOWN)).json()
            assert found["authorization_servers"] == [gate.issuer.url, "https://mcp.example"]
            assert "ES256" in found["dpop_signing_alg_values_supported"]

    asyncio.run(story())


def test_a_gate_that_trusts_nobody_says_nothing_to_oauth_clients(tmp_path: Path) -> None:
    async def story() -> None:
        upstream = Upstream()
        app = create_app(Settings(state_dir=tmp_path, store="memory:"), around=upstream)
        async with serving(app, lifespan=True) as url, httpx2.AsyncClient(base_url=url) as http:
            assert (await http.get(WELL_KNOWN)).text == "reached"

    asyncio.run(story())


def test_a_secret_that_is_not_where_it_is_said_to_be_stops_the_start(tmp_path: Path) -> None:
    async def story() -> None:
        asked = 'kind = "introspection"\nclient_id = "gate"\nclient_secret_env = "NOT_SET_HERE"'
        with pytest.raises(InvalidInputError, match=r"secret of gate .* got nothing"):
            async with running(tmp_path, more=asked):
                pass

    asyncio.run(story())


def _id(gate: Running) -> str:
    return subject_id(gate.issuer.url, SUBJECT).hex()


async def _broken(_request: object) -> Any:
    from aiohttp import web

    return web.Response(status=500)

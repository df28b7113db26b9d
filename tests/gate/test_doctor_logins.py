# SPDX-License-Identifier: Apache-2.0
"""The doctor asks issuers for their keys, and whether they know this gate."""

import asyncio
from pathlib import Path

import jwt as pyjwt
import pytest
from aiohttp import web

from pypow_server.doctor import Finding, Level, logins
from pypow_server.settings import Settings
from support import tokens
from support.token_issuer import TokenIssuer, issuing

KEY = tokens.ec_key()
ASKED = 'kind = "introspection"\nclient_id = "gate"\nclient_secret_env = "THE_SECRET"'


def _settings(tmp_path: Path, issuer: TokenIssuer, more: str) -> Settings:
    path = tmp_path / "pypow.toml"
    path.write_text(
        '[gate]\npublic_url = "https://mcp.example"\n'
        f'[[oauth.issuer]]\nissuer = "{issuer.url}"\n{more}\n'
        '[[price]]\nmatch = "GET /x"\nscope = "a"\n',
        encoding="utf-8",
    )
    said = {"PYPOW_CONFIG": str(path), "PYPOW_STATE_DIR": str(tmp_path), "HOME": str(tmp_path)}
    return Settings.from_env(said)


def found(tmp_path: Path, more: str = "", *, keys: bool = True, status: int = 200) -> Finding:
    """What is said of the one issuer."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        assertion = (await request.post()).get("client_assertion")
        if assertion is not None:
            pyjwt.decode(str(assertion), options={"verify_signature": False, "verify_exp": True})
        return web.json_response({"active": False}, status=status)

    async def examined() -> Finding:
        async with issuing(*([KEY] if keys else [])) as issuer:
            issuer.instead["/introspect"] = answer
            (finding,) = await logins.check(_settings(tmp_path, issuer, more))
            assert issuer.url in finding.found or finding.level is Level.FAIL
            return finding

    finding = asyncio.run(examined())
    assert bool(finding.fix) == (finding.level is not Level.OK)
    return finding


def test_an_issuer_that_publishes_keys_is_well(tmp_path: Path) -> None:
    finding = found(tmp_path)
    assert finding.level is Level.OK
    assert finding.found.endswith("publishes keys that fit: 1")


def test_an_issuer_without_keys_that_can_be_read_is_found(tmp_path: Path) -> None:
    finding = found(tmp_path, keys=False)
    assert finding.level is Level.FAIL
    assert "got none" in finding.found


def test_algorithms_that_no_key_fits_are_found(tmp_path: Path) -> None:
    finding = found(tmp_path, 'algorithms = ["RS256"]')
    assert finding.level is Level.FAIL
    assert "no key for RS256" in finding.found


@pytest.mark.parametrize(("status", "level"), [(200, Level.OK), (401, Level.FAIL)])
def test_an_issuer_that_does_not_know_this_gate_is_found(
    status: int, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_SECRET", "secret")
    assert found(tmp_path, ASKED, status=status).level is level


def test_an_issuer_is_asked_by_a_key_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_SECRET", KEY.as_pem(private=True).decode())
    by_key = f'{ASKED}\nclient_auth = "private_key_jwt"'
    assert found(tmp_path, by_key).level is Level.OK


def test_a_secret_that_is_not_there_is_found(tmp_path: Path) -> None:
    finding = found(tmp_path, ASKED)
    assert finding.level is Level.FAIL
    assert "THE_SECRET" in finding.found


def test_issuers_of_workloads_are_asked_once_each(tmp_path: Path) -> None:
    row = (
        '[[oauth.workload]]\nplatform = "kubernetes"\nissuer = "{url}"\nscope = "a"\n'
        'claims = {{ sub = "system:serviceaccount:{name}:job" }}\n'
    )

    async def examined(*, keys: bool) -> list[Finding]:
        async with issuing(*([KEY] if keys else [])) as issuer:
            rows = "".join(row.format(url=issuer.url, name=name) for name in ("a", "b"))
            file = tmp_path / "pypow.toml"
            head = '[gate]\npublic_url = "https://mcp.example"\n[oauth]\nserver = true\n'
            file.write_text(head + rows, encoding="utf-8")
            told = {"PYPOW_CONFIG": str(file), "HOME": str(tmp_path)}
            return await logins.check(Settings.from_env(told))

    assert [one.level for one in asyncio.run(examined(keys=True))] == [Level.OK]
    assert [one.level for one in asyncio.run(examined(keys=False))] == [Level.FAIL]


def test_nothing_is_said_where_nobody_signs_in(tmp_path: Path) -> None:
    settings = Settings.from_env({"PYPOW_STATE_DIR": str(tmp_path), "HOME": str(tmp_path)})
    assert asyncio.run(logins.check(settings)) == []

# SPDX-License-Identifier: Apache-2.0
"""What operators hear of the wallet that calls are sold with; a gate without it stays up."""

import asyncio
from pathlib import Path

import pytest

from pypow.lightning.wallets import CREDENTIAL
from pypow_server.app import App, create_app
from pypow_server.doctor import Finding, Level, wallet
from pypow_server.invoices import Wanted, Without
from pypow_server.settings import Settings
from support import lightning_servers
from support.asgi_client import call
from support.gated import RecordingApp
from support.lightning_node import Node
from support.selling import Worked

pytest.importorskip("coincurve", reason="signatures need the extra l402")

SOLD = "[default]\nbits = 4\nsats = 5\n"
NOBODY = "127.0.0.1:1"
"""Where nobody listens."""


def settings(home: Path, wallet: str, *, store: str = "", network: str = "regtest") -> Settings:
    config = home / "pypow.toml"
    table = f'[l402]\nwallet = "{wallet}"\n'
    if wallet != "development:":
        table += f'network = "{network}"\n'
    config.write_text(f"{table}{SOLD}", encoding="utf-8")
    explicit = {"store": store or f"sqlite:{home}/ledger", "state_dir": str(home)}
    return Settings.from_env({"HOME": str(home), "PYPOW_CONFIG": str(config)}, explicit)


async def readyz(app: App) -> tuple[int, str]:
    answer = await call(app.admin, "GET", b"/readyz", headers=[(b"host", b"127.0.0.1")])
    return answer.status, answer.body.decode()


async def asked_for_an_invoice(app: App) -> None:
    invoices = app._shop.invoices
    selling = app._rules.settings.rows.selling
    assert invoices is not None
    assert selling is not None
    work = Worked(has_worked=True)
    found = await invoices.offer(
        Wanted("192.0.2.7/32", "a call", 5, "memo"),
        selling,
        lambda _invoice: pytest.fail("nobody makes invoices"),
        work=work,
        now_ms=0,
    )
    assert (found, work.given_back) == (Without.WALLET, 1)


def test_a_gate_is_ready_while_its_wallet_is_down_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CREDENTIAL, lightning_servers.CREDENTIAL)

    async def story() -> None:
        said = settings(tmp_path, f"phoenixd:http://{NOBODY}")
        app = create_app(said, around=RecordingApp())
        status, text = await readyz(app)
        assert (status, text.splitlines()[0]) == (200, "ready")
        assert "failed since" in text.splitlines()[1]
        for _ in range(3):
            await asked_for_an_invoice(app)
        status, text = await readyz(app)
        assert (status, text.splitlines()[0]) == (200, "ready")
        assert "the last 3 calls to it failed (unreachable); not asked for" in text
        app.drain()
        status, text = await readyz(app)
        assert (status, text[:8]) == (503, "draining")
        assert "unreachable" in text
        await app.stop()

    asyncio.run(story())


def test_a_gate_that_sells_nothing_says_nothing_of_a_wallet(tmp_path: Path) -> None:
    app = create_app(Settings(state_dir=tmp_path, store="memory:"), around=RecordingApp())
    assert asyncio.run(readyz(app)) == (200, "ready\n")


def examined(said: Settings) -> list[Finding]:
    return asyncio.run(wallet.check(said))


def test_the_doctor_tells_a_wallet_that_answers_from_one_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> list[list[Finding]]:
        routes = lightning_servers.phoenixd_routes(Node())
        async with lightning_servers.listening(*routes) as place:
            found = []
            for credential, where in (
                (lightning_servers.CREDENTIAL, place),
                ("wrong", place),
                (lightning_servers.CREDENTIAL, NOBODY),
            ):
                monkeypatch.setenv(CREDENTIAL, credential)
                found.append(await wallet.check(settings(tmp_path, f"phoenixd:http://{where}")))
            return found

    (well,), (locked_out,), (gone,) = asyncio.run(story())
    assert (well.level, well.fix) == (Level.OK, "")
    assert well.found.endswith("answers, and takes the credential")
    assert locked_out.level is gone.level is Level.FAIL
    assert "PYPOW_WALLET_CREDENTIAL_FILE" in locked_out.fix
    assert "offered work only" in gone.fix
    told = "".join(f"{finding}" for finding in (well, locked_out, gone))
    assert lightning_servers.CREDENTIAL not in told


def test_the_doctor_warns_of_a_wallet_without_money(tmp_path: Path) -> None:
    (found,) = examined(settings(tmp_path, "development:"))
    assert found.level is Level.WARN
    assert "no money" in found.found


def test_the_doctor_says_why_a_gate_with_such_a_wallet_does_not_start(tmp_path: Path) -> None:
    (forgetful,) = examined(settings(tmp_path, f"phoenixd:http://{NOBODY}", store="memory:"))
    assert forgetful.level is Level.FAIL
    assert "a store that outlives the gate" in forgetful.found
    (without_credential,) = examined(settings(tmp_path, f"phoenixd:http://{NOBODY}"))
    assert without_credential.level is Level.FAIL
    assert "CREDENTIAL" in without_credential.found


def test_the_doctor_says_nothing_of_wallets_where_nothing_is_sold(tmp_path: Path) -> None:
    assert examined(Settings(state_dir=tmp_path)) == []

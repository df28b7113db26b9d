# SPDX-License-Identifier: Apache-2.0
"""The gate itself sells calls for real satoshis to clients of others, as an operator starts it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.gate_process import GateProcess, gate_process
from support.gated import RecordingApp
from support.l402_clients import CLIENTS
from support.lightning import LightningPair, lightning
from support.plain_http import ask
from support.serving import served

pytest.importorskip("coincurve", reason="signatures need the extra l402")

SATS = 9
CALLS = 6
SETTINGS = """
[gate]
pass_authorization = {logins}

[l402]
wallet = "lnd:{gate_url}"
network = "regtest"
invoices = "1000/60s"
{l402}

[default]
bits = 20
sats = {sats}
{price}
"""


@contextmanager
def selling(
    home: Path,
    nodes: LightningPair,
    app: RecordingApp,
    *,
    logins: str = "[]",
    l402: str = "",
    price: str = "",
) -> Iterator[GateProcess]:
    """A gate that sells every call to an app; with more said in three tables of its file."""
    config = home / "pypow.toml"
    said = {"logins": logins, "l402": l402, "price": price, "sats": SATS}
    config.write_text(SETTINGS.format(gate_url=nodes.gate_url, **said), encoding="utf-8")
    options = ("--config", str(config), "--store", f"sqlite:{home / 'spent.db'}")
    with (
        served(app) as upstream,
        gate_process(home, upstream, *options, PYPOW_WALLET_CREDENTIAL=nodes.gate_macaroon) as gate,
    ):
        yield gate


def spent(gate: GateProcess) -> int:
    """How many payments the gate's ledger holds."""
    figures = ask(f"{gate.admin_url}/metrics").body.decode()
    (line,) = (line for line in figures.splitlines() if line.startswith("pypow_spent_entries{"))
    return int(float(line.rpartition(" ")[2]))


def test_every_client_pays_the_gate_once_for_each_call_and_the_chain_pays_it_all(
    tmp_path: Path,
) -> None:
    app, sold = RecordingApp(), 0
    with lightning(tmp_path) as nodes, selling(tmp_path, nodes, app) as gate:
        for client in CLIENTS:
            answers = client.fetch(f"{gate.url}/priced", nodes, times=CALLS)
            sold += CALLS
            assert answers == [(200, "reached")] * CALLS, client.name
            assert (app.reached, len(nodes.paid())) == (sold, sold), client.name
        assert spent(gate) == sold
        assert {payment["msat"] for payment in nodes.paid()} == {SATS * 1000}
        closed = nodes.close()
    assert sold >= 40
    assert closed["gate_outputs"] == [nodes.pushed_sat + sold * SATS]


def test_a_client_that_comes_back_with_a_spent_payment_pays_anew_and_once(
    nodes: LightningPair, tmp_path: Path
) -> None:
    app = RecordingApp()
    with selling(tmp_path, nodes, app) as gate:
        for client in CLIENTS:
            reached, paid = app.reached, len(nodes.paid())
            answers = client.fetch(f"{gate.url}/priced", nodes, times=2, who="one")
            assert answers == [(200, "reached")] * 2, client.name
            assert (app.reached - reached, len(nodes.paid()) - paid) == (2, 2), client.name


def test_clients_that_pay_all_at_once_pay_once_each(nodes: LightningPair, tmp_path: Path) -> None:
    app, before = RecordingApp(), len(nodes.paid())
    with (
        selling(tmp_path, nodes, app, l402="strict = true") as gate,
        ThreadPoolExecutor(len(CLIENTS)) as beside,
    ):
        url = f"{gate.url}/priced"
        found = list(beside.map(lambda client: client.fetch(url, nodes, times=2), CLIENTS))
        assert dict(zip([client.name for client in CLIENTS], found, strict=True)) == {
            client.name: [(200, "reached")] * 2 for client in CLIENTS
        }
        paid = nodes.paid()[before:]
        assert (app.reached, len(paid), spent(gate)) == (2 * len(CLIENTS),) * 3
        assert len({payment["hash"] for payment in paid}) == len(paid)


@pytest.mark.parametrize("package", ["l402-requests", "l402"])
def test_a_client_that_keeps_its_credential_gets_all_the_calls_of_a_pass(
    package: str, nodes: LightningPair, tmp_path: Path
) -> None:
    app, before = RecordingApp(), len(nodes.paid())
    (client,) = (one for one in CLIENTS if one.package == package)
    with selling(tmp_path, nodes, app, price='pass = "3 calls / 5m"') as gate:
        answers = client.fetch(f"{gate.url}/priced", nodes, times=7, who="one")
    assert answers == [(200, "reached")] * 7
    assert (app.reached, len(nodes.paid()) - before) == (7, 3)


def test_clients_pay_where_authorization_belongs_to_logins(
    nodes: LightningPair, tmp_path: Path
) -> None:
    app, before = RecordingApp(), len(nodes.paid())
    with (
        selling(tmp_path, nodes, app, logins='["Bearer"]') as gate,
        ThreadPoolExecutor(len(CLIENTS)) as beside,
    ):
        offered = ask(f"{gate.url}/priced").headers.get_all("WWW-Authenticate")
        assert offered is not None
        assert 'header="Payment-Authorization"' in offered[1]
        found = beside.map(lambda one: one.fetch(f"{gate.url}/priced", nodes, times=1), CLIENTS)
        assert list(found) == [[(200, "reached")]] * len(CLIENTS)
    assert (app.reached, len(nodes.paid()) - before) == (len(CLIENTS), len(CLIENTS))

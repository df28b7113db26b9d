# SPDX-License-Identifier: Apache-2.0
"""What an operator says of selling for sats, and a gate that does, as a process of its own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from pypow import InvalidInputError, bolt11
from pypow.lightning import wallets
from pypow.lightning.breaker import Circuit
from pypow.lightning.development import preimage_of
from pypow_server.invoices import Wanted, Without
from pypow_server.pypow_toml import read
from pypow_server.selling import Selling
from pypow_server.settings import Settings
from pypow_server.shop import Shop
from pypow_server.stores import Quota
from pypow_server.stores.memory import MemoryLimiter
from support.counting_upstream import CountingUpstream, counting_upstream
from support.gate_process import GateProcess, failed_start, gate_process
from support.selling import Worked

pytest.importorskip("coincurve", reason="signatures need the extra l402")

WALLET = '[l402]\nwallet = "development:"\n'
SOLD = f"{WALLET}[default]\nbits = 4\nsats = 5\n"


def settings(tmp_path: Path, text: str, **explicit: str) -> Settings:
    path = tmp_path / "pypow.toml"
    path.write_text(text, encoding="utf-8")
    return Settings.from_env({"HOME": str(tmp_path), "PYPOW_CONFIG": str(path)}, explicit)


def test_every_key_of_the_table_is_read() -> None:
    said = read(
        '[gate]\npass_authorization = ["Bearer"]\n'
        '[l402]\nwallet = "lnd:https://node:8080"\nnetwork = "signet"\n'
        'public_development = true\ninvoices = "1/1s"\nall_invoices = "none"\n'
        'invoice_bits = 12\nexpires = "5m"\ngrace = "2m"\nkeep_sales = "40d"\n'
        'max_sats = 77\nstrict = true\nbind = "body"\n'
    )
    assert said.rows.selling == Selling(
        wallet="lnd:https://node:8080",
        network="signet",
        public_development=True,
        free_invoices=Quota(1, 1000),
        all_invoices=None,
        stamp_q=12 * 1024,
        expiry_s=300,
        grace_s=120,
        keep_sales_s=40 * 24 * 3600,
        max_sats=77,
        strict=True,
        binds_bodies=True,
        foreign_schemes=frozenset({"bearer"}),
    )
    assert read("").rows.selling is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[l402]\ngrace = '1h'\n", r"line 2: l402.grace: expected \[l402\] wallet"),
        ("[gate]\npass_authorization = ['Basic']\n", r"line 2: gate.pass_authorization: expected"),
        ("[l402]\nwallet = 'here'\n", "line 2: l402.wallet: expected a wallet such as"),
        (f"{WALLET}invoice_bits = 3\n", "l402.invoice_bits: expected 4 to 32 bits, got 3"),
        (f"{WALLET}expires = '1m'\n", "l402.expires: expected a time of 2m to 1d, got '1m'"),
        # A payment of a day's invoice buys 30 days, and its sale must outlive it.
        (f"{WALLET}keep_sales = '31d'\n", "l402.keep_sales: expected a time of 32d to 4000d"),
        (f"{WALLET}bind = 'client'\n", "l402.bind: expected"),
        (f"{WALLET}max_sats = 9\n[default]\nsats = 10\n", "default.sats: expected 1 to 9 sats"),
        (f"{WALLET}[default]\nsats = 0\n", "default.sats: expected 1 to 100000 sats, got 0"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        read(text)


@pytest.mark.parametrize(
    ("text", "options", "complaint"),
    [
        (SOLD, {"public_url": "https://g.example"}, "a wallet with money for the public URL"),
        (SOLD, {"listen": "0.0.0.0:80", "public_url": "http://198.51.100.1"}, "with money"),
        (
            '[l402]\nwallet = "lightning-address:a@b.example"\n',
            {"store": "memory:"},
            "expected a store that outlives the gate",
        ),
        ('[l402]\nwallet = "phoenixd:http://127.0.0.1:1"\n', {}, "l402.wallet: .*CREDENTIAL"),
        (f"{WALLET}strict = true\n", {}, "l402.strict: expected a wallet that knows its payments"),
        ('[l402]\nwallet = "purse:"\n', {}, "l402.wallet: expected a wallet of"),
    ],
)
def test_a_gate_that_would_lose_money_does_not_start(
    tmp_path: Path, text: str, options: dict[str, str], complaint: str
) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        Shop(settings(tmp_path, text, **options), MemoryLimiter())


def test_a_development_wallet_serves_this_machine_and_others_where_that_is_meant(
    tmp_path: Path,
) -> None:
    meant = SOLD.replace("[default]", "public_development = true\n[default]")
    for text, url in (
        (SOLD, "http://localhost:1"),
        (SOLD, "http://[::1]:1"),
        (meant, "https://g.example"),
    ):
        shop = Shop(settings(tmp_path, text, public_url=url), MemoryLimiter())
        assert shop.invoices is not None


def test_another_wallet_takes_a_restart(tmp_path: Path) -> None:
    shop = Shop(settings(tmp_path, SOLD), MemoryLimiter())
    shop.require_same(settings(tmp_path, SOLD.replace("sats = 5", "sats = 6")))
    for text in ("", SOLD.replace("development:", "nwc:")):
        with pytest.raises(InvalidInputError, match="takes a restart"):
            shop.require_same(settings(tmp_path, text))


def test_a_wallet_that_hangs_is_soon_not_asked_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging:
        async def create_invoice(self, *_: object, **__: object) -> object:
            return await asyncio.Event().wait()

    monkeypatch.setitem(wallets._KINDS, "phoenixd", lambda _site: Hanging())
    text = '[l402]\nwallet = "phoenixd:http://127.0.0.1:1"\n'
    shop = Shop(settings(tmp_path, text, store=f"sqlite:{tmp_path}/ledger"), MemoryLimiter())

    assert shop.invoices is not None
    offer = shop.invoices.offer

    async def three_at_once() -> None:
        offers = (
            offer(
                Wanted(f"192.0.2.{last}", "a call", 5, "memo"),
                Selling("phoenixd:"),
                lambda _invoice: pytest.fail("no invoice was made"),
                work=Worked(has_worked=False),
                now_ms=0,
            )
            for last in range(3)
        )
        assert set(await asyncio.gather(*offers)) == {Without.WALLET}

    asyncio.run(three_at_once())
    assert shop._wallet is not None
    assert shop._wallet.health.circuit is Circuit.OPEN


@pytest.fixture(scope="module")
def upstream() -> Iterator[CountingUpstream]:
    with counting_upstream() as found:
        yield found


@pytest.fixture(scope="module")
def gate(
    upstream: CountingUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GateProcess]:
    home = tmp_path_factory.mktemp("home")
    (home / "pypow.toml").write_text(SOLD, encoding="utf-8")
    with gate_process(home, upstream.url, "--config", str(home / "pypow.toml")) as running:
        yield running
        _, log = running.stop()
        assert not any(preimage in log for preimage in PREIMAGES)


PREIMAGES: list[str] = []


def test_a_client_that_pays_a_real_gate_is_served_exactly_once(
    gate: GateProcess, upstream: CountingUpstream
) -> None:
    before = upstream.count
    refusal = httpx2.get(f"{gate.url}/report")
    assert refusal.status_code == 402
    body = refusal.json()
    preimage = preimage_of(bolt11.decode(body["invoice"])).hex()
    PREIMAGES.append(preimage)
    headers = {"Authorization": f"L402 {body['macaroon']}:{preimage}"}
    statuses = [httpx2.get(f"{gate.url}/report", headers=headers).status_code for _ in range(3)]
    assert statuses == [200, 402, 402]
    assert upstream.count == before + 1


def test_whoever_asks_for_a_challenge_hears_what_the_call_costs_in_sats(gate: GateProcess) -> None:
    for_the_call = httpx2.get(f"{gate.url}/api/challenge?resource=GET+/report").json()
    assert for_the_call["sats"] == httpx2.get(f"{gate.url}/report").json()["amount_sats"] == 5
    # A payment is for one call, so that one for any call has no price in sats.
    assert "sats" not in httpx2.get(f"{gate.url}/api/challenge").json()


def test_operators_see_what_costs_sats(gate: GateProcess) -> None:
    rows = httpx2.get(f"{gate.admin_url}/config").json()["rows"]
    assert rows["default_sats"] == 5


def test_no_figure_or_answer_to_operators_shows_a_preimage(gate: GateProcess) -> None:
    metrics = httpx2.get(f"{gate.admin_url}/metrics").text
    assert 'pypow_invoices_total{result="made"}' in metrics
    told = metrics + httpx2.get(f"{gate.admin_url}/config").text
    assert '"wallet":"development:"' in told.replace(" ", "")
    assert not any(preimage in told for preimage in PREIMAGES)


def test_a_gate_with_a_public_name_and_the_development_wallet_says_why_it_ends(
    tmp_path: Path,
) -> None:
    config = tmp_path / "pypow.toml"
    config.write_text(SOLD, encoding="utf-8")
    ended = failed_start(
        tmp_path, "--upstream", "http://127.0.0.1:1", "--config", str(config),
        "--public-url", "https://g.example",
    )  # fmt: skip
    assert ended.returncode == 2
    assert "expected a wallet with money" in ended.stderr

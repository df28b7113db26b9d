# SPDX-License-Identifier: Apache-2.0
"""How operators say which wallet; and that no credential shows anywhere."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pypow.bolt11 import Network
from pypow.errors import InvalidInputError, PowError
from pypow.lightning import wallets
from pypow.lightning.wallets import CA_FILE, CREDENTIAL, CREDENTIAL_FILE, Site, open_wallet
from support.lightning_node import NETWORK, Node
from support.lightning_servers import CREDENTIAL as GOOD
from support.lightning_servers import listening, lnd_routes

SECRET = "5ec2e7" * 8


@pytest.mark.parametrize(
    ("address", "may_choose", "can_pay", "can_limit"),
    [
        ("development:", False, True, True),
        ("lnd:https://node.example:8080", True, True, True),
        ("lnd:https://node.example:8080/", True, True, True),
        ("cln:https://node.example:3010", True, True, True),
        ("phoenixd:http://127.0.0.1:9740", False, True, True),
        ("phoenixd:http://phoenixd:9740", False, True, True),
        ("phoenixd:http://10.0.0.7:9740", False, True, True),
        ("lnbits:https://lnbits.example", False, True, True),
        ("lightning-address:shop@example.com", False, False, False),
    ],
)
def test_an_address_names_a_kind_of_wallet(
    address: str, may_choose: bool, can_pay: bool, can_limit: bool
) -> None:
    found = open_wallet(address, network=NETWORK, environment={CREDENTIAL: SECRET}).abilities
    assert found.may_choose_preimage == may_choose
    assert (found.can_pay, found.can_limit_fees) == (can_pay, can_limit)


@pytest.mark.parametrize(
    ("address", "environment", "text"),
    [
        ("", {}, "expected a wallet of development:, lnd:"),
        ("bank:https://x", {}, "got 'bank'"),
        ("development:here", {}, "development: alone"),
        ("lnd:https://node.example", {}, CREDENTIAL_FILE),
        ("lnd:https://node.example", {CREDENTIAL: ""}, CREDENTIAL_FILE),
        ("lnd:https://node.example", {CREDENTIAL: "not hex"}, "without spaces"),
        ("lnd:https://node.example", {CREDENTIAL: "nothex"}, "its hex digits"),
        ("cln:https://node.example", {CREDENTIAL: "a\r\nX: b"}, "without spaces"),
        ("cln:https://node.example", {CREDENTIAL: "a" * 4097}, "at most 4096 bytes"),
        ("lnd:node.example:8080", {CREDENTIAL: SECRET}, "lnd:https://HOST[:PORT]"),
        ("lnd:ftp://node.example", {CREDENTIAL: SECRET}, "lnd:https://HOST[:PORT]"),
        ("lnd:https://node.example:99999", {CREDENTIAL: SECRET}, "another form"),
        ("lnd:http://node.example", {CREDENTIAL: SECRET}, "not sent unencrypted"),
        ("lnd:http://8.8.8.8", {CREDENTIAL: SECRET}, "not sent unencrypted"),
        (f"phoenixd:http://:{SECRET}@127.0.0.1", {CREDENTIAL: "x"}, CREDENTIAL_FILE),
        (f"lnbits:https://h.example?api-key={SECRET}", {CREDENTIAL: "x"}, CREDENTIAL_FILE),
        (f"nwc:?secret={SECRET}", {CREDENTIAL: "x"}, CREDENTIAL_FILE),
        (f"nostr+walletconnect://k?secret={SECRET}", {}, "expected nwc:"),
        ("lightning-address:shop", {}, "user@host"),
        ("lightning-address:Shop@example.com", {}, "lower case"),
        ("lnd:https://h", {CREDENTIAL: "aa", CREDENTIAL_FILE: "b"}, "got both"),
        ("lnd:https://h", {CREDENTIAL_FILE: "/nonexistent/file"}, "/nonexistent/file"),
        ("lnd:https://h", {CREDENTIAL: "aa", CA_FILE: "/nonexistent/ca"}, "/nonexistent/ca"),
    ],
)
def test_what_names_no_wallet_is_refused_in_one_line_that_has_no_secret(
    address: str, environment: Mapping[str, str], text: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        open_wallet(address, network=NETWORK, environment=environment)
    assert text in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_development_wallet_is_for_no_real_money() -> None:
    for network in set(Network) - {Network.REGTEST}:
        with pytest.raises(InvalidInputError, match="it has no money"):
            open_wallet("development:", network=network, environment={})


def test_a_connection_that_is_none_is_refused_and_not_repeated() -> None:
    pytest.importorskip("nostr_sdk", reason="relays need the extra nwc")
    for connection in (SECRET, f"nostr+walletconnect://{SECRET}", f"https://h.example/{SECRET}"):
        with pytest.raises(InvalidInputError, match="expected a connection such as") as caught:
            open_wallet("nwc:", network=NETWORK, environment={CREDENTIAL: connection})
        assert SECRET not in str(caught.value)


def test_without_its_package_a_wallet_behind_a_relay_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "pypow.lightning.nwc", raising=False)
    monkeypatch.setitem(sys.modules, "nostr_sdk", None)
    with pytest.raises(PowError, match=r"pip install 'pypow-engine\[nwc\]'"):
        open_wallet("nwc:", network=NETWORK, environment={CREDENTIAL: SECRET})


def test_a_macaroon_is_read_from_the_nodes_own_file_or_as_hex_digits(tmp_path: Path) -> None:
    pytest.importorskip("coincurve", reason="signatures need the extra l402")
    # It may end in what is white space elsewhere.
    octets = b"\x02" + bytes.fromhex(GOOD)[:-1] + b"\n"
    binary, text = tmp_path / "invoice.macaroon", tmp_path / "macaroon.hex"
    binary.write_bytes(octets)
    text.write_text(octets.hex() + "\n")

    async def probed(environment: Mapping[str, str]) -> None:
        routes = lnd_routes(Node(), credential=octets.hex())
        async with listening(*routes) as host:
            wallet = open_wallet(f"lnd:http://{host}", network=NETWORK, environment=environment)
            await wallet.probe()
            await wallet.aclose()

    asyncio.run(probed({CREDENTIAL_FILE: str(binary)}))
    asyncio.run(probed({CREDENTIAL_FILE: str(text)}))
    asyncio.run(probed({CREDENTIAL: octets.hex()}))


def test_no_credential_is_in_the_repr_of_anything_on_the_way() -> None:
    site = Site("lnd", "https://node.example", NETWORK, SECRET.encode())
    wallet = open_wallet(
        "lnd:https://node.example", network=NETWORK, environment={CREDENTIAL: SECRET}
    )
    assert SECRET not in repr(site) + repr(wallet) + repr(vars(wallet))


def test_every_kind_is_in_the_description() -> None:
    assert wallets.__doc__ is not None
    assert all(f"``{kind}:" in wallets.__doc__ for kind in wallets._KINDS)


def test_no_library_is_loaded_that_no_wallet_needs() -> None:
    program = (
        "import sys, pypow.lightning; assert 'aiohttp' not in sys.modules\n"
        "import pypow.lightning.wallets; assert 'nostr_sdk' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

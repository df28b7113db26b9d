# SPDX-License-Identifier: Apache-2.0
"""A real LNbits, with a funding source that makes its money up: two wallets pay each other."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from support.waiting import PATIENCE_S, free_port, wait_until_it_listens

COMMAND = "LNBITS_COMMAND"
"""Names the program where it is not on the path; it wants an environment of its own."""

_PASSWORD = "made up for tests"


@dataclass(frozen=True, slots=True)
class LnbitsServer:
    """A server that runs.

    Attributes:
        url: where.
        invoice_key: may make and look up invoices of one wallet.
        admin_key: may also pay from it.
        buyers_admin_key: of another wallet. Both have a million sats.
    """

    url: str
    invoice_key: str
    admin_key: str
    buyers_admin_key: str


def lnbits_command() -> Path:
    """The program; skips the test where there is none."""
    found = os.environ.get(COMMAND) or shutil.which("lnbits")
    if found is None:
        pytest.skip(f"lnbits is not installed, and {COMMAND} does not name it")
    return Path(found)


@contextmanager
def lnbits(folder: Path) -> Iterator[LnbitsServer]:
    """A server for as long as a block lasts."""
    command = lnbits_command()
    port = free_port()
    # It looks for its pages below the folder that it is started in.
    (packages,) = (command.parent.parent / "lib").glob("python3.*/site-packages")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LNBITS_ADMIN_UI": "true",
        "LNBITS_BACKEND_WALLET_CLASS": "FakeWallet",
        "LNBITS_DATA_FOLDER": str(folder),
        "LNBITS_EXTENSIONS_PATH": str(folder),
        "LNBITS_EXTENSIONS_DEFAULT_INSTALL": "",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(command), "--host", "127.0.0.1", "--port", str(port)],
            cwd=packages,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        said = partial((folder / "log").read_text, errors="replace")
        wait_until_it_listens(process, port, said)
        yield _with_two_wallets(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def _with_two_wallets(url: str) -> LnbitsServer:
    with httpx2.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client:

        def ask(method: str, path: str, document: object = None) -> Any:
            answer = client.request(method, path, json=document)
            assert answer.is_success, answer.text
            return answer.json()

        login = {"username": "tester", "password": _PASSWORD, "password_repeat": _PASSWORD}
        token = ask("PUT", "/api/v1/auth/first_install", login)["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        (seller,) = ask("GET", "/api/v1/wallets")
        buyer = ask("POST", "/api/v1/wallet", {"name": "buyer"})
        for each in (seller, buyer):
            ask("PUT", "/users/api/v1/balance", {"id": each["id"], "amount": 1_000_000})
    return LnbitsServer(url, seller["inkey"], seller["adminkey"], buyer["adminkey"])

# SPDX-License-Identifier: Apache-2.0
"""What the clients have in common: a wallet, and how they are asked and tell.

Each program is started as ``program WHO URL TIMES``, fetches the URL so often (``{}`` in it is the
number of the fetch, from 0), as ``strangers`` that have never been here or as ``one`` client that
may remember what it paid, and prints a list of ``[status, body]`` as JSON; status 0 and what was
said, where the client gave up. The wallet is a Core Lightning node: ``PAYER_CLN_URL`` and
``PAYER_RUNE`` in the environment.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import TypeAlias

import httpx

CLN_URL = os.environ["PAYER_CLN_URL"]
RUNE = os.environ["PAYER_RUNE"]
WALLET_S = 30.0

Fetch: TypeAlias = Callable[[str], tuple[int, str]]


def pay(invoice: str) -> str:
    """Pay an invoice; the preimage in hex."""
    paid = httpx.post(
        f"{CLN_URL}/v1/pay", json={"bolt11": invoice}, headers={"Rune": RUNE}, timeout=WALLET_S
    )
    paid.raise_for_status()
    preimage: str = paid.json()["payment_preimage"]
    return preimage


def run(client: Callable[[], Fetch]) -> None:
    """Fetch as the command line says, with clients that are made so, and print what came."""
    who, url, times = sys.argv[1:]
    one = client()

    def fetched(time: int) -> tuple[int, str]:
        fetch = one if who == "one" else client()
        try:
            return fetch(url.replace("{}", str(time)))
        except Exception as error:  # noqa: BLE001 - each client has errors of its own
            return 0, repr(error)

    print(json.dumps([fetched(time) for time in range(int(times))]))

# SPDX-License-Identifier: Apache-2.0
"""PyPI lightning-toll: its client, which reads the body of a refusal and never a header."""

import asyncio
import json
from types import SimpleNamespace

from lightning_toll.client import TollClient

from interop.python_clients.paying import Fetch, pay, run


class Wallet:
    async def pay_invoice(self, invoice: str) -> SimpleNamespace:
        return SimpleNamespace(preimage=pay(invoice))


def client() -> Fetch:
    paying = TollClient(wallet=Wallet())

    def fetch(url: str) -> tuple[int, str]:
        answer = asyncio.run(paying.fetch(url))
        body = answer.body
        return answer.status_code, body if isinstance(body, str) else json.dumps(body)

    return fetch


run(client)

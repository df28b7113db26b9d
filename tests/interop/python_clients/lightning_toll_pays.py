# SPDX-License-Identifier: Apache-2.0
"""PyPI lightning-toll: its client, which reads the body of a refusal and never a header."""

import asyncio
import json
from types import SimpleNamespace

from lightning_toll.client import TollClient

from interop.python_clients.paying import pay, run


class Wallet:
    async def pay_invoice(self, invoice: str) -> SimpleNamespace:
        return SimpleNamespace(preimage=pay(invoice))


def fetch(url: str) -> tuple[int, str]:
    answer = asyncio.run(TollClient(wallet=Wallet()).fetch(url))
    return answer.status_code, answer.body if isinstance(answer.body, str) else json.dumps(
        answer.body
    )


run(fetch)

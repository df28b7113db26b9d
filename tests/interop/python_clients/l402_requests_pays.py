# SPDX-License-Identifier: Apache-2.0
"""PyPI l402-requests: an httpx client that pays."""

from l402_requests import L402Client
from l402_requests.wallets import WalletBase

from interop.python_clients.paying import Fetch, pay, run


class Wallet(WalletBase):  # type: ignore[misc]
    async def pay_invoice(self, bolt11: str) -> str:
        return pay(bolt11)


def client() -> Fetch:
    paying = L402Client(wallet=Wallet())

    def fetch(url: str) -> tuple[int, str]:
        answer = paying.get(url)
        return answer.status_code, answer.text

    return fetch


run(client)

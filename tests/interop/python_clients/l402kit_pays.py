# SPDX-License-Identifier: Apache-2.0
"""PyPI l402kit: an httpx client that pays."""

from l402kit import L402Client, L402Wallet

from interop.python_clients.paying import Fetch, pay, run


class Wallet(L402Wallet):  # type: ignore[misc]
    def pay_invoice(self, bolt11: str) -> str:
        return pay(bolt11)


def client() -> Fetch:
    paying = L402Client(Wallet())

    def fetch(url: str) -> tuple[int, str]:
        answer = paying.get(url)
        return answer.status_code, answer.text

    return fetch


run(client)

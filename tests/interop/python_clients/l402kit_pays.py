# SPDX-License-Identifier: Apache-2.0
"""PyPI l402kit: an httpx client that pays."""

from l402kit import L402Client, L402Wallet

from interop.python_clients.paying import pay, run


class Wallet(L402Wallet):  # type: ignore[misc]
    def pay_invoice(self, bolt11: str) -> str:
        return pay(bolt11)


def fetch(url: str) -> tuple[int, str]:
    with L402Client(Wallet()) as client:
        answer = client.get(url)
    return answer.status_code, answer.text


run(fetch)

# SPDX-License-Identifier: Apache-2.0
"""PyPI l402sdk, Lightning Labs' own, with its own wallet for Core Lightning."""

from l402 import L402Client

from interop.python_clients.paying import CLN_URL, RUNE, Fetch, run


def client() -> Fetch:
    paying = L402Client.with_cln_rest(CLN_URL, RUNE)

    def fetch(url: str) -> tuple[int, str]:
        answer = paying.get(url)
        return answer.status, answer.text()

    return fetch


run(client)

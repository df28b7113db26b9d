# SPDX-License-Identifier: Apache-2.0
"""PyPI l402sdk, Lightning Labs' own, with its own wallet for Core Lightning."""

from l402 import L402Client

from interop.python_clients.paying import CLN_URL, RUNE, run


def fetch(url: str) -> tuple[int, str]:
    answer = L402Client.with_cln_rest(CLN_URL, RUNE).get(url)
    return answer.status, answer.text()


run(fetch)

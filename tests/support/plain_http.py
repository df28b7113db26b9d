# SPDX-License-Identifier: Apache-2.0
"""A caller that has nothing of pypow: http.client, and a loop around hashlib."""

import hashlib
import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 20
"""Only a failing test waits this long."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b""
) -> Response:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
    try:
        connection.request(method, target or "/", body=body or None, headers=headers or {})
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())
    finally:
        connection.close()


def solve(published: dict[str, Any]) -> str:
    """The first nonce that wins, by what ``GET /api/challenge`` says and nothing else."""
    wanted = "0" * published["difficulty"]
    nonce = 0
    while True:
        digest = hashlib.sha256(f"{published['challenge']}{nonce}".encode()).hexdigest()
        if digest.startswith(wanted):
            return str(nonce)
        nonce += 1


def solution(published: dict[str, Any]) -> dict[str, str]:
    """The header that carries the proof of a challenge."""
    return {"X-PoW-Solution": f"challenge={published['challenge']},nonce={solve(published)}"}

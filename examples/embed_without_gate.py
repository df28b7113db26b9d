# SPDX-License-Identifier: Apache-2.0
"""Proof of work in a server of your own: the engine and a ledger, and no gate.

What every such server has to do is in `search`, in this order: read the proof, check it, spend
it, and only then work for the caller. Run it with ``python examples/embed_without_gate.py`` and
ask with ``curl -i http://127.0.0.1:8402/search``.
"""

import os
import time

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import pypow
from pypow import challenge, wire
from pypow.challenge import Expected, Key, Keyring, Refusal
from pypow.errors import WireError
from pypow_server.stores import Spend
from pypow_server.stores.memory import MemoryLedger

Q = 12 * 1024
"""The price of a search: 12 bits of work, in 1/1024 bit."""

# A server of several processes shares both: the same secret, and a ledger in SQLite or Redis.
keyring = Keyring([Key(id=1, secret=os.urandom(32))])
ledger = MemoryLedger()

SEARCH = challenge.scope_digest(keyring.signing.resource_mac, b"GET", b"/search")
"""What is bought. Without it, a proof for one route would open every other."""


async def search(request: Request) -> JSONResponse:
    """What the work buys."""
    now_ms = time.time_ns() // 1_000_000
    epoch = await ledger.epoch()
    header = request.headers.get("x-pow-solution")
    if header is None:
        return offer("send a proof", now_ms, epoch)
    try:
        proof = wire.proof_from_header(header)
    except WireError as error:
        return JSONResponse({"error": str(error)}, status_code=400)
    outcome = pypow.check(proof, keyring, Expected(now_ms=now_ms, epoch=epoch, resource=SEARCH))
    if isinstance(outcome, Refusal):
        return offer(outcome.detail, now_ms, epoch)
    solved = outcome.challenge
    spent = await ledger.spend(
        solved.id, epoch=solved.epoch, expires_at_ms=solved.expires_at_ms, now_ms=now_ms
    )
    if spent is Spend.UNKNOWN:  # nobody can tell whether it was spent before
        return JSONResponse({"error": "try again"}, status_code=503)
    if spent is not Spend.WON:
        return offer("the proof is spent", now_ms, epoch)
    return JSONResponse({"found": "what you looked for"})


def offer(error: str, now_ms: int, epoch: int) -> JSONResponse:
    """402 with a fresh challenge; nothing is remembered of it."""
    issued = pypow.issue(
        keyring.signing,
        q=Q,
        now_ms=now_ms,
        epoch=epoch,
        identity=os.urandom(16),
        resource=SEARCH,
    )
    return JSONResponse({"error": error, **issued.published()}, status_code=402)


app = Starlette(routes=[Route("/search", search)])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8402)

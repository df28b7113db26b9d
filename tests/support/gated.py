# SPDX-License-Identifier: Apache-2.0
"""A gate around an app that only notes what reached it, and the smallest client that can pay."""

import asyncio
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pypow.pricing import Offered
from pypow_server import logs
from pypow_server.crowd.turns import Turns
from pypow_server.decision import Decision, Recorder
from pypow_server.gate import Gate
from pypow_server.holders import Holders
from pypow_server.paid_calls import PaidCalls
from pypow_server.policy import Policy, Price
from pypow_server.rails import LoginRail, Rail
from pypow_server.rails.work import WorkRail
from pypow_server.sale import Sale
from pypow_server.scope import ASGIApp, Receive, Scope, Send
from pypow_server.stores import Charge, Charged, Credits, Early, Ledger, Limiter, Rank, Spend
from pypow_server.stores.attempts import Attempt, Ending
from pypow_server.stores.memory import MemoryLedger
from pypow_server.stores.payments import Payments
from support.asgi_client import Answer, call
from support.challenges import KEYRING, NOW_MS

HOST = "gate.example"
EASY = Price("easy", 4 * 1024)
"""Sixteen hashes: enough to be wrong about, and nothing to wait for."""

Headers = Sequence[tuple[bytes, bytes]]


@dataclass
class RecordingApp:
    """Answers 200 and remembers the scope and body of everything that reached it."""

    scopes: list[Scope] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})

    @property
    def reached(self) -> int:
        return len(self.scopes)

    def header(self, name: bytes) -> list[bytes]:
        return [value for field_name, value in self.scopes[-1]["headers"] if field_name == name]


@dataclass
class CountingLedger:
    """A ledger that counts what is asked of it and its credits, and can be told what to answer."""

    inner: Ledger = field(default_factory=MemoryLedger)
    spends: int = 0
    releases: int = 0
    quotes: int = 0
    ranks: int = 0
    answer: Spend | Exception | None = None

    async def epoch(self) -> int:
        return await self.inner.epoch()

    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        self.spends += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        return await self.inner.spend(
            key, epoch=epoch, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )

    async def release(self, key: bytes) -> None:
        self.releases += 1
        await self.inner.release(key)

    @property
    def _credits(self) -> Credits:
        assert isinstance(self.inner, MemoryLedger)
        return self.inner

    async def redeem(
        self,
        key: bytes,
        *,
        epoch: int | None,
        expires_at_ms: int,
        now_ms: int,
        limit: int = 1,
        charge: Charge,
    ) -> Charged | Spend | Early:
        self.spends += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        return await self._credits.redeem(
            key,
            epoch=epoch,
            expires_at_ms=expires_at_ms,
            now_ms=now_ms,
            limit=limit,
            charge=charge,
        )

    async def take(
        self,
        key: bytes,
        *,
        expires_at_ms: int,
        now_ms: int,
        limit: int,
        sale: Sale,
        attempt: Attempt,
        charge: Charge | None,
    ) -> Charged | Spend | Early:
        self.spends += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        return await self._payments.take(
            key,
            expires_at_ms=expires_at_ms,
            now_ms=now_ms,
            limit=limit,
            sale=sale,
            attempt=attempt,
            charge=charge,
        )

    @property
    def _payments(self) -> Payments:
        assert isinstance(self.inner, MemoryLedger)
        return self.inner

    async def end(self, key: bytes, attempt: Attempt, ending: Ending) -> bool:
        return await self._payments.end(key, attempt, ending)

    async def give_up(self, key: bytes, attempt: Attempt, charge: Charge | None) -> None:
        self.releases += 1
        await self._payments.give_up(key, attempt, charge)

    async def live(self, life: bytes, *, lasts_ms: int) -> None:
        await self._payments.live(life, lasts_ms=lasts_ms)

    async def quote(self, charge: Charge, *, now_ms: int) -> Offered:
        self.quotes += 1
        return await self._credits.quote(charge, now_ms=now_ms)

    async def rank(self, charge: Charge, *, now_ms: int) -> Rank:
        self.ranks += 1
        return await self._credits.rank(charge, now_ms=now_ms)

    async def take_free(self, charge: Charge, *, now_ms: int) -> Charged | Offered:
        self.quotes += 1
        return await self._credits.take_free(charge, now_ms=now_ms)

    async def give_back(self, key: bytes, charge: Charge) -> None:
        self.releases += 1
        await self._credits.give_back(key, charge)

    async def probe(self) -> None:
        await self.inner.probe()

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass
class Clock:
    """Unix milliseconds that stand still until they are moved."""

    now_ms: int = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


class Bench:
    """A gate with everything around it within reach."""

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        app: ASGIApp | None = None,
        rails: Sequence[Rail] | None = None,
        gate: type[Gate] = Gate,
        ledger: CountingLedger | None = None,
        body_limit: int = 4096,
        limiter: Limiter | None = None,
        holders: Holders | None = None,
        login: LoginRail | None = None,
        recorders: Sequence[Recorder] = (),
        turns: Turns | None = None,
        life: bytes = b"one life",
    ) -> None:
        self.decisions: list[Decision] = []
        self.app = RecordingApp()
        self.ledger = ledger or CountingLedger()
        self.clock = Clock()
        self.rail = WorkRail(KEYRING, public_host=HOST)
        self.policy = policy or Policy(default=EASY)
        self.seconds = 0.0
        self.paid_calls = PaidCalls(self.ledger, life=life, monotonic=lambda: self.seconds)
        self.gate = gate(
            app or self.app,
            rails=[self.rail] if rails is None else rails,
            ledger=self.ledger,
            policy=self.policy,
            clock=self.clock,
            credit=self.ledger,
            paid_calls=self.paid_calls,
            body_limit=body_limit,
            limiter=limiter,
            holders=holders,
            login=login,
            turns=turns,
            recorders=(logs.record, self.decisions.append, *recorders),
        )

    def send(
        self,
        method: str,
        target: str = "/x",
        headers: Headers = (),
        body: bytes = b"",
        *,
        client: str = "192.0.2.7",
    ) -> Answer:
        """One request through the gate."""
        fields = [(b"host", HOST.encode()), *headers]
        return self.send_bare(method, target, fields, body, client=client)

    def send_bare(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: bytes = b"",
        *,
        client: str = "192.0.2.7",
    ) -> Answer:
        """One request with these headers and no other."""
        path = target.encode("latin-1")
        return asyncio.run(
            call(self.gate, method, path, headers=headers, body=body, client=(client, 50000))
        )

    def post_mcp(
        self, method: str, params: object = None, *, headers: Headers = (), **members: object
    ) -> Answer:
        """One MCP message through the gate; ``id`` is 1 unless given, and left out for None."""
        message: dict[str, object] = {"jsonrpc": "2.0", "id": 1, "method": method, **members}
        if params is not None:
            message["params"] = params
        if message["id"] is None:
            del message["id"]
        return self.send("POST", "/mcp", headers, json.dumps(message).encode())

    def proof(self, method: str = "GET", target: str = "/x", headers: Headers = ()) -> str:
        """The header of a solved challenge for this request, from the gate's own refusal."""
        refusal = self.send(method, target, headers)
        assert refusal.status == 402, refusal.body
        return solved(offers(refusal)[0])


def document(answer: Answer) -> Any:
    """The JSON body of an answer."""
    return json.loads(answer.body)


def offers(answer: Answer) -> list[dict[str, Any]]:
    """The offers in a refusal, whatever its carrier."""
    body = document(answer)
    if "error" in body:
        body = body["error"]["data"]
    elif "result" in body:
        body = body["result"]["_meta"]["io.pypow/refusal"]
    found: list[dict[str, Any]] = body.get("offers", [])
    return found


def solved(offer: dict[str, Any]) -> str:
    """What a client that knows only SHA-256 and hex zeros does with an offer."""
    zeros = "0" * offer["difficulty"]
    for nonce in itertools.count():
        digest = hashlib.sha256(f"{offer['challenge']}{nonce}".encode()).hexdigest()
        if digest.startswith(zeros):
            return f"challenge={offer['challenge']},nonce={nonce}"
    raise AssertionError


def solution(proof: str) -> list[tuple[bytes, bytes]]:
    """The header that carries a proof."""
    return [(b"x-pow-solution", proof.encode())]

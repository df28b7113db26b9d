# SPDX-License-Identifier: Apache-2.0
"""Callers on real sockets, each bound to an address of its own, who solve and try again."""

import asyncio
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pypow
from pypow import wire
from pypow.laboratory.callers import Kind
from pypow.laboratory.run import EAGERNESS, Diary
from pypow.laboratory.world import World

WORST_S = 30.0
"""An attacker leaves what takes his machine longer."""

_ABSENT = 0
"""The status of a connection that was closed without an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gate, or the upstream behind it, says.

    Attributes:
        status: of HTTP.
        problem: name of the gate's problem; nothing where the upstream answers.
        wait_s: what Retry-After says.
        challenge: of the offer, to be solved.
    """

    status: int
    problem: str = ""
    wait_s: float = 1.0
    challenge: str | None = None

    @property
    def keeps_proof(self) -> bool:
        """Whether the same proof may be sent again."""
        return self.problem in ("busy", "early") or self.status == _ABSENT


class Line:
    """One caller's connection to one gate, opened when it is needed."""

    def __init__(self, source: str, port: int) -> None:
        self._source = source
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, proof: str | None) -> Answer:
        """Call, with a proof or without."""
        used = self._streams is not None
        try:
            return await self._exchange(proof)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            # A server closes what is not used for a while, and has taken nothing then.
            return await self.ask(proof) if used else Answer(_ABSENT)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _exchange(self, proof: str | None) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                "127.0.0.1", self._port, local_addr=(self._source, 0)
            )
        reader, writer = self._streams
        carried = f"X-PoW-Solution: {proof}\r\n" if proof else ""
        writer.write(
            f"GET /x HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nX-PoW-Accept: puzzles=16\r\n"
            f"{carried}\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(fields["content-length"]))
        return _read(int(head[9:12]), fields, body)


def _read(status: int, fields: dict[str, str], body: bytes) -> Answer:
    wait_s = float(fields.get("retry-after", 1))
    if fields.get("content-type") != "application/problem+json":
        return Answer(status, wait_s=wait_s)
    told = json.loads(body)
    offers = told.get("offers", ())
    challenge = offers[0]["challenge"] if offers else None
    return Answer(status, told["type"].rpartition(":")[2], wait_s, challenge)


class Machine:
    """Solves with pypow, one puzzle after the other, as quickly as the hardware that it plays.

    Attributes:
        hashes: that it did.
    """

    def __init__(self, solver: pypow.Solver, hashes_per_s: float) -> None:
        self.hashes = 0
        self._solver = solver
        self._hashes_per_s = hashes_per_s
        self._turn = asyncio.Lock()

    def takes_s(self, challenge: str) -> float:
        """How long a challenge takes on average."""
        return float(2 ** (wire.decode_challenge(challenge).q / 1024)) / self._hashes_per_s

    async def solve(self, challenge: str) -> str:
        """The header's value. Slower hardware than this waits for what it would have taken."""
        async with self._turn:
            began = time.monotonic()
            proof = await self._solver.asolve(challenge, timeout=None, max_bits=math.inf)
            assert proof.work is not None
            self.hashes += proof.work.hashes
            left_s = proof.work.hashes / self._hashes_per_s - (time.monotonic() - began)
            await asyncio.sleep(max(0.0, left_s))
        return proof.header()


@dataclass
class Callers:
    """Everybody on one side of a run, and what they note.

    Attributes:
        ports: of the gates; each call goes to one of them, as behind a balancer.
        began: when the run began, by the monotonic clock.
        draw: what chance is made of.
        diary: what came of their calls.
        told: all answers, by status and problem.
    """

    ports: Sequence[int]
    began: float
    draw: random.Random
    diary: Diary = field(default_factory=Diary)
    told: Counter[str] = field(default_factory=Counter)

    @property
    def now(self) -> float:
        """Seconds of the run."""
        return time.monotonic() - self.began

    async def until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self.now))

    async def visit(
        self,
        source: str,
        machine: Machine,
        pause: Callable[[Answer], float],
        *,
        worst_s: float = math.inf,
    ) -> bool:
        """One call, until it is served; False when it takes more work than the caller will do."""
        line = Line(source, self.draw.choice(self.ports))
        proof: str | None = None
        try:
            while True:
                answer = await line.ask(proof)
                self.told[f"{answer.status} {answer.problem}".strip()] += 1
                if answer.status == 200:
                    return True
                if proof is not None and answer.keeps_proof:
                    await asyncio.sleep(pause(answer))
                elif answer.challenge is not None:
                    if machine.takes_s(answer.challenge) > worst_s:
                        return False
                    proof = await machine.solve(answer.challenge)
                else:
                    proof = None
                    await asyncio.sleep(pause(answer))
        finally:
            line.close()


@dataclass
class Honest(Callers):
    """Callers who call now and then, wait as long as they are told to, and give up at last."""

    async def live(
        self, kind: Kind, source: str, machine: Machine, world: World, first: float
    ) -> None:
        """Call until the run is over."""
        due = first
        while due < world.seconds:
            await self.until(due)
            if kind is Kind.FRESH and self.now >= world.attack_until:
                return
            began, served = self.now, False
            try:
                async with asyncio.timeout(world.patience_s):
                    served = await self.visit(source, machine, lambda answer: answer.wait_s)
            except TimeoutError:
                self.told["gave up"] += 1
            took = self.now - began if served else math.inf
            self.diary.ended.append((kind, began, took))
            due = max(self.now, began + self.draw.expovariate(world.calls_per_min / 60))


@dataclass
class Attackers(Callers):
    """Callers who want all they can get, and come again before they are told to."""

    async def raid(self, sources: Sequence[str], machine: Machine, world: World) -> None:
        """Call from one address after the other until cancelled."""
        turn = self.draw.randrange(len(sources))
        await asyncio.sleep(self.draw.uniform(0, world.retry_s))

        def pause(_: Answer) -> float:
            return world.retry_s * EAGERNESS * self.draw.uniform(0.5, 1.5)

        while True:
            source = sources[turn % len(sources)]
            if await self.visit(source, machine, pause, worst_s=WORST_S):
                self.diary.admitted.append(1)
            else:
                await asyncio.sleep(pause(Answer(_ABSENT)))
            turn += 1

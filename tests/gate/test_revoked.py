# SPDX-License-Identifier: Apache-2.0
"""Revoked passes are turned away within a second, and no request waits for a store."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from pypow_server import passes
from pypow_server.problems import Problem
from pypow_server.rails.work import WorkRail
from pypow_server.revoked import GRACE_S, RevokedPasses
from pypow_server.stores import StoreError
from support.asgi_client import call
from support.challenges import KEY, KEYRING, NOW_MS
from support.gated import HOST, Bench, document, offers

GOOD, BAD = bytes(16), b"\xff" * 16


@dataclass
class Listed:
    """A store's revocations, in a set, that counts how often it is read and can fail."""

    ids: set[bytes] = field(default_factory=set)
    reads: int = 0
    fault: Exception | None = None

    async def revoke(self, identity: bytes, *, expires_at_ms: int, now_ms: int) -> None:
        self.ids.add(identity)

    async def revoked(self, *, now_ms: int) -> frozenset[bytes]:
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return frozenset(self.ids)


class Ticks:
    """Time that moves when the test says so: each tick lets the list be read once more."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._due: asyncio.Queue[None] = asyncio.Queue()
        self._waiting = asyncio.Event()

    def monotonic(self) -> float:
        return self.now_s

    async def pause(self) -> None:
        self._waiting.set()
        await self._due.get()

    async def pass_by(self, seconds: float) -> None:
        await self._waiting.wait()
        self._waiting.clear()
        self.now_s += seconds
        self._due.put_nowait(None)
        await self._waiting.wait()


def play(story: Callable[[Listed, Ticks, RevokedPasses], Awaitable[None]]) -> None:
    async def run() -> None:
        listed, ticks = Listed(), Ticks()
        known = RevokedPasses(
            listed, clock=lambda: NOW_MS, monotonic=ticks.monotonic, pause=ticks.pause
        )
        try:
            await story(listed, ticks, known)
        finally:
            await known.aclose()

    asyncio.run(run())


def name(problem: Problem | None) -> str | None:
    return None if problem is None else problem.name


def test_a_pass_is_denied_at_the_next_reading_after_it_was_revoked() -> None:
    async def story(listed: Listed, ticks: Ticks, known: RevokedPasses) -> None:
        assert await known.denial(BAD) is None
        listed.ids.add(BAD)
        assert await known.denial(BAD) is None
        await ticks.pass_by(1)
        assert name(await known.denial(BAD)) == "revoked"
        assert await known.denial(GOOD) is None

    play(story)


def test_what_was_revoked_before_the_start_is_known_to_the_first_request() -> None:
    async def story(listed: Listed, ticks: Ticks, known: RevokedPasses) -> None:
        listed.ids.add(BAD)
        assert name(await known.denial(BAD)) == "revoked"

    play(story)


def test_ten_thousand_requests_read_the_store_once() -> None:
    async def story(listed: Listed, ticks: Ticks, known: RevokedPasses) -> None:
        await asyncio.gather(*(known.denial(GOOD) for _ in range(10_000)))
        assert listed.reads == 1

    play(story)


@pytest.mark.parametrize("fault", [StoreError("gone"), TimeoutError(), RuntimeError("new")])
def test_a_list_that_cannot_be_read_is_trusted_for_a_while_and_then_no_pass_is(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(listed: Listed, ticks: Ticks, known: RevokedPasses) -> None:
        listed.ids.add(BAD)
        assert await known.denial(GOOD) is None
        listed.fault = fault
        await ticks.pass_by(GRACE_S)
        assert await known.denial(GOOD) is None
        assert name(await known.denial(BAD)) == "revoked"
        await ticks.pass_by(0.1)
        assert name(await known.denial(GOOD)) == "store-unavailable"
        assert name(await known.denial(BAD)) == "store-unavailable"
        listed.fault = None
        await ticks.pass_by(1)
        assert await known.denial(GOOD) is None

    play(story)
    assert "cannot be read" in caplog.text


def test_no_pass_is_admitted_before_the_list_was_read_once() -> None:
    async def story(listed: Listed, ticks: Ticks, known: RevokedPasses) -> None:
        listed.fault = StoreError("not yet up")
        assert name(await known.denial(GOOD)) == "store-unavailable"
        listed.fault = None
        await ticks.pass_by(1)
        assert await known.denial(GOOD) is None

    play(story)


def test_reading_begins_again_in_another_event_loop_and_ends_with_it() -> None:
    listed = Listed()
    known = RevokedPasses(listed, clock=lambda: NOW_MS)
    for _ in range(2):
        assert asyncio.run(known.denial(GOOD)) is None
    assert listed.reads == 2


def test_the_gate_turns_a_revoked_pass_away_with_a_fresh_offer() -> None:
    listed = Listed()
    known = RevokedPasses(listed, clock=lambda: NOW_MS)
    rail = WorkRail(KEYRING, public_host=HOST, denial=known.denial)
    bench = Bench(rails=[rail])
    timed = passes.issue(KEY, identity=BAD, calls=0, expires_at_ms=NOW_MS + 1000)
    bearer = [(b"authorization", b"Bearer " + timed.text.encode())]
    assert bench.send("GET", headers=bearer).status == 200
    listed.ids.add(BAD)
    refusal = bench.send("GET", headers=bearer)
    assert document(refusal)["type"] == "urn:pypow:error:revoked"
    assert len(offers(refusal)) == 1
    assert bench.app.reached == 1


def test_a_pass_that_does_not_stand_is_never_looked_up() -> None:
    listed = Listed()
    rail = WorkRail(
        KEYRING, public_host=HOST, denial=RevokedPasses(listed, clock=lambda: NOW_MS).denial
    )
    bench = Bench(rails=[rail])
    expired = passes.issue(KEY, identity=BAD, calls=0, expires_at_ms=NOW_MS)
    forged = expired.text[:-2] + ("AA" if not expired.text.endswith("AA") else "EA")
    for text in (expired.text, forged):
        fields = [(b"host", HOST.encode()), (b"authorization", b"Bearer " + text.encode())]
        assert asyncio.run(call(bench.gate, "GET", b"/x", headers=fields)).status in (400, 402)
    assert listed.reads == 0


def test_what_was_added_while_the_list_was_read_is_in_it_at_once() -> None:
    async def run() -> None:
        reading, may_end = asyncio.Event(), asyncio.Event()

        class Slow(Listed):
            async def revoked(self, *, now_ms: int) -> frozenset[bytes]:
                found = await super().revoked(now_ms=now_ms)
                reading.set()
                await may_end.wait()
                return found

        listed = Slow()
        known = RevokedPasses(listed, clock=lambda: NOW_MS, pause=Ticks().pause)
        known.start()
        await reading.wait()
        await known.add(BAD, expires_at_ms=NOW_MS + 1)
        may_end.set()
        assert await known.lists(BAD) is True
        assert await known.lists(GOOD) is False
        assert known.count == 1
        await known.aclose()

    asyncio.run(run())

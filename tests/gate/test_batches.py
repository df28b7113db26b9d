# SPDX-License-Identifier: Apache-2.0
"""The thread that owns a store: what it does together, and what it says when the store fails."""

import asyncio
import logging
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from pypow_server.stores import StoreError
from pypow_server.stores.batches import Batches

PATIENCE_S = 10


class Tape:
    """A store that answers `n` with `-n`, and tells what it was given."""

    def __init__(self) -> None:
        self.batches: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self.faults: list[Exception] = []
        self.thread: threading.Thread | None = None
        self.closes = 0
        self.opens = 0

    def reopen(self) -> "Tape":
        self.opens += 1
        return self

    def apply(self, operations: Sequence[int]) -> list[int | StoreError]:
        self.thread = threading.current_thread()
        self.batches.put(list(operations))
        if self.faults:
            raise self.faults.pop(0)
        return [StoreError(f"no {n}") if n < 0 else -n for n in operations]

    def close(self) -> None:
        self.closes += 1

    def given(self) -> list[list[int]]:
        return [self.batches.get(timeout=PATIENCE_S) for _ in range(self.batches.qsize())]


Story = Callable[[Tape, "Batches[int, int]"], Coroutine[Any, Any, None]]


def tell(story: Story, *, heartbeat_s: float | None = None) -> Tape:
    """Run a story with a store of its own; whatever never ends fails."""
    tape = Tape()

    async def whole() -> None:
        batches = Batches(tape, tape.reopen, name="the tape", heartbeat_s=heartbeat_s)
        try:
            await asyncio.wait_for(story(tape, batches), PATIENCE_S)
        finally:
            ending = threading.Thread(target=batches.close, daemon=True)
            ending.start()
            ending.join(PATIENCE_S)
        assert not ending.is_alive()

    asyncio.run(whole())
    return tape


def test_all_that_one_turn_of_the_loop_submits_is_one_batch_in_order() -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        for first in (0, 3):
            asked = [batches.submit(n) for n in range(first, first + 3)]
            assert await asyncio.gather(*asked) == [-n for n in range(first, first + 3)]
        assert tape.given() == [[0, 1, 2], [3, 4, 5]]

    tape = tell(story)
    assert (tape.closes, tape.opens) == (1, 0)


def test_the_thread_is_woken_once_for_each_turn_of_a_loop() -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        ring = batches._ring

        def counted() -> None:
            rings.append(batches._inbox[-1][0])
            ring()

        batches._ring = counted  # type: ignore[method-assign]
        for first in (0, 3):
            await asyncio.gather(*(batches.submit(n) for n in range(first, first + 3)))

    rings: list[int] = []
    tell(story)
    assert rings == [2, 5]


def test_a_batch_holds_512_operations_and_the_rest_follow_at_once() -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        asked = [batches.submit(n) for n in range(1030)]
        assert await asyncio.gather(*asked) == [-n for n in range(1030)]
        assert [len(batch) for batch in tape.given()] == [512, 512, 6]

    tell(story)


def test_a_store_that_is_silent_is_given_an_empty_batch() -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        first = await asyncio.to_thread(tape.batches.get, timeout=PATIENCE_S)
        assert first == []

    tell(story, heartbeat_s=0.001)


def test_a_bell_whose_operations_were_already_taken_is_no_silence() -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        batches._ring()
        assert await batches.submit(1) == -1
        batches._ring()
        assert await batches.submit(2) == -2

    tape = tell(story)
    assert tape.given() == [[1], [2]]


def test_closing_does_what_was_submitted_and_then_no_more() -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        asked = batches.submit(1)
        await asyncio.to_thread(batches.close)
        assert await asked == -1
        with pytest.raises(StoreError, match=r"^the tape is closed; open it anew$"):
            batches.submit(2)

    tape = tell(story)
    assert tape.given() == [[1]]
    assert tape.closes == 1


def test_a_process_that_was_forked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(
            StoreError, match=r"^the tape was opened before a fork; open it in each process$"
        ):
            batches.submit(1)
        monkeypatch.undo()

    assert tell(story).given() == []


def test_the_thread_keeps_no_process_from_ending_and_has_a_name() -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        await batches.submit(1)
        assert tape.thread is not None
        assert (tape.thread.name, tape.thread.daemon) == ("pypow-store", True)

    tell(story)


def test_an_outage_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        for fault in (StoreError("the disk is full"), ValueError("odd")):
            tape.faults = [fault]
            with pytest.raises(StoreError) as caught:
                await batches.submit(1)
            told.append(str(caught.value))
        assert [await batches.submit(n) for n in (1, 2)] == [-1, -2]

    told: list[str] = []
    tape = tell(story)
    assert told == ["the disk is full", "the tape: ValueError('odd')"]
    assert (tape.opens, tape.closes) == (2, 3)  # the last close is the end
    ours = [(r.levelno, r.getMessage()) for r in caplog.records if r.name == "pypow.store"]
    assert ours == [
        (logging.ERROR, "the tape fails: the disk is full"),
        (logging.WARNING, "the tape is usable again"),
    ]


def test_each_outage_is_told_anew(caplog: pytest.LogCaptureFixture) -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        for _ in range(2):
            tape.faults = [StoreError("away")]
            with pytest.raises(StoreError):
                await batches.submit(1)
            await batches.submit(1)

    tell(story)
    assert [r.levelname for r in caplog.records if r.name == "pypow.store"] == [
        "ERROR",
        "WARNING",
    ] * 2


def test_one_operation_that_fails_takes_its_connection_along_and_no_other_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        good, bad = batches.submit(1), batches.submit(-2)
        assert await good == -1
        with pytest.raises(StoreError, match="no -2"):
            await bad
        assert (tape.closes, tape.opens) == (1, 0)
        assert await batches.submit(3) == -3
        assert tape.opens == 1

    tell(story)
    assert "the tape fails: no -2" in caplog.text


class Mumbling(Tape):
    """A store that leaves its last outcome out."""

    def apply(self, operations: Sequence[int]) -> list[int | StoreError]:
        return super().apply(operations)[:-1]


def test_a_store_that_does_not_answer_for_each_operation_is_taken_for_a_fault() -> None:
    tape = Mumbling()

    async def story() -> None:
        batches = Batches(tape, tape.reopen, name="the tape", heartbeat_s=None)
        try:
            asked = [batches.submit(1), batches.submit(2)]
            found = await asyncio.wait_for(
                asyncio.gather(*asked, return_exceptions=True), PATIENCE_S
            )
            assert all("no outcome for each" in str(one) for one in found)
        finally:
            await batches.aclose()

    asyncio.run(story())


def test_a_caller_that_went_away_keeps_nothing_from_the_others() -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        gone, stays = batches.submit(1), batches.submit(2)
        gone.cancel()
        assert await stays == -2

    assert tell(story).given() == [[1, 2]]


def test_callers_in_two_loops_are_each_answered_in_their_own() -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        async def elsewhere() -> int:
            return await asyncio.wait_for(batches.submit(2), PATIENCE_S)

        other = asyncio.create_task(asyncio.to_thread(asyncio.run, elsewhere()))
        assert await batches.submit(1) == -1
        assert await other == -2

    tell(story)


def test_an_answer_to_a_loop_that_is_closed_harms_nobody() -> None:
    async def story(tape: Tape, batches: Batches[int, int]) -> None:
        def leave() -> None:
            loop = asyncio.new_event_loop()

            async def ask() -> None:
                batches._inbox.append((1, loop.create_future()))

            loop.run_until_complete(ask())
            loop.close()

        await asyncio.to_thread(leave)
        assert await batches.submit(2) == -2

    assert tell(story).given() == [[1, 2]]

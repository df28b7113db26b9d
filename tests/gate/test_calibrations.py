# SPDX-License-Identifier: Apache-2.0
"""The record of calibration: what all gates of a store agree on, and one step a day."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypow.steering import Calibration, Sample
from pypow_server.calibration.calibrating import Calibrating
from pypow_server.calibration.samples import DAY_MS, Samples
from pypow_server.calibration.shared_calibration import MOST_SAMPLES, SharedCalibration, Step, read
from pypow_server.stores import Store, StoreError, memory, sqlite
from pypow_server.stores.batched import store_of
from pypow_server.stores.memory import MemoryLimiter, MemoryRecord
from support.decisions import solved
from support.ledger_contract import NOW_MS
from support.redis_stores import fresh_address, opened

TODAY = 20_000
ANCHOR_Q = 20 * 1024
RULES = Calibration(ANCHOR_Q)


def samples(hashrate: float, count: int, *, first: int = 0) -> dict[str, Sample]:
    """So many networks of one speed."""
    took = Sample(ANCHOR_Q, round(1000 * 2.0 ** (ANCHOR_Q / 1024) / hashrate))
    return {f"{number:016x}": took for number in range(first, first + count)}


FAST = samples(1e9, 100)


def played(days: int, today: int = TODAY, told: dict[str, Sample] = FAST) -> SharedCalibration:
    """The record after the last of so many days, each with these samples."""
    found = SharedCalibration()
    for day in range(today - days, today):
        found = found.told(day, day, told).stepped(day, RULES)
    return found.told(today, today, {}).stepped(today, RULES)


def test_a_step_is_made_of_yesterdays_samples() -> None:
    found = SharedCalibration().told(TODAY - 1, TODAY - 1, FAST)
    assert found.stepped(TODAY - 1, RULES).offset_q(ANCHOR_Q) == 0
    assert found.told(TODAY, TODAY, {}).stepped(TODAY, RULES).offset_q(ANCHOR_Q) == 256
    assert found.told(TODAY + 1, TODAY + 1, {}).stepped(TODAY + 1, RULES).offset_q(ANCHOR_Q) == 0


def test_there_is_one_step_a_day_and_none_goes_further_than_two_bits() -> None:
    found = played(1)
    assert found.stepped(TODAY, RULES) is found
    assert [played(days).offset_q(ANCHOR_Q) for days in (1, 2, 8, 9, 20)] == [
        256, 512, 2048, 2048, 2048,
    ]  # fmt: skip


def test_a_default_price_that_is_said_anew_begins_where_it_was_said_or_was_before() -> None:
    found, other = played(4), replace(RULES, anchor_q=ANCHOR_Q + 1)
    assert found.offset_q(other.anchor_q) == 0
    changed = found.stepped(TODAY, other)
    assert changed.offset_q(other.anchor_q) == 256
    assert changed.offset_q(ANCHOR_Q) == 1024
    late = changed.told(TODAY + 30, TODAY + 30, {}).stepped(TODAY + 30, other)
    assert set(late.steps) == {other.anchor_q}


def test_a_day_without_enough_samples_moves_nothing() -> None:
    found = played(4).told(TODAY, TODAY, samples(1e3, 29))
    after = found.told(TODAY + 1, TODAY + 1, {}).stepped(TODAY + 1, RULES)
    assert after.offset_q(ANCHOR_Q) == 1024


def test_a_network_has_one_say_whichever_gate_tells_of_it() -> None:
    found = SharedCalibration().told(TODAY, TODAY, FAST).told(TODAY, TODAY, samples(1e3, 60))
    assert len(found.samples(TODAY)) == 100
    assert sum(sample.elapsed_ms > 1000 for sample in found.samples(TODAY)) == 60


def test_of_too_many_samples_those_of_the_lowest_names_are_kept() -> None:
    found = SharedCalibration().told(TODAY, TODAY, samples(1e9, 400, first=300))
    found = found.told(TODAY, TODAY, samples(1e9, 400))
    assert sorted(found.days[TODAY]) == [f"{number:016x}" for number in range(MOST_SAMPLES)]


def test_samples_of_other_days_than_today_and_yesterday_are_not_kept() -> None:
    found = SharedCalibration()
    for day in (TODAY - 2, TODAY - 1, TODAY, TODAY + 1):
        found = found.told(TODAY, day, FAST)
    assert set(found.days) == {TODAY - 1, TODAY}
    assert set(found.told(TODAY + 1, TODAY + 1, {}).days) == {TODAY}


def test_a_clock_that_is_set_back_neither_steps_twice_nor_waits_for_the_day_it_showed() -> None:
    found = played(4, today=TODAY + 365)
    back = found.told(TODAY, TODAY, FAST).stepped(TODAY, RULES)
    assert back.steps[ANCHOR_Q] == Step(TODAY, 1024)
    assert back.stepped(TODAY, RULES) is back
    assert back.told(TODAY + 1, TODAY + 1, {}).stepped(TODAY + 1, RULES).offset_q(ANCHOR_Q) == 1280


def test_what_was_written_is_read_again() -> None:
    found = played(4).told(TODAY, TODAY, samples(4e6, 700))
    assert read(found.text()) == found
    assert len(found.text()) < 65_536


BROKEN = [
    b"", b"x", b"[]", b"[{}]", b"[1,2]", b"[[],[]]", b'[{"a":[1,2]},{}]', b'[{"1":[1]},{}]',
    b'[{"1":[1,1e9]},{}]', b'[{"1":[-1,0]},{}]', b'[{"1":[true,0]},{}]', b'[{},{"1":{"x":[1,1]}}]',
    b'[{},{"1":{"00000000000000ff":[1]}}]', b'[{},{"1":{"00000000000000ff":[61441,1]}}]',
    b'[{},{"1":{"00000000000000ff":[1,-1]}}]', b"[" * 100_000, b"\xff",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_a_record_that_cannot_be_read_is_begun_anew(text: bytes) -> None:
    assert read(text) == SharedCalibration()


@settings(max_examples=200)
@given(
    st.binary(max_size=64)
    | st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_a_store_holds_the_record_is_read_or_begun_anew(text: bytes) -> None:
    found = read(text)
    assert read(found.text()) == found


@pytest.fixture(params=["memory", "sqlite", "redis", "valkey"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Opens the same store each time; of memory there is one."""
    match request.param:
        case "memory":
            one = memory.open_store("")
            return lambda: one
        case "sqlite":
            return lambda: sqlite.open_store(str(tmp_path / "ledger.db"))
        case name:
            address = fresh_address(request.getfixturevalue(f"{name}_server"))
            return lambda: store_of(opened(address), MemoryLimiter)


def calibrating(store: Store, moved: list[int]) -> Calibrating:
    """What a gate of this store keeps, and how far it moved its prices each time."""
    kept = Calibrating(
        store.calibration, Samples(b"key"), moved=lambda: moved.append(kept.offset_q)
    )
    kept.follow(RULES)
    return kept


async def have_timed_yesterday(store: Store, told: dict[str, Sample]) -> None:
    before, now_ms = await store.calibration.look()
    yesterday = now_ms // DAY_MS - 1
    after = read(before).told(yesterday, yesterday, told).text()
    assert await store.calibration.replace(before, after)


def test_two_gates_of_a_store_make_one_step_and_a_restart_keeps_it(
    open_store: Callable[[], Store],
) -> None:
    async def story() -> None:
        stores = [open_store() for _ in range(2)]
        await have_timed_yesterday(stores[0], FAST)
        moved: list[list[int]] = [[], [], []]
        gates = [calibrating(store, seen) for store, seen in zip(stores, moved, strict=False)]
        for _ in range(3):
            await asyncio.gather(*(gate.exchange() for gate in gates))
        assert moved == [[256], [256], []]
        for store in stores:
            await store.ledger.aclose()
        if not isinstance(stores[0].calibration, MemoryRecord):
            again = open_store()
            await calibrating(again, moved[2]).exchange()
            assert moved[2] == [256]
            await again.ledger.aclose()
        for store in stores:
            await store.limiter.aclose()

    asyncio.run(asyncio.wait_for(story(), timeout=60))


def test_the_climate_and_the_calibration_are_two_records(open_store: Callable[[], Store]) -> None:
    async def story() -> None:
        store = open_store()
        assert await store.calibration.replace(b"", b"speed")
        assert (await store.climate.look())[0] == b""
        assert await store.climate.replace(b"", b"load")
        assert (await store.calibration.look())[0] == b"speed"
        await store.limiter.aclose()
        await store.ledger.aclose()

    asyncio.run(asyncio.wait_for(story(), timeout=60))


class _StepsEachTime(SharedCalibration):
    """A wrong twin: takes no note of the day."""

    def stepped(self, today: int, calibration: Calibration) -> SharedCalibration:
        return SharedCalibration(
            {anchor: replace(step, day=-1) for anchor, step in self.steps.items()}, self.days
        ).stepped(today, calibration)


class _Overwrites(MemoryRecord):
    """A wrong twin: the last who writes is right, and what others told meanwhile is lost."""

    async def look(self) -> tuple[bytes, int]:
        found = await super().look()
        await asyncio.sleep(0)
        return found

    async def replace(self, before: bytes, after: bytes) -> bool:
        self._record = after
        return True


class _Races(_Overwrites):
    """The same for a gate to be interrupted in, but right."""

    async def replace(self, before: bytes, after: bytes) -> bool:
        return await MemoryRecord.replace(self, before, after)


def told_by_two(record: MemoryRecord) -> int:
    """How many samples there are after two gates told theirs at once."""

    async def story() -> int:
        gates = []
        for number in range(2):
            samples = Samples(b"key")
            client = f"192.0.2.{number}/32"
            for at_ms in (NOW_MS - 60_000, NOW_MS):
                samples.record(solved(300, client=client, at_ms=at_ms))
            gates.append(Calibrating(record, samples, moved=lambda: None))
            gates[-1].follow(RULES)
        await asyncio.gather(*(gate.exchange() for gate in gates))
        return len(read(record._record).samples(NOW_MS // DAY_MS))

    return asyncio.run(story())


def test_gates_that_tell_at_once_lose_nothing() -> None:
    assert told_by_two(_Races(clock=lambda: NOW_MS)) == 2
    assert told_by_two(_Overwrites(clock=lambda: NOW_MS)) == 1


def test_a_record_that_takes_no_note_of_the_day_is_seen_to_step_twice() -> None:
    found = _StepsEachTime().told(TODAY - 1, TODAY - 1, FAST)
    twin = _StepsEachTime(found.steps, found.days).stepped(TODAY, RULES)
    again = _StepsEachTime(twin.steps, twin.days).stepped(TODAY, RULES)
    assert (twin.offset_q(ANCHOR_Q), again.offset_q(ANCHOR_Q)) == (256, 512)


class _Fails(MemoryRecord):
    """Cannot be read, or is written by others each time."""

    fault: bool = True

    async def look(self) -> tuple[bytes, int]:
        if self.fault:
            raise StoreError("gone")
        return await super().look()

    async def replace(self, before: bytes, after: bytes) -> bool:
        return False


@pytest.mark.parametrize("fault", [True, False])
def test_what_could_not_be_told_is_told_later_and_prices_stay(fault: bool) -> None:
    moved: list[int] = []
    record = _Fails(clock=lambda: NOW_MS)
    record.fault = fault
    samples = Samples(b"key")
    for at_ms in (NOW_MS - 60_000, NOW_MS):
        samples.record(solved(300, at_ms=at_ms))
    kept = Calibrating(record, samples, moved=lambda: moved.append(1))
    kept.follow(RULES)
    asyncio.run(kept.exchange())
    assert moved == []
    assert len(samples.take()[1]) == 1


def test_a_default_price_that_is_said_anew_is_moved_when_the_store_was_asked() -> None:
    async def story() -> list[int]:
        moved: list[int] = []
        store = memory.open_store("")
        await have_timed_yesterday(store, FAST)
        kept = calibrating(store, moved)
        await kept.exchange()
        other = replace(RULES, anchor_q=ANCHOR_Q + 1)
        assert kept.offset_by(replace(RULES, target_ms=400)) == 256
        assert (kept.offset_by(other), kept.offset_by(None)) == (0, 0)
        kept.follow(other)
        assert kept.offset_q == 0
        await kept.exchange()
        kept.follow(None)
        await kept.exchange()
        return [*moved, kept.offset_q]

    assert asyncio.run(story()) == [256, 256, 0]


def test_it_tells_and_learns_as_often_as_it_is_let(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> int:
        store, turns = memory.open_store(""), asyncio.Semaphore(0)

        async def pause() -> None:
            await turns.acquire()

        await have_timed_yesterday(store, samples(4.1e6, 40))
        kept = Calibrating(store.calibration, Samples(b"key"), moved=turns.release, pause=pause)
        kept.follow(RULES)
        kept.start()
        kept.start()
        await turns.acquire()
        await kept.aclose()
        await kept.aclose()
        return kept.offset_q

    with caplog.at_level(logging.INFO):
        assert asyncio.run(asyncio.wait_for(story(), timeout=30)) == 229
    (line,) = [record.getMessage() for record in caplog.records if "moved" in record.getMessage()]
    assert line == (
        "prices said as times are moved by +0.22 bits, and were by +0.00: of 40 known networks "
        "timed yesterday the slow tenth does 4.09e+06 hashes a second or fewer"
    )

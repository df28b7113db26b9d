# SPDX-License-Identifier: Apache-2.0
"""Limits that cannot be, paces told by a clock value, and who is counted with whom."""

import asyncio
import ipaddress
import resource
from collections.abc import Iterator

import pytest

from pypow.errors import InvalidInputError
from pypow_server.connection_limits import (
    LOOPBACK,
    Attendance,
    ConnectionLimits,
    Network,
    Pace,
    counted_as,
    within_open_files,
)

PACE = ConnectionLimits(octets_s=100, grace_s=10)


@pytest.mark.parametrize(
    "name", ["head_s", "head_octets", "grace_s", "requests", "connections", "per_network"]
)
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{name}: expected more than 0"):
        ConnectionLimits(**{name: 0})


def test_a_negative_rate_is_refused_and_0_means_as_slow_as_they_like() -> None:
    with pytest.raises(InvalidInputError, match="octets_s"):
        ConnectionLimits(octets_s=-1)
    pace = Pace(ConnectionLimits(octets_s=0))
    assert not any(pace.is_too_slow(0, now=now) for now in range(0, 1000, 7))


@pytest.mark.parametrize(
    ("seen", "slow"),
    [
        ([(0, 0), (9, 0), (9.9, 0)], False),
        ([(0, 0), (10, 999)], True),
        ([(0, 0), (10, 1000)], False),
        ([(0, 500), (10, 1499)], True),
        ([(0, 0), (10, 1000), (19, 1000)], False),
        ([(0, 0), (10, 5000), (20, 5999)], True),
        ([(0, 0), (25, 2499)], True),
        ([(0, 0), (25, 2500)], False),
        ([(0, -5000), (10, -4000)], False),
    ],
)
def test_a_pace_is_held_against_each_grace_anew(seen: list[tuple[float, int]], slow: bool) -> None:
    pace = Pace(PACE)
    *before, last = [pace.is_too_slow(octets, now=now) for now, octets in seen]
    assert not any(before)
    assert last is slow


def test_what_rests_has_its_grace_again() -> None:
    pace = Pace(PACE)
    pace.is_too_slow(0, now=0)
    pace.rest()
    assert not pace.is_too_slow(0, now=30)
    assert not pace.is_too_slow(0, now=39)
    assert pace.is_too_slow(0, now=40)


class Looked:
    """A connection that notes when it was looked after."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.seen = asyncio.Event()

    def look_after(self, now: float) -> None:
        self.at.append(now)
        self.seen.set()


def test_no_more_are_admitted_than_the_limit_and_each_departure_makes_room() -> None:
    async def test() -> None:
        attendance = Attendance(ConnectionLimits(connections=3))
        first, *others = (Looked() for _ in range(4))
        assert attendance.admits(first, "192.0.2.1")
        assert [attendance.admits(one, "192.0.2.2") for one in others] == [True, True, False]
        attendance.leave(others[-1])  # was never taken in
        attendance.leave(first)
        attendance.leave(first)
        assert [attendance.admits(one, None) for one in (first, others[-1])] == [True, False]

    asyncio.run(test())


def test_one_network_cannot_take_the_room_of_another() -> None:
    async def test() -> None:
        attendance = Attendance(ConnectionLimits(per_network=2))
        addresses = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1", "192.0.2.1"]
        taken = [attendance.admits(Looked(), address) for address in addresses]
        assert taken == [True, True, False, True, True]
        attendance.leave(next(iter(attendance.present)))
        assert attendance.admits(Looked(), "2001:db8::4")

    asyncio.run(test())


def test_balancers_are_counted_in_all_but_not_by_network() -> None:
    async def test() -> None:
        behind = ConnectionLimits(per_network=1, connections=3)
        attendance = Attendance(behind, lambda: [ipaddress.IPv4Network("10.0.0.0/8")])
        taken = [attendance.admits(Looked(), "10.1.2.3") for _ in range(4)]
        assert taken == [True, True, True, False]

    asyncio.run(test())


def test_a_network_that_becomes_a_balancers_is_counted_no_more() -> None:
    async def test() -> None:
        trusted: list[Network] = []
        attendance = Attendance(ConnectionLimits(per_network=1), lambda: trusted)
        first = Looked()
        taken = [attendance.admits(one, "10.1.2.3") for one in (first, Looked())]
        trusted.append(ipaddress.IPv4Network("10.0.0.0/8"))
        taken += [attendance.admits(Looked(), "10.1.2.3") for _ in range(2)]
        trusted.clear()
        taken.append(attendance.admits(Looked(), "10.1.2.3"))
        attendance.leave(first)
        taken.append(attendance.admits(Looked(), "10.1.2.3"))
        assert taken == [True, False, True, True, False, True]

    asyncio.run(test())


@pytest.mark.parametrize("address", [None, "", "/run/gate.sock", "nonsense"])
def test_what_has_no_address_is_not_counted_by_network(address: str | None) -> None:
    assert counted_as(address, uncounted=()) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_not_counted_unless_told_so(address: str) -> None:
    assert counted_as(address, uncounted=LOOPBACK) is None
    assert counted_as(address, uncounted=()) is not None


def test_rounds_come_again_as_long_as_somebody_is_there() -> None:
    async def test() -> None:
        attendance = Attendance(ConnectionLimits(head_s=0.01))
        visitor = Looked()
        for _ in range(2):
            assert attendance.admits(visitor, None)
            for _ in range(2):
                visitor.seen.clear()
                await visitor.seen.wait()
            attendance.leave(visitor)
            # Whoever comes during the round that finds nobody else begins no second one.
        assert visitor.at == sorted(set(visitor.at))

    asyncio.run(asyncio.wait_for(test(), timeout=20))


@pytest.fixture
def files() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_process_asks_for_as_many_files_as_its_connections_need(
    files: tuple[int, int],
) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, files[1]))
    assert within_open_files(ConnectionLimits(connections=200), others=30) == 200
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 494


def test_it_takes_fewer_connections_where_it_may_not_have_the_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1084))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    assert within_open_files(ConnectionLimits(connections=4096), others=20) == 500
    assert asked == [(1084, 1084)]

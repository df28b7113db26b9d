# SPDX-License-Identifier: Apache-2.0
"""What operators see of calls that wait for their turn."""

import asyncio
from dataclasses import replace

import pytest

from pypow.admission import Lane
from pypow.pricing import UNIT
from pypow_server import logs
from pypow_server.crowd.turn_figures import TurnFigures
from pypow_server.crowd.turns import Turns
from pypow_server.metrics import Metrics
from support.decisions import ADMITTED, refused
from support.played_loop import played, played_ns


def figures(shown: TurnFigures) -> dict[str, float]:
    metrics = Metrics(version="1", kernel="k")
    metrics.show(shown)
    lines = metrics.exposition("text/plain")[0].decode().splitlines()
    found = (
        line.rpartition(" ") for line in lines if line.startswith(("pypow_turn", "pypow_sent"))
    )
    return {name: float(value) for name, _, value in found if "_bucket" not in name}


def test_waits_and_who_is_sent_away_are_told_by_lane() -> None:
    shown = TurnFigures(Turns(5 * UNIT))
    shown.record(ADMITTED)  # it did not wait
    shown.record(replace(ADMITTED, lane="known", waited_ms=1500))
    shown.record(replace(refused(problem="already-spent"), lane="known", waited_ms=500))
    shown.record(replace(refused(problem="busy"), lane="new", waited_ms=2000))
    shown.record(refused(problem="busy"))  # of large bodies
    told = figures(shown)
    assert told['pypow_turn_wait_seconds_count{lane="known"}'] == 2
    assert told['pypow_turn_wait_seconds_sum{lane="known"}'] == 2
    assert told['pypow_turn_wait_seconds_count{lane="new"}'] == 0
    assert told['pypow_sent_away_total{lane="new"}'] == 1
    assert told['pypow_sent_away_total{lane="known"}'] == 0
    assert (told["pypow_turns_waiting"], told["pypow_turns_places"]) == (0, 10)


def test_how_many_wait_is_told_as_of_now() -> None:
    async def story() -> None:
        line = Turns(5 * UNIT, clock=played_ns)
        assert line.begin(1)
        waiting = asyncio.create_task(line.wait(1, "who", Lane.NEW, 0, 1))
        await asyncio.sleep(0.01)
        assert figures(TurnFigures(line))["pypow_turns_waiting"] == 1
        assert await waiting

    played(story)


def test_there_is_nothing_to_tell_where_nobody_has_to_wait() -> None:
    assert figures(TurnFigures(Turns())) == {}


def test_the_log_says_of_a_call_where_and_how_long_it_waited(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "pypow_server")
    logs.record(replace(refused(problem="busy"), lane="new", waited_ms=2000))
    logs.record(refused(problem="busy"))
    waited, other = caplog.messages
    assert "lane=new waited_ms=2000" in waited
    assert "lane=" not in other

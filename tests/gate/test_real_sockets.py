# SPDX-License-Identifier: Apache-2.0
"""Known callers under a flood, on real sockets: two gates, one Redis, real solves."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import sockets
import sockets_page
from sockets_plays import FLOODS, WORLD

SECONDS = float(os.environ.get("PYPOW_TEST_SECONDS", WORLD.seconds))
SMALL = replace(WORLD, seconds=10, capacity=5, callers=15, calls_per_min=4, patience_s=3)
ANSWERS = {"200", "402 work-required", "429 early", "gave up"}
FEW = replace(FLOODS["one-256"], addresses=60, connections=100)


def test_gates_that_know_the_capacity_send_an_upstream_no_more_than_that(tmp_path: Path) -> None:
    play = sockets.played(FEW, SMALL, tmp_path, ordered=True, history_min=10)
    assert {*play.told, *play.attackers_told} <= {*ANSWERS, "503 busy"}
    assert play.attackers_told["503 busy"] > 0
    assert play.outcome.attacker_per_s > 0


@pytest.mark.deep
def test_gates_that_do_not_know_it_send_more(tmp_path: Path) -> None:
    play = sockets.played(FEW, SMALL, tmp_path, ordered=False, history_min=10)
    assert {*play.told, *play.attackers_told} <= {*ANSWERS, "503"}
    assert play.attackers_told["503"] > 0


@pytest.mark.deep
@pytest.mark.parametrize("flood", FLOODS)
def test_known_callers_are_served_whatever_floods_the_gates(flood: str, tmp_path: Path) -> None:
    world = replace(WORLD, seconds=SECONDS)
    play = sockets.played(FLOODS[flood], world, tmp_path, ordered=True)
    assert sockets_page.holds(play.outcome.known), sockets_page.line(play, SECONDS)

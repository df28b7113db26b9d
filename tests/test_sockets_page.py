# SPDX-License-Identifier: Apache-2.0
"""docs/evidence/sockets.md says what was kept of runs on real sockets."""

import dataclasses
from pathlib import Path

import pytest

import sockets_page
import sockets_plays
from pypow.laboratory.outcome import Group
from sockets_plays import FLOODS, Play

SAVED = sockets_plays.load()
assert SAVED is not None
ORDERED = [play for play in SAVED.plays if play.ordered]


def test_the_page_is_what_was_kept() -> None:
    assert SAVED is not None
    text = sockets_page.PAGE.read_text(encoding="utf-8")
    assert text == sockets_page.page(SAVED), "run: python benchmarks/sockets.py --render"


def test_what_was_kept_is_kept_again_as_it_was(tmp_path: Path) -> None:
    assert SAVED is not None
    path = tmp_path / "kept.json"
    sockets_plays.save(SAVED, path)
    assert path.read_bytes() == sockets_plays.KEPT.read_bytes()


def test_every_flood_is_kept_in_both_orders() -> None:
    assert SAVED is not None
    kept = [(play.flood, play.ordered) for play in SAVED.plays]
    assert kept == [(name, ordered) for name in FLOODS for ordered in (False, True)]


@pytest.mark.parametrize("play", ORDERED, ids=lambda play: play.flood)
def test_known_callers_held_in_what_was_kept(play: Play) -> None:
    assert sockets_page.holds(play.outcome.known)


@pytest.mark.parametrize(
    "known",
    [
        Group(100, 0.98, 0.1, 0.2, 0.3),
        Group(100, 1.0, 0.1, 0.2, 1.6),
        Group(100, 0.0, None, None, None),
        Group(0, None, None, None, None),
    ],
)
def test_callers_who_wait_or_are_not_served_miss_the_goal(known: Group) -> None:
    assert not sockets_page.holds(known)


def test_another_play_is_put_in_the_place_of_the_one_like_it() -> None:
    assert SAVED is not None
    other = dataclasses.replace(SAVED.plays[0], gate_cpu=0.5)
    kept = sockets_plays.with_play(SAVED, other, SAVED.machine, SAVED.seconds)
    assert list(kept.plays) == [other, *SAVED.plays[1:]]
    alone = sockets_plays.with_play(SAVED, other, SAVED.machine, SAVED.seconds + 1)
    assert list(alone.plays) == [other]

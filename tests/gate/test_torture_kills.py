# SPDX-License-Identifier: Apache-2.0
"""Gates that are killed under load, again and again: what was spent stays spent."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.forked_gates import KILLED, nursery
from support.proof_load import Books, callers, counting_upstream, replay

KILLS = 10
DEEP_KILLS = int(os.environ.get("PYPOW_TORTURE_KILLS", "1000"))

OPTIONS = ("--bits", "1", "--public-url", "http://gate.example")
ADMITTED_BEFORE_A_KILL = 10


@dataclass(frozen=True, slots=True)
class Story:
    """What became of a gate's promise: replays admitted, proofs admitted twice or by no app."""

    admitted: int
    doubtful: int
    replays_admitted: int
    doubles: int
    unearned: int

    @property
    def kept(self) -> bool:
        return not (self.replays_admitted or self.doubles or self.unearned)


async def kill_gates(home: Path, kills: int, *options: str, twin: str | None = None) -> Story:
    """Kill a gate in the middle of its work, start it anew and send all of its proofs again."""
    books = Books()
    doubtful = replays_admitted = admitted = unearned = 0
    with nursery(home) as parent:
        async with counting_upstream(books) as upstream:
            gate = parent.start(upstream, *OPTIONS, *options, twin=twin)
            for _ in range(kills):
                books.admitted.clear()
                books.doubtful.clear()
                async with callers([gate.url], books):
                    await books.until_admitted(ADMITTED_BEFORE_A_KILL)
                    assert parent.end(gate) == KILLED
                paid, unsure = dict(books.admitted), dict(books.doubtful)
                gate = parent.start(upstream, *OPTIONS, *options, twin=twin)
                told = await replay(gate.url, books, paid)
                assert None not in told
                replays_admitted += told[200]
                await replay(gate.url, books, unsure)  # one of the two may pass, or none
                admitted += len(paid)
                doubtful += len(unsure)
                unearned += len(books.unearned)
    return Story(
        admitted=admitted,
        doubtful=doubtful,
        replays_admitted=replays_admitted,
        doubles=len(books.doubles),
        unearned=unearned,
    )


def test_a_gate_that_is_killed_forgets_no_spend(tmp_path: Path) -> None:
    story = asyncio.run(kill_gates(tmp_path, KILLS))
    assert story.kept, story
    assert story.admitted >= KILLS * ADMITTED_BEFORE_A_KILL


def test_a_ledger_that_forgets_when_it_is_killed_is_caught(tmp_path: Path) -> None:
    story = asyncio.run(kill_gates(tmp_path, 1, "--store", "memory:", twin="forgets_on_restart"))
    assert not story.kept, story


@pytest.mark.deep
def test_a_thousand_killed_gates_forget_no_spend(tmp_path: Path) -> None:
    story = asyncio.run(kill_gates(tmp_path, DEEP_KILLS))
    print(story)
    assert story.kept, story

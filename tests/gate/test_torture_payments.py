# SPDX-License-Identifier: Apache-2.0
"""Gates that sell for sats and are killed under load: no payment is refused unspent or spent twice.

A payment is spent before its call travels on. So whoever a kill meets in between comes again to
hear that it is spent; nobody can tell then whether the call was done, and twice would be worse.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from support.forked_gates import KILLED, nursery
from support.payment_load import Purse
from support.proof_load import Books, callers, counting_upstream, replay

pytest.importorskip("coincurve", reason="signatures need the extra l402")

KILLS = 5
DEEP_KILLS = int(os.environ.get("PYPOW_TORTURE_PAYMENT_KILLS", "200"))

MOST_BEFORE_A_KILL = 20
LONGEST_CALL_S = 0.02
HOST = "http://localhost"
SETTINGS = """
[l402]
wallet = "development:"
invoices = "1000000/1s"
all_invoices = "1000000/1s"

[default]
bits = 20
sats = 5
"""


@dataclass(slots=True)
class Story:
    """What became of all that was paid, payment by payment.

    Attributes:
        answered: got their call before the kill.
        late: got no answer, and their call when they came again with the same payment.
        doubtful: got no answer, and are spent: the upstream did the call, its answer was lost.
        stranded: got no answer, and are spent: the gate died before the upstream heard of them.
        refused: paid, got no answer, and were then told anything but that.
        replays_admitted: got another call after one that was answered.
        doubles: got to the upstream more than once.
        unearned: answered by no upstream.
    """

    answered: int = 0
    late: int = 0
    doubtful: int = 0
    stranded: int = 0
    refused: int = 0
    replays_admitted: int = 0
    doubles: int = 0
    unearned: int = 0

    @property
    def kept(self) -> bool:
        return not (self.refused or self.replays_admitted or self.doubles or self.unearned)

    def count(self, unanswered: set[str], books: Books) -> None:
        """What they were told who had paid and came again."""
        for name in unanswered:
            if name in books.admitted:
                self.late += 1
            elif name not in books.spent:
                self.refused += 1
            elif books.reached[name]:
                self.doubtful += 1
            else:
                self.stranded += 1


async def kill_sellers(
    home: Path,
    kills: int,
    store: str,
    *,
    twin: str | None = None,
    hosts: tuple[str, str] = (HOST, HOST),
) -> Story:
    """Kill a gate somewhere between payment and answer, start it anew, and send all again."""
    config = home / "pypow.toml"
    config.write_text(SETTINGS, encoding="utf-8")
    options = ("--config", str(config), "--store", store, "--public-url")
    story, books, random = Story(), Books(), Random(kills)
    with nursery(home) as parent:
        async with counting_upstream(books) as upstream:
            gate = parent.start(upstream, *options, hosts[0], twin=twin)
            for _ in range(kills):
                purse = Purse()
                books.admitted.clear()
                async with callers([gate.url], books, earn=purse.buy):
                    await books.until_admitted(random.randint(1, MOST_BEFORE_A_KILL))
                    # Not always as an answer comes in: anywhere in the life of the next calls.
                    await asyncio.sleep(random.uniform(0, LONGEST_CALL_S))
                    assert parent.end(gate) == KILLED
                answered = dict(books.admitted)
                unanswered = purse.paid.keys() - answered
                gate = parent.start(upstream, *options, hosts[1], twin=twin)
                told = await replay(gate.url, books, answered)
                assert None not in told
                await replay(gate.url, books, {name: purse.paid[name] for name in unanswered})
                story.answered += len(answered)
                story.replays_admitted += told[200]
                story.count(unanswered, books)
                story.unearned += len(books.unearned)
    story.doubles = len(books.doubles)
    return story


def over_sqlite(home: Path) -> str:
    return f"sqlite:{home / 'spent.db'}"


def test_a_seller_that_is_killed_takes_every_unspent_payment_and_none_twice(tmp_path: Path) -> None:
    story = asyncio.run(kill_sellers(tmp_path, KILLS, over_sqlite(tmp_path)))
    assert story.kept, story
    assert story.answered >= KILLS, story
    assert story.late + story.doubtful, story


def test_a_ledger_that_forgets_payments_when_it_is_killed_is_caught(tmp_path: Path) -> None:
    story = asyncio.run(kill_sellers(tmp_path, 1, "memory:", twin="forgets_on_restart"))
    assert story.replays_admitted, story
    assert story.doubles, story


def test_a_seller_that_no_longer_knows_its_offers_is_caught(tmp_path: Path) -> None:
    hosts = (HOST, "http://127.0.0.1")
    story = asyncio.run(kill_sellers(tmp_path, 1, over_sqlite(tmp_path), hosts=hosts))
    assert story.refused, story


@pytest.mark.deep
def test_two_hundred_killed_sellers_take_every_unspent_payment_and_none_twice(
    tmp_path: Path,
) -> None:
    story = asyncio.run(kill_sellers(tmp_path, DEEP_KILLS, over_sqlite(tmp_path)))
    print(story)
    assert story.kept, story
    assert story.late, story

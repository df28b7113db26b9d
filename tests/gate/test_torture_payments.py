# SPDX-License-Identifier: Apache-2.0
"""Gates that sell for sats and are killed under load: whoever paid gets an answer, and once.

A payment is spent before its call travels on. Whoever a kill meets in between comes again with the
same credential, and gets the call: at once where it was not spent, and as soon as the killed gate
is taken for dead where it was. What a kill can cost the seller is what it had answered and not yet
said so: at most one call of each caller, because the next spend of a caller says it as well.
"""

import asyncio
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from pypow_server.sold.recount import Recount, recounted
from pypow_server.stores.books import open_books
from support.forked_gates import KILLED, nursery
from support.payment_load import Purse
from support.proof_load import Books, Headers, callers, counting_upstream, replay

pytest.importorskip("coincurve", reason="signatures need the extra l402")

KILLS = 5
DEEP_KILLS = int(os.environ.get("PYPOW_TORTURE_PAYMENT_KILLS", "200"))
DEEP_REDIS_KILLS = DEEP_KILLS // 4

CALLERS = 8
MOST_BEFORE_A_KILL = 20
LONGEST_CALL_S = 0.02
RETRY_S = 0.5
PATIENCE_S = 60.0
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
        kills: how many gates died.
        answered: got their call before the kill.
        late: got no answer then, and their call when they came again with the same payment.
        handed_on: of these, the calls that had reached the upstream before.
        lost: paid, and never got an answer.
        refused: paid, and were told anything but to wait, or that it is spent.
        repeated: got another answer after the first.
        repeated_later: got one once all was said.
        doubles: got to the upstream more often than they were answered or met by a kill.
        unearned: answered by no upstream.
    """

    kills: int = 0
    answered: int = 0
    late: int = 0
    handed_on: int = 0
    lost: int = 0
    refused: int = 0
    repeated: int = 0
    repeated_later: int = 0
    doubles: int = 0
    unearned: int = 0

    @property
    def kept(self) -> bool:
        wrong = (self.lost, self.refused, self.repeated_later, self.doubles, self.unearned)
        return not any(wrong) and self.repeated <= CALLERS * self.kills


@dataclass(slots=True)
class Debts:
    """Who paid, and was met by a kill, over all of a story.

    Attributes:
        answered: had their answer before it.
        unanswered: had none.
        reached: those of the unanswered whose call the upstream had seen.
    """

    answered: dict[str, Headers] = field(default_factory=dict)
    unanswered: dict[str, Headers] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)

    def note(self, purse: Purse, books: Books) -> None:
        """A gate was just killed that all in this purse had paid."""
        for name, headers in purse.paid.items():
            if books.answers[name]:
                self.answered[name] = headers
            else:
                self.unanswered[name] = headers
                if books.reached[name]:
                    self.reached.add(name)


async def until_told(url: str, books: Books, payments: dict[str, Headers]) -> None:
    """Send payments again and again until each is told something else than to wait."""
    waiting = dict(payments)
    async with asyncio.timeout(PATIENCE_S):
        while waiting:
            books.doubtful.clear()
            await replay(url, books, waiting)
            waiting = {name: waiting[name] for name in waiting if name in books.doubtful}
            if waiting:
                await asyncio.sleep(RETRY_S)  # as they are told


def judged(story: Story, debts: Debts, books: Books) -> Story:
    """What is found in the books at the end."""

    def count(found: Iterable[bool]) -> int:
        return sum(map(bool, found))

    story.answered = len(debts.answered)
    story.late = count(books.answers[name] > 0 for name in debts.unanswered)
    story.handed_on = count(books.answers[name] > 0 for name in debts.reached)
    left_out = [name for name in debts.unanswered if not books.answers[name]]
    story.refused = count(name not in books.spent for name in left_out)
    story.lost = len(left_out) - story.refused
    story.repeated = sum(times - 1 for times in books.answers.values())
    story.doubles = count(
        times > books.answers[name] + (name in debts.unanswered)
        for name, times in books.reached.items()
    )
    story.unearned = count(not books.reached[name] for name in books.answers)
    return story


async def kill_sellers(
    home: Path,
    kills: int,
    store: str,
    *,
    twin: str | None = None,
    hosts: tuple[str, str] = (HOST, HOST),
    least: int = 1,
) -> Story:
    """Kill gates somewhere between payment and answer, start them anew, and send all again.

    Each has answered ``least`` calls or more. They know themselves by ``hosts`` in turn.
    """
    config = home / "pypow.toml"
    config.write_text(SETTINGS, encoding="utf-8")
    options = ("--config", str(config), "--store", store, "--public-url")
    story, books, debts, random = Story(kills), Books(), Debts(), Random(kills)
    with nursery(home) as parent:
        async with counting_upstream(books) as upstream:
            gate = parent.start(upstream, *options, hosts[0], twin=twin)
            for number in range(1, kills + 1):
                purse = Purse()
                async with callers([gate.url], books, count=CALLERS, earn=purse.buy, hear_out=True):
                    await books.until_admitted(random.randint(least, MOST_BEFORE_A_KILL))
                    # Not always as an answer comes in: anywhere in the life of the next calls.
                    await asyncio.sleep(random.uniform(0, LONGEST_CALL_S))
                    assert parent.end(gate) == KILLED
                debts.note(purse, books)
                gate = parent.start(upstream, *options, hosts[number % 2], twin=twin)
            everybody = debts.answered | debts.unanswered
            await until_told(gate.url, books, everybody)
            judged(story, debts, books)
            before = books.answers.total()
            await until_told(gate.url, books, everybody)
            story.repeated_later = books.answers.total() - before
    return story


def over_sqlite(home: Path) -> str:
    return f"sqlite:{home / 'spent.db'}"


def require_true_books(home: Path, story: Story) -> None:
    """Every payment that was answered is one sale of one call, by its sale and by its spends."""
    with closing(open_books(over_sqlite(home))) as books:
        found = recounted(books.counted())
    served = story.answered + story.late
    assert found == Recount(payments=served, calls=served, spends=served), story


def test_a_seller_that_is_killed_answers_everybody_who_paid(tmp_path: Path) -> None:
    story = asyncio.run(kill_sellers(tmp_path, KILLS, over_sqlite(tmp_path)))
    assert story.kept, story
    assert story.answered >= KILLS, story
    assert story.late, story
    require_true_books(tmp_path, story)


def test_a_ledger_that_forgets_payments_when_it_is_killed_is_caught(tmp_path: Path) -> None:
    story = asyncio.run(
        kill_sellers(tmp_path, 1, "memory:", twin="forgets_on_restart", least=MOST_BEFORE_A_KILL)
    )
    assert story.repeated > CALLERS, story


def test_a_ledger_that_hands_no_use_on_is_caught(tmp_path: Path) -> None:
    story = asyncio.run(kill_sellers(tmp_path, KILLS, over_sqlite(tmp_path), twin="hands_on_none"))
    assert story.lost, story


def test_a_ledger_that_does_not_hear_of_answers_is_caught(tmp_path: Path) -> None:
    store = over_sqlite(tmp_path)
    story = asyncio.run(
        kill_sellers(tmp_path, 1, store, twin="hears_nothing", least=MOST_BEFORE_A_KILL)
    )
    assert story.repeated > CALLERS, story


def test_a_seller_that_no_longer_knows_its_offers_is_caught(tmp_path: Path) -> None:
    hosts = (HOST, "http://127.0.0.1")
    # One kill may meet nobody who has paid and has no answer yet. Every other one is of the first.
    story = asyncio.run(kill_sellers(tmp_path, KILLS, over_sqlite(tmp_path), hosts=hosts))
    assert story.refused, story


@pytest.mark.deep
def test_two_hundred_killed_sellers_answer_everybody_who_paid(tmp_path: Path) -> None:
    story = asyncio.run(kill_sellers(tmp_path, DEEP_KILLS, over_sqlite(tmp_path)))
    print(story)
    assert story.kept, story
    assert story.handed_on, story
    require_true_books(tmp_path, story)


@pytest.mark.deep
@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_killed_sellers_over_redis_answer_everybody_who_paid(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(f"{kind}_server")
    store = f"{server.url}?deployment=killed-sellers"
    story = asyncio.run(kill_sellers(tmp_path, DEEP_REDIS_KILLS, store))
    print(story)
    assert story.kept, story
    assert story.handed_on, story

# SPDX-License-Identifier: Apache-2.0
"""Redis that is wiped, put back and failed over under load: a re-solve, and no double spend.

Two gates share one Redis. Each reaches it at an address that can be moved to another server.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from support.fault_proxy import ThreadedFaultProxy, fault_proxy
from support.forked_gates import nursery
from support.proof_load import Books, callers, counting_upstream, earn, present, replay
from support.redis_server import DURABLE, RedisServer

LOSSES = 5
DEEP_LOSSES = int(os.environ.get("PYPOW_TORTURE_LOSSES", "200"))
KILLS = 4
DEEP_KILLS = int(os.environ.get("PYPOW_TORTURE_KILLS", "1000"))
ADMITTED_BETWEEN = 12

OPTIONS = ("--bits", "1", "--public-url", "http://gate.example")


class Servers:
    """The Redis that two gates see, each through a proxy of its own, and how it comes to grief."""

    def __init__(self, folder: Path, stack: ExitStack, *options: str) -> None:
        self._folder = folder
        self._stack = stack
        self._options = options
        self._made = 0
        self._old: RedisServer | None = None
        self.master = self._make()
        self.proxies = [stack.enter_context(fault_proxy(self.master.port)) for _ in range(2)]
        stack.callback(lambda: self.master.kill())  # noqa: PLW0108 - whichever it is by then

    def _make(self) -> RedisServer:
        self._made += 1
        at_once = ("--repl-diskless-sync-delay", "0")
        return RedisServer(self._folder / f"redis {self._made}", *at_once, *self._options)

    def wipe(self, go_on: Callable[[], None]) -> None:
        """Somebody clears it."""
        go_on()
        self.master.ask("FLUSHALL")

    def put_back(self, go_on: Callable[[], None]) -> None:
        """It comes up again with what it had saved a while ago."""
        self.master.ask("SAVE")
        go_on()
        self.master.restart()

    def restart(self, go_on: Callable[[], None]) -> None:
        """It is killed, and comes up again."""
        go_on()
        self.master.restart()

    def fail_over(self, go_on: Callable[[], None]) -> None:
        """It dies, and a replica that has seen everything it was sent takes its place."""
        replica = self._make()
        replica.replicate(self.master)
        go_on()
        self.master.kill()
        replica.promote()
        self._moved(replica, self.proxies)

    def fail_over_to_a_replica_that_lags(self, go_on: Callable[[], None]) -> None:
        """It dies, and what takes its place has not heard of the last spends."""
        replica = self._make()
        replica.replicate(self.master)
        replica.promote()
        go_on()
        self.master.kill()
        self._moved(replica, self.proxies)

    def split(self, go_on: Callable[[], None]) -> None:
        """One gate takes a replica for the master while the other still sees the old one."""
        replica = self._make()
        replica.replicate(self.master)
        replica.promote()
        self._moved(replica, self.proxies[1:])
        go_on()
        assert self._old is not None
        self._old.kill()
        self._moved(replica, self.proxies)

    def _moved(self, replica: RedisServer, proxies: list[ThreadedFaultProxy]) -> None:
        self._old, self.master = self.master, replica
        for proxy in proxies:
            proxy.retarget(replica.port)


@dataclass(slots=True)
class Story:
    """What became of the gates' promise, and how long honest callers waited."""

    admitted: int = 0
    doubtful: int = 0
    replays_admitted: int = 0
    doubles: int = 0
    unearned: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    waits_s: list[float] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        return not (self.replays_admitted or self.doubles or self.unearned)


async def served_again(url: str, books: Books) -> None:
    """What an honest caller does: ask, solve and send until it is served."""
    async with aiohttp.ClientSession() as session:
        while True:
            earned = await earn(session, url)
            if earned is not None and await present(session, url, books, *earned) == 200:
                return
            await asyncio.sleep(0.01)


async def lose(
    home: Path,
    servers: Servers,
    losses: list[Callable[[Callable[[], None]], None]],
    twin: str | None = None,
) -> Story:
    """One loss after the other, with callers at work all the time, and replays after each."""
    books, story, loop = Books(), Story(), asyncio.get_running_loop()

    def go_on() -> None:
        more = asyncio.run_coroutine_threadsafe(books.until_admitted(ADMITTED_BETWEEN), loop)
        more.result()

    with nursery(home) as parent:
        async with counting_upstream(books) as upstream:
            urls = [f"redis://127.0.0.1:{proxy.port}/0" for proxy in servers.proxies]
            gates = [
                parent.start(upstream, *OPTIONS, "--store", url, twin=twin).url for url in urls
            ]
            async with callers(gates, books):
                for lose_something in losses:
                    books.admitted.clear()
                    books.doubtful.clear()
                    await asyncio.to_thread(lose_something, go_on)
                    lost_at = time.monotonic()
                    await asyncio.gather(*(served_again(gate, books) for gate in gates))
                    story.waits_s.append(time.monotonic() - lost_at)
                    paid, unsure = dict(books.admitted), dict(books.doubtful)
                    for gate in gates:
                        story.replays_admitted += (await replay(gate, books, paid))[200]
                        await replay(gate, books, unsure)  # each may pass once, if it has not
                    story.admitted += len(paid)
                    story.doubtful += len(unsure)
    story.doubles, story.unearned = len(books.doubles), len(books.unearned)
    story.statuses = books.statuses
    return story


def all_losses(servers: Servers, times: int) -> list[Callable[[Callable[[], None]], None]]:
    kinds = [
        servers.wipe,
        servers.put_back,
        servers.fail_over,
        servers.fail_over_to_a_replica_that_lags,
        servers.split,
    ]
    return [kinds[turn % len(kinds)] for turn in range(times)]


def told(home: Path, times: int, twin: str | None = None) -> Story:
    with ExitStack() as stack:
        servers = Servers(home, stack)
        return asyncio.run(lose(home, servers, all_losses(servers, times), twin))


def test_a_redis_that_loses_what_it_knew_costs_a_solution_and_admits_nothing_twice(
    tmp_path: Path,
) -> None:
    story = told(tmp_path, LOSSES)
    assert story.kept, story


def test_gates_that_look_at_no_epoch_are_caught(tmp_path: Path) -> None:
    assert not told(tmp_path, LOSSES, twin="redis_without_epochs").kept


def test_a_redis_that_is_killed_and_keeps_its_log_forgets_no_spend(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = Servers(tmp_path, stack, *DURABLE)
        story = asyncio.run(lose(tmp_path, servers, [servers.restart] * KILLS))
    assert story.kept, story


@pytest.mark.deep
def test_two_hundred_losses_of_redis_admit_nothing_twice(tmp_path: Path) -> None:
    story = told(tmp_path, DEEP_LOSSES)
    print(f"longest wait {max(story.waits_s):.2f} s", story)
    assert story.kept, story


@pytest.mark.deep
def test_a_thousand_kills_of_redis_forget_no_spend(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = Servers(tmp_path, stack, *DURABLE)
        story = asyncio.run(lose(tmp_path, servers, [servers.restart] * DEEP_KILLS))
    print(f"longest wait {max(story.waits_s):.2f} s", story)
    assert story.kept, story

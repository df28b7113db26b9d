# SPDX-License-Identifier: Apache-2.0
"""What prices cost the gate: a quote, a look at redeeming, an admission, a turn in the queue.

    python benchmarks/pricing.py --save benchmarks/results

By CPU time, in turns. A principal in overdraft, so that nothing is skipped, with one account or
with four: its own and those of three networks.
"""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

from document import Row, measured, save, summary, table
from pypow import Key
from pypow.admission import Lane, Queue, Waiting
from pypow.challenge import Issuer
from pypow.pricing import (
    UNIT,
    Account,
    Level,
    Principal,
    Quote,
    Tariff,
    admit,
    may_redeem,
    quote,
)

ROUNDS = 41
CALLS = 500
NOW_MS = 1_800_000_000_000
TARIFF = Tariff()
KEY = Key(id=1, secret=bytes(32))
LEVELS = 4
WAITING = (100, 4000)


def in_overdraft(levels: int) -> Principal:
    account = replace(Account.new(TARIFF.constants, NOW_MS), credit=-20 * UNIT, minutes=3)
    shares = (1, 16, 64)[: levels - 1]
    return Principal(account, tuple(Level(account, share) for share in shares), identified=True)


def issued(principal: Principal) -> bytes:
    """A challenge of its own for each price: more than the gate does, which keeps a few ready."""
    offered = quote(principal, 1, TARIFF, NOW_MS + 500)
    if not isinstance(offered, Quote):
        raise TypeError("expected a price for somebody who is not far in overdraft")
    issuer = Issuer(KEY, q=offered.q, puzzles=16, overdraft=offered.overdraft)
    return issuer.issue(now_ms=NOW_MS, epoch=0, identity=os.urandom(16))


def queued(waiting: int) -> Callable[[], object]:
    """One call joins a queue of so many principals, and one is served."""
    draw, numbers = Random(0), count()
    queue = Queue(waiting + 1, draw.randrange)

    def join() -> None:
        number = next(numbers)
        queue.join(Waiting(number, number, Lane(number % 3), draw.randrange(1 << 20), NOW_MS))

    def turn() -> None:
        join()
        queue.take()

    for _ in range(waiting):
        join()
    return turn


def calls() -> Mapping[str, Callable[[], object]]:
    principals = {1: in_overdraft(1), LEVELS: in_overdraft(LEVELS)}
    found: dict[str, Callable[[], object]] = {}
    for levels, one in principals.items():
        found[f"quote {levels}"] = partial(quote, one, 1, TARIFF, NOW_MS + 500)
        found[f"redeem {levels}"] = partial(may_redeem, 99, one, 1, TARIFF, NOW_MS + 500)
        found[f"admit {levels}"] = partial(admit, one, 1, TARIFF, NOW_MS + 500)
    found["issue"] = partial(issued, principals[LEVELS])
    found |= {f"queue {waiting}": queued(waiting) for waiting in WAITING}
    return found


def microseconds() -> dict[str, list[float]]:
    """CPU time of each call in each round."""
    timed = calls()
    found: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(ROUNDS):
        for name, call in timed.items():
            started = time.process_time_ns()
            for _ in range(CALLS):
                call()
            found[name].append((time.process_time_ns() - started) / CALLS / 1000)
    return found


def rows() -> list[Row]:
    """All figures."""
    us = microseconds()

    def level(name: str, says: str) -> Row:
        each: Sequence[float] = [
            (wide - narrow) / (LEVELS - 1)
            for wide, narrow in zip(us[f"{name} {LEVELS}"], us[f"{name} 1"], strict=True)
        ]
        return summary(f"{name}, each further level", each, "us", says)

    return [
        summary("quote", us["quote 1"], "us", "one account"),
        level("quote", "what a network adds"),
        summary("redeem", us["redeem 1"], "us", "whether a proof may be spent now; one account"),
        level("redeem", "what a network adds"),
        summary("admit", us["admit 1"], "us", "one account"),
        level("admit", "what a network adds"),
        summary("quote and issue", us["issue"], "us", f"{LEVELS} accounts, a fresh challenge"),
        *(
            summary(f"turn in a queue of {waiting}", us[f"queue {waiting}"], "us", "join and take")
            for waiting in WAITING
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    document = measured("pricing", rows())
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

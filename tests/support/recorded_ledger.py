# SPDX-License-Identifier: Apache-2.0
"""A program that spends in a SQLite ledger while `recorded_writes.c` notes what it writes.

Each key that was won is written to a file beside the ledger: from then on, somebody was told. Every
other key is paid for with money, and every other one of those is answered in the next batch: that
is written as well.
"""

import hashlib
import os
import sys
from pathlib import Path
from typing import Final

from pypow_server.sale import Sale
from pypow_server.stores import Spend, sqlite_file
from pypow_server.stores.attempts import Attempt, Ending
from pypow_server.stores.operations import Claim, End
from pypow_server.stores.spend_file import SpendFile
from support.ledger_contract import EXPIRES_AT_MS, NOW_MS

ANSWERS: Final = "answers"
LEDGER: Final = "ledger.db"
SPENT: Final = b"spent "
PAID: Final = b"paid "
END: Final = b"end "
ENDED: Final = b"ended "
LIFE: Final = b"a life  "
REQUEST: Final = b"a request       "
CHECKPOINT_PAGES: Final = 24
"""So few that a short story has many checkpoints."""


def claim(key: bytes) -> Claim:
    """A spend of this key that only a record of it can lose."""
    return Claim(key, None, EXPIRES_AT_MS, NOW_MS, 1)


def payment(key: bytes, *, life: bytes = LIFE, request: bytes = REQUEST) -> Claim:
    """A spend of this key that is paid for, by a process that is dead at once."""
    return Claim(
        key,
        None,
        EXPIRES_AT_MS,
        NOW_MS,
        1,
        sale=Sale(key[:32], 5, "sold", 1, "l402", NOW_MS),
        attempt=Attempt(request, life, 1, 1, 0),
    )


def opened(folder: Path) -> SpendFile:
    """The ledger's file in this folder."""
    return SpendFile(folder / LEDGER, clock=lambda: NOW_MS, busy_timeout_ms=1_000)


def spend(folder: Path, batches: int, synchronous: str) -> None:
    """Spend batches of one, two and up to seven keys, and open the file anew halfway."""
    answers = os.open(folder / ANSWERS, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for half in range(2):
        file = opened(folder)
        file._db.execute(f"PRAGMA synchronous = {synchronous}")
        for number in range(half * batches // 2, (half + 1) * batches // 2):
            names = [b"%d %d" % (number, each) for each in range(1 + number % 7)]
            keys = [hashlib.sha256(name).hexdigest().encode() for name in names]
            spends = [(payment if each % 2 else claim)(key) for each, key in enumerate(keys)]
            assert set(file.apply(spends)) == {Spend.WON}
            lines = [(PAID if each.sale else SPENT) + each.key + b"\n" for each in spends]
            os.write(answers, b"".join(lines))
            paid = [each for each in spends if each.attempt is not None][::2]
            ends = [End(each.key, each.attempt, Ending.ANSWERED) for each in paid if each.attempt]
            if ends:
                os.write(answers, b"".join(END + each.key + b"\n" for each in ends))
                assert set(file.apply(ends)) == {True}
                os.write(answers, b"".join(ENDED + each.key + b"\n" for each in ends))
        file.close()


if __name__ == "__main__":
    sqlite_file._CHECKPOINT_PAGES = CHECKPOINT_PAGES  # type: ignore[misc]
    spend(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])

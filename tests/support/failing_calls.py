# SPDX-License-Identifier: Apache-2.0
"""Every call of a ledger to the system fails once: a program to run under libfiu's preload library.

For each kind of call the first, the second, the third and so on fails, once or from then on, until
a story needs no more of them; what the ledger said in each story is held against what it keeps.
"""

import asyncio
import ctypes
import errno
import itertools
import json
import logging
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

from pypow_server.stores import StoreError
from pypow_server.stores.sqlite import SqliteLedger
from support.fault_story import KEYS, Told, use, use_again
from support.ledger_contract import NOW_MS, spend
from support.ledger_twins import takes_doubt_for_won

PRELOAD: Final = "/usr/lib/fiu/fiu_run_preload.so /usr/lib/fiu/fiu_posix_preload.so"
POINTS: Final = {
    "posix/io/oc/open": (errno.EMFILE, errno.EACCES),
    "posix/io/oc/close": (errno.EIO,),
    "posix/io/rw/read": (errno.EIO,),
    "posix/io/rw/write": (errno.EIO,),
    "posix/io/rw/pread": (errno.EIO,),
    "posix/io/rw/pread/reduce": (errno.EIO,),
    "posix/io/rw/pwrite": (errno.EIO, errno.ENOSPC),
    "posix/io/rw/pwrite/reduce": (errno.ENOSPC,),
    "posix/io/rw/ftruncate": (errno.EIO, errno.ENOSPC),
    "posix/io/sync/fsync": (errno.EIO,),
    "posix/io/sync/fdatasync": (errno.EIO,),
    "posix/io/dir/unlink": (errno.EIO,),
    "posix/mm/mmap": (errno.ENOMEM,),
}
"""What SQLite calls; ``reduce`` makes a call do less than it was asked."""


class Fault:
    """Makes the nth call of one kind fail in this thread and in the ledger's, and no other."""

    def __init__(self) -> None:
        library: Any = ctypes.CDLL(None)
        result = ctypes.POINTER(ctypes.c_void_p)
        prototype = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, result, ctypes.c_void_p
        )
        self._library = library
        self._callback = prototype(self._decide)  # kept: the library holds no reference
        self._left = 0
        self._lasting = False
        self._number = 0
        self.armed = False
        self.failed = 0

    def arm(self, point: str, nth: int, number: int, *, lasting: bool) -> None:
        """From now on, count calls of ``point`` and fail the nth with ``number``."""
        self._left, self._lasting, self._number, self.failed = nth, lasting, number, 0
        self._library.fiu_enable_external(point.encode(), 1, None, 0, self._callback)
        self.armed = True

    def disarm(self, point: str) -> None:
        """Let every call succeed again."""
        self.armed = False
        self._library.fiu_disable(point.encode())

    def _decide(self, _name: bytes, _code: int, info: Any, _flags: int) -> int:
        ours = threading.current_thread().name in ("opener", "pypow-store")
        if not (self.armed and ours):
            return 0
        self._left -= 1
        if self._left > 0 or (self._left < 0 and not self._lasting):
            return 0
        self.failed += 1
        info[0] = self._number
        return 1


def _open(kind: type[SqliteLedger], path: Path) -> SqliteLedger:
    return kind(path, clock=lambda: NOW_MS, busy_timeout_ms=20, heartbeat_s=60)


async def _opened(kind: type[SqliteLedger], path: Path) -> SqliteLedger:
    found: list[SqliteLedger | StoreError] = []

    def run() -> None:
        try:
            found.append(_open(kind, path))
        except StoreError as error:
            found.append(error)

    thread = threading.Thread(target=run, name="opener")
    thread.start()
    await asyncio.to_thread(thread.join)
    if isinstance(found[0], StoreError):
        raise found[0]
    return found[0]


async def _story(
    fault: Fault, kind: type[SqliteLedger], point: str, nth: int, number: int, *, lasting: bool
) -> Told:
    told = Told()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        if nth % 2:  # every other fault meets a ledger that has been used before
            await (await _opened(kind, path)).aclose()
        fault.arm(point, nth, number, lasting=lasting)
        try:
            ledger = await _opened(kind, path)
            told.opened = True
        except StoreError:
            fault.disarm(point)
            ledger = await _opened(kind, path)
        await use(ledger, told)
        fault.disarm(point)
        await use_again(ledger, told)
        await ledger.aclose()
        ledger = await _opened(kind, path)
        told.count(KEYS, [await spend(ledger, key) for key in KEYS])
        await ledger.aclose()
    return told


def _sweep(kind: type[SqliteLedger]) -> dict[str, Any]:
    fault = Fault()
    stories = failed = unopened = unknown = 0
    broken: list[str] = []
    for point, numbers in POINTS.items():
        for number, lasting in itertools.product(numbers, (False, True)):
            for nth in itertools.count(1):
                told = asyncio.run(_story(fault, kind, point, nth, number, lasting=lasting))
                if not fault.failed:
                    break
                stories += 1
                failed += fault.failed
                unopened += not told.opened
                unknown += told.unknown
                if not told.kept:
                    broken.append(f"{point} {nth} {errno.errorcode[number]} {lasting=}: {told}")
    return {
        "stories": stories,
        "failed": failed,
        "unopened": unopened,
        "unknown": unknown,
        "broken": broken,
    }


if __name__ == "__main__":
    logging.disable()
    kinds: dict[str, type[SqliteLedger]] = {
        "sound": SqliteLedger,
        "takes doubt": takes_doubt_for_won(SqliteLedger),
    }
    print(json.dumps(_sweep(kinds[sys.argv[1]])), flush=True)
    os._exit(0)  # libfiu and the interpreter do not agree on who goes first

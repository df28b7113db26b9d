# SPDX-License-Identifier: Apache-2.0
"""The SQLite ledger when the system fails it: it never admits on doubt, and recovers by itself."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pypow_server.stores import Spend, StoreError
from support.failing_calls import PRELOAD
from support.ledger_contract import spend
from support.sqlite_ledgers import opened

TESTS = Path(__file__).parents[1]
DAMAGES = 100
DEEP_DAMAGES = int(os.environ.get("PYPOW_TORTURE_DAMAGES", "10000"))

needs_libfiu = pytest.mark.skipif(
    not all(Path(library).exists() for library in PRELOAD.split()),
    reason="libfiu's preload libraries are not installed (fiu-utils)",
)


def sweep(kind: str) -> dict[str, Any]:
    """Fail every call of every kind, with the ledger in memory where it can be: disks are slow."""
    variables = {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]), "LD_PRELOAD": PRELOAD}
    if os.access("/dev/shm", os.W_OK):
        variables["TMPDIR"] = "/dev/shm"
    swept = subprocess.run(
        [sys.executable, "-m", "support.failing_calls", kind],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert swept.returncode == 0, swept.stderr
    found: dict[str, Any] = json.loads(swept.stdout)
    return found


@needs_libfiu
def test_no_failing_call_of_the_system_is_taken_for_a_spend_or_outlasts_its_cause() -> None:
    swept = sweep("sound")
    assert swept["broken"] == []
    assert swept["unknown"] > 0
    assert swept["unopened"] > 0
    assert swept["stories"] >= 150


@needs_libfiu
def test_a_ledger_that_takes_doubt_for_a_spend_is_caught() -> None:
    assert sweep("takes doubt")["broken"]


@contextlib.contextmanager
def small_disk(folder: Path, octets: int) -> Iterator[Path]:
    """A file system of its own, so small that it fills up."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={octets}", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here (it takes root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Use up whatever room is left; returns the file to remove for having it again."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1024)) == 1024:
            pass
    return ballast


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount here")
def test_a_disk_that_fills_up_admits_nobody_until_there_is_room_again(tmp_path: Path) -> None:
    async def story(disk: Path) -> None:
        ledger = opened(disk / "ledger.db")
        epoch = await ledger.epoch()
        won = [b"%d" % number for number in range(20)]
        outcomes = [await spend(ledger, key, epoch=epoch) for key in won]
        assert set(outcomes) == {Spend.WON}
        ballast = fill(disk)
        while await spend(ledger, b"%d" % len(won), epoch=epoch) is Spend.WON:
            won.append(b"%d" % len(won))  # into what was left of the log's last block
        fill(disk)  # by closing its file the ledger may have given room back
        assert await spend(ledger, b"doubtful", epoch=epoch) is Spend.UNKNOWN
        ballast.unlink()
        assert await spend(ledger, b"afterwards", epoch=epoch) is Spend.WON
        replays = [await spend(ledger, key, epoch=epoch) for key in won]
        await ledger.aclose()
        assert set(replays) == {Spend.LOST}

    with small_disk(tmp_path, 512 * 1024) as disk:
        asyncio.run(story(disk))


SPENDS = 40


async def damaged(path: Path, sound: bytes, changes: int, chance: random.Random) -> str:
    """Change some bits of a ledger's file, and send all that was spent in it again."""
    octets = bytearray(sound)
    for _ in range(changes):
        octets[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
    for leftover in path.parent.glob(f"{path.name}*"):
        leftover.unlink()
    path.write_bytes(octets)  # noqa: ASYNC240 - nothing else runs here
    try:
        ledger = opened(path)
    except StoreError:
        return "refused"
    outcomes = [await spend(ledger, b"%d" % number) for number in range(SPENDS)]
    await ledger.aclose()
    if Spend.UNKNOWN in outcomes:
        return "doubted"
    return "forgot some" if Spend.WON in outcomes else "all known"


def damage(folder: Path, times: int) -> Counter[str]:
    """What becomes of damaged ledgers.

    SQLite has no checksums: a bit that changes within a record makes another record of it, and
    nothing can tell. Of ten thousand ledgers some forget a spend; none may crash.
    """
    path = folder / "ledger.db"

    async def story() -> Counter[str]:
        ledger = opened(path)
        await asyncio.gather(*(spend(ledger, b"%d" % number) for number in range(SPENDS)))
        await ledger.aclose()
        sound, chance = path.read_bytes(), random.Random(4711)
        changes = itertools.cycle((1, 1, 8))
        found = [await damaged(path, sound, next(changes), chance) for _ in range(times)]
        return Counter(found)

    return asyncio.run(story())


def test_bits_that_change_crash_nothing(tmp_path: Path) -> None:
    found = damage(tmp_path, DAMAGES)
    assert found["refused"]
    assert found["all known"] > DAMAGES / 2


@pytest.mark.deep
def test_bits_that_change_in_ten_thousand_ledgers_crash_nothing(tmp_path: Path) -> None:
    found = damage(tmp_path, DEEP_DAMAGES)
    print(found)
    assert found.total() == DEEP_DAMAGES

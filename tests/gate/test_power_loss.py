# SPDX-License-Identifier: Apache-2.0
"""A SQLite ledger whose machine loses its power: no spend that was told is missing."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pypow_server.stores import Spend, StoreError
from support.check_program import COMPILER
from support.power_loss import Note, disks, read_notes
from support.recorded_ledger import END, ENDED, PAID, SPENT, claim, opened, payment

TESTS = Path(__file__).parents[1]
SOURCE = TESTS / "support" / "recorded_writes.c"

BATCHES = 12
DEEP_BATCHES = int(os.environ.get("PYPOW_TORTURE_POWER", "60"))
DEEP_IMAGES = 8
"""Random ones of each moment, besides those that keep nothing and everything."""

pytestmark = [
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs the C compiler {COMPILER}"),
    pytest.mark.skipif(sys.platform != "linux", reason="records by Linux's preloading"),
]


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("recorder") / "recorded_writes.so"
    command = [COMPILER, "-O1", "-shared", "-fPIC", str(SOURCE), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True, timeout=300)
    return library


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where it can be: what a real disk keeps is not asked here."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=shared) as made:
        yield Path(made)


def recorded(recorder: Path, folder: Path, batches: int, *, synchronous: str) -> list[Note]:
    """What a ledger writes and flushes while it spends."""
    home = folder / "ledger"
    home.mkdir()
    subprocess.run(
        [sys.executable, "-m", "support.recorded_ledger", home, str(batches), synchronous],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
            "LD_PRELOAD": str(recorder),
            "RECORD_FOLDER": str(home),
            "RECORD_TO": str(folder / "notes"),
        },
        check=True,
        timeout=300,
    )
    return read_notes(folder / "notes")


@dataclass(slots=True)
class Found:
    """What came of all images.

    Attributes:
        images: how many there were.
        told: of the last one, how many spends were told.
        unopened: ledgers that could not be opened.
        missing: spends that were told, and could be won again by others, or once answered.
        handed_on: of the last one, payments that the same request got again.
        stranded: payments that nobody had begun to answer, and the same request did not get.
    """

    images: int = 0
    told: int = 0
    unopened: int = 0
    missing: int = 0
    handed_on: int = 0
    stranded: int = 0

    def count(self, image: Path, told: list[bytes]) -> None:
        """Open what the disk holds, and send all that was told again."""
        self.images += 1
        spent, paid, perhaps, answered = (
            [line.removeprefix(word) for line in told if line.startswith(word)]
            for word in (SPENT, PAID, END, ENDED)
        )
        self.told = max(self.told, len(spent) + len(paid))
        try:
            file = opened(image)
        except StoreError:
            self.unopened += 1
            return
        others = [payment(key, request=b"another request ") for key in paid]
        replays = [*map(claim, spent), *others, *map(payment, answered)]
        self.missing += file.apply(replays).count(Spend.WON)
        owed = [payment(key, life=b"another ") for key in paid if key not in perhaps]
        handed_on = file.apply(owed).count(Spend.WON)
        self.handed_on = max(self.handed_on, handed_on)
        self.stranded += len(owed) - handed_on
        file.close()


def outcome(notes: list[Note], folder: Path, *, randomly: int) -> Found:
    """Lose the power after each note, in each of several ways."""
    chance = random.Random(4711)
    ways: list[Callable[[], bool]] = [lambda: False, lambda: True]
    ways += [lambda: chance.random() < 0.5] * randomly
    found = Found()
    for disk in disks(notes):
        for keeps in ways:
            image = folder / "image"
            image.mkdir()
            disk.lose_power(image, keeps)
            found.count(image, disk.appended)
            shutil.rmtree(image)
    return found


def test_no_spend_that_was_told_is_missing_after_the_power_failed(
    recorder: Path, folder: Path
) -> None:
    notes = recorded(recorder, folder, BATCHES, synchronous="FULL")
    found = outcome(notes, folder, randomly=1)
    assert (found.missing, found.stranded, found.unopened) == (0, 0, 0)
    assert found.handed_on > 0
    assert found.told == sum(1 + number % 7 for number in range(BATCHES))
    assert {note.name for note in notes if note.what == "flush"} >= {"ledger.db", "ledger.db-wal"}


def test_a_ledger_that_does_not_wait_for_the_disk_is_caught(recorder: Path, folder: Path) -> None:
    notes = recorded(recorder, folder, 4, synchronous="NORMAL")
    assert outcome(notes, folder, randomly=0).missing > 0


@pytest.mark.deep
def test_no_way_of_losing_power_loses_a_spend_that_was_told(recorder: Path, folder: Path) -> None:
    notes = recorded(recorder, folder, DEEP_BATCHES, synchronous="FULL")
    found = outcome(notes, folder, randomly=DEEP_IMAGES)
    print(found)
    assert (found.missing, found.stranded, found.unopened) == (0, 0, 0)

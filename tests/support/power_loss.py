# SPDX-License-Identifier: Apache-2.0
"""What a disk may hold after the power fails, made from a record of what was written to it.

What was flushed is there. Of what was written after the last flush of a file, each sector is there
or not, independently of any other: so writes are lost, torn and reordered. A file that was made or
removed is taken to be so at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SECTOR: Final = 512


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that was asked of the system.

    Attributes:
        what: ``write``, ``append``, ``truncate``, ``flush`` or ``unlink``.
        offset: where it was written, or how long the file is to be.
        name: of the file.
        data: that was written.
    """

    what: str
    offset: int
    name: str
    data: bytes


def read_notes(path: Path) -> list[Note]:
    """What `recorded_writes.c` has noted."""
    octets, at, notes = path.read_bytes(), 0, []
    while at < len(octets):
        end = octets.index(b"\n", at)
        what, offset, length, name = octets[at:end].decode().split(" ", 3)
        at = end + 1 + int(length)
        notes.append(Note(what, int(offset), name, octets[end + 1 : at]))
    return notes


@dataclass(slots=True)
class _File:
    flushed: bytearray = field(default_factory=bytearray)
    pending: list[Note] = field(default_factory=list)

    def content(self, keeps: Callable[[], bool]) -> bytes:
        made = bytearray(self.flushed)
        for note in self.pending:
            if note.what == "truncate":
                if keeps():
                    _resize(made, note.offset)
                continue
            for start, part in _sectors(note):
                if keeps():
                    _resize(made, max(len(made), start + len(part)))
                    made[start : start + len(part)] = part
        return bytes(made)


class Disk:
    """A folder's files, as a list of notes makes them."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._appended = bytearray()

    def apply(self, note: Note) -> None:
        """Do what was asked."""
        match note.what:
            case "append":
                self._appended += note.data
            case "unlink":
                self._files.pop(note.name, None)
            case "flush":
                if file := self._files.get(note.name):
                    file.flushed, file.pending = bytearray(file.content(lambda: True)), []
            case _:
                self._files.setdefault(note.name, _File()).pending.append(note)

    @property
    def appended(self) -> list[bytes]:
        """The lines that were appended to any file so far."""
        return bytes(self._appended).splitlines()

    def lose_power(self, folder: Path, keeps: Callable[[], bool]) -> None:
        """Write what may be there afterwards; ``keeps`` is asked for each sector not flushed."""
        for name, file in self._files.items():
            if not name.endswith("-shm"):  # shared memory, which is made anew
                (folder / name).write_bytes(file.content(keeps))


def disks(notes: Sequence[Note]) -> Iterator[Disk]:
    """The same disk after each of the notes."""
    disk = Disk()
    for note in notes:
        disk.apply(note)
        yield disk


def _sectors(note: Note) -> Iterator[tuple[int, bytes]]:
    start, end = note.offset, note.offset + len(note.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield start, note.data[start - note.offset : stop - note.offset]
        start = stop


def _resize(made: bytearray, length: int) -> None:
    del made[length:]
    made.extend(bytes(length - len(made)))

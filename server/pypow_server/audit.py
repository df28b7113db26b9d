# SPDX-License-Identifier: Apache-2.0
"""The audit log: one JSON line for each call that paid, was refused, or would have been.

A thread writes, so that a slow disk delays no call. A disk that takes no lines stops no call
either: what could not be written is counted and logged once. Lines that wait when the process is
killed are lost; those that wait when it ends are written.
"""

import errno
import hmac
import json
import logging
import os
import queue
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pypow import InvalidInputError, difficulty

from .decision import Decision, Outcome

_LOG = logging.getLogger("pypow_server.audit")
_MAX_WAITING: Final = 100_000
_MAX_BATCH: Final = 1000
_DIGEST_HEX: Final = 32
_EXPECTED: Final = "the audit log must be a file that this user can write to"


class AuditLog:
    """Appends decisions to a file until it is closed."""

    def __init__(self, path: Path, *, key: bytes, lost: Callable[[int], None]) -> None:
        """Open the file, or make it with mode 0600, and begin to write.

        Args:
            path: the file; lines are added at its end.
            key: secret; hides whom a line is about, and tells lines about one caller.
            lost: told how many lines could not be written; called in another thread.

        Raises:
            InvalidInputError: the file cannot be opened, or is a pipe.
        """
        self._path = path
        self._key = key
        self._lost = lost
        self._file = _open(path)
        self._waiting: queue.SimpleQueue[Decision | Callable[[], None] | None] = queue.SimpleQueue()
        self._failing = False
        self._torn = False
        self._writer = threading.Thread(target=self._write_all, name="pypow-audit", daemon=True)
        self._writer.start()

    def record(self, decision: Decision) -> None:
        """Write a line, soon. A `Recorder`."""
        if decision.outcome is Outcome.FREE:
            return
        if self._waiting.qsize() < _MAX_WAITING:
            self._waiting.put(decision)
        else:
            self._lost(1)

    def reopen(self) -> None:
        """Go on in a new file of the same name, after logrotate has moved the old one away.

        A name that cannot be opened leaves the old file in use and is logged.
        """
        self._waiting.put(self._reopen)

    def close(self) -> None:
        """Write what waits and close the file."""
        self._waiting.put(None)
        self._writer.join()
        os.close(self._file)

    def _write_all(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while len(batch) < _MAX_BATCH and not self._waiting.empty():
                batch.append(self._waiting.get())
            lines: list[bytes] = []
            for one in batch:
                if isinstance(one, Decision):
                    lines += self._lines(one)
                    continue
                self._append(lines)
                lines = []
                if one is None:
                    return
                one()
            self._append(lines)

    def _lines(self, decision: Decision) -> list[bytes]:
        try:
            return [self._line(decision)]
        except Exception:  # noqa: BLE001 - a fault of one line must not end the writer of all
            self._lost(1)
            _LOG.exception("decision=%s is not in the audit log", decision.id)
            return []

    def _append(self, lines: list[bytes]) -> None:
        if not lines:
            return
        # Half a line that a full disk took is ended first, so that it spoils no other.
        unwritten = memoryview((b"\n" if self._torn else b"") + b"".join(lines))
        try:
            while unwritten:
                written = os.write(self._file, unwritten)
                self._torn = unwritten[written - 1] != ord("\n")
                unwritten = unwritten[written:]
        except OSError as error:
            self._lost(bytes(unwritten).count(b"\n"))
            if not self._failing:
                _LOG.error("audit lines are being lost: %s: %s", self._path, error.strerror)
            self._failing = True
            return
        if self._failing:
            _LOG.warning("the audit log takes lines again: %s", self._path)
        self._failing = False

    def _reopen(self) -> None:
        try:
            reopened = _open(self._path)
        except InvalidInputError as error:
            _LOG.error("the audit log goes on in its old file: %s", error)
            return
        os.close(self._file)
        self._file, self._torn = reopened, False

    def _line(self, decision: Decision) -> bytes:
        at = datetime.fromtimestamp(decision.at_ms / 1000, UTC)
        caller = (decision.principal or decision.client).encode("utf-8", "surrogatepass")
        line = {
            "at": at.isoformat(timespec="milliseconds"),
            "decision": decision.id,
            "outcome": decision.outcome.value,
            "entry": decision.entry,
            "rail": decision.rail,
            "problem": decision.problem,
            "status": decision.status,
            "bits": None if decision.q is None else difficulty.bits(decision.q),
            "caller": hmac.digest(self._key, caller, "sha256").hex()[:_DIGEST_HEX],
        }
        return json.dumps(line).encode() + b"\n"


def _open(path: Path) -> int:
    # Opened without waiting: a named pipe would hang the start until somebody reads it.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        # What a named pipe says that nobody reads.
        why = "a pipe" if error.errno == errno.ENXIO else error.strerror
        raise InvalidInputError(f"{path}: {why}; {_EXPECTED}") from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISCHR(mode):
        return descriptor
    # Whoever reads it might be slow, and lines would be lost that a file takes.
    os.close(descriptor)
    raise InvalidInputError(f"{path}: a pipe; {_EXPECTED}")

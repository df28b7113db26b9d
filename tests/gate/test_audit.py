# SPDX-License-Identifier: Apache-2.0
"""The audit log: complete, appended to, moved away under it, and never in a call's way."""

import errno
import json
import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pypow import InvalidInputError
from pypow_server.audit import AuditLog
from pypow_server.decision import Outcome
from support.decisions import ADMITTED, REFUSED, refused
from support.gate_process import gate_process
from support.plain_http import ask

KEY = b"k" * 32


class Lost:
    """Counts lines that were lost."""

    def __init__(self) -> None:
        self.lines = 0

    def __call__(self, lines: int) -> None:
        self.lines += lines


@contextmanager
def auditing(path: Path, lost: Lost | None = None) -> Iterator[AuditLog]:
    log = AuditLog(path, key=KEY, lost=lost or Lost())
    try:
        yield log
    finally:
        log.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def test_a_line_tells_what_was_decided_and_not_about_whom(tmp_path: Path) -> None:
    with auditing(tmp_path / "audit.log") as log:
        log.record(REFUSED)

    (line,) = lines(tmp_path / "audit.log")
    caller = line.pop("caller")
    assert line == {
        "at": "2023-11-14T22:13:20.123+00:00",
        "decision": "00112233aabbccdd",
        "outcome": "refused",
        "entry": "default",
        "rail": None,
        "problem": "work-required",
        "status": 402,
        "bits": None,
    }
    assert len(bytes.fromhex(caller)) == 16
    assert "192.0.2" not in (tmp_path / "audit.log").read_text()


def test_one_caller_is_known_again_and_another_is_told_apart(tmp_path: Path) -> None:
    with auditing(tmp_path / "audit.log") as log:
        log.record(REFUSED)
        log.record(ADMITTED)
        log.record(refused(client="192.0.2.8/32"))

    first, second, third = [line["caller"] for line in lines(tmp_path / "audit.log")]
    assert first == second != third


def test_another_key_hides_a_caller_otherwise(tmp_path: Path) -> None:
    for name, key in (("a", b"1" * 32), ("b", b"2" * 32)):
        log = AuditLog(tmp_path / name, key=key, lost=Lost())
        log.record(REFUSED)
        log.close()

    assert lines(tmp_path / "a")[0]["caller"] != lines(tmp_path / "b")[0]["caller"]


def test_what_was_free_is_not_written_and_all_else_is_in_order(tmp_path: Path) -> None:
    with auditing(tmp_path / "audit.log") as log:
        for number in range(5000):
            outcome = list(Outcome)[number % len(Outcome)]
            log.record(refused(id=f"{number:016x}", outcome=outcome))

    written = [int(line["decision"], 16) for line in lines(tmp_path / "audit.log")]
    assert written == [n for n in range(5000) if list(Outcome)[n % 4] is not Outcome.FREE]


def test_lines_are_added_to_those_of_an_earlier_run(tmp_path: Path) -> None:
    for _ in range(2):
        with auditing(tmp_path / "audit.log") as log:
            log.record(REFUSED)

    assert len(lines(tmp_path / "audit.log")) == 2
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600


def test_after_logrotate_moved_the_file_lines_go_to_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with auditing(path) as log:
        log.record(REFUSED)
        path.rename(tmp_path / "audit.log.1")
        log.reopen()
        log.record(ADMITTED)

    assert [line["outcome"] for line in lines(path)] == ["admitted"]


def test_a_file_that_cannot_be_opened_anew_leaves_the_old_one_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "logs" / "audit.log"
    path.parent.mkdir()
    moved = tmp_path / "moved"
    with auditing(path) as log:
        path.parent.rename(moved)
        log.reopen()
        log.record(REFUSED)

    assert len(lines(moved / "audit.log")) == 1
    assert "goes on in its old file" in caplog.text


def test_a_file_that_cannot_be_opened_ends_the_start_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="No such file or directory; the audit log must be"):
        AuditLog(tmp_path / "nowhere" / "audit.log", key=KEY, lost=Lost())


@pytest.mark.parametrize("is_read", [False, True])
def test_a_pipe_is_no_audit_log_and_hangs_no_start(is_read: bool, tmp_path: Path) -> None:
    pipe = tmp_path / "audit.log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) if is_read else None
    try:
        with pytest.raises(InvalidInputError, match="a pipe; the audit log must be a file"):
            AuditLog(pipe, key=KEY, lost=Lost())
    finally:
        if reader is not None:
            os.close(reader)


def test_a_file_that_has_become_a_pipe_leaves_the_old_one_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, moved = tmp_path / "audit.log", tmp_path / "audit.log.1"
    with auditing(path) as log:
        path.rename(moved)
        os.mkfifo(path)
        log.reopen()
        log.record(REFUSED)

    assert len(lines(moved)) == 1
    assert "goes on in its old file" in caplog.text


def test_a_line_that_cannot_be_made_is_lost_alone_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, lost = tmp_path / "audit.log", Lost()
    with auditing(path, lost) as log:
        log.record(REFUSED)
        log.record(refused(id="beyond", at_ms=10**18))
        log.record(ADMITTED)

    assert [line["outcome"] for line in lines(path)] == ["refused", "admitted"]
    assert lost.lines == 1
    assert "decision=beyond is not in the audit log" in caplog.text


def test_a_running_gate_goes_on_in_a_new_file_when_it_hears_sighup(tmp_path: Path) -> None:
    path, moved = tmp_path / "audit.log", tmp_path / "audit.log.1"
    told = []
    with gate_process(tmp_path, "http://127.0.0.1:9", "--audit", str(path)) as gate:
        told.append(ask(f"{gate.url}/x").json["decision"])
        # The thread writes when it comes to it; a file is moved away when there is something in it.
        while not lines(path):
            told.append(ask(f"{gate.url}/x").json["decision"])
        path.rename(moved)
        gate.process.send_signal(signal.SIGHUP)
        while not path.exists():
            told.append(ask(f"{gate.url}/x").json["decision"])
        told.append(ask(f"{gate.url}/x").json["decision"])
        gate.stop()

    written = [line["decision"] for line in lines(moved) + lines(path)]
    assert written == told


class FullDisk:
    """`os.write` on a disk that takes so many octets more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried = threading.Event()

    def __call__(self, descriptor: int, octets: bytes | memoryview) -> int:
        if self.room == 0:
            self.tried.set()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = bytes(octets)[: self.room]
        self.room -= len(taken)
        return _WRITE(descriptor, taken)


_WRITE = os.write


def test_a_full_disk_loses_lines_that_are_counted_and_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, lost, disk = tmp_path / "audit.log", Lost(), FullDisk(room=40)
    monkeypatch.setattr("pypow_server.audit.os.write", disk)
    with auditing(path, lost) as log:
        log.record(REFUSED)
        assert disk.tried.wait(timeout=10)
        disk.room = 1 << 20
        log.record(ADMITTED)

    torn, whole = path.read_text("ascii").splitlines()
    assert len(torn) == 40
    assert json.loads(whole)["outcome"] == "admitted"
    assert lost.lines == 1
    assert caplog.text.count("audit lines are being lost") == 1
    assert caplog.text.count("takes lines again") == 1


def test_a_disk_that_hangs_holds_up_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works_again = threading.Event()

    def hang(descriptor: int, octets: memoryview) -> int:
        assert works_again.wait(timeout=30)
        return _WRITE(descriptor, octets)

    monkeypatch.setattr("pypow_server.audit.os.write", hang)
    monkeypatch.setattr("pypow_server.audit._MAX_WAITING", 10)
    lost = Lost()
    with auditing(tmp_path / "audit.log", lost) as log:
        for _ in range(1000):
            log.record(REFUSED)
        works_again.set()

    # Besides those that wait, the writer may hold one batch of at most as many.
    assert len(lines(tmp_path / "audit.log")) + lost.lines == 1000
    assert 10 <= len(lines(tmp_path / "audit.log")) <= 20

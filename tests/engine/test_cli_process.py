# SPDX-License-Identifier: Apache-2.0
"""The command as a process: signals, terminals, closed and full streams, what it loads."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pypow
from pypow.__main__ import main
from support.command import Command


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_ctrl_c_is_one_line_and_exit_code_130(
    command: Command, monkeypatch: pytest.MonkeyPatch, option: list[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pypow.engine, "solve", interrupted)
    ran = command("solve", "--challenge", "x", "--bits", "8", *option)
    assert (ran.status, ran.err) == (130, "pypow: interrupted\n")


COMMAND = [sys.executable, "-W", "error", "-m", "pypow"]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: what reads it, what writes to it."""
    reading, writing = pty.openpty()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def read_until(reading: int, mark: bytes) -> bytes:
    seen = b""
    while mark not in seen:
        seen += os.read(reading, 4096)
    return seen


def test_ctrl_c_ends_a_hopeless_solve_and_leaves_a_clean_terminal(
    terminal: tuple[int, int],
) -> None:
    reading, writing = terminal
    hopeless = ["solve", "--challenge", "x", "--bits", "60"]
    caps = ["--max-bits", "60", "--max-seconds", "inf"]
    process = subprocess.Popen(
        [*COMMAND, *hopeless, *caps],
        stdout=subprocess.PIPE,
        stderr=writing,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )
    try:
        read_until(reading, b"likely done")
        process.send_signal(signal.SIGINT)
        shown = read_until(reading, b"pypow: interrupted")
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in shown
    # The cursor, hidden while the line was drawn, is shown again.
    assert b"\x1b[?25h" in shown


def test_quiet_and_pipes_see_no_progress_line() -> None:
    ran = subprocess.run(
        [*COMMAND, "solve", "--challenge", "abc", "--bits", "22"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert ran.stderr == ""
    assert json.loads(ran.stdout).keys() == {"nonce", "solution"}


def test_the_process_exits_with_the_commands_code() -> None:
    for arguments, status in ((["--version"], 0), (["solve"], 2)):
        ran = subprocess.run([*COMMAND, *arguments], capture_output=True, check=False)
        assert ran.returncode == status
        assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_an_answer_that_cannot_be_written_is_one_line(option: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*COMMAND, "info", *option], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (ran.returncode, ran.stderr) == (1, b"pypow: cannot write: No space left on device\n")


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_is_no_crash(
    command: Command, puzzle_file: str, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    monkeypatch.setattr(sys, stream, None)
    assert main(["solve", "--puzzle", puzzle_file]) == 0
    assert main(["solve", "--puzzle", "-"]) == 2


def test_help_loads_neither_rich_nor_numpy_nor_the_web() -> None:
    listing = (
        "import sys; from pypow.__main__ import main; main(['--help']); "
        "print(sorted({'rich', 'numpy', 'fastapi', 'uvicorn', 'aiohttp', 'pypow_server'}"
        " & sys.modules.keys()), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, check=True, text=True
    )
    assert ran.stderr == "[]\n"

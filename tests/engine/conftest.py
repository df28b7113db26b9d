# SPDX-License-Identifier: Apache-2.0
"""The command line within reach of the engine's tests."""

import json
import signal
from pathlib import Path

import pytest

from support.command import PUZZLE, Command


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    monkeypatch.delenv("PYPOW_KERNEL", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Command(capsys)


@pytest.fixture
def puzzle_file(tmp_path: Path) -> str:
    path = tmp_path / "puzzle.json"
    path.write_text(json.dumps(PUZZLE), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session", autouse=True)
def _interrupts_are_heard() -> None:
    """A shell starts what it runs in the background deaf to SIGINT, and processes inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

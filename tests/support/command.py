# SPDX-License-Identifier: Apache-2.0
"""Run the ``pypow`` command in this process, and puzzles to run it on."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from pypow.__main__ import main

PUZZLE = {
    "prefix": b"abc123".hex(),
    "nonce": {"encoding": "decimal"},
    "rule": {"type": "at_most", "target": "0000" + "f" * 60},
}
BINARY_PUZZLE = {**PUZZLE, "nonce": {"encoding": "u32", "order": "little"}}


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command:
    """Run the command in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        status = main(arguments)
        captured = self._capsys.readouterr()
        return Ran(status, captured.out, captured.err)

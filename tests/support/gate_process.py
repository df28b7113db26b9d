# SPDX-License-Identifier: Apache-2.0
"""`pypow gate` as a process of its own, on free ports."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_S = 30
"""Only a failing test waits this long."""


@dataclass(frozen=True, slots=True)
class GateProcess:
    """A gate that is up."""

    process: "subprocess.Popen[str]"
    ready: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.ready["listen_url"])

    @property
    def admin_url(self) -> str:
        return str(self.ready["admin_url"])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Ask it to end; returns its exit code and what it wrote to standard error."""
        self.process.send_signal(number)
        _, complaints = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, complaints


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "pypow", "gate", *options]


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment without anything of pypow's, and with a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYPOW_")}
    kept.pop("XDG_STATE_HOME", None)
    return {**kept, "HOME": str(home), **more}


@contextmanager
def gate_process(
    home: Path, upstream: str | None, *options: str, **variables: str
) -> Iterator[GateProcess]:
    """A gate in front of ``upstream``; it is up when the block begins and gone when it ends."""
    given = ["--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    if upstream is not None:
        given += ["--upstream", upstream]
    with subprocess.Popen(
        command(*given, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home, **variables),
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, process.communicate(timeout=PATIENCE_S)[1]
            yield GateProcess(process, json.loads(line))
        finally:
            process.kill()


def failed_start(home: Path, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A gate that is expected to end by itself."""
    return subprocess.run(
        command(*options),
        capture_output=True,
        text=True,
        env=environment(home, **more),
        timeout=PATIENCE_S,
        check=False,
    )

# SPDX-License-Identifier: Apache-2.0
"""The log of a process, read while it runs."""

import queue
import subprocess
import threading

from support.gate_process import PATIENCE_S


class LogLines:
    """Reads the standard error of a process, so that it is never full; lines can be waited for."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._stream = process.stderr
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._stream is not None
        for line in self._stream:
            self._lines.put(line)

    def wait_for(self, *texts: str) -> str:
        """The next line that holds one of these texts."""
        while True:
            line = self._lines.get(timeout=PATIENCE_S)
            if any(text in line for text in texts):
                return line

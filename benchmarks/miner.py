# SPDX-License-Identifier: Apache-2.0
"""A Bitcoin miner as a peer: it chooses its own work and reports its own speed, one line a scan."""

import re
import subprocess
import time
from dataclasses import dataclass
from types import TracebackType

from peer_home import UnavailableError
from peer_process import Job, Slice

_REPORT = re.compile(r"thread 0\b.* ([\d.]+) ([km]?)h(?:ash)?/s", re.IGNORECASE)
_WHOLE_SCAN_NS = 500_000_000
_PREFIX = {"": 1.0, "k": 1e3, "m": 1e6}


def reported(line: str) -> float | None:
    """Hashes per second by one line of a miner, or None for any other line."""
    found = _REPORT.search(line)
    return None if found is None else float(found[1]) * _PREFIX[found[2].lower()]


@dataclass(frozen=True, slots=True)
class _Moment:
    """One report of a miner, and the clocks when it was read."""

    hashrate: float
    wall_ns: int
    cpu_ns: int


class Miner:
    """minerd or cpuminer, benchmarking double SHA-256 on one thread in scans of a second.

    Its speed is by wall time; the slice it answers is in CPU time, as that of every peer.
    """

    def __init__(self, path: str, *options: str) -> None:
        self._path = path
        self._options = options
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        self.version = next(iter(told.stdout.strip().splitlines()), path).strip("* ")

    def grind(self, _job: Job) -> Slice:
        """The first whole scan of a fresh run; shorter ones find out how long a second is."""
        way = ("--benchmark", "-a", "sha256d", "-t", "1", "--scantime", "1", *self._options)
        with subprocess.Popen(
            (self._path, *way), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                before, after = self._report(process), self._report(process)
                while after.wall_ns - before.wall_ns < _WHOLE_SCAN_NS:
                    before, after = after, self._report(process)
            finally:
                process.kill()
        seconds = 1e-9 * (after.wall_ns - before.wall_ns)
        return Slice(round(after.hashrate * seconds), after.cpu_ns - before.cpu_ns)

    def __enter__(self) -> "Miner":
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Nothing runs between slices."""

    def _report(self, process: "subprocess.Popen[str]") -> _Moment:
        assert process.stdout is not None
        for line in process.stdout:
            if (hashrate := reported(line)) is not None:
                # Linux numbers the CPU clock of a process so, from its id (clock_getcpuclockid).
                cpu_ns = time.clock_gettime_ns(~process.pid << 3 | 2)
                return _Moment(hashrate, time.monotonic_ns(), cpu_ns)
        raise UnavailableError(f"{self._path} ended without a report")

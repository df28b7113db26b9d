# SPDX-License-Identifier: Apache-2.0
"""Two ways to grind a job and tell the hashes and the CPU time it took: a peer's, and ours."""

import dataclasses
import json
import math
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pypow
from peer_home import UnavailableError
from pypow import Puzzle


@dataclass(frozen=True, slots=True)
class Job:
    """A puzzle with one known solution: the nonce that ends a given number of hashes.

    Attributes:
        prefix: what comes before the nonce.
        target: the one digest that wins, hex.
        hashes: how many nonces, counted from the first, find it.
    """

    prefix: str
    target: str
    hashes: int


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice of measuring brought."""

    hashes: int
    ns: int

    @property
    def hashrate(self) -> float:
        """Hashes per second of CPU time."""
        return 1e9 * self.hashes / self.ns


class PeerProcess:
    """A peer's program, asked over its standard input and output."""

    def __init__(self, command: Sequence[str], cwd: Path) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.version = str(self._answer()["version"])

    def grind(self, job: Job) -> Slice:
        """Let the peer solve a job."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(dataclasses.asdict(job)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it is gone, and the answer tells why
        return Slice(**self._answer())

    def __enter__(self) -> "PeerProcess":
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, int]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, said = self._process.communicate()
            lines = said.strip().splitlines()
            raise UnavailableError(f"it ended: {lines[-1] if lines else 'it said nothing'}")
        answer: dict[str, int] = json.loads(line)
        return answer


def grind_here(puzzle: Puzzle) -> Slice:
    """Solve a puzzle with pypow on one thread, from the Python call to its return."""
    started = time.process_time_ns()
    proof = pypow.solve(puzzle, threads=1, max_bits=math.inf)
    spent = time.process_time_ns() - started
    assert proof.work is not None
    return Slice(proof.work.hashes, spent)

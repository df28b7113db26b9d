# SPDX-License-Identifier: Apache-2.0
"""Gates that start in the time of a fork: a parent imports everything once, and each is its child.

Every child runs the whole of `pypow gate` in a process of its own, and can be killed like any.
Run as a program, this is the parent: it takes one JSON line for each thing to do.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from support.gate_process import environment

TESTS = Path(__file__).parents[1]
KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True)
class ForkedGate:
    """A gate that is up."""

    pid: int
    ready: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.ready["listen_url"])

    @property
    def admin_url(self) -> str:
        return str(self.ready["admin_url"])


class Nursery:
    """The parent of gates."""

    def __init__(self, orders: IO[str], reports: IO[str]) -> None:
        self._orders = orders
        self._reports = reports

    def start(self, upstream: str, *options: str, twin: str | None = None) -> ForkedGate:
        """A gate in front of ``upstream``; ``twin`` names a store that is wrong."""
        given = ["--json", "--upstream", upstream, "--listen", "127.0.0.1:0"]
        given += ["--admin", "127.0.0.1:0", *options]
        pid = self._ask(start=given, twin=twin)["pid"]
        ready = json.loads(self._reports.readline())
        assert "failed" not in ready, ready
        return ForkedGate(pid, ready)

    def end(self, gate: ForkedGate, number: signal.Signals = signal.SIGKILL) -> int:
        """End a gate; returns its exit code, or the negative number of what killed it."""
        code = self._ask(pid=gate.pid, signal=number)["code"]
        return int(code)

    def _ask(self, **order: object) -> dict[str, Any]:
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        report: dict[str, Any] = json.loads(self._reports.readline())
        return report


@contextmanager
def nursery(home: Path, **variables: str) -> Iterator[Nursery]:
    """A parent of gates that live in ``home``; what they complain of is in ``home/complaints``."""
    path = os.pathsep.join([str(TESTS), *sys.path])
    with (
        (home / "complaints").open("w") as complaints,
        subprocess.Popen(
            [sys.executable, "-m", "support.forked_gates"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            env=environment(home, PYTHONPATH=path, **variables),
        ) as parent,
    ):
        assert parent.stdin is not None
        assert parent.stdout is not None
        try:
            yield Nursery(parent.stdin, parent.stdout)
        finally:
            parent.stdin.close()  # it then ends its children, and itself
            parent.wait()


def _serve(order: dict[str, Any]) -> int:
    from pypow.__main__ import main
    from pypow_server.stores import opening
    from support import store_twins

    if order["twin"] is not None:
        twin = getattr(store_twins, order["twin"])
        vars(opening)["_STORES"] = dict.fromkeys(opening._STORES, twin)
    return main(["gate", *order["start"]])


def _report(**what: object) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.close(0)  # the parent's orders
        _report(pid=os.getpid())
        code = _serve(order)
    except BaseException:  # noqa: BLE001 - a child must not run on as a second parent
        traceback.print_exc()
    finally:
        if code:
            _report(failed=code)
        os._exit(code)


def _be_parent() -> None:
    for module in (
        "pypow.cli.gate",
        "pypow_server.app",
        "pypow_server.listeners",
        "pypow_server.stores.redis_store",
    ):
        importlib.import_module(module)

    children: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "start" in order:
            children.add(_fork(order))
            continue
        children.discard(order["pid"])
        os.kill(order["pid"], order["signal"])
        _, status = os.waitpid(order["pid"], 0)
        _report(code=os.waitstatus_to_exitcode(status))
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _be_parent()

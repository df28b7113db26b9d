# SPDX-License-Identifier: Apache-2.0
"""What a gate costs under load: the same app, ungated and gated, on one worker, with wrk.

    python benchmarks/gate.py --save benchmarks/results

In each turn wrk asks the ungated app, then the gated one, for a few seconds each; the ratio of the
two rates is taken within the turn, by the clock and by the CPU time of the worker: the latter is
not the neighbours' to change, and leaves out what is spent waiting for a disk. Proofs are made
beforehand, of one bit, each used once.
"""

import argparse
import contextlib
import functools
import hashlib
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from document import Row, measured, save, summary, table
from gate_server import KEY, PRICE, rail
from pypow import wire
from pypow_server import passes
from pypow_server.resource import Resource

HERE = Path(__file__).parent
CONNECTIONS = 32
PATIENCE_S = 20
FASTEST = 40_000
"""More requests a second than one worker can answer: so many proofs are made for each."""

Values = Callable[[str, int], Sequence[bytes]]
"""Header values for so many seconds, for a server at this URL."""


@dataclass(frozen=True, slots=True)
class Load:
    """One way to ask.

    Attributes:
        name: of the row.
        store: URL of the ledger.
        field: the header field that is sent; None for none.
        values: of that field; None where the same one is sent every time.
        refused: whether every answer is expected to be a refusal.
    """

    name: str
    store: str
    field: str | None = None
    values: Values | None = None
    refused: bool = False


def _solved(_seed: int, *, count: int, epoch: int) -> list[bytes]:
    issuing, now_ms = rail(), time.time_ns() // 1_000_000
    resource = Resource("http", "GET", "/gated")
    found = []
    for _ in range(count):
        issued = issuing.challenge(resource, PRICE, puzzles=1, now_ms=now_ms, epoch=epoch)
        prefix, nonce = hashlib.sha256(issued.text.encode()), 0
        while True:
            tried = prefix.copy()
            tried.update(b"%d" % nonce)
            if not tried.digest()[0] & 0x80:
                break
            nonce += 1
        found.append(f"challenge={issued.text},nonce={nonce}".encode())
    return found


def epoch_of(url: str) -> int:
    """The ledger's epoch, as an offer tells it."""
    try:
        urllib.request.urlopen(f"{url}/gated")
    except urllib.error.HTTPError as refused:
        return wire.decode_challenge(json.load(refused)["offers"][0]["challenge"]).epoch
    raise RuntimeError("expected the gate to refuse a call without a proof")


def proofs(url: str, seconds: int) -> list[bytes]:
    """As many as can be used in so many seconds, made by all cores."""
    jobs = os.cpu_count() or 1
    solve = functools.partial(_solved, count=round(FASTEST * seconds / jobs), epoch=epoch_of(url))
    with multiprocessing.Pool(jobs) as pool:
        return [proof for part in pool.map(solve, range(jobs)) for proof in part]


def standing_pass(_url: str, _seconds: int) -> list[bytes]:
    in_an_hour_ms = time.time_ns() // 1_000_000 + 3_600_000
    bought = passes.issue(KEY, identity=os.urandom(16), calls=0, expires_at_ms=in_an_hour_ms)
    return [b"Bearer " + bought.text.encode()]


def garbage(_url: str, _seconds: int) -> list[bytes]:
    return [b"challenge=" + b"A" * 104 + b",nonce=", b"\xff" * 64, b"garbage"]


def loads(sqlite_folder: Path, redis_url: str | None) -> list[Load]:
    proof = ("X-PoW-Solution", proofs)
    rows = [
        Load("pass for a time", "memory:", "Authorization", standing_pass),
        Load("spend in memory", "memory:", *proof),
        Load("spend in SQLite", f"sqlite:{sqlite_folder / 'ledger.db'}", *proof),
    ]
    if redis_url is not None:
        rows.append(Load("spend in Redis", redis_url, *proof))
    return [
        *rows,
        Load("refusal with an offer", "memory:", refused=True),
        Load("garbage refused", "memory:", "X-PoW-Solution", garbage, refused=True),
    ]


@dataclass(frozen=True, slots=True)
class Worker:
    """A server of both apps."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """What its threads have used, in seconds; of children none are counted."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Counted:
    """What came of one side of a turn."""

    requests: int
    refused: int
    seconds: float
    cpu_s: float
    p50_us: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def rate_by_cpu(self) -> float:
        """Requests for each second that the worker was given a processor."""
        return self.requests / self.cpu_s


@contextlib.contextmanager
def serving(store: str) -> Iterator[Worker]:
    """A worker, up for as long as the block lasts."""
    command = [sys.executable, str(HERE / "gate_server.py"), store]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Worker(f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid)
        finally:
            process.terminate()


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str | None]:
    """A Redis that keeps every write, as the deployment guide has it; None where there is none."""
    if shutil.which("redis-server") is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    command += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE_S:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        try:
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()


def wrk(worker: Worker, path: str, seconds: int, connections: int, *sent: str) -> Counted:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "gate.lua")]
    before_s = worker.cpu_s()
    done = subprocess.run(
        [*command, worker.url, "--", path, *sent], capture_output=True, text=True, check=True
    )
    cpu_s = worker.cpu_s() - before_s
    told: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    if told["broken"]:
        raise SystemExit(f"{path}: {told['broken']} requests were not answered")
    return Counted(told["requests"], told["refused"], told["us"] / 1e6, cpu_s, told["p50_us"])


def turn(worker: Worker, load: Load, seconds: int, connections: int) -> tuple[Counted, Counted]:
    """What came of the ungated app and of the gated one."""
    with tempfile.NamedTemporaryFile() as file:
        sent: tuple[str, ...] = ()
        if load.values is not None:
            assert load.field is not None
            file.write(b"\n".join(load.values(worker.url, seconds)))
            file.flush()
            sent = (load.field, file.name)
        bare = wrk(worker, "/bare", seconds, connections)
        gated = wrk(worker, "/gated", seconds, connections, *sent)
    if gated.refused != (gated.requests if load.refused else 0):
        raise SystemExit(
            f"{load.name}: {gated.refused} of {gated.requests} were refused; are there "
            "proofs enough?"
        )
    return bare, gated


def rows_of(load: Load, turns: int, seconds: int) -> list[Row]:
    """Shares of what the ungated app does, and what one caller at a time waits longer."""
    with serving(load.store) as worker:
        turn(worker, load, 1, CONNECTIONS)
        pairs = [turn(worker, load, seconds, CONNECTIONS) for _ in range(turns)]
        alone = [turn(worker, load, seconds, 1) for _ in range(max(3, turns // 2))]
    bare, gated = (statistics.median(one.rate for one in side) for side in zip(*pairs, strict=True))
    us = [
        statistics.median(1e6 / one.rate_by_cpu for one in side)
        for side in zip(*pairs, strict=True)
    ]
    return [
        summary(
            f"{load.name} / ungated",
            [after.rate / before.rate for before, after in pairs],
            "x",
            f"{gated:.0f} of {bare:.0f} a second",
        ),
        summary(
            f"{load.name} / ungated, by CPU time",
            [after.rate_by_cpu / before.rate_by_cpu for before, after in pairs],
            "x",
            f"{us[1]:.0f} us a request, ungated {us[0]:.0f}",
        ),
        summary(
            f"{load.name}, p50 added",
            [(after.p50_us - before.p50_us) / 1000 for before, after in alone],
            "ms",
            "one caller",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=9, help="for each row, 2 or more")
    parser.add_argument("--seconds", type=int, default=2, help="for each side of a turn")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose names hold it")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        print("skipped: needs wrk on PATH; Debian's package is named wrk")
        return
    with tempfile.TemporaryDirectory() as folder, redis(Path(folder)) as redis_url:
        chosen = [load for load in loads(Path(folder), redis_url) if given.only in load.name]
        rows = [row for load in chosen for row in rows_of(load, given.turns, given.seconds)]
    skipped = {} if redis_url else {"spend in Redis": "needs redis-server on PATH"}
    document = measured("gate", rows, skipped=skipped)
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

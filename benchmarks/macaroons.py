# SPDX-License-Identifier: Apache-2.0
"""What an L402 credential costs to check: one, many, and in the libraries of the field.

    python benchmarks/macaroons.py --save benchmarks/results

Short slices of everything that is compared take turns, in CPU time of one thread; a ratio is taken
within its turn. All of them read the same text, hash the preimage, and look at each caveat. The
peers are handed the root key; pypow and its twin in Python find it by the identifier.
"""

import argparse
import contextlib
import hashlib
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import peer_home
import pypow
from document import Row, measured, save, summary, table
from peer_home import PROGRAMS, UnavailableError
from peer_process import Job, PeerProcess
from pypow import Key, Keyring
from pypow._native import ffi, lib
from pypow.batch import check_macaroons
from pypow.l402 import Checked, Expected, Terms, check, issue, root_key

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import macaroon_reference

ROUNDS = 21
CALLS = 2000
"""Single checks of ours in one turn."""

PEER_CALLS = 200
MANY = 10_000
NOW_S = 1_800_000_000
KEY = Key(id=1, secret=bytes(range(32)))
KEYRING = Keyring([KEY])
EXPECTED = Expected("pypow", tool="search")
CALL = macaroon_reference.Call("pypow", tool="search")
PREIMAGE = bytes(range(32, 64))
TERMS = Terms("pypow", NOW_S + 600, uses=20, tool="search")
SOLD = issue(KEY, TERMS, payment_hash=hashlib.sha256(PREIMAGE).digest(), identity=bytes(range(30)))

Turn = Callable[[], float]
"""Runs one slice; answers with the nanoseconds of CPU time of one credential."""


def turn(run: Callable[[], object], items: int) -> Turn:
    def once() -> float:
        begun = time.thread_time_ns()
        run()
        return (time.thread_time_ns() - begun) / items

    return once


def calls(times: int, function: Callable[[], object]) -> Turn:
    def run() -> None:
        for _ in itertools.repeat(None, times):
            function()

    return turn(run, times)


def our_turns() -> dict[str, Turn]:
    """One natively, one from Python, and a batch with each kernel that runs here."""
    text, preimage = SOLD.text, PREIMAGE.hex()
    octets, digits = text.encode(), preimage.encode()
    keys, demand = KEYRING.macaroon_keys, EXPECTED.demand.native
    terms = ffi.new("struct pypow_macaroon_terms *")
    texts, preimages = np.array([octets] * MANY), np.array([digits] * MANY)

    def native() -> int:
        return lib.pypow_macaroon_check(
            terms, keys.native, 1, NOW_S, demand, octets, len(octets), digits, len(digits)
        )

    def from_python() -> object:
        return check(text, preimage, KEYRING, EXPECTED, now_s=NOW_S)

    def batch(kernel: str) -> Turn:
        def run() -> object:
            return check_macaroons(texts, preimages, KEYRING, EXPECTED, now_s=NOW_S, kernel=kernel)

        return turn(run, MANY)

    assert native() == 0
    assert isinstance(from_python(), Checked)
    assert not check_macaroons(texts, preimages, KEYRING, EXPECTED, now_s=NOW_S).any()
    batches = {f"batch, {kernel.name}": batch(kernel.name) for kernel in usable()}
    return {"native": calls(CALLS, native), "python": calls(CALLS, from_python)} | batches


def usable() -> list[pypow.KernelInfo]:
    return [kernel for kernel in pypow.kernels() if kernel.usable]


def twin_turn() -> Turn:
    text, preimage, secrets = SOLD.text, PREIMAGE.hex(), {KEY.id: KEY.secret}

    def judge() -> object:
        return macaroon_reference.judge(text, preimage, secrets, CALL, NOW_S)

    assert judge() is None
    return calls(PEER_CALLS, judge)


def peer_turn(peer: PeerProcess) -> Turn:
    credential = f"{SOLD.text}:{PREIMAGE.hex()}"
    job = Job(credential, root_key(KEY, SOLD.identifier).hex(), PEER_CALLS)

    def once() -> float:
        done = peer.grind(job)
        if done.hashes != PEER_CALLS:
            raise UnavailableError(f"it let {done.hashes} of {PEER_CALLS} credentials stand")
        return done.ns / done.hashes

    return once


def pymacaroons() -> PeerProcess:
    interpreter = peer_home.python_with("pymacaroons==0.13.0")
    return PeerProcess(
        (str(interpreter), "-m", "peer_programs.pymacaroons_verify"), PROGRAMS.parent
    )


def npm_macaroon() -> PeerProcess:
    folder = peer_home.node_folder()
    return PeerProcess((peer_home.program("node"), "npm_macaroon.mjs"), folder)


PEERS = {"pymacaroons": pymacaroons, "npm macaroon": npm_macaroon}


@contextlib.contextmanager
def peers() -> Iterator[tuple[dict[str, PeerProcess], dict[str, str]]]:
    """Those that can be had, and why others cannot."""
    started, skipped = {}, {}
    with contextlib.ExitStack() as stack:
        for name, start in PEERS.items():
            try:
                started[name] = stack.enter_context(start())
                peer_turn(started[name])()
            except UnavailableError as error:
                started.pop(name, None)
                skipped[name] = str(error)
        yield started, skipped


def interleaved(turns: dict[str, Turn]) -> dict[str, list[float]]:
    """Nanoseconds of each, round by round."""
    found: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(ROUNDS):
        for name, once in turns.items():
            found[name].append(once())
    return found


def rows(started: dict[str, PeerProcess]) -> Iterator[Row]:
    """All figures."""
    best = f"batch, {usable()[0].name}"
    turns = our_turns() | {"plain Python": twin_turn()}
    ns = interleaved(turns | {name: peer_turn(peer) for name, peer in started.items()})

    def ratio(name: str, under: str) -> list[float]:
        return [one / other for one, other in zip(ns[name], ns[under], strict=True)]

    note = f"{len(SOLD.octets)} octets, {len(SOLD.caveats)} caveats"
    yield summary("one credential, native call", ns["native"], "ns", note)
    yield summary("one credential, pypow.l402.check", ns["python"], "ns", note)
    yield summary("credentials in a batch", ns[best], "ns", f"{MANY} of them, {usable()[0].name}")
    for name in ns:
        if name.startswith("batch, ") and name != best:
            yield summary(f"credentials in a {name}", ns[name], "ns", f"{MANY} of them")
    for name in ("plain Python", *started):
        took = f"{sorted(ns[name])[ROUNDS // 2] / 1000:.1f} us each"
        yield summary(f"{name} / pypow.l402.check", ratio(name, "python"), "x", took)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    with peers() as (started, skipped):
        versions = {name: peer.version for name, peer in started.items()}
        document = measured("macaroons", [*rows(started)], versions=versions, skipped=skipped)
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""pypow against the field: the same puzzle, in interleaved slices, in CPU time of one thread.

    python benchmarks/peers.py openssl hashlib
    python benchmarks/peers.py all --save benchmarks/results
    python benchmarks/peers.py --list

Both sides solve puzzles with one known solution, which lies as many hashes away as fit into a
slice; so the count of hashes is exact, and a peer that finds another nonce is caught. A peer is
installed where it can be had, in a folder of its own, and else skipped by name.
"""

import argparse
import os
import statistics
from pathlib import Path

import pypow
from contestants import CONTESTANTS, Contestant, Peer
from document import Row, measured, save, summary, table
from peer_home import UnavailableError
from peer_process import Slice, grind_here
from pypow.cli.figures import rate


def arguments() -> argparse.Namespace:
    groups = list(dict.fromkeys(one.group for one in CONTESTANTS))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("peers", nargs="*", metavar="PEER", help="a name out of --list, or all")
    parser.add_argument("--list", action="store_true", help="name the peers")
    parser.add_argument("--rounds", type=int, default=15, help="2 or more")
    parser.add_argument("--slice", type=float, default=0.1, help="seconds for each side a round")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    if given.rounds < 2 or not 0.001 <= given.slice <= 60:
        parser.error("expected 2 or more rounds and slices of 0.001 to 60 seconds")
    if given.list:
        print("\n".join(groups))
        parser.exit()
    if not given.peers or not {*given.peers} <= {"all", *groups}:
        parser.error(f"expected all or some of {', '.join(groups)}")
    return given


class Side:
    """One of the two that grind in turn, at a length of job that fits its slice."""

    def __init__(self, contestant: Contestant, peer: Peer | None, slice_s: float) -> None:
        self._contestant = contestant
        self._peer = peer
        self._slice_ns = 1e9 * slice_s
        self._hashes = 64

    def warm_up(self) -> None:
        """Grow the job to a slice; what compiles at run time has compiled then."""
        while (met := self.grind(os.urandom(16).hex())).ns < self._slice_ns / 2:
            growth = 2 if met.ns == 0 else min(8.0, max(1.5, self._slice_ns / met.ns))
            self._hashes = round(self._hashes * growth)

    def grind(self, prefix: str) -> Slice:
        puzzle, job = self._contestant.pose(prefix, self._hashes)
        if self._peer is None:
            return grind_here(puzzle)
        met = self._peer.grind(job)
        if self._contestant.solves_ours and met.hashes != job.hashes:
            raise UnavailableError(
                f"it stopped after {met.hashes} hashes where {job.hashes} find the nonce"
            )
        return met


def measure(contestant: Contestant, rounds: int, slice_s: float) -> tuple[Row, str]:
    """One row, and the peer's version."""
    with contestant.start() as peer:
        theirs = Side(contestant, peer, slice_s)
        ours = Side(contestant, None, slice_s)
        theirs.warm_up()
        ours.warm_up()
        met: list[tuple[float, float]] = []
        for turn in range(rounds):
            prefix = os.urandom(16).hex()
            if turn % 2:
                mine, other = ours.grind(prefix).hashrate, theirs.grind(prefix).hashrate
            else:
                other, mine = theirs.grind(prefix).hashrate, ours.grind(prefix).hashrate
            met.append((mine, other))
    speed = rate(statistics.median(other for _, other in met))
    note = f"{speed}; {contestant.note}" if contestant.note else speed
    row = summary(contestant.name, [mine / other for mine, other in met], "x", note)
    return row, peer.version


def main() -> None:
    given = arguments()
    rows: list[Row] = []
    versions = {"kernel": pypow.chosen_kernel().name}
    skipped: dict[str, str] = {}
    for contestant in CONTESTANTS:
        if contestant.group not in given.peers and "all" not in given.peers:
            continue
        try:
            row, version = measure(contestant, given.rounds, given.slice)
        except UnavailableError as error:
            skipped[contestant.name] = str(error)
        else:
            rows.append(row)
            versions[contestant.name] = version
    document = measured("peers", rows, versions=versions, skipped=skipped)
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

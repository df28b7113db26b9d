# SPDX-License-Identifier: Apache-2.0
"""Feed the gate's parsers very many drawn inputs; exit code 1 says that something was found.

    PYTHONPATH=tests python -m fuzz.gate_bulk --executions 100000000 --jobs 2

Coverage leads a fuzzer into corners, and slows it; here inputs are put together from right ones
and from pieces, blindly and fast. One input given to one parser is one execution. A round gives
each parser as many; what it draws follows from its number alone, so that rounds can be spread
over processes and days, and a finding can be had again.
"""

import argparse
import multiprocessing
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from fuzz.gate_inputs import KITS
from fuzz.gate_parsers import PARSERS
from fuzz.kit import Kit
from fuzz.payment_parsers import PARSERS as PAYMENT_PARSERS

ROUND: Final = 10_000
"""Executions of each parser in one round."""

_REPORT_S: Final = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that something is wrong with."""

    parser: str
    octets: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of some inputs: how many each parser was fed, how many of them it took."""

    fed: Counter[str]
    taken: Counter[str]
    findings: tuple[Finding, ...]


def drawn(kit: Kit, source: random.Random, number: int) -> Iterator[bytes]:
    """Inputs: each a right one with one to five changes."""
    draw = source.random
    for _ in range(number):
        octets = kit.right[int(draw() * len(kit.right))]
        for _ in range(1 + int(draw() ** 2 * 5)):
            at = int(draw() * (len(octets) + 1))
            match int(draw() * 8):
                case 0 | 1 | 2:  # another piece, before or in the place of what stands there
                    piece = kit.pieces[int(draw() * len(kit.pieces))]
                    octets = octets[:at] + piece + octets[at + int(draw() * 4) :]
                case 3 | 4:  # another octet
                    octets = octets[:at] + bytes((int(draw() * 256),)) + octets[at + 1 :]
                case 5:  # another character of those that are there
                    there = octets[int(draw() * len(octets)) :][:1]
                    octets = octets[:at] + there + octets[at + 1 :]
                case 6:  # something left out
                    octets = octets[:at] + octets[at + 1 + int(draw() * 8) :]
                case _:  # something said twice, or put elsewhere
                    again = int(draw() * len(octets))
                    octets = octets[:at] + octets[again : again + int(draw() * 32)] + octets[at:]
        yield octets


def feed(name: str, number: int, executions: int = ROUND) -> Tally:
    """Feed one parser its share of one round; ends at the first finding."""
    parse, source = PARSERS[name], random.Random(f"{name} {number}")
    fed = taken = 0
    findings: tuple[Finding, ...] = ()
    for octets in drawn(KITS[name], source, executions):
        fed += 1
        try:
            taken += parse(octets)
        except Exception:  # noqa: BLE001 - whatever comes out of a parser is a finding
            findings = (Finding(name, octets, traceback.format_exc()),)
            break
    return Tally(Counter({name: fed}), Counter({name: taken}), findings)


def _round(names: Sequence[str], number: int) -> list[Tally]:
    return [feed(name, number) for name in names]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--executions", type=int, default=10_000_000, help="of all parsers")
    parser.add_argument("--first", type=int, default=0, help="the round to begin with")
    parser.add_argument("--payments", action="store_true", help="only parsers of what pays")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    given = parser.parse_args()
    if given.executions < 1 or given.jobs < 1 or given.first < 0:
        parser.error("expected --executions and --jobs of at least 1, and --first of at least 0")
    return given


def main() -> int:
    """Feed, and report now and then, and at the end."""
    given = arguments()
    names = tuple(PAYMENT_PARSERS if given.payments else PARSERS)
    rounds = -(-given.executions // (ROUND * len(names)))
    numbers = range(given.first, given.first + rounds)
    fed, taken = Counter[str](), Counter[str]()
    began = reported = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for done, tallies in enumerate(
            pool.imap_unordered(partial(_round, names), numbers), start=1
        ):
            for tally in tallies:
                fed += tally.fed
                taken += tally.taken
                for finding in tally.findings:
                    print(f"{finding.parser}: {finding.octets!r}\n{finding.text}", flush=True)
                    return 1
            if time.monotonic() - reported > _REPORT_S:
                reported = time.monotonic()
                spent = round(reported - began)
                print(f"{fed.total():,} executions in {done} rounds, {spent} s", flush=True)
    for name in names:
        print(f"{fed[name]:>12,} {taken[name] / fed[name]:>6.1%} taken  {name}")
    print(f"{fed.total():,} executions, findings: none")
    return 0


if __name__ == "__main__":
    sys.exit(main())

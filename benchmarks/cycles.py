# SPDX-License-Identifier: Apache-2.0
"""Core cycles a hash for every kernel and placement, against the machine's limit and OpenSSL.

    python benchmarks/cycles.py --save benchmarks/results

Builds cycles.c with the C core, so that kernels are measured bare. The limit, or port bound, is
the number of operations (operations.py) at the rate this CPU was seen to start them in the same
run; no order of instructions can do better. Figures are percentile 10 of interleaved slices.
"""

import argparse
import os
import platform
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from document import Row, measured, save, table
from operations import Operations, Work, block, grind, sha_instructions

BENCHMARKS = Path(__file__).parent
CSRC = BENCHMARKS.parent / "csrc"
FLAGS = ("-std=c11", "-O3", "-g0", "-fvisibility=hidden", "-pthread", '-DPYPOW_VERSION="bench"')
WORDS = range(14)
CHALLENGE = "t=13 H0"  # where a challenge has its nonce


@dataclass(frozen=True, slots=True)
class Cycles:
    """Percentiles over the slices, for one hash, block or instruction."""

    p10: float
    p25: float
    p50: float
    p75: float


@dataclass(frozen=True, slots=True)
class Unit:
    """What a kernel without SHA instructions works with.

    Attributes:
        width: bits of a vector, as instructions are named in cycles.c.
        lanes: hashes in one.
        count: its instructions for some work.
    """

    width: int
    lanes: int
    count: Callable[[Work], Operations]


UNITS = {
    "avx512": Unit(512, 16, Work.with_ternary_logic),
    "avx2": Unit(256, 8, Work.with_shifts),
    "sse41": Unit(128, 4, Work.with_shifts),
    "scalar": Unit(32, 1, Work.with_rotates),
}
SHA_KERNELS = ("shani", "shani-vl")

# Row names of one kernel, each with what is computed: the word that varies and the digest word
# looked at, or a whole block.
PLACES: Mapping[str, tuple[int, int] | None] = {
    **{f"t={word} H{digest}": (word, digest) for digest in (0, 7) for word in WORDS},
    "block": None,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="slices of each task")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the run as JSON")
    given = parser.parse_args()
    if not 1 <= given.rounds <= 100_000:
        parser.error(f"expected 1 to 100000 rounds, got {given.rounds}")
    if platform.machine() not in ("x86_64", "AMD64"):
        parser.error(
            f"expected an x86-64 CPU, whose cycles cycles.c can count, got {platform.machine()}"
        )
    return given


def build(folder: Path) -> Path:
    """The program, compiled with the flags of the native module."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    sources = [*sorted(CSRC.glob("*.c")), BENCHMARKS / "cycles.c"]
    objects = [folder / f"{source.stem}.o" for source in sources]

    def compile_one(source: Path, made: Path) -> None:
        command = [*compiler, *FLAGS, f"-I{CSRC}", "-c", str(source), "-o", str(made)]
        subprocess.run(command, check=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, sources, objects))
    program = folder / "cycles"
    libraries = ["-pthread", "-lm", "-ldl"]
    subprocess.run([*compiler, *map(str, objects), *libraries, "-o", str(program)], check=True)
    return program


def parse(printed: str) -> tuple[dict[str, Cycles], dict[str, str]]:
    """What was measured, and what was not, with the reason."""
    found: dict[str, Cycles] = {}
    skipped: dict[str, str] = {}
    for line in printed.splitlines():
        name, *fields = line.split("\t")
        if fields[0] == "skipped":
            skipped[name] = fields[1]
        else:
            found[name] = Cycles(*map(float, fields[:4]))
    return found, skipped


def bound(kernel: str, place: tuple[int, int] | None, found: Mapping[str, Cycles]) -> float | None:
    """Cycles a hash that the CPU needs for the operations alone; None for an unknown kernel."""
    if kernel in SHA_KERNELS:
        return sha_instructions(place) * found["instruction rnds2"].p10
    unit = UNITS.get(kernel)
    if unit is None:
        return None
    operations = unit.count(block() if place is None else grind(*place))
    start = found[f"instruction add{unit.width}"].p10
    start_shift = found[f"instruction shift{unit.width}"].p10
    return max(operations.total * start, operations.shifts * start_shift) / unit.lanes


def kernel_rows(kernel: str, found: Mapping[str, Cycles]) -> Iterator[Row]:
    """Each placement, and the summary that goals look at."""
    over: dict[str, float] = {}
    for name, place in PLACES.items():
        cycles = found.get(f"{kernel} {name}")
        if cycles is None:
            continue
        limit = bound(kernel, place, found)
        note = f"p10 {cycles.p10:.2f}"
        if limit is not None:
            note += f", bound {limit:.2f}, {limit / cycles.p10:.1%} of it"
            over[name] = cycles.p10 / limit
        unit = "cycles/block" if place is None else "cycles/hash"
        yield Row(f"{kernel} {name}", cycles.p50, unit, cycles.p25, cycles.p75, note)
    over.pop("block", None)
    if over:
        worst, best = max(over, key=over.__getitem__), min(over.values())
        note = f"worst placement, {worst}; the bracket is best and worst"
        yield Row(f"{kernel} / bound", over[worst], "x", best, over[worst], note)
    mine, openssl = found.get(f"{kernel} {CHALLENGE}"), found.get("openssl")
    if mine is not None and openssl is not None:
        low, high = openssl.p25 / mine.p75, openssl.p75 / mine.p25
        note = f"hashes a second at {CHALLENGE} over SHA256_Transform"
        yield Row(f"{kernel} / openssl", openssl.p50 / mine.p50, "x", low, high, note)


def rows(found: Mapping[str, Cycles]) -> Iterator[Row]:
    for name, cycles in found.items():
        if name == "openssl" or name.startswith("instruction "):
            unit = "cycles/block" if name == "openssl" else "cycles"
            note = f"p10 {cycles.p10:.3f}"
            yield Row(name, cycles.p50, unit, cycles.p25, cycles.p75, note)
    kernels = [name.removesuffix(" block") for name in found if name.endswith(" block")]
    for kernel in kernels:
        yield from kernel_rows(kernel, found)


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        ran = subprocess.run(
            [program, str(given.rounds)], check=True, stdout=subprocess.PIPE, text=True
        )
    found, skipped = parse(ran.stdout)
    document = measured("cycles", list(rows(found)), skipped=skipped)
    print(table(document))
    if given.save is not None:
        print(save(document, given.save))


if __name__ == "__main__":
    main()

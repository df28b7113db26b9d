# SPDX-License-Identifier: Apache-2.0
"""Feed the C core hostile inputs with libFuzzer; exit code 1 says that something was found.

    python tests/fuzz/run.py --seconds 60 --jobs 2            # build, run, print executions
    python tests/fuzz/run.py --build-only                     # build/fuzz: needs just libc to run
    python tests/fuzz/run.py --binaries build/fuzz --out OUT  # on a machine without a compiler

Each target runs twice: `checked` with the address and undefined-behaviour sanitizers, `swift`
without; both see a step beyond the buffers that a caller passes, for these lie between guard
pages. The corpus of the tree is only read; what was found lies in OUT, and `--update` writes the
smallest corpus that covers as much back.
"""

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
BUILT = ROOT / "build" / "fuzz"

TARGETS = ("puzzle", "verify", "batch", "proofs", "wire", "macaroon")
SHARED_SOURCES = ("credential", "given", "protocol", "reference", "sent")
LONGEST_INPUT = {
    "puzzle": 96,
    "verify": 128,
    "batch": 128,
    "proofs": 192,
    "wire": 128,
    "macaroon": 192,
}

SANITIZERS = {"checked": "address,undefined", "swift": ""}
TURNS = ("checked", "checked", "swift")
"""How each target's time is shared: most inputs are tried with sanitizers."""

COMPILER = os.environ.get("CLANG", "clang-14").split()
FLAGS = ["-std=c11", "-O2", "-g1", "-Wno-pass-failed", '-DPYPOW_VERSION="fuzz"']
COVERAGE = "-fsanitize-coverage=inline-8bit-counters,pc-table"
# Checked too, they would multiply the time to compile the unrolled kernels; the tests of the
# corpus and of tests/csrc check them with another compiler.
NOT_IN_KERNELS = "-fno-sanitize=pointer-overflow,null,object-size,alignment"

# libFuzzer is C++: its library goes into the binary, which then needs just libc.
ALONE = ["-static-libgcc", "-nostdlib++", "-Wl,-Bstatic", "-lstdc++", "-Wl,-Bdynamic", "-lm"]

_EXECUTIONS = re.compile(r"^stat::number_of_executed_units: (\d+)$", re.MULTILINE)
_PROGRESS = re.compile(r"^#(\d+)\t", re.MULTILINE)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS, metavar="NAME")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--build-only", action="store_true", help="make the binaries and end")
    parser.add_argument("--binaries", type=Path, metavar="FOLDER", help="run these, build nothing")
    parser.add_argument("--out", type=Path, default=BUILT / "out", metavar="FOLDER")
    parser.add_argument("--update", action="store_true", help="write the corpus of the tree anew")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    given = parser.parse_args()
    if given.seconds < 1 or given.jobs < 1:
        parser.error("expected --seconds and --jobs of at least 1")
    return given


def sources(folder: Path) -> Iterator[tuple[Path, Path, list[str]]]:
    """Every object: what it is made from, where it lies, and with which flags.

    The reference is neither checked nor counted as coverage: it is not what is tested.
    """
    for variant, sanitizer in SANITIZERS.items():
        checks = [f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"] if sanitizer else []
        for source in sorted((ROOT / "csrc").glob("*.c")):
            fewer = [NOT_IN_KERNELS] if checks and source.name.startswith("kernel_") else []
            yield source, folder / variant / f"{source.stem}.o", [COVERAGE, *checks, *fewer]
        for name in TARGETS:
            fuzz = f"fuzz_{name}"
            yield HERE / f"{fuzz}.c", folder / variant / f"{fuzz}.o", [COVERAGE, *checks]
        for name in SHARED_SOURCES:
            yield HERE / f"{name}.c", folder / variant / f"{name}.o", []


def build(folder: Path, jobs: int) -> None:
    """Compile what is older than the sources, and link every target twice."""
    headers = [*(ROOT / "csrc").glob("*.h"), *HERE.glob("*.h"), HERE.parent / "csrc" / "fence.h"]
    newest_header = max(path.stat().st_mtime for path in headers)
    includes = [f"-I{path}" for path in (ROOT / "csrc", HERE.parent / "csrc")]

    def compiled(source: Path, made: Path, flags: list[str]) -> None:
        newest = max(newest_header, source.stat().st_mtime)
        if not made.exists() or made.stat().st_mtime < newest:
            made.parent.mkdir(parents=True, exist_ok=True)
            command = [*COMPILER, *FLAGS, *includes, *flags, "-c", str(source), "-o", str(made)]
            subprocess.run(command, check=True)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in [pool.submit(compiled, *each) for each in sources(folder)]:
            done.result()
    for variant, sanitizer in SANITIZERS.items():
        objects = [made for _, made, _ in sources(folder) if made.parent.name == variant]
        core = [str(made) for made in objects if not made.stem.startswith("fuzz_")]
        linked = ",".join(filter(None, ("fuzzer", sanitizer)))
        for target in TARGETS:
            command = [*COMPILER, f"-fsanitize={linked}", "-pthread", *core]
            command += [str(folder / variant / f"fuzz_{target}.o"), *ALONE]
            command += ["-o", str(folder / f"{target}-{variant}")]
            subprocess.run(command, check=True)


def listed(target: str) -> Path:
    """The file that keeps the inputs of a target, in hex, one a line."""
    return CORPUS / f"{target}.txt"


def known(target: str) -> set[bytes]:
    """The inputs of the tree."""
    return {bytes.fromhex(line) for line in listed(target).read_text().splitlines()}


def by_size(octets: bytes) -> tuple[int, bytes]:
    """A key to sort by."""
    return len(octets), octets


def unpack(target: str, folder: Path) -> list[Path]:
    """Write the inputs of the tree as files, which is what libFuzzer reads."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, octets in enumerate(sorted(known(target), key=by_size)):
        files.append(folder / f"known-{number:04}")
        files[-1].write_bytes(octets)
    return files


@dataclass(frozen=True, slots=True)
class Turn:
    """One process that fuzzes one target for a while."""

    target: str
    variant: str
    executions: int
    seconds: float
    failed: bool


def executions(log: str) -> int:
    """How many inputs a process tried; its last progress line counts where it was ended."""
    found = _EXECUTIONS.findall(log) or _PROGRESS.findall(log) or ["0"]
    return int(found[-1])


@dataclass(frozen=True, slots=True)
class Session:
    """The binaries, and the folder that takes logs, findings and the growing corpus."""

    binaries: Path
    out: Path
    targets: tuple[str, ...]

    def prepare(self) -> None:
        """Copy the tree's corpus to where it may grow."""
        for name in ("logs", "findings"):
            (self.out / name).mkdir(parents=True, exist_ok=True)
        for target in self.targets:
            grown = self.grown(target)
            unpack(target, grown)

    def grown(self, target: str) -> Path:
        """Where inputs that are worth keeping are collected."""
        return self.out / "grown" / target

    def merged(self, target: str) -> Path:
        """Where the fewest inputs are put that cover as much."""
        return self.out / "corpus" / target

    def fuzz(self, job: int, target: str, variant: str, seconds: float) -> Turn:
        """Run one target for `seconds`, or until it finds something."""
        log = self.out / "logs" / f"{target}-{variant}-{job}.log"
        command = [str(self.binaries / f"{target}-{variant}"), str(self.grown(target))]
        command += [f"-max_total_time={max(1, round(seconds))}", "-print_final_stats=1"]
        command += [f"-max_len={LONGEST_INPUT[target]}", "-timeout=20", "-rss_limit_mb=2048"]
        # Without it twice as many inputs are tried in the same time.
        command += ["-entropic=0", f"-artifact_prefix={self.out}/findings/{target}-"]
        began = time.monotonic()
        with log.open("w") as stream:
            done = subprocess.run(command, stderr=stream, stdout=stream, check=False)
        text = log.read_text(errors="replace")
        seconds = time.monotonic() - began
        return Turn(target, variant, executions(text), seconds, done.returncode != 0)

    def work(self, job: int, seconds: float) -> list[Turn]:
        """All turns of one job: every job begins with another, so that none is ever without."""
        turns = [(target, variant) for variant in TURNS for target in self.targets]
        turns = turns[job % len(turns) :] + turns[: job % len(turns)]
        return [self.fuzz(job, *turn, seconds / len(turns)) for turn in turns]

    def merge(self, target: str) -> None:
        """Keep the fewest inputs that cover what all of them do."""
        shutil.rmtree(self.merged(target), ignore_errors=True)
        self.merged(target).mkdir(parents=True)
        command = [str(self.binaries / f"{target}-checked"), "-set_cover_merge=1"]
        command += [f"-max_len={LONGEST_INPUT[target]}", f"-artifact_prefix={self.out}/logs/"]
        command += [str(self.merged(target)), str(self.grown(target))]
        subprocess.run(command, check=True, capture_output=True)

    def update(self, target: str) -> None:
        """Put the merged corpus in the place of the tree's."""
        inputs = sorted((path.read_bytes() for path in self.merged(target).iterdir()), key=by_size)
        listed(target).write_text("".join(f"{octets.hex()}\n" for octets in inputs))

    def findings(self) -> list[str]:
        """The inputs that ended a process."""
        return sorted(str(path) for path in (self.out / "findings").iterdir())


def summary(session: Session, turns: list[Turn]) -> dict[str, object]:
    """What was tried and found, to be printed or kept."""
    rows = []
    for target in session.targets:
        for variant in SANITIZERS:
            mine = [turn for turn in turns if (turn.target, turn.variant) == (target, variant)]
            tried, seconds = sum(t.executions for t in mine), sum(t.seconds for t in mine)
            row = {"target": target, "variant": variant, "executions": tried}
            rows.append(row | {"seconds": round(seconds), "per_second": round(tried / seconds)})
    corpus = {
        target: {
            "inputs": len(list(session.merged(target).iterdir())),
            "bytes": sum(path.stat().st_size for path in session.merged(target).iterdir()),
            "new": len({p.read_bytes() for p in session.merged(target).iterdir()} - known(target)),
        }
        for target in session.targets
    }
    return {
        "executions": sum(turn.executions for turn in turns),
        "checked": sum(turn.executions for turn in turns if turn.variant == "checked"),
        "failed": sum(turn.failed for turn in turns),
        "findings": session.findings(),
        "runs": rows,
        "corpus": corpus,
    }


def table(found: dict[str, object]) -> str:
    """The summary for a terminal."""
    lines = [f"{'target':8} {'variant':8} {'executions':>14} {'a second and core':>18}"]
    rows = found["runs"]
    assert isinstance(rows, list)
    for row in rows:
        line = f"{row['target']:8} {row['variant']:8} {row['executions']:14,}"
        lines.append(f"{line} {row['per_second']:18,}")
    lines.append(f"{'all':17} {found['executions']:14,}, with sanitizers {found['checked']:,}")
    return "\n".join([*lines, f"findings: {found['findings'] or 'none'}"])


def main() -> int:
    """Build, fuzz, merge, report."""
    given = arguments()
    if given.binaries is None:
        build(BUILT, given.jobs)
    if given.build_only:
        return 0
    session = Session(
        (given.binaries or BUILT).resolve(), given.out.resolve(), tuple(given.targets)
    )
    session.prepare()
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        work = [pool.submit(session.work, job, given.seconds) for job in range(given.jobs)]
        turns = [turn for each in work for turn in each.result()]
    for target in session.targets:
        session.merge(target)
    found = summary(session, turns)
    if given.update:
        for target in session.targets:
            session.update(target)
    (session.out / "result.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1) if given.json else table(found))
    return 1 if found["failed"] or found["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())

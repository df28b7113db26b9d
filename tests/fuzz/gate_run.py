# SPDX-License-Identifier: Apache-2.0
"""Feed the gate's parsers hostile inputs with atheris; exit code 1 says that something was found.

    PYTHONPATH=tests python -m fuzz.gate_run --seconds 60
    PYTHONPATH=tests python -m fuzz.gate_run --seconds 600 --update   # and keep what was learnt

Targets run one after another, each in a process of its own. The corpus of the tree is only read;
what was found lies in OUT, and `--update` writes the smallest corpus that covers as much back.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from fuzz.run import BUILT, by_size, executions, listed, unpack

TARGETS = (
    "gate_headers", "gate_text", "gate_message", "gate_payments", "gate_tokens", "gate_urls",
)  # fmt: skip
PARSERS = {
    "gate_headers": 7, "gate_text": 9, "gate_message": 4, "gate_payments": 15, "gate_tokens": 6,
    "gate_urls": 2,
}  # fmt: skip
"""How many parsers see each input, at least."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS, metavar="NAME")
    parser.add_argument("--out", type=Path, default=BUILT / "gate", metavar="FOLDER")
    parser.add_argument("--update", action="store_true", help="write the corpus of the tree anew")
    given = parser.parse_args()
    if given.seconds < len(given.targets):
        parser.error("expected --seconds of at least 1 for each target")
    return given


def atheris(target: str, log: Path, *options: str) -> bool:
    """One process of libFuzzer around a target; whether it ended well."""
    command = [sys.executable, "-m", "fuzz.gate_one", target, *options]
    with log.open("w") as stream:
        done = subprocess.run(command, stderr=stream, stdout=stream, check=False)
    return done.returncode == 0


def grown(target: str, out: Path) -> Path:
    """The folder where inputs that are worth keeping are collected: the tree's, and the right."""
    from fuzz.gate_targets import seeds

    folder = out / "grown" / target
    unpack(target, folder)
    for number, octets in enumerate(seeds()[target]):
        (folder / f"seed-{number}").write_bytes(octets)
    return folder


def fuzz(target: str, seconds: float, out: Path) -> dict[str, object]:
    """Run one target for `seconds`, or until it finds something."""
    from fuzz.gate_targets import LONGEST_INPUT

    log = out / f"{target}.log"
    began = time.monotonic()
    well = atheris(
        target,
        log,
        str(grown(target, out)),
        f"-max_total_time={max(1, round(seconds))}",
        f"-max_len={LONGEST_INPUT[target]}",
        f"-artifact_prefix={out}/findings/{target}-",
        *("-print_final_stats=1", "-timeout=20", "-rss_limit_mb=1024"),
    )
    tried = executions(log.read_text(errors="replace"))
    return {
        "target": target,
        "inputs": tried,
        "parsed": tried * PARSERS[target],
        "seconds": round(time.monotonic() - began),
        "failed": not well,
    }


def update(target: str, out: Path) -> None:
    """Put the fewest inputs that cover as much in the place of the tree's."""
    smallest = out / "smallest" / target
    shutil.rmtree(smallest, ignore_errors=True)
    smallest.mkdir(parents=True)
    if not atheris(target, out / "merge.log", "-merge=1", str(smallest), str(grown(target, out))):
        raise SystemExit(f"could not merge the corpus: see {out / 'merge.log'}")
    inputs = sorted((path.read_bytes() for path in smallest.iterdir()), key=by_size)
    listed(target).write_text("".join(f"{octets.hex()}\n" for octets in inputs))


def main() -> int:
    """Fuzz, report, and keep the corpus where that was asked for."""
    given = arguments()
    (given.out / "findings").mkdir(parents=True, exist_ok=True)
    share = given.seconds / len(given.targets)
    rows = [fuzz(target, share, given.out) for target in given.targets]
    for row in rows:
        print(json.dumps(row))
    if given.update:
        for target in given.targets:
            update(target, given.out)
    findings = sorted(str(path) for path in (given.out / "findings").iterdir())
    print(f"findings: {findings or 'none'}")
    return 1 if findings or any(row["failed"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

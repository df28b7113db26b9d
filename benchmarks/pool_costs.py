# SPDX-License-Identifier: Apache-2.0
"""pool_costs.c, compiled with the engine that it measures, as that is compiled itself."""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
COMPILER = os.environ.get("CC", "gcc").split()
FLAGS = ["-std=c11", "-O3", "-pthread", '-DPYPOW_VERSION="benchmark"', f"-I{CSRC}"]


def run(*arguments: object) -> list[list[float]]:
    """Compile, run with these arguments, and read the numbers of each line."""
    with tempfile.TemporaryDirectory() as folder:
        program = _compiled(Path(folder))
        try:
            ran = subprocess.run(
                [program, *map(str, arguments)], capture_output=True, text=True, check=True
            )
        except subprocess.CalledProcessError as error:
            sys.exit(f"pool_costs {' '.join(map(str, arguments))}: {error.stderr.strip() or error}")
    return [[float(number) for number in line.split()] for line in ran.stdout.splitlines()]


def _compiled(folder: Path) -> Path:
    def compiled(source: Path) -> Path:
        made = folder / f"{source.stem}.o"
        subprocess.run([*COMPILER, *FLAGS, "-c", str(source), "-o", str(made)], check=True)
        return made

    sources = [*sorted(CSRC.glob("*.c")), Path(__file__).with_name("pool_costs.c")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(compiled, sources))
    program = folder / "pool_costs"
    subprocess.run([*COMPILER, "-pthread", *map(str, parts), "-o", str(program)], check=True)
    return program

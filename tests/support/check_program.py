# SPDX-License-Identifier: Apache-2.0
"""Building the core with a check program, for any compiler and any mistake."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CSRC = ROOT / "csrc"
COMPILER = os.environ.get("CC", "gcc").split()[-1]
CHECK = ROOT / "tests" / "csrc" / "check_core.c"


@dataclass(frozen=True, slots=True)
class Build:
    """A compiler with its flags, and where what it makes goes."""

    compiler: str
    flags: tuple[str, ...]
    folder: Path

    def compile(self, source: Path, csrc: Path = CSRC) -> Path:
        made = self.folder / f"{csrc.parent.name}-{source.stem}.o"
        fixed = ["-std=c11", "-pthread", '-DPYPOW_VERSION="test"', f"-I{csrc}"]
        command = [self.compiler, *fixed, *self.flags, "-c", str(source), "-o", str(made)]
        subprocess.run(command, check=True, timeout=300)
        return made

    def objects(self, csrc: Path = CSRC, checks: Iterable[Path] = (CHECK,)) -> tuple[Path, ...]:
        return self.each([*core(csrc), *checks], csrc)

    def each(self, sources: Iterable[Path], csrc: Path = CSRC) -> tuple[Path, ...]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return tuple(pool.map(lambda source: self.compile(source, csrc), sources))

    def link(self, objects: Sequence[Path], name: str = "check") -> Path:
        program = self.folder / name
        command = [self.compiler, *self.flags, "-pthread", *map(str, objects), "-o", str(program)]
        subprocess.run(command, check=True, timeout=300)
        return program

    def twin(self, objects: Sequence[Path], file: str, what: str, instead: str) -> Path:
        """The program with one deliberate mistake in one source file."""
        csrc = changed(self.folder / f"wrong-{Path(file).stem}", file, what, instead)
        wrong = self.compile(csrc / file, csrc)
        others = [made for made in objects if not made.name.endswith(f"-{Path(file).stem}.o")]
        return self.link([*others, wrong], f"wrong-{Path(file).stem}.check")


def core(csrc: Path = CSRC) -> list[Path]:
    return sorted(csrc.glob("*.c"))


def has_sanitizer(folder: Path, sanitizer: str) -> bool:
    """Whether the compiler can build a program with it that runs here."""
    empty = folder / "empty.c"
    empty.write_text("int main(void) { return 0; }\n")
    program = folder / "empty"
    made = run(COMPILER, sanitizer, empty, "-o", program).returncode == 0
    return made and run(program).returncode == 0


def changed(folder: Path, file: str, what: str, instead: str) -> Path:
    """A copy of the core with one deliberate mistake."""
    copy = shutil.copytree(CSRC, folder / "csrc")
    source = (copy / file).read_text(encoding="utf-8")
    assert source.count(what) == 1, f"{file}: expected just once: {what}"
    (copy / file).write_text(source.replace(what, instead), encoding="utf-8")
    return copy


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

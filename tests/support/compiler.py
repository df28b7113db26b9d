# SPDX-License-Identifier: Apache-2.0
"""Programs made from the C core and a check, and copies of the core with a mistake in them."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CSRC = TESTS.parent / "csrc"
COMPILER = os.environ.get("CC", "gcc").split()

ADDRESS = "-fsanitize=address,undefined"
THREAD = "-fsanitize=thread"


def require_compiler() -> None:
    """Skip where there is no compiler."""
    if shutil.which(COMPILER[0]) is None:
        pytest.skip(f"needs the C compiler {COMPILER[0]}")


def has_sanitizer(folder: Path, sanitizer: str) -> bool:
    """Whether a program with this sanitizer can be built and runs here."""
    empty = folder / "empty.c"
    empty.write_text("int main(void) { return 0; }\n")
    command = [*COMPILER, sanitizer, str(empty), "-o", str(folder / "empty")]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        return False
    return not subprocess.run([folder / "empty"], check=False, capture_output=True).returncode


def objects(
    folder: Path, sources: Iterable[Path], flags: Iterable[str] = (), *, csrc: Path = CSRC
) -> list[Path]:
    """Compile each source to an object of its name; without optimisation, which is quick."""
    common = ["-std=c11", "-O0", "-g", "-D_GNU_SOURCE", '-DPYPOW_VERSION="test"', f"-I{csrc}"]
    common += [f"-I{TESTS / 'csrc'}", f"-I{TESTS / 'fuzz'}", *flags]
    folder.mkdir(parents=True, exist_ok=True)

    def compiled(source: Path) -> Path:
        made = folder / f"{source.stem}.o"
        subprocess.run([*COMPILER, *common, "-c", str(source), "-o", str(made)], check=True)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compiled, sources))


def linked(program: Path, parts: Iterable[Path], flags: Iterable[str] = ()) -> Path:
    """Make a program of these objects; of two with one name the later counts."""
    named = {part.name: part for part in parts}
    command = [*COMPILER, *map(str, named.values()), *flags, "-pthread", "-lm", "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def core_sources(csrc: Path = CSRC) -> list[Path]:
    return sorted(csrc.glob("*.c"))


def changed(folder: Path, file: str, what: str, instead: str) -> Path:
    """A copy of the core with one deliberate mistake."""
    copy = shutil.copytree(CSRC, folder / "csrc")
    source = (copy / file).read_text(encoding="utf-8")
    assert source.count(what) == 1, f"{file}: expected once: {what}"
    (copy / file).write_text(source.replace(what, instead), encoding="utf-8")
    return copy


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=600
    )

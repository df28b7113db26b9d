# SPDX-License-Identifier: Apache-2.0
"""What a measurement must name: CPU, system, threads, and the compiler of the native module."""

import importlib.util
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from pypow.processors import usable_processors

_COMPILER = re.compile(rb"GCC: \([^)\0]*\) [0-9.]+|clang version [0-9.]+")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and how the engine runs.

    Attributes:
        cpu: the model's name, as the operating system tells it.
        threads: how many this process may run at once.
        system: operating system and architecture.
        python: version of the interpreter.
        compiler: what built the native module, or "unknown".
    """

    cpu: str
    threads: int
    system: str
    python: str
    compiler: str


def this_machine() -> Machine:
    """The machine under this process."""
    return Machine(
        cpu=_cpu(),
        threads=usable_processors(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        compiler=_compiler(),
    )


def _cpu() -> str:
    try:
        listing = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", listing, re.MULTILINE)
    return found[1] if found else platform.machine()


def _compiler() -> str:
    """The mark that GCC and clang leave in what they compile."""
    spec = importlib.util.find_spec("pypow._native")
    if spec is None or spec.origin is None:
        return "unknown"
    marks = _COMPILER.findall(Path(spec.origin).read_bytes())
    return max(marks).decode("ascii") if marks else "unknown"

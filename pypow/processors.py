# SPDX-License-Identifier: Apache-2.0
"""How many processors this process may use: its affinity, and its control groups' quotas.

A container that may use 1.5 of 64 CPUs still sees 64 of them. Threads past the quota do not
grind more; the kernel stops all of them for the rest of each period.
"""

import functools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


def usable_processors() -> int:
    """How many threads this process may run at once, at least 1.

    The CPUs in its affinity mask (which cpusets and NUMA bindings narrow), or as many as the
    quota of its control groups comes to, rounded up; whichever is less.
    """
    quota = _own_quota()
    allowed = len(os.sched_getaffinity(0))
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


@functools.cache
def _own_quota() -> float | None:
    return quota_in_cpus(Path("/"))


@dataclass(frozen=True, slots=True)
class _Mount:
    """Where a hierarchy of control groups is mounted, and which of its groups lies there."""

    point: str
    root: str


def quota_in_cpus(root: Path) -> float | None:
    """The least quota of this process's control group and of those above it, in CPUs.

    Args:
        root: where ``proc`` and ``sys`` lie; ``/`` but for tests.

    Returns:
        None where nothing limits it, or where that cannot be read.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8")
        mounts = (root / "proc/self/mountinfo").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    quotas = []
    for line in groups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        read = _version_1 if controllers else _version_2
        mount = _mount(mounts, version_1=bool(controllers))
        quotas += [read(folder) for folder in _folders(root, mount, path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _mount(mounts: str, *, version_1: bool) -> _Mount | None:
    """Find the hierarchy that has the quota of CPU time (proc_pid_mountinfo(5))."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, system = before.split(), after.split()
        if len(fields) < 5 or len(system) < 3:
            continue
        kind, options = system[0], system[2].split(",")
        if (kind == "cgroup" and "cpu" in options) if version_1 else kind == "cgroup2":
            return _Mount(point=fields[4], root=fields[3])
    return None


def _folders(root: Path, mount: _Mount | None, path: str) -> Iterator[Path]:
    """The folder of a group and those above it, as far as they are mounted."""
    if mount is None:
        return
    # A container often sees its own group alone, mounted as if it were the topmost.
    inside = path == mount.root or path.startswith(mount.root.rstrip("/") + "/")
    below = path[len(mount.root.rstrip("/")) :].strip("/") if inside else ""
    top = root / mount.point.lstrip("/")
    names = [name for name in below.split("/") if name]
    if ".." in names:
        names = []
    for depth in range(len(names), -1, -1):
        yield top.joinpath(*names[:depth])


def _version_2(folder: Path) -> float | None:
    return _ratio(_words(folder / "cpu.max"))


def _version_1(folder: Path) -> float | None:
    return _ratio(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return []


def _ratio(quota_and_period: list[str]) -> float | None:
    """Quota over period, both in microseconds; ``max`` and -1 are no limit."""
    try:
        quota, period = map(int, quota_and_period)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None

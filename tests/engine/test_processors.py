# SPDX-License-Identifier: Apache-2.0
"""How many processors may be used: affinity, and quotas in trees as they are found in the wild."""

import os
from pathlib import Path

import pytest

from pypow import processors
from pypow.processors import quota_in_cpus, usable_processors

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_CPU = "33 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
V1_CPUSET = "34 25 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
V1_IN_CONTAINER = (
    "33 25 0:28 /docker/f00 /sys/fs/cgroup/cpu ro master:9 - cgroup cgroup rw,cpu,cpuacct\n"
)
HYBRID = V1_CPU + "42 25 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
CGROUP = "sys/fs/cgroup"
CPU = f"{CGROUP}/cpu,cpuacct"


def tree(root: Path, cgroup: str, mounts: str, files: dict[str, str]) -> Path:
    written = {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mounts} | files
    for name, text in written.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def v1(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    return {
        f"{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"{folder}/cpu.cfs_period_us": f"{period}\n",
    }


TREES: dict[str, tuple[str, str, dict[str, str], float | None]] = {
    "v2, a limit of its own": (
        "0::/app.slice\n", V2_MOUNT, {f"{CGROUP}/app.slice/cpu.max": "150000 100000\n"}, 1.5
    ),
    "v2, no limit": (
        "0::/app.slice\n", V2_MOUNT, {f"{CGROUP}/app.slice/cpu.max": "max 100000\n"}, None
    ),
    "v2, a limit two groups up, lower than its own": (
        "0::/a/b/c\n",
        V2_MOUNT,
        {
            f"{CGROUP}/a/cpu.max": "50000 100000",
            f"{CGROUP}/a/b/cpu.max": "max 100000",
            f"{CGROUP}/a/b/c/cpu.max": "400000 100000",
        },
        0.5,
    ),
    "v2, in a container that sees its own group as the topmost": (
        "0::/\n", V2_MOUNT, {f"{CGROUP}/cpu.max": "200000 100000"}, 2.0
    ),
    "v2, outside of what is mounted": (
        "0::/../../other\n", V2_MOUNT, {f"{CGROUP}/cpu.max": "300000 100000"}, 3.0
    ),
    "v2, another period": (
        "0::/\n", V2_MOUNT, {f"{CGROUP}/cpu.max": "30000 10000"}, 3.0
    ),
    "v1": ("4:cpu,cpuacct:/a\n3:cpuset:/b\n", V1_CPUSET + V1_CPU, v1(f"{CPU}/a", 250_000), 2.5),
    "v1, no limit": ("4:cpu,cpuacct:/a\n", V1_CPU, v1(f"{CPU}/a", -1), None),
    "v1, above": ("4:cpuacct,cpu:/a/b\n", V1_CPU, v1(f"{CPU}/a/b", -1) | v1(CPU, 700_000), 7.0),
    "v1, in a container": (
        "4:cpu,cpuacct:/docker/f00\n", V1_IN_CONTAINER, v1(f"{CGROUP}/cpu", 50_000), 0.5
    ),
    "v1, in a container's inner group": (
        "4:cpu,cpuacct:/docker/f00/in\n", V1_IN_CONTAINER, v1(f"{CGROUP}/cpu/in", 50_000), 0.5
    ),
    "v1, of a group whose name only begins alike": (
        "4:cpu,cpuacct:/docker/f001\n", V1_IN_CONTAINER, v1(f"{CGROUP}/cpu/1", 50_000), None
    ),
    "hybrid: version 1 has the quota": (
        "4:cpu,cpuacct:/a\n0::/u\n", HYBRID, v1(f"{CPU}/a", 100_000), 1.0
    ),
    "a limit of another controller": (
        "3:cpuset:/b\n", V1_CPUSET + V1_CPU, v1(f"{CPU}/b", 100_000), None
    ),
    "no control groups": ("", "", {}, None),
    "no mount": ("0::/a\n", "", {f"{CGROUP}/a/cpu.max": "100000 100000"}, None),
    "nonsense": ("nonsense\n::\n0\n", "1 2\n - \n" + V2_MOUNT, {f"{CGROUP}/cpu.max": "soon"}, None),
    "a quota of nothing": ("0::/\n", V2_MOUNT, {f"{CGROUP}/cpu.max": "0 0"}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_the_quota_is_the_least_on_the_way_up(tmp_path: Path, name: str) -> None:
    cgroup, mounts, files, quota = TREES[name]
    assert quota_in_cpus(tree(tmp_path, cgroup, mounts, files)) == quota


def test_a_machine_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert quota_in_cpus(tmp_path) is None


@pytest.mark.parametrize(
    ("allowed", "quota", "usable"),
    [(8, None, 8), (8, 2.0, 2), (8, 1.1, 2), (8, 0.01, 1), (2, 64.0, 2), (1, None, 1)],
)
def test_a_quota_is_rounded_up_and_affinity_is_never_exceeded(
    monkeypatch: pytest.MonkeyPatch, allowed: int, quota: float | None, usable: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)))
    monkeypatch.setattr(processors, "_own_quota", lambda: quota)
    assert usable_processors() == usable


def test_this_process_may_use_at_least_one() -> None:
    assert 1 <= usable_processors() <= len(os.sched_getaffinity(0))

# SPDX-License-Identifier: Apache-2.0
"""The threads of this process, as the kernel counts them: helpers are unknown to Python."""

from pathlib import Path

import pytest

TASKS = Path("/proc/self/task")

counts_threads = pytest.mark.skipif(not TASKS.is_dir(), reason="needs /proc to count threads")


def tasks() -> set[str]:
    return {task.name for task in TASKS.iterdir()}


def sleeping(task: str) -> bool:
    # Fields are counted from the end of the name, which may hold blanks (proc_pid_stat(5)).
    return (TASKS / task / "stat").read_text().rpartition(")")[2].split()[0] == "S"

# SPDX-License-Identifier: Apache-2.0
"""What every saved run names besides the commit: the CPU, the kernels and the compiler."""

import dataclasses
from typing import Any

import pytest

import pypow
from pypow.cli.info import version
from pypow.cli.machine import this_machine


def pytest_benchmark_update_machine_info(
    config: pytest.Config,  # noqa: ARG001 - the hook's signature
    machine_info: dict[str, Any],
) -> None:
    machine_info["pypow"] = dataclasses.asdict(this_machine()) | {
        "version": version(),
        "kernels": {kernel.name: kernel.usable for kernel in pypow.kernels()},
        "chosen": pypow.chosen_kernel().name,
    }

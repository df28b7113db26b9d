# SPDX-License-Identifier: Apache-2.0
"""PyPI's django-cap: the solver it ships, which is in Rust."""

from importlib.metadata import version

from django_cap.cap_core.solver import solve_pow

from peer_programs.serving import serve


def solve(prefix: str, target: str, _hashes: int) -> int:
    return int(solve_pow(prefix, target)) + 1


serve(solve, f"django-cap {version('django-cap')}")

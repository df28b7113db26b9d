# SPDX-License-Identifier: Apache-2.0
"""PyPI's altcha, the solver of its first protocol."""

from importlib.metadata import version

import altcha.v1

from peer_programs.serving import serve


def solve(prefix: str, target: str, hashes: int) -> int:
    return int(altcha.v1.solve_challenge(target, prefix, "SHA-256", hashes).number) + 1


serve(solve, f"altcha {version('altcha')}")

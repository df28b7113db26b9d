# SPDX-License-Identifier: Apache-2.0
"""PyPI's altcha-solver, for the first protocol."""

from importlib.metadata import version

from altcha_solver import AltchaSolver

from peer_programs.serving import serve


def solve(prefix: str, target: str, hashes: int) -> int:
    challenge = {"algorithm": "SHA-256", "salt": prefix, "challenge": target, "maxnumber": hashes}
    return int(AltchaSolver(max_iterations=hashes).solve(challenge)["counter"]) + 1


serve(solve, f"altcha-solver {version('altcha-solver')}")

# SPDX-License-Identifier: Apache-2.0
"""PyPI's altcha, the solver of its second protocol: iterations and salt are the arguments."""

import sys
from importlib.metadata import version

from altcha.v2 import Challenge, ChallengeParameters, solve_challenge

from peer_programs.serving import serve


def solve(prefix: str, target: str, _hashes: int) -> int:
    parameters = ChallengeParameters(
        "PBKDF2/SHA-256",
        nonce=prefix,
        salt=sys.argv[2],
        cost=int(sys.argv[1]),
        key_prefix=target,
    )
    return int(solve_challenge(Challenge(parameters)).counter) + 1


serve(solve, f"altcha {version('altcha')}")

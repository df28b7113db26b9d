# SPDX-License-Identifier: Apache-2.0
"""PyPI's hashcash: SHA-1 and hex digits of zeros, so it mints until it has hashed enough."""

from importlib.metadata import version

import hashcash

from peer_programs.serving import serve

BITS = 12


def solve(prefix: str, _target: str, hashes: int) -> int:
    done = stamps = 0
    while done < hashes:
        done += int(hashcash._mint(f"{prefix}:{stamps}:", BITS), 16) + 1
        stamps += 1
    return done


serve(solve, f"hashcash {version('hashcash')}")

# SPDX-License-Identifier: Apache-2.0
"""pymacaroons: read the text, hash the preimage, verify with one predicate for each condition.

The puzzle's prefix is the credential as a header carries it, its target the root key.
"""

import hashlib
import importlib.metadata
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pymacaroons import Macaroon, Verifier

from peer_programs.serving import serve


def satisfied(caveat: str) -> bool:
    """Whether a caveat holds for a call of the tool "search" at second 1800000000."""
    name, _, value = caveat.partition("=")
    match name:
        case "services":
            return any(one.partition(":")[0] == "pypow" for one in value.split(","))
        case "pypow_valid_until":
            return int(value) > 1_800_000_000
        case "pypow_uses":
            return int(value) >= 1
        case "pypow_tool":
            return value == "search"
        case _:
            return False


def solve(prefix: str, target: str, hashes: int) -> int:
    text, _, preimage = prefix.partition(":")
    root_key = bytes.fromhex(target)
    stood = 0
    for _ in range(hashes):
        macaroon = Macaroon.deserialize(text)
        paid = hashlib.sha256(bytes.fromhex(preimage)).digest() == macaroon.identifier_bytes[2:34]
        verifier = Verifier()
        verifier.satisfy_general(satisfied)
        stood += paid and verifier.verify(macaroon, root_key)
    return stood


serve(solve, f"pymacaroons {importlib.metadata.version('pymacaroons')}")

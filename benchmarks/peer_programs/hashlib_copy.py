# SPDX-License-Identifier: Apache-2.0
"""The loop that hashes the prefix once: copy, update, compare."""

import hashlib
import itertools
import ssl

from peer_programs.serving import serve


def solve(prefix: str, target: str, _hashes: int) -> int:
    begun, wanted = hashlib.sha256(prefix.encode()), bytes.fromhex(target)
    for nonce in itertools.count():
        one = begun.copy()
        one.update(b"%d" % nonce)
        if one.digest() == wanted:
            return nonce + 1
    raise AssertionError


serve(solve, ssl.OPENSSL_VERSION)

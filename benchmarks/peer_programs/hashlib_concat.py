# SPDX-License-Identifier: Apache-2.0
"""The obvious loop: join prefix and nonce, hash, compare."""

import hashlib
import itertools
import ssl

from peer_programs.serving import serve


def solve(prefix: str, target: str, _hashes: int) -> int:
    start, wanted = prefix.encode(), bytes.fromhex(target)
    for nonce in itertools.count():
        if hashlib.sha256(start + b"%d" % nonce).digest() == wanted:
            return nonce + 1
    raise AssertionError


serve(solve, ssl.OPENSSL_VERSION)

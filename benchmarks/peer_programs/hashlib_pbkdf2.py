# SPDX-License-Identifier: Apache-2.0
"""hashlib.pbkdf2_hmac over ALTCHA 2's passwords: iterations and salt are the arguments."""

import hashlib
import itertools
import ssl
import sys

from peer_programs.serving import serve

ITERATIONS, SALT = int(sys.argv[1]), bytes.fromhex(sys.argv[2])


def solve(prefix: str, target: str, _hashes: int) -> int:
    start, wanted = bytes.fromhex(prefix), bytes.fromhex(target)
    for nonce in itertools.count():
        password = start + nonce.to_bytes(4, "big")
        if hashlib.pbkdf2_hmac("sha256", password, SALT, ITERATIONS) == wanted:
            return nonce + 1
    raise AssertionError


serve(solve, ssl.OPENSSL_VERSION)

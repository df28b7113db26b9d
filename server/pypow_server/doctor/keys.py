# SPDX-License-Identifier: Apache-2.0
"""Are the secrets there, and nobody else's to read?"""

from pathlib import Path

from pypow import Keyring
from pypow.challenge import hkdf_sha256
from pypow_server import keyfile

from . import Finding, fail, ok, warn


def check(path: Path) -> tuple[list[Finding], Keyring | None]:
    """Look at the key file; also the keys, if it can be read."""
    if not path.exists():
        missing = warn(
            "keys",
            f"there is no {path} yet",
            fix="nothing, if the gate has never run; else name its directory with --state-dir",
        )
        return [missing], None
    try:
        keys = keyfile.load(path)
    except keyfile.KeyFileError as error:
        return [fail("keys", error.found, fix=error.fix)], None
    signing = keys.signing
    shown = f"key {signing.id} signs, its fingerprint is {fingerprint(signing.secret)}"
    return [ok("keys", f"{path}: {shown}; gates behind one name show the same")], keys


def fingerprint(secret: bytes) -> str:
    """8 hex digits that tell one secret from another, and nothing of it."""
    return hkdf_sha256(secret, info=b"pypow 1 fingerprint", length=4).hex()

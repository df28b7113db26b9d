# SPDX-License-Identifier: Apache-2.0
"""Sealed texts: what one request leaves for the next, kept by the caller instead of by the gate.

AES-256-GCM under a key derived from the gate's secret. Each text is good for one purpose and until
a moment, and says nothing to whoever carries it.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pypow.challenge import Key, Keyring, hkdf_sha256
from pypow.errors import InvalidInputError
from pypow.strict_json import loads
from pypow_server.reply import json_text

MAX_OCTETS: Final = 12 * 1024
"""Of a sealed text; a code that holds all that a client may say is shorter."""

_NONCE: Final = 12
_KEY_ID: Final = 2
_UNTIL: Final = "until_ms"
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class Seals:
    """Seals and opens with the secrets of one deployment."""

    def __init__(self, keyring: Keyring) -> None:
        """Derive a key of each secret."""
        self._signing = keyring.signing.id
        self._ciphers = {key.id: _cipher(key) for key in keyring.keys}

    def seal(self, purpose: str, said: Mapping[str, object], *, until_ms: int) -> str:
        """A text that `open` reads again.

        Args:
            purpose: what it is for.
            said: what JSON can hold.
            until_ms: Unix milliseconds; at this moment it is no longer good.
        """
        key = self._signing.to_bytes(_KEY_ID)
        nonce = os.urandom(_NONCE)
        plain = json_text({**said, _UNTIL: until_ms}).encode("ascii")
        sealed = self._ciphers[self._signing].encrypt(nonce, plain, key + purpose.encode())
        return base64.urlsafe_b64encode(key + nonce + sealed).decode("ascii").rstrip("=")

    def open(self, purpose: str, text: str, *, now_ms: int) -> dict[str, Any] | None:
        """What a text says; None where it was not sealed here for this purpose, or is too old."""
        if len(text) > MAX_OCTETS or not _TEXT.fullmatch(text):
            return None
        try:
            octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except binascii.Error:
            return None
        key, nonce = octets[:_KEY_ID], octets[_KEY_ID : _KEY_ID + _NONCE]
        cipher = self._ciphers.get(int.from_bytes(key))
        if cipher is None or len(nonce) != _NONCE:
            return None
        try:
            plain = cipher.decrypt(nonce, octets[_KEY_ID + _NONCE :], key + purpose.encode())
            said = loads(plain)
        except (InvalidTag, InvalidInputError):
            return None
        assert isinstance(said, dict)
        return said if said.pop(_UNTIL) > now_ms else None


def _cipher(key: Key) -> AESGCM:
    return AESGCM(hkdf_sha256(key.secret, info=b"pypow 1 seal"))

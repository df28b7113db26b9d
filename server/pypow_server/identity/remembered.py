# SPDX-License-Identifier: Apache-2.0
"""What was found out about tokens a moment ago, under their digests; never the tokens."""

import hashlib
from typing import Final, Generic, TypeVar

MAX_TOKENS: Final = 4096

Found = TypeVar("Found")


def digest(token: str) -> bytes:
    """What a token is remembered under."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Remembered(Generic[Found]):
    """At most so many findings; the one that was put longest ago makes room."""

    def __init__(self, at_most: int = MAX_TOKENS) -> None:
        self._at_most = at_most
        self._found: dict[bytes, Found] = {}

    def __len__(self) -> int:
        return len(self._found)

    def get(self, token: bytes) -> Found | None:
        """What was put under a digest."""
        return self._found.get(token)

    def put(self, token: bytes, found: Found) -> None:
        """Remember; in place of what was."""
        self._found.pop(token, None)
        self._found[token] = found
        if len(self._found) > self._at_most:
            del self._found[next(iter(self._found))]

    def forget(self, token: bytes) -> None:
        """Remember it no more."""
        self._found.pop(token, None)

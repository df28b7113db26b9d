# SPDX-License-Identifier: Apache-2.0
"""What a person types for a device that has no keyboard (RFC 8628 section 6.1).

No code is written down before somebody has paid for it, so none can be looked up. Two of its eight
letters are a MAC over the others and the time: a code that was mistyped, made up, or is too old is
told before anybody works for it.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from pypow.challenge import Keyring, hkdf_sha256

PERIOD_MS: Final = 10 * 60_000
"""A code is good until the end of the period after the one in which it was made."""

GRACE_MS: Final = 60_000
"""How long an approval in the last moment may still be fetched."""

_ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
_RANDOM: Final = 6
_LENGTH: Final = 8
_LONGEST: Final = 64
_KEY: Final = b"pypow 1 user code"
_APPROVAL: Final = b"pypow 1 device approval"


@dataclass(frozen=True, slots=True)
class UserCode:
    """One code.

    Attributes:
        letters: all eight.
        period: when it was made, in periods since the epoch of Unix.
    """

    letters: str
    period: int

    @property
    def text(self) -> str:
        """As it is shown."""
        return f"{self.letters[:4]}-{self.letters[4:]}"

    @property
    def ends_at_ms(self) -> int:
        """When it is no longer good, Unix milliseconds."""
        return (self.period + 2) * PERIOD_MS

    @property
    def approval(self) -> bytes:
        """The id of its approval, 16 octets; by its purpose no pass, subject or token has it."""
        said = b"%s %d %s" % (_APPROVAL, self.period, self.letters.encode("ascii"))
        return hashlib.sha256(said).digest()[:16]


class UserCodes:
    """Makes codes, and knows them again: for all gates that share the keys."""

    def __init__(self, keyring: Keyring) -> None:
        """Derive a key of each secret."""
        self._keys = [hkdf_sha256(key.secret, info=_KEY) for key in keyring.keys]

    def fresh(self, *, now_ms: int) -> UserCode:
        """A code, one of 64 million that are good in a period."""
        letters = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
        period = now_ms // PERIOD_MS
        return UserCode(letters + _check(self._keys[0], letters, period), period)

    def read(self, typed: str, *, now_ms: int) -> UserCode | None:
        """The code that somebody means, however it is spaced; None for none that is good now."""
        letters = "".join(filter(str.isalnum, typed[:_LONGEST].upper()))
        if len(letters) != _LENGTH or not set(letters) <= set(_ALPHABET):
            return None
        given, check = letters[:_RANDOM], letters[_RANDOM:].encode("ascii")
        now = now_ms // PERIOD_MS
        for period in (now, now - 1, now + 1):  # another gate's clock may be ahead
            for key in self._keys:
                if hmac.compare_digest(_check(key, given, period).encode("ascii"), check):
                    return UserCode(letters, period)
        return None


def _check(key: bytes, letters: str, period: int) -> str:
    said = b"%d %s" % (period, letters.encode("ascii"))
    number = int.from_bytes(hmac.digest(key, said, "sha256"))
    size = len(_ALPHABET)
    return _ALPHABET[number % size] + _ALPHABET[number // size % size]

# SPDX-License-Identifier: Apache-2.0
"""Standing tokens: who was served before shows it, ``pys_`` and 72 characters of base64url.

A token says since when its holder is known and in how many minutes it was served. That cannot be
bought with work, only by being served, and it lets a known caller pay for itself and not for all
who share its address. A token is 54 bytes, fixed width, big-endian, signed under its own key. Like
`pypow.challenge`, this is a pure function of bytes, keys and a clock value.
"""

import base64
import functools
import hmac
import ipaddress
import re
import struct
from dataclasses import dataclass, field, replace
from typing import Final

from pypow.challenge import Key, Keyring
from pypow.errors import WireError
from pypow.wire import MAC_BYTES

VERSION: Final = 1
PREFIX: Final = "pys_"
CHARACTERS: Final = 76
MINUTE_MS: Final = 60_000

_LAYOUT: Final = struct.Struct(">BH16s6sII5s16s")
_TEXT: Final = re.compile(r"pys_[A-Za-z0-9_-]{72}", re.ASCII)
_NEAR: Final = {4: 16, 6: 32}
"""By IP version: how much of an address stays the same where its holder stays."""


@dataclass(frozen=True, slots=True)
class StandingToken:
    """What a known caller presents beside whatever else it presents (version 1).

    Attributes:
        key: which secret signed it, 0 to 65535.
        id: 16 random bytes; names its holder's account.
        first_ms: when it was first issued, Unix milliseconds.
        minutes: distinct minutes in which its holder was served, 1 or more.
        last_minute: the last of them, counted from 1970; that of the token's renewal.
        near: 5 bytes, where it was issued, as `near` has it.
        mac: 16 bytes over all before it.
    """

    key: int
    id: bytes
    first_ms: int
    minutes: int
    last_minute: int
    near: bytes
    mac: bytes = field(default=bytes(MAC_BYTES), repr=False)

    @property
    def octets(self) -> bytes:
        """The 54 bytes."""
        return _LAYOUT.pack(
            VERSION,
            self.key,
            self.id,
            self.first_ms.to_bytes(6),
            self.minutes,
            self.last_minute,
            self.near,
            self.mac,
        )

    @property
    def text(self) -> str:
        """What travels; whoever holds it has its standing, so it is shown to its holder only."""
        return PREFIX + base64.urlsafe_b64encode(self.octets).decode("ascii")


def issue(key: Key, *, identity: bytes, now_ms: int, near: bytes) -> StandingToken:
    """A signed token of somebody who is served for the first time. Writes nothing.

    Args:
        key: signs it.
        identity: 16 random bytes.
        now_ms: Unix milliseconds.
        near: of the caller, as `near` has it.
    """
    return _signed(key, StandingToken(key.id, identity, now_ms, 1, now_ms // MINUTE_MS, near))


def renew(key: Key, given: StandingToken, *, now_ms: int) -> StandingToken:
    """The token of a holder who was served in one minute more, this one."""
    minute = now_ms // MINUTE_MS
    return _signed(key, replace(given, key=key.id, minutes=given.minutes + 1, last_minute=minute))


def decode(text: str) -> StandingToken:
    """Read the text of a token; nothing is said about its MAC.

    Raises:
        WireError: another length, alphabet or version, or no minute. The text is not quoted: it
            is a secret.
    """
    if not _TEXT.fullmatch(text):
        raise WireError(
            f"expected a standing token, pys_ and 72 base64url characters, got {len(text)}"
        )
    version, key, identity, first, minutes, last_minute, near, mac = _LAYOUT.unpack(
        base64.urlsafe_b64decode(text.removeprefix(PREFIX))
    )
    if version != VERSION:
        raise WireError(f"expected standing token version {VERSION}, got {version}")
    if minutes == 0:
        raise WireError("standing token: expected 1 minute or more, got 0")
    return StandingToken(key, identity, int.from_bytes(first), minutes, last_minute, near, mac)


def is_ours(given: StandingToken, keyring: Keyring) -> bool:
    """Whether one of these secrets signed it."""
    key = keyring.find(given.key)
    return key is not None and hmac.compare_digest(_signed(key, given).mac, given.mac)


@functools.lru_cache(maxsize=4096)
def near(client: str) -> bytes:
    """What counts as one neighbourhood, in 5 bytes: the IPv4 /16 or IPv6 /32 of a caller.

    Args:
        client: the caller's own network, as `client_network` has it.

    >>> near("192.0.2.7/32").hex(), near("2001:db8::/64").hex(), near("local").hex()
    ('04c0000000', '0620010db8', '0000000000')
    """
    if "/" not in client:
        return bytes(5)
    address = ipaddress.ip_address(client.partition("/")[0])
    network = ipaddress.ip_network((address, _NEAR[address.version]), strict=False)
    return bytes([address.version]) + network.network_address.packed[:4]


def _signed(key: Key, unsigned: StandingToken) -> StandingToken:
    octets = unsigned.octets[:-MAC_BYTES]
    return replace(unsigned, mac=hmac.digest(key.standing_mac, octets, "sha256")[:MAC_BYTES])

# SPDX-License-Identifier: Apache-2.0
"""Bech32 (BIP 173) without its limit of 90 characters, as invoices of BOLT 11 use it.

A text is a prefix, ``1``, and characters that stand for 5 bits each, of which the last six are a
checksum. Such groups of 5 bits are `bytes` here, one group to an octet.
"""

import base64
import re

from .errors import WireError, shown

_CHARACTERS = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = bytes.maketrans(_CHARACTERS, bytes(range(32)))
_LETTERS = bytes.maketrans(bytes(range(32)), _CHARACTERS)
# The digits of base 32, which Python reads and writes quickly.
_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUV"
_TO_DIGITS = bytes.maketrans(bytes(range(32)), _DIGITS)
_OF_DIGITS = bytes.maketrans(_DIGITS, bytes(range(32)))

_TEXT = re.compile(r"([!-~]+)1([02-9ac-hj-np-z]{6,})", re.ASCII)
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_FEEDBACK = tuple(
    (top & 1) * _GENERATORS[0]
    ^ (top >> 1 & 1) * _GENERATORS[1]
    ^ (top >> 2 & 1) * _GENERATORS[2]
    ^ (top >> 3 & 1) * _GENERATORS[3]
    ^ (top >> 4 & 1) * _GENERATORS[4]
    for top in range(32)
)
_CHECKSUM_GROUPS = 6


def decode(text: str) -> tuple[str, bytes]:
    """The prefix, in lower case, and the groups before the checksum.

    Raises:
        WireError: not bech32, letters of both cases, or (``wrong_checksum``) altered.
    """
    folded = text.lower()
    if text not in (folded, text.upper()):
        raise WireError("expected bech32 in letters of one case, got both")
    # Not in ASCII, some letters have one of these for their lower case.
    match = _TEXT.fullmatch(folded) if text.isascii() else None
    if match is None:
        raise WireError(f"expected bech32 (BIP 173), got {shown(text)}")
    prefix, groups = match[1], match[2].encode("ascii").translate(_VALUES)
    if _remainder(prefix, groups) != 1:
        raise WireError(
            "expected a bech32 checksum that fits, got another: the text was altered",
            reason="wrong_checksum",
        )
    return prefix, groups[:-_CHECKSUM_GROUPS]


def encode(prefix: str, groups: bytes) -> str:
    """The text for a prefix and groups of 5 bits."""
    rest = _remainder(prefix, groups + bytes(_CHECKSUM_GROUPS)) ^ 1
    checksum = bytes(rest >> shift & 31 for shift in range(25, -1, -5))
    return f"{prefix}1{(groups + checksum).translate(_LETTERS).decode('ascii')}"


def to_number(groups: bytes) -> int:
    """The big-endian number in groups of 5 bits; 0 for none."""
    return int(groups.translate(_TO_DIGITS) or b"0", 32)


def of_number(number: int) -> bytes:
    """The fewest groups that hold a number; none for 0."""
    size = -(-number.bit_length() // 5)
    return bytes(number >> 5 * place & 31 for place in range(size - 1, -1, -1))


def to_octets(groups: bytes) -> bytes:
    """The octets in groups of 5 bits, whose spare bits are zero and fewer than 5.

    Raises:
        WireError: spare bits that are set, or a group too many.
    """
    octets, spare = divmod(5 * len(groups), 8)
    number = to_number(groups)
    if spare >= 5 or number & ((1 << spare) - 1):
        raise WireError("expected groups of 5 bits padded with the fewest zeros, got others")
    return (number >> spare).to_bytes(octets)


def to_filled_octets(groups: bytes) -> bytes:
    """The octets in groups of 5 bits, with zeros up to the end of the last octet."""
    octets = -(-5 * len(groups) // 8)
    return (to_number(groups) << 8 * octets - 5 * len(groups)).to_bytes(octets)


def of_octets(octets: bytes) -> bytes:
    """Groups of 5 bits for octets, the last filled up with zeros."""
    return base64.b32hexencode(octets).rstrip(b"=").translate(_OF_DIGITS)


def _remainder(prefix: str, groups: bytes) -> int:
    """What BIP 173's generator leaves of a prefix and groups; 1 where the checksum fits."""
    letters = prefix.encode("ascii")
    spread = bytes(letter >> 5 for letter in letters) + b"\0"
    rest = 1
    for group in spread + bytes(letter & 31 for letter in letters) + groups:
        rest = (rest & 0x1FFFFFF) << 5 ^ group ^ _FEEDBACK[rest >> 25]
    return rest

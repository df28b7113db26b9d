# SPDX-License-Identifier: Apache-2.0
"""Base64 (RFC 4648) as payment headers write it: one text to write, no two meanings to read."""

import base64
import re

from .errors import WireError, shown

_URL = re.compile(r"([A-Za-z0-9_-]*)={0,2}", re.ASCII)
_TO_URL = str.maketrans("+/", "-_")


def encode_url(octets: bytes) -> str:
    """The URL-safe alphabet, no padding (section 5)."""
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")


def decode_url(text: str) -> bytes:
    """Read the URL-safe alphabet, with all its padding or with none.

    Raises:
        WireError: another character, stray padding, or bits set that stand for nothing.
    """
    match = _URL.fullmatch(text)
    if match is not None:
        bare = match[1]
        padded = bare + "=" * (-len(bare) % 4)
        if text in (bare, padded) and len(bare) % 4 != 1:
            octets = base64.urlsafe_b64decode(padded)
            if encode_url(octets) == bare:
                return octets
    raise WireError(f"expected base64url (RFC 4648 section 5), got {shown(text)}")


def encode(octets: bytes) -> str:
    """The standard alphabet, with padding (section 4)."""
    return base64.b64encode(octets).decode("ascii")


def decode_either(text: str) -> bytes:
    """Read the standard alphabet or the URL-safe one, with all its padding or with none.

    Raises:
        WireError: as `decode_url`.
    """
    return decode_url(text.translate(_TO_URL))

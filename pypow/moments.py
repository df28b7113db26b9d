# SPDX-License-Identifier: Apache-2.0
"""Moments as texts of RFC 3339, whole seconds in UTC; nothing in here asks a clock."""

import re
from datetime import UTC, datetime, timedelta

from .errors import InvalidInputError, WireError, shown

_TEXT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999


def text_of(moment_ms: int) -> str:
    """Unix milliseconds as text, cut off to the second.

    >>> text_of(1_773_576_300_999)
    '2026-03-15T12:05:00Z'

    Raises:
        InvalidInputError: before 1970 or after the year 9999.
    """
    if not 0 <= moment_ms <= _LAST_MS:
        raise InvalidInputError(f"expected a moment before the year 10000, got {shown(moment_ms)}")
    moment = _EPOCH + timedelta(seconds=moment_ms // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(text: str) -> int:
    """The Unix milliseconds that a text says, cut off to the millisecond.

    >>> moment_of("2026-03-15T13:05:00.5+01:00")
    1773576300500

    Raises:
        WireError: not a date, a time and an offset of RFC 3339.
    """
    try:
        if _TEXT.fullmatch(text):
            return (datetime.fromisoformat(text.upper()) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        pass
    raise WireError(f"expected a moment like 2026-03-15T12:05:00Z (RFC 3339), got {shown(text)}")

# SPDX-License-Identifier: Apache-2.0
"""Times as operators write them: ``250ms``, ``30s``, ``5m``, ``1h`` or ``7d``."""

import re
from typing import Final

from .errors import InvalidInputError

_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION: Final = re.compile(r"([0-9]{1,9})\s?(ms|s|m|h|d)", re.ASCII)


def duration_ms(text: str) -> int:
    """Read a time, in milliseconds.

    >>> duration_ms("250ms"), duration_ms("5m")
    (250, 300000)
    """
    found = DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise InvalidInputError(
            f"expected a time such as 250ms, 30s, 5m, 1h or 7d, got {text[:60]!r}"
        )
    return int(found[1]) * _UNITS_MS[found[2]]

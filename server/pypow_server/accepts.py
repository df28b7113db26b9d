# SPDX-License-Identifier: Apache-2.0
"""What a caller says that it can do, in ``X-PoW-Accept``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pypow import difficulty
from pypow.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Accepts:
    """What ``X-PoW-Accept`` says: that the caller reads HTTP refusals, and what it can solve.

    Attributes:
        puzzles: the most sub-puzzles it can do; None for a caller that only counts zeros.
    """

    puzzles: int | None = None


def read_accepts(values: Iterable[bytes]) -> Accepts | None:
    """Read ``X-PoW-Accept``: ``1``, or ``puzzles=<how many sub-puzzles>``.

    Raises:
        InvalidInputError: anything else.
    """
    puzzles: int | None = None
    seen = False
    for value in values:
        for member in (part.strip(b" \t") for part in value.split(b",")):
            seen = True
            count = re.fullmatch(rb"puzzles=([0-9]{1,2})", member)
            if count is not None:
                puzzles = int(count[1])
                difficulty.require_puzzles(puzzles)
            elif member != b"1":
                raise InvalidInputError(
                    f"expected X-PoW-Accept: 1 or puzzles=16, got {member[:40]!a}"
                )
    return Accepts(puzzles) if seen else None

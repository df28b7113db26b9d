# SPDX-License-Identifier: Apache-2.0
"""What passes for a time brought their holders of late: such calls are charged to no account."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from pypow.accounts import MAX_SERVED, STEPS_PER_CALL, decayed
from pypow.tariff import Constants

_HALF_LIFE_MS: Final = Constants().served_half_life_ms
_MOST: Final = 10_000


class Passing:
    """Counts them for one gate, as accounts count what they are charged for.

    Without this a flood on one pass would stay the least served of all, and always go first.
    """

    def __init__(self) -> None:
        """Nobody had any."""
        self._served: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()

    def score(self, whose: Hashable, now_ms: int) -> int:
        """What is added to the score of an account."""
        served, then_ms = self._served.get(whose, (0, now_ms))
        return decayed(served, _HALF_LIFE_MS, then_ms, max(then_ms, now_ms))

    def serve(self, whose: Hashable, weight: int, now_ms: int) -> None:
        """Count a turn of this weight; of too many principals the longest unserved is forgotten."""
        served = self.score(whose, now_ms) + weight * STEPS_PER_CALL
        self._served[whose] = min(MAX_SERVED, served), now_ms
        self._served.move_to_end(whose)
        if len(self._served) > _MOST:
            self._served.popitem(last=False)

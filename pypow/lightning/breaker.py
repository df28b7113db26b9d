# SPDX-License-Identifier: Apache-2.0
"""Whether to ask somebody who failed: not for a while, then once, then as before. No I/O."""

import enum
from dataclasses import dataclass

from pypow.errors import require_int


class Circuit(enum.StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop asking, and for how long.

    Attributes:
        failures: so many in a row open the circuit.
        rest_ms: it stays open so long at first; twice as long after every trial that failed.
        most_rest_ms: and never longer.
    """

    failures: int = 3
    rest_ms: int = 5_000
    most_rest_ms: int = 60_000

    def __post_init__(self) -> None:
        require_int("failures", self.failures, 1, 1000)
        require_int("rest_ms", self.rest_ms, 1, 3_600_000)
        require_int("most_rest_ms", self.most_rest_ms, self.rest_ms, 3_600_000)


class Breaker:
    """Counts failures. Moments are in milliseconds, from any point on, and never go back."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._failures = 0
        self._rest_ms = limits.rest_ms
        self._rests_until_ms: int | None = None
        self._is_tried = False

    @property
    def failures(self) -> int:
        """How many in a row."""
        return self._failures

    def circuit(self, now_ms: int) -> Circuit:
        """Whether calls go through."""
        if self._rests_until_ms is None:
            return Circuit.CLOSED
        return Circuit.OPEN if now_ms < self._rests_until_ms else Circuit.HALF_OPEN

    def retry_in_ms(self, now_ms: int) -> int:
        """How long no call goes through."""
        return max(0, (self._rests_until_ms or 0) - now_ms)

    def admits(self, now_ms: int) -> bool:
        """Whether a call may be made now; each that may must end in one of the three below."""
        match self.circuit(now_ms):
            case Circuit.CLOSED:
                return True
            case Circuit.OPEN:
                return False
            case Circuit.HALF_OPEN:
                is_first, self._is_tried = not self._is_tried, True
                return is_first

    def succeeded(self) -> None:
        """A call was answered."""
        self._failures = 0
        self._rest_ms = self._limits.rest_ms
        self._rests_until_ms = None
        self._is_tried = False

    def failed(self, now_ms: int) -> None:
        """A call was not."""
        self._failures += 1
        was_open = self._rests_until_ms is not None
        if was_open and not self._is_tried:
            return  # begun before the circuit opened
        if was_open:
            self._rest_ms = min(2 * self._rest_ms, self._limits.most_rest_ms)
        if was_open or self._failures >= self._limits.failures:
            self._rests_until_ms = now_ms + self._rest_ms
            self._is_tried = False

    def left(self) -> None:
        """Whoever made the call went away before it was answered: that says nothing."""
        self._is_tried = False

# SPDX-License-Identifier: Apache-2.0
"""A span of time, as operators say it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from pypow.durations import DURATION, duration_ms
from pypow.errors import InvalidInputError, shown

ALL: Final = "all"
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Span:
    """Some time.

    Attributes:
        since_ms: from here on, Unix milliseconds.
        until_ms: up to here, and not including it.
    """

    since_ms: int
    until_ms: int

    def __post_init__(self) -> None:
        if self.since_ms >= self.until_ms:
            raise InvalidInputError(
                f"expected a span of time, got none: from {day_of(self.since_ms)} to "
                f"{day_of(self.until_ms)}"
            )


def read_span(since: str, until: str | None, *, now_ms: int) -> Span:
    """The span between two moments.

    Args:
        since: ``7d`` for so long ago, ``2026-11-20`` for the beginning of that day in UTC, or
            `ALL`.
        until: likewise; None for now, and what comes in this very moment.
        now_ms: Unix milliseconds.

    Raises:
        InvalidInputError: one of them is no such text, or there is no time between them.

    >>> read_span("7d", "1970-01-09", now_ms=10 * DAY_MS)
    Span(since_ms=259200000, until_ms=691200000)
    """
    return Span(
        0 if since == ALL else _moment_ms(since, now_ms),
        now_ms + 1 if until is None else _moment_ms(until, now_ms),
    )


def day_of(at_ms: int) -> str:
    """The day of a moment, in UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


def _moment_ms(text: str, now_ms: int) -> int:
    if DURATION.fullmatch(text):
        return max(0, now_ms - duration_ms(text))
    try:
        midnight = datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise InvalidInputError(
            f"expected a time such as 7d, for so long ago, or a day such as 2026-11-20, got "
            f"{shown(text)}"
        ) from None
    return max(0, 1000 * int(midnight.timestamp()))

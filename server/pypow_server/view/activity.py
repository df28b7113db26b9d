# SPDX-License-Identifier: Apache-2.0
"""What a gate decided in the last 15 minutes: a few counts every 5 seconds, in bounded memory."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias

from pypow_server.crowd.conditions import Crowd
from pypow_server.decision import Decision

from .frequent import Frequent
from .recent_spans import RecentSpans
from .tally import Tally

BIN_MS: Final = 5_000
BINS: Final = 180
WINDOW_S: Final = BINS * BIN_MS // 1000

CALLERS_SHOWN: Final = 8
_CALLERS_KEPT: Final = 128
_MINUTE_MS: Final = 60_000
_LONGEST: Final = 80
"""Characters of a caller: a login may have any name."""

CallerCount: TypeAlias = Frequent[tuple[str, str]]
"""Calls by who made them and their outcome."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One of those who called most.

    Attributes:
        who: who was charged; for what was free or refused, the network it came from.
        outcome: of these calls.
        calls: at least so many.
    """

    who: str
    outcome: str
    calls: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last 15 minutes, as of a moment.

    Attributes:
        now_ms: Unix milliseconds.
        bins: when each began, and what happened; the last one is not over.
        whole: all of it.
        callers: those who called most, first of all; who is not among them called at most
            ``missed`` times more than the last.
        missed: at most so many more calls than it is said to have made each of them made.
        crowd: how crowded it is; None where that is not known.
    """

    now_ms: int
    bins: Sequence[tuple[int, Tally]]
    whole: Tally
    callers: Sequence[Caller]
    missed: int
    crowd: Crowd | None = None

    def document(self) -> dict[str, object]:
        """As JSON; bins where nothing happened are left out."""
        return {
            "now_ms": self.now_ms,
            "bin_ms": BIN_MS,
            "window_s": WINDOW_S,
            "whole": self.whole.document(),
            "crowd": None if self.crowd is None else asdict(self.crowd),
            "callers": [
                {"who": one.who, "outcome": one.outcome, "calls_at_least": one.calls}
                for one in self.callers
            ],
            "callers_missed_at_most": self.missed,
            "bins": [{"at_ms": at, **one.document()} for at, one in self.bins if one.calls],
        }


class Activity:
    """Counts decisions while somebody may look.

    Attributes:
        crowd: tells how crowded it is; None where that is not known.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        """Count nothing yet.

        Args:
            clock: Unix milliseconds; the same as the gate's.
        """
        self._clock = clock
        self.crowd: Callable[[], Crowd | None] = lambda: None
        self._watched = False
        self._bins = RecentSpans(Tally, width_ms=BIN_MS, count=BINS)
        self._callers = RecentSpans[CallerCount](
            lambda: Frequent(_CALLERS_KEPT),
            width_ms=_MINUTE_MS,
            count=WINDOW_S * 1000 // _MINUTE_MS,
        )

    def watch(self) -> None:
        """Count from now on."""
        self._watched = True

    def record(self, decision: Decision) -> None:
        """Count a decision. A `Recorder`."""
        if not self._watched:
            return
        self._bins.at(decision.at_ms).add(decision)
        who = decision.principal or decision.client
        if len(who) > _LONGEST:
            who = who[: _LONGEST - 3] + "..."
        self._callers.at(decision.at_ms).add((who, decision.outcome.value))

    def snapshot(self) -> Snapshot:
        """What happened up to now."""
        now_ms = self._clock()
        bins = [(at, tally or Tally()) for at, tally in self._bins.last(now_ms)]
        whole = Tally()
        for _, tally in bins:
            whole.merge(tally)
        callers: CallerCount = Frequent(_CALLERS_KEPT)
        for _, counted in self._callers.last(now_ms):
            if counted is not None:
                callers.merge(counted)
        top = callers.top(CALLERS_SHOWN).items()
        return Snapshot(
            now_ms,
            bins,
            whole,
            [Caller(who, outcome, count) for (who, outcome), count in top],
            callers.missed,
            self.crowd(),
        )

# SPDX-License-Identifier: Apache-2.0
"""What happened in a span of time, as counts that add up."""

from dataclasses import dataclass, field
from typing import Final

from pypow import difficulty
from pypow_server.decision import Decision, Outcome

_STEPS_LOG2: Final = 3
"""Times are told apart to 1/8 of a power of two."""


@dataclass(slots=True)
class Work:
    """Difficulties, in 1/1024 bit.

    Attributes:
        count: how many.
        sum_q: of all.
        least_q: the easiest; 0 where there is none.
        most_q: the hardest.
    """

    count: int = 0
    sum_q: int = 0
    least_q: int = 0
    most_q: int = 0

    def add(self, q: int) -> None:
        """Count one."""
        if not self.count or q < self.least_q:
            self.least_q = q
        if q > self.most_q:
            self.most_q = q
        self.count += 1
        self.sum_q += q

    def merge(self, other: "Work") -> None:
        """Count what another has counted."""
        if not other.count:
            return
        self.least_q = min(self.least_q, other.least_q) if self.count else other.least_q
        self.most_q = max(self.most_q, other.most_q)
        self.count += other.count
        self.sum_q += other.sum_q

    @property
    def mean_bits(self) -> float:
        """Their mean; 0 where there is none."""
        return difficulty.bits(self.sum_q) / self.count if self.count else 0.0

    def document(self) -> dict[str, object] | None:
        """As JSON; None where there is none."""
        if not self.count:
            return None
        return {
            "count": self.count,
            "mean_bits": round(self.mean_bits, 3),
            "least_bits": difficulty.bits(self.least_q),
            "most_bits": difficulty.bits(self.most_q),
        }


@dataclass(slots=True)
class Times:
    """How long things took.

    Attributes:
        counts: how many took so long, by bucket; a bucket is at most an eighth wide.
    """

    counts: dict[int, int] = field(default_factory=dict)

    def add(self, milliseconds: int) -> None:
        """Count one."""
        bucket = _bucket(milliseconds)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def merge(self, other: "Times") -> None:
        """Count what another has counted."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    @property
    def count(self) -> int:
        """How many."""
        return sum(self.counts.values())

    def percentile_ms(self, percent: float) -> int | None:
        """What so many in a hundred took at most; None where there is none."""
        rank = self.count * percent / 100
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return _longest_ms(bucket)
        return None

    def document(self) -> dict[str, object] | None:
        """As JSON; None where there is none."""
        if not self.counts:
            return None
        found = {f"p{percent}_ms": self.percentile_ms(percent) for percent in (50, 95, 99)}
        return {"count": self.count, **found}


@dataclass(slots=True)
class Tally:
    """What was decided.

    Attributes:
        calls: how many, by outcome, rail and problem; empty texts for none.
        asked: what refusals asked for.
        paid: what proofs paid.
        solves: from the issue of challenges to their redeeming.
    """

    calls: dict[tuple[str, str, str], int] = field(default_factory=dict)
    asked: Work = field(default_factory=Work)
    paid: Work = field(default_factory=Work)
    solves: Times = field(default_factory=Times)

    def add(self, decision: Decision) -> None:
        """Count one."""
        key = (decision.outcome.value, decision.rail or "", decision.problem or "")
        self.calls[key] = self.calls.get(key, 0) + 1
        if decision.q is not None:
            (self.paid if decision.outcome is Outcome.ADMITTED else self.asked).add(decision.q)
        if decision.solve_ms is not None:
            self.solves.add(decision.solve_ms)

    def merge(self, other: "Tally") -> None:
        """Count what another has counted."""
        for key, count in other.calls.items():
            self.calls[key] = self.calls.get(key, 0) + count
        self.asked.merge(other.asked)
        self.paid.merge(other.paid)
        self.solves.merge(other.solves)

    @property
    def total(self) -> int:
        """All calls."""
        return sum(self.calls.values())

    @property
    def outcomes(self) -> dict[str, int]:
        """Calls by outcome."""
        return self._by(0)

    @property
    def rails(self) -> dict[str, int]:
        """Admissions by rail."""
        return self._by(1)

    @property
    def problems(self) -> dict[str, int]:
        """Refusals by problem, those that were only observed among them."""
        return self._by(2)

    def _by(self, place: int) -> dict[str, int]:
        found: dict[str, int] = {}
        for key, count in self.calls.items():
            if key[place]:
                found[key[place]] = found.get(key[place], 0) + count
        return found

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "outcomes": self.outcomes,
            "rails": self.rails,
            "problems": self.problems,
            "asked": self.asked.document(),
            "paid": self.paid.document(),
            "solves": self.solves.document(),
        }


def _bucket(milliseconds: int) -> int:
    shift = max(0, milliseconds.bit_length() - 1 - _STEPS_LOG2)
    return (shift << _STEPS_LOG2) + (milliseconds >> shift)


def _longest_ms(bucket: int) -> int:
    """The longest time that `_bucket` puts there."""
    # Below twice as many as there are steps, each millisecond has a bucket of its own.
    shift = max(0, (bucket >> _STEPS_LOG2) - 1)
    return ((bucket - (shift << _STEPS_LOG2) + 1) << shift) - 1

# SPDX-License-Identifier: Apache-2.0
"""The stage of a run: what the server can do, and who its honest callers are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pypow.errors import InvalidInputError, shown

STEP_S = 0.1
"""Everything happens at multiples of this."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One class of honest hardware.

    Attributes:
        name: as tables show it.
        hashes_per_s: of SHA-256 over one block.
        share: of the honest callers, 0 to 1.
    """

    name: str
    hashes_per_s: float
    share: float


MIX = (
    Machine("hashlib", 0.78e6, 0.25),
    Machine("phone", 4.1e6, 0.20),
    Machine("laptop", 8e6, 0.20),
    Machine("native core", 40e6, 0.25),
    Machine("16 cores", 600e6, 0.10),
)
"""Honest callers of an MCP server; the rates are measured or listed in docs/difficulty.md."""


@dataclass(frozen=True, slots=True)
class World:
    """One protected server and its honest callers.

    Attributes:
        seconds: how long a run lasts; the attack holds the middle three fifths of it.
        capacity: calls a second that the server can do.
        queue_s: seconds of capacity that may wait, and the longest wait in the queue.
        patience_s: an honest caller gives a call up after this.
        retry_s: mean time between two tries of one call, jittered by half.
        callers: honest principals.
        calls_per_min: of each of them.
        fresh: share of them that nobody has seen before and that come during the attack only.
        bursts: known principals that make `burst_calls` calls at once, every minute.
        burst_calls: of each of those.
        mix: hardware of the honest callers.

    Raises:
        InvalidInputError: a value that no run could use.
    """

    seconds: float = 600.0
    capacity: float = 50.0
    queue_s: float = 2.0
    patience_s: float = 30.0
    retry_s: float = 1.0
    callers: int = 600
    calls_per_min: float = 1.0
    fresh: float = 0.2
    bursts: int = 0
    burst_calls: int = 60
    mix: Sequence[Machine] = MIX

    def __post_init__(self) -> None:
        _require("seconds", self.seconds, 10, 86_400)
        _require("capacity", self.capacity, 1, 10_000, "calls a second")
        _require("queue_s", self.queue_s, STEP_S, 60)
        _require("patience_s", self.patience_s, 1, 600)
        _require("retry_s", self.retry_s, STEP_S, 60)
        _require("callers", self.callers, 1, 100_000)
        _require("calls_per_min", self.calls_per_min, 0.001, 600)
        _require("fresh", self.fresh, 0, 1)
        _require("bursts", self.bursts, 0, 1000)
        _require("burst_calls", self.burst_calls, 1, 1000)
        if self.seconds * 0.6 < 2 * self.patience_s:
            raise InvalidInputError(
                f"seconds: expected an attack of at least twice the patience, so a run of "
                f"{self.patience_s / 0.3:.0f} or more, got {self.seconds:g}"
            )
        for machine in self.mix:
            _require(f"hashes_per_s of {machine.name}", machine.hashes_per_s, 1, 1e15)
            _require(f"share of {machine.name}", machine.share, 0, 1)
        total = sum(machine.share for machine in self.mix)
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise InvalidInputError(f"shares of hardware: expected a sum of 1, got {total:.4g}")

    @property
    def steps(self) -> int:
        """How many steps a run has."""
        return round(self.seconds / STEP_S)

    @property
    def attack_from(self) -> float:
        """When the attack begins, in seconds."""
        return self.seconds * 0.2

    @property
    def attack_until(self) -> float:
        """When it ends."""
        return self.seconds * 0.8

    @property
    def room(self) -> int:
        """How many calls may wait."""
        return max(1, round(self.capacity * self.queue_s))


def parse_mix(text: str) -> Sequence[Machine]:
    """Read a mix of hardware as it is written on a command line.

    Args:
        text: items joined by commas, each a class of `MIX` or a rate in hashes per second, a
            colon, and its share in percent: ``hashlib:50,native core:40,2.5e9:10``.

    Raises:
        InvalidInputError: no such class, no such share, or a sum other than 100.

    >>> [machine.share for machine in parse_mix("hashlib:75,2e9:25")]
    [0.75, 0.25]
    """
    classes = {machine.name: machine.hashes_per_s for machine in MIX}
    mix = []
    for item in text.split(","):
        name, _, share = item.partition(":")
        try:
            rate = classes[name] if name in classes else float(name)
            mix.append(Machine(name, rate, float(share) / 100))
        except ValueError:
            raise InvalidInputError(
                f"mix: expected NAME:PERCENT or HASHES_PER_S:PERCENT, got {shown(item)}; "
                f"names: {', '.join(classes)}"
            ) from None
    return tuple(mix)


def _require(name: str, given: float, low: float, high: float, unit: str = "") -> None:
    """Refuse what is no number from ``low`` to ``high``; NaN is none."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not low <= given <= high:
        of = f" {unit}" if unit else ""
        raise InvalidInputError(
            f"{name}: expected a number from {low:g} to {high:g}{of}, got {shown(given)}"
        )

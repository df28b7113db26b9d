# SPDX-License-Identifier: Apache-2.0
"""What all gates of a store know of how crowded it is: one record, which each of them rewrites.

A gate notes in it what it counted since it began. What was counted more than is noted of the gate
is added to the load, so a note that is made twice, or was lost, changes nothing. Whoever finds the
last step a second old makes the next one, of all that was added since: in the same writing, which
comes to nothing if another gate wrote meanwhile. So no load is counted twice, and none forgotten.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from pypow.errors import InvalidInputError
from pypow.steering import Loop, steer
from pypow.tariff import Climate, Constants

from .load import COUNTS, measured

STEP_MS: Final = 1000
"""How often the climate moves."""

HEARD_MS: Final = 5000
"""A gate that noted nothing for so long does not count among those that share the load."""

FORGOTTEN_MS: Final = 3_600_000
"""A gate that noted nothing for so long is forgotten; should it come back, it begins anew."""

_Counts: TypeAlias = tuple[int, ...]
_NOTHING: Final[_Counts] = (0,) * COUNTS


@dataclass(frozen=True, slots=True)
class Note:
    """What one gate noted last.

    Attributes:
        at_ms: when, by the store's clock.
        counts: all that it had counted.
    """

    at_ms: int
    counts: _Counts


@dataclass(frozen=True, slots=True)
class SharedClimate:
    """What the record says.

    Attributes:
        at_ms: when the climate moved last, by the store's clock.
        climate: for all gates.
        load: counted by all of them since.
        notes: of each gate, by a name that it has for as long as it runs.
    """

    at_ms: int
    climate: Climate = field(default_factory=Climate)
    load: _Counts = _NOTHING
    notes: Mapping[str, Note] = field(default_factory=dict)

    def gates(self, now_ms: int) -> int:
        """How many gates share the load now."""
        return sum(now_ms - note.at_ms < HEARD_MS for note in self.notes.values())

    def noted(self, gate: str, counts: Sequence[int], now_ms: int) -> "SharedClimate":
        """The record after a gate's note. Of a gate that it does not know, counting begins."""
        before = self.notes.get(gate, Note(now_ms, tuple(counts))).counts
        kept = {
            name: note
            for name, note in self.notes.items()
            if now_ms - note.at_ms < FORGOTTEN_MS and note.at_ms <= now_ms
        }
        return replace(
            self,
            # A clock that was set back begins a second anew.
            at_ms=min(self.at_ms, now_ms),
            load=tuple(
                old + max(0, now - then)
                for old, now, then in zip(self.load, counts, before, strict=True)
            ),
            notes={**kept, gate: Note(now_ms, tuple(counts))},
        )

    def stepped(self, constants: Constants, loop: Loop, now_ms: int) -> "SharedClimate":
        """The record after the step of the loop that is due; this one where none is."""
        span_ms = now_ms - self.at_ms
        if span_ms < STEP_MS:
            return self
        climate = steer(self.climate, measured(self.load, span_ms), constants, loop)
        return replace(self, at_ms=now_ms, climate=climate, load=_NOTHING)

    def text(self) -> bytes:
        """As stores keep it."""
        notes = {name: [note.at_ms, *note.counts] for name, note in self.notes.items()}
        return json.dumps(
            [self.at_ms, self.climate.z, self.climate.entry_excess, self.load, notes],
            separators=(",", ":"),
        ).encode()


def read(text: bytes, now_ms: int) -> SharedClimate:
    """The record out of what a store keeps; a new one where there is none that can be read."""
    try:
        at_ms, z, entry_excess, load, notes = json.loads(text)
        return SharedClimate(
            _whole(at_ms),
            Climate(z, entry_excess),
            _counts(load),
            {name: Note(_whole(row[0]), _counts(row[1:])) for name, row in notes.items()},
        )
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError, InvalidInputError):
        return SharedClimate(now_ms)


def _counts(given: Sequence[object]) -> _Counts:
    if len(given) != COUNTS:
        raise ValueError
    return tuple(map(_whole, given))


def _whole(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise ValueError
    return given

# SPDX-License-Identifier: Apache-2.0
"""What was found used up a moment ago, so that its holder can fill no store with fresh guards.

A guard is spent before what it guards. Without this, whoever holds a used-up pass, or an account
without free calls, could have one written for every request, though none is let in.
"""

from typing import Final

from . import problems
from .problems import Problem

_REMEMBERED_MS: Final = 1000
_MOST_REMEMBERED: Final = 4096


class UsedUp:
    """Remembers keys for a second; not longer, since a use may be given back."""

    def __init__(self) -> None:
        self._until_ms: dict[bytes, int] = {}

    def note(self, key: bytes, *, now_ms: int) -> None:
        """This key was found used up."""
        if len(self._until_ms) >= _MOST_REMEMBERED:
            self._until_ms.clear()
        self._until_ms[key] = now_ms + _REMEMBERED_MS

    def holds(self, key: bytes, *, now_ms: int) -> bool:
        """Whether it was, a moment ago."""
        return self._until_ms.get(key, 0) > now_ms

    def refusal(self, key: bytes, *, now_ms: int) -> Problem | None:
        """What its holder hears again; None where the ledger has to be asked."""
        if not self.holds(key, now_ms=now_ms):
            return None
        return problems.already_spent("this was used up before; solve a fresh challenge")

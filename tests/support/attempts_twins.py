# SPDX-License-Identifier: Apache-2.0
"""Stores that hand uses on wrongly, in one way each: the contract of attempts must catch them."""

from typing import Any

from pypow_server.stores import Charged, Early, Spend
from pypow_server.stores.attempts import (
    MOST_UNANSWERED,
    Attempt,
    Attempts,
    Ending,
    Return,
    Taken,
)
from pypow_server.stores.memory import MemoryLedger


class _Twin(MemoryLedger):
    Rules: type[Attempts]

    def __init__(self) -> None:
        super().__init__()
        self._attempts = self.Rules(self._taken_of, self._keep_taken, self._lives.__contains__)


class HandsOnWhatIsHeld(_Twin):
    """Does not ask whether anybody still answers."""

    class Rules(Attempts):
        def _is_over(self, use: Taken, attempt: Attempt) -> bool:
            return True


class HandsOnNothing(_Twin):
    """Leaves a use with whoever took it first."""

    class Rules(Attempts):
        def _is_over(self, use: Taken, attempt: Attempt) -> bool:
            return False


class HandsOnToAnybody(_Twin):
    """Does not ask whether it is the same request."""

    class Rules(Attempts):
        def back(self, key: bytes, attempt: Attempt) -> Return:
            for use in self._find(key):
                attempt = attempt._replace(request=use.request)
            return super().back(key, attempt)


class HandsOnTwice(_Twin):
    """Does not write down who has the use now."""

    class Rules(Attempts):
        def back(self, key: bytes, attempt: Attempt) -> Return:
            before = tuple(self._find(key))
            found = super().back(key, attempt)
            self._keep(key, before)
            return found


class TakesEveryEndForAnAnswer(_Twin):
    """Does not tell an answer from a departure."""

    class Rules(Attempts):
        def end(self, key: bytes, life: bytes, number: int, ending: Ending) -> bool:
            return super().end(key, life, number, Ending.ANSWERED)


class CountsNoDepartures(_Twin):
    """Hands a use on to whoever leaves, without end."""

    class Rules(Attempts):
        def end(self, key: bytes, life: bytes, number: int, ending: Ending) -> bool:
            unknown = Ending.UNTAKEN if ending is Ending.LEFT else ending
            return super().end(key, life, number, unknown)


class BelievesItsOwnLifeAlone(_Twin):
    """Takes what its process began for what is under way, though it is over."""

    class Rules(Attempts):
        def _is_over(self, use: Taken, attempt: Attempt) -> bool:
            return use.life != attempt.life and super()._is_over(use, attempt)


class RemembersAllThatIsUnanswered(_Twin):
    """Lets one payment's record grow with its uses."""

    class Rules(Attempts):
        def beside(self, key: bytes, attempt: Attempt) -> tuple[Taken, ...]:
            return tuple(self._find(key))


class ForgetsWhatIsUnderWay(_Twin):
    """Makes room without asking whether anybody still answers."""

    class Rules(Attempts):
        def beside(self, key: bytes, attempt: Attempt) -> tuple[Taken, ...]:
            kept = super().beside(key, attempt)
            return tuple(self._find(key))[1:] if kept is None else kept


class ForgetsNothing(_Twin):
    """Has the next wait, though there is what could be forgotten."""

    class Rules(Attempts):
        def beside(self, key: bytes, attempt: Attempt) -> tuple[Taken, ...] | None:
            taken = tuple(self._find(key))
            return taken if len(taken) < MOST_UNANSWERED else None


class ForgetsTheLatest(_Twin):
    """Makes room where the buyer may just be coming back."""

    class Rules(Attempts):
        def beside(self, key: bytes, attempt: Attempt) -> tuple[Taken, ...] | None:
            before, kept = self._find(key), super().beside(key, attempt)
            return kept if kept is None else tuple(before[: len(kept)])


class GivesUpForOthers(MemoryLedger):
    """Gives a use back that has gone on to somebody else."""

    async def give_up(self, key: bytes, attempt: Attempt, charge: Any) -> None:
        await super().give_up(key, attempt, charge)
        await self.release(key)


class CountsWhatItHandsOn(MemoryLedger):
    """Counts a use again that goes on to the same request."""

    async def take(self, key: bytes, *, sale: Any, **terms: Any) -> Charged | Spend | Early:
        found = await super().take(key, sale=sale, **terms)
        if found is Spend.WON:
            self._sales._kept[key] = sale._replace(spent=self._sales._kept[key].spent + 1)
        return found

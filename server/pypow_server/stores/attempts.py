# SPDX-License-Identifier: Apache-2.0
"""Which requests took the uses of a payment, until their answers are given.

A use that was taken, and whose answer nobody gave, belongs to the request that took it: when the
same request returns, and whoever was to answer it first provably does not, it gets the use again.
"""

import enum
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pypow.errors import InvalidInputError

MOST_DEPARTURES: Final = 3
"""How often a use is handed on whose caller went away: each time the upstream may have worked."""

MOST_UNANSWERED: Final = 64
"""Uses of one payment that are remembered at once: all are read at each of its steps.

When one more is taken, the oldest that is over counts as used. None is forgotten that somebody may
still be answering: then the next has to wait.
"""

NOBODY: Final = b""
"""In the place of a life: whoever was to answer has given it up."""


class Attempt(NamedTuple):
    """One request that is to take a use.

    Attributes:
        request: digest of what is asked for, the same when it returns; 16 octets.
        life: names the process that will answer it, 8 random octets.
        number: of this attempt in that life; each is higher than those before.
        oldest: the lowest number of that life's attempts at this key that are still under way, or
            whose end is not recorded; its own at most. So what is older is over.
        lasts_ms: for how long the life is taken to go on from now.
    """

    request: bytes
    life: bytes
    number: int
    oldest: int
    lasts_ms: int


class Ending(enum.Enum):
    """How an attempt ended that took a use."""

    ANSWERED = "answered"
    """The caller has the answer: the use is used."""
    LEFT = "left"
    """The upstream may have worked, and nobody gave the caller an answer."""
    UNTAKEN = "untaken"
    """Nobody knows whether a use was taken; if it was, nothing was done for it."""


class Taken(NamedTuple):
    """One use that was taken, and is not answered.

    Attributes:
        request: as of the attempt that took it.
        life: likewise; `NOBODY` where nobody will answer it.
        number: likewise.
        departures: how often its caller went away.
    """

    request: bytes
    life: bytes
    number: int
    departures: int


class Return(enum.Enum):
    """What there is for a request that may have been here before."""

    AGAIN = enum.auto()
    """A use that it took before was handed to it again."""
    HELD = enum.auto()
    """It took a use, and somebody may still be answering it."""
    NEW = enum.auto()
    """Neither; what it takes is another use."""


class Attempts:
    """The uses taken, within one step of a store."""

    def __init__(
        self,
        find: Callable[[bytes], Sequence[Taken]],
        keep: Callable[[bytes, tuple[Taken, ...]], None],
        is_alive: Callable[[bytes], bool],
    ) -> None:
        """Work on a store.

        Args:
            find: what it has under a key.
            keep: has it keep that instead; nothing, where it is empty.
            is_alive: whether the life of this name goes on, as far as the store can tell.
        """
        self._find = find
        self._keep = keep
        self._is_alive = is_alive

    def back(self, key: bytes, attempt: Attempt) -> Return:
        """Hand a use on that the same request took before, if there is one."""
        taken = tuple(self._find(key))
        found = Return.NEW
        for at, use in enumerate(taken):
            if use.request != attempt.request:
                continue
            if self._is_over(use, attempt):
                self._keep(key, (*taken[:at], _taken(attempt, use.departures), *taken[at + 1 :]))
                return Return.AGAIN
            found = Return.HELD
        return found

    def beside(self, key: bytes, attempt: Attempt) -> tuple[Taken, ...] | None:
        """What stays remembered when an attempt takes another use; None where it has to wait."""
        taken = tuple(self._find(key))
        if len(taken) < MOST_UNANSWERED:
            return taken
        for at, use in enumerate(taken):
            if self._is_over(use, attempt):
                return (*taken[:at], *taken[at + 1 :])
        return None

    def add(self, key: bytes, attempt: Attempt, beside: tuple[Taken, ...]) -> None:
        """Remember who took a use, beside others."""
        self._keep(key, (*beside, _taken(attempt, 0)))

    def end(self, key: bytes, life: bytes, number: int, ending: Ending) -> bool:
        """Remember how an attempt ended; False where the use was not, or is no longer, its own."""
        taken = tuple(self._find(key))
        for at, use in enumerate(taken):
            if (use.life, use.number) == (life, number):
                after = _ended(use, ending)
                left = () if after is None else (after,)
                self._keep(key, (*taken[:at], *left, *taken[at + 1 :]))
                return True
        return False

    def _is_over(self, use: Taken, attempt: Attempt) -> bool:
        if use.life == NOBODY:
            return True
        if use.life == attempt.life:
            return use.number < attempt.oldest
        return not self._is_alive(use.life)


def _taken(attempt: Attempt, departures: int) -> Taken:
    return Taken(attempt.request, attempt.life, attempt.number, departures)


def _ended(use: Taken, ending: Ending) -> Taken | None:
    if ending is Ending.ANSWERED:
        return None
    departures = use.departures + (ending is Ending.LEFT)
    return (
        None if departures > MOST_DEPARTURES else use._replace(life=NOBODY, departures=departures)
    )


def stored(taken: Sequence[Taken]) -> str:
    """Uses that were taken, as stores keep them."""
    return "".join(
        f"{use.request.hex()} {use.life.hex() or '-'} {use.number} {use.departures};"
        for use in taken
    )


def read(text: str) -> tuple[Taken, ...]:
    """Uses that were taken, out of what a store keeps.

    Raises:
        InvalidInputError: the text says none.
    """
    try:
        return tuple(_read(entry) for entry in text.split(";")[:-1])
    except ValueError:
        raise InvalidInputError("expected uses that were taken, got another text") from None


def _read(entry: str) -> Taken:
    request, life, number, departures = entry.split(" ")
    known = NOBODY if life == "-" else bytes.fromhex(life)
    return Taken(bytes.fromhex(request), known, int(number), int(departures))

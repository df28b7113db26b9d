# SPDX-License-Identifier: Apache-2.0
"""How long known callers took to solve, by the gate's own clock: one sample of each and day.

What is kept of whom, no caller can foresee. Each network has a name of the day, a keyed hash, and
the lowest names are kept: so whoever comes first, last or most often has no more say than others,
and what is stored tells nobody who called.
"""

import hashlib
from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from pypow.steering import Sample
from pypow.tariff import Constants
from pypow_server.decision import Decision

DAY_MS: Final = 86_400_000
MOST_NETWORKS: Final = 4096
"""How many networks are kept a day, known ones and others."""

_KNOWN_AFTER_MS: Final = Constants().known_age_ms
_SOLVES: Final = 5
_NAME_OCTETS: Final = 8
_SENT_AWAY: Final = (429, 503)


@dataclass(slots=True)
class _Network:
    """What is kept of one.

    Attributes:
        first_ms: when it was first admitted for work today.
        sent_away_ms: when it was last told to come again later.
        solves: its last ones.
    """

    first_ms: int
    sent_away_ms: int = 0
    solves: deque[Sample] = field(default_factory=lambda: deque(maxlen=_SOLVES))

    @property
    def sample(self) -> Sample:
        """The solve of median speed, of two the quicker.

        Not the quickest: that would be the luckiest, of one sub-puzzle many times too quick. Not
        any one: a tenth of lone solves are slow by ill luck, so the slow tenth would look slower
        than it is. And callers that fetch challenges ahead, which look slow, often do not.
        """
        by_rate = sorted(self.solves, key=lambda solve: solve.rate_q)
        return by_rate[len(by_rate) // 2]


class Samples:
    """The samples of the day that are this gate's to tell.

    A network is known a minute after it was first admitted for work, as in `pypow.pricing`: by
    this gate, today. A solve counts from the issue of its challenge to its first presentation.
    """

    def __init__(self, key: bytes, *, most: int = MOST_NETWORKS) -> None:
        """Know nobody yet.

        Args:
            key: secret, 64 octets at most; gates that share a store share it, so that a network
                has one name and one say.
            most: networks kept.
        """
        self._key = key
        self._most = most
        self._day = 0
        self._networks: dict[bytes, _Network] = {}
        self._names: list[bytes] = []
        self._untold: set[bytes] = set()

    def record(self, decision: Decision) -> None:
        """Hear of a decision. A `Recorder`."""
        at_ms, solve_ms, q = decision.at_ms, decision.solve_ms, decision.q
        if solve_ms is None or q is None:
            if decision.status in _SENT_AWAY and (found := self._find(decision)) is not None:
                found.sent_away_ms = at_ms
            return
        self._begin(at_ms // DAY_MS)
        network = self._find(decision)
        if network is None:
            self._keep(self._name(decision.client), at_ms)
        # What was issued before its caller was sent away may have been presented before.
        elif (
            at_ms - network.first_ms >= _KNOWN_AFTER_MS
            and at_ms - decision.waited_ms - solve_ms >= network.sent_away_ms
        ):
            network.solves.append(Sample(q, solve_ms))
            self._untold.add(self._name(decision.client))

    def take(self) -> tuple[int, dict[str, Sample]]:
        """The day, counted from 1970, and what has changed of it since this was asked last."""
        names, self._untold = self._untold, set()
        return self._day, {name.hex(): self._networks[name].sample for name in names}

    def put_back(self, day: int, names: set[str]) -> None:
        """Have what was taken, and could not be told, taken again."""
        if day == self._day:
            self._untold |= {bytes.fromhex(name) for name in names} & self._networks.keys()

    def _begin(self, day: int) -> None:
        if day > self._day:
            self._day = day
            self._networks.clear()
            self._names.clear()
            self._untold.clear()

    def _name(self, client: str) -> bytes:
        said = b"%d %s" % (self._day, client.encode())
        return hashlib.blake2b(said, key=self._key, digest_size=_NAME_OCTETS).digest()

    def _find(self, decision: Decision) -> _Network | None:
        return self._networks.get(self._name(decision.client))

    def _keep(self, name: bytes, at_ms: int) -> None:
        if len(self._names) >= self._most:
            if name > self._names[-1]:
                return
            highest = self._names.pop()
            del self._networks[highest]
            self._untold.discard(highest)
        insort(self._names, name)
        self._networks[name] = _Network(at_ms)

# SPDX-License-Identifier: Apache-2.0
"""``Accept-Payment``: which ways of paying a caller knows (draft-httpauth-payment-00)."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from .errors import WireError, shown

MAX_FIELD: Final = 1024
"""Characters that are read."""

_RANGE = re.compile(
    r"(\*|[a-z][a-z0-9:_-]{0,63})/(\*|[A-Za-z0-9-]{1,64})"
    r"(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?",
    re.ASCII,
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AcceptPayment:
    """What a caller can pay with.

    Attributes:
        weights: by method and intent, each a name or ``*``, in thousandths; 0 is never.
    """

    weights: Mapping[tuple[str, str], int]

    def weight(self, method: str, intent: str) -> int:
        """How gladly a caller pays this way, in thousandths: as the narrowest range says."""
        for wanted in ((method, intent), (method, "*"), ("*", intent), ("*", "*")):
            if wanted in self.weights:
                return self.weights[wanted]
        return 0

    def choose(self, offers: Iterable[_T], way: Callable[[_T], tuple[str, str]]) -> tuple[_T, ...]:
        """The offers that a caller can use, what it likes best first; all where it can use none.

        Args:
            offers: in the order of whoever offers them.
            way: method and intent of an offer.
        """
        whole = tuple(offers)
        weights = [self.weight(*way(offer)) for offer in whole]
        usable = [(weight, offer) for weight, offer in zip(weights, whole, strict=True) if weight]
        usable.sort(key=lambda pair: -pair[0])
        return tuple(offer for _, offer in usable) or whole


def read_accept_payment(value: str) -> AcceptPayment:
    """Read the values of ``Accept-Payment``, joined by commas.

    Raises:
        WireError: no list of ranges, or none in it; a server may take it for absent.
    """
    weights: dict[tuple[str, str], int] = {}
    members = value.split(",") if len(value) <= MAX_FIELD else []
    for member in filter(None, (member.strip(" \t") for member in members)):
        match = _RANGE.fullmatch(member)
        if match is None:
            weights.clear()
            break
        method, intent, weight = match.groups("1")
        weights.setdefault((method, intent), round(1000 * float(weight)))
    if not weights:
        raise WireError(f"expected ranges like lightning/charge;q=0.5, got {shown(value)}")
    return AcceptPayment(weights)

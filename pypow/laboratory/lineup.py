# SPDX-License-Identifier: Apache-2.0
"""The gates of the laboratory by name: what other systems do, plain limits, and pypow's own."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from pypow.errors import InvalidInputError, shown
from pypow.tariff import Constants

from .fair_share import BucketBeforeFairOrder, FairShareGate
from .prices import (
    Eip1559,
    McaptchaLevels,
    Miden,
    Price,
    PricedGate,
    PrivateCaptcha,
    TokenBucket,
    TorEffort,
)
from .run import MakeGate

OURS = "fair-share"


@dataclass(frozen=True, slots=True)
class Contender:
    """One gate that runs can be played with.

    Attributes:
        name: on a command line and in saved results.
        title: in tables.
        make: makes it.
    """

    name: str
    title: str
    make: MakeGate


def fair_share(constants: Constants) -> Contender:
    """The gate of pypow with constants of one's own."""
    return Contender(OURS, "pypow", lambda callers, world: FairShareGate(callers, world, constants))


LINEUP: Mapping[str, Contender] = {
    contender.name: contender
    for contender in (
        Contender("fixed-18", "fixed, 18 bits", lambda c, w: PricedGate(c, w, Price(18))),
        Contender("fixed-22", "fixed, 22 bits", lambda c, w: PricedGate(c, w, Price(22))),
        Contender(
            "mcaptcha-coded",
            "mCaptcha, as coded",
            lambda c, w: PricedGate(c, w, McaptchaLevels(as_coded=True)),
        ),
        Contender(
            "mcaptcha-intended",
            "mCaptcha, as intended",
            lambda c, w: PricedGate(c, w, McaptchaLevels(as_coded=False)),
        ),
        Contender("tor-300", "Tor effort, every 300 s", lambda c, w: TorEffort(c, w, 300)),
        Contender("tor-30", "Tor effort, every 30 s", lambda c, w: TorEffort(c, w, 30)),
        Contender("miden", "Miden faucet", lambda c, w: PricedGate(c, w, Miden())),
        Contender(
            "private-captcha",
            "Private Captcha",
            lambda c, w: PricedGate(
                c, w, PrivateCaptcha(len(c.past), w.callers * w.calls_per_min / 60)
            ),
        ),
        Contender(
            "eip-1559", "EIP-1559, global", lambda c, w: PricedGate(c, w, Eip1559(w.capacity))
        ),
        Contender("bucket", "60 a minute, no work", TokenBucket),
        Contender("bucket-queue", "60 a minute, pypow's queue", BucketBeforeFairOrder),
        Contender(
            "fifo", "pypow, first come first", lambda c, w: FairShareGate(c, w, ordered=False)
        ),
        Contender(
            "no-standing", "pypow, no standing", lambda c, w: FairShareGate(c, w, standing=False)
        ),
        Contender(
            "no-escalation",
            "pypow, no escalation",
            lambda c, w: FairShareGate(c, w, escalating=False),
        ),
        fair_share(Constants()),
    )
}


def contender(name: str) -> Contender:
    """A gate by name.

    Raises:
        InvalidInputError: no such gate; the text names the nearest, or all.
    """
    if name not in LINEUP:
        near = difflib.get_close_matches(name, LINEUP, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(LINEUP)}"
        raise InvalidInputError(f"gate {shown(name)} is unknown; {hint}")
    return LINEUP[name]

# SPDX-License-Identifier: Apache-2.0
"""What a call costs the caller who makes it, and what a caller hears who used too much."""

import logging
from typing import Final

from pypow.pricing import Beyond, Offered, Quote
from pypow.tariff import CALM, Climate

from . import problems
from .meter import Meter
from .policy import Price
from .problems import Problem
from .stores import Charged, Credits, Early
from .stores.holder import Holder

_LOG: Final = logging.getLogger("pypow_server.gate")


async def quote(
    credit: Credits,
    meter: Meter,
    client: str,
    *,
    now_ms: int,
    climate: Climate = CALM,
    holder: Holder | None = None,
) -> Offered:
    """What a call costs now.

    Args:
        credit: keeps the accounts.
        meter: of the call's price.
        client: the caller's network.
        now_ms: Unix milliseconds.
        climate: of the moment.
        holder: of the standing token that counts; None where there is none.

    Raises:
        Exception: whatever a store raises that cannot tell.
    """
    charge = meter.charge(client, climate=climate, holder=holder)
    return await credit.quote(charge, now_ms=now_ms)


async def take_free(
    credit: Credits,
    meter: Meter,
    client: str,
    *,
    now_ms: int,
    climate: Climate,
    holder: Holder | None = None,
) -> Charged | Offered:
    """Charge a call at once, if its caller owes nothing for it; else what it costs. As `quote`."""
    charge = meter.charge(client, climate=climate, holder=holder)
    return await credit.take_free(charge, now_ms=now_ms)


def untold(price: Price, error: Exception) -> Quote:
    """What a call costs while the store cannot tell: nothing is given away, and nobody kept out."""
    _LOG.warning("what callers used cannot be told, each pays the price: %s", type(error).__name__)
    return Quote(price.q, 0, 0, 0, 0, 0)


def overdrawn(found: Beyond) -> Problem:
    """What the caller hears of a call that is not sold now."""
    wait_s = _seconds(found.retry_after_ms)
    return problems.overdrawn(
        f"you or your network used more than a proof can pay for; wait {wait_s} s",
        retry_after_s=wait_s,
    )


def early(found: Early) -> Problem:
    """What the caller hears of a proof that has to wait."""
    wait_s = _seconds(found.retry_after_ms)
    return problems.early(
        "calls since this challenge was issued have raised the price; send the proof again in "
        f"{wait_s} s, or solve a fresh one",
        retry_after_s=wait_s,
    )


def _seconds(milliseconds: int) -> int:
    return max(1, -(-milliseconds // 1000))

# SPDX-License-Identifier: Apache-2.0
"""How a call comes to its turn: at once, or by where its caller stands among those who wait."""

import logging
import secrets
from collections.abc import Callable, Hashable
from typing import Final

from pypow.admission import Lane
from pypow.pricing import Wait, presented
from pypow_server import charging, problems
from pypow_server.hearing import Hearing
from pypow_server.policy import Price
from pypow_server.problems import Problem
from pypow_server.stores import Charge, Credits, Early, Rank

from .departures import noticed
from .turns import Turns

_STRANGER: Final = Rank(known=False, score=0, missing=0)
_MOST_WAIT_S: Final = 3
_LOG: Final = logging.getLogger("pypow_server.gate")


async def turn(
    turns: Turns,
    credit: Credits | None,
    hearing: Hearing,
    price: Price,
    charge: Charge | None,
    *,
    hindrance: Callable[[Rank], Problem | None],
    ticket: Hashable = None,
    goes_first: bool = False,
) -> Problem | None:
    """Take a turn for the call, and wait for it if need be.

    Args:
        turns: of the upstream.
        credit: keeps the accounts.
        hearing: the call's.
        price: of the call.
        charge: names the accounts of its caller; None where there are none.
        hindrance: why the call would come to nothing when its turn came. It is asked before the
            call waits: nobody queues with a proof that will not do.
        ticket: no two calls with the same one wait at once; None for a call that is alone.
        goes_first: whether it waits in the lane of those who paid.

    Returns:
        None when it has its turn; else what the caller hears, and nothing was spent.
    """
    if turns.begin(price.weight):
        return None
    rank = await _rank(credit, hearing, charge)
    problem = hindrance(rank)
    if problem is not None:
        return problem
    hearing.lane = Lane.PAID if goes_first else Lane.KNOWN if rank.known else Lane.NEW
    whose = hearing.client if charge is None else charge.keys[0]
    ticket = object() if ticket is None else ticket
    began_ns = turns.clock()
    with noticed(hearing.receive, lambda: turns.leave(ticket)) as receive:
        hearing.receive = receive
        come = await turns.wait(ticket, whose, hearing.lane, rank.score, price.weight)
    hearing.waited_ms = (turns.clock() - began_ns) // 1_000_000
    hearing.now_ms += hearing.waited_ms
    return None if come else _sent_away()


def too_early(rank: Rank, charge: Charge) -> Problem | None:
    """What a caller hears whose proof pays for less than was used."""
    found = presented(rank.missing, charge.overdraft, charge.tariff)
    return charging.early(Early(found.retry_after_ms)) if isinstance(found, Wait) else None


def owes(rank: Rank, charge: Charge) -> bool:
    """Whether a call that brings nothing would not be free."""
    return rank.missing > 0 or (charge.tariff.entry_q > 0 and not rank.known)


async def _rank(credit: Credits | None, hearing: Hearing, charge: Charge | None) -> Rank:
    """Where the caller stands; one of whom nothing can be told is a newcomer."""
    if credit is None or charge is None:
        return _STRANGER
    try:
        return await credit.rank(charge, now_ms=hearing.now_ms)
    except Exception as error:  # noqa: BLE001 - any store's fault
        hearing.limiter_failed = True
        _LOG.warning("where callers stand cannot be told: %s", type(error).__name__)
        return _STRANGER


def _sent_away() -> Problem:
    # Not all at the same moment again.
    wait_s = 1 + secrets.randbelow(_MOST_WAIT_S)
    return problems.busy(
        "more calls wait than the server behind can take; nothing was spent: send the same again "
        f"in {wait_s} s, a proof is good until it expires",
        retry_after_s=wait_s,
    )

# SPDX-License-Identifier: Apache-2.0
"""The last check of all: spend what a credential claims, or say why nothing is admitted."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import assert_never

from pypow_server.sale import Sale

from . import charging, problems
from .paid_calls import PaidCall, PaidCalls
from .problems import Problem
from .rails import Claim
from .stores import Charge, Charged, Credits, Early, Ledger, Spend
from .stores.attempts import MOST_UNANSWERED

_LOG = logging.getLogger("pypow_server.gate")


async def settle(ledger: Ledger, claim: Claim, *, now_ms: int) -> Problem | None:
    """Spend ``claim``; None when it is won.

    A caller that goes away does not undo a spend: a ledger carries through what was submitted.
    Only `Spend.WON` admits; a ledger that fails, whatever its reason, cannot tell.
    """
    try:
        spent = await ledger.spend(
            claim.key,
            epoch=claim.epoch,
            expires_at_ms=claim.expires_at_ms,
            now_ms=now_ms,
            limit=claim.limit,
        )
    except Exception:  # noqa: BLE001 - whatever a store raises, it did not say WON
        _LOG.exception("the ledger failed in a spend")
        return store_unavailable()
    return None if spent is Spend.WON else _refusal(spent)


async def guard(ledger: Ledger, claim: Claim, *, now_ms: int) -> Problem | None:
    """Use up the proof of a key, before what it guards is spent: a replay must cost nobody a call.

    As `settle` otherwise.
    """
    problem = await settle(ledger, claim, now_ms=now_ms)
    if problem is None or problem.status != 402:
        return problem
    return problems.invalid_dpop_proof("this proof was used before; sign one for each request")


async def redeem(
    credit: Credits, claim: Claim, charge: Charge, *, now_ms: int
) -> Charged | Problem:
    """Spend ``claim`` and charge for it, or what is wrong. As `settle` otherwise."""
    try:
        spent = await credit.redeem(
            claim.key,
            epoch=claim.epoch,
            expires_at_ms=claim.expires_at_ms,
            now_ms=now_ms,
            limit=claim.limit,
            charge=charge,
        )
    except Exception:  # noqa: BLE001 - whatever a store raises, it did not say WON
        _LOG.exception("the ledger failed in a spend")
        return store_unavailable()
    if isinstance(spent, Early):
        return charging.early(spent)
    return spent if isinstance(spent, Charged) else _refusal(spent)


async def take(
    calls: PaidCalls,
    claim: Claim,
    sale: Sale,
    request: bytes,
    charge: Charge | None,
    *,
    now_ms: int,
) -> tuple[Charged | Problem | None, PaidCall | None]:
    """Spend what was paid for, record the sale and charge the call, or what is wrong.

    As `redeem` with a charge, and as `settle` without one; and the call that is to be answered.
    """
    try:
        spent, call = await calls.take(claim, sale, request, charge, now_ms=now_ms)
    except Exception:  # noqa: BLE001 - whatever a store raises, it did not say WON
        _LOG.exception("the ledger failed in a spend")
        return store_unavailable(), None
    if isinstance(spent, Early):
        return charging.early(spent), None
    if isinstance(spent, Charged):
        return spent, call
    return (None, call) if spent is Spend.WON else (_refusal(spent), None)


def _refusal(spent: Spend) -> Problem:
    match spent:
        case Spend.WON:
            raise AssertionError("what was won is not refused")
        case Spend.LOST:
            return problems.already_spent(
                "this proof or pass was used up before; solve a fresh challenge"
            )
        case Spend.STALE:
            return problems.stale_epoch(
                "the ledger was renewed since the challenge was issued; solve a fresh one"
            )
        case Spend.HELD:
            return problems.in_progress(
                "the same request was paid for with this credential and may still be answered, or "
                f"{MOST_UNANSWERED} others are; send it again later with the same credential, and "
                "pay nothing more"
            )
        case Spend.UNKNOWN:
            return store_unavailable()
        case never:
            assert_never(never)


async def release(give_back: Callable[[], Coroutine[None, None, None]]) -> None:
    """Give a use back after the upstream was provably not reached.

    A failure is only logged: the loss is one proof, and the caller still needs its answer.
    """
    try:
        await asyncio.shield(give_back())
    except Exception:  # noqa: BLE001 - any store's fault; the response must still go out
        _LOG.exception("a spend could not be given back")


def store_unavailable() -> Problem:
    """What a caller hears when the ledger cannot tell."""
    return problems.store_unavailable(
        "the ledger cannot tell what is spent, so nothing is admitted; try again"
    )

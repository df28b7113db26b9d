# SPDX-License-Identifier: Apache-2.0
"""Calls that cost nothing: how many a network may make, before it has to wait."""

import logging
import math

from . import problems
from .hearing import Hearing
from .problems import Problem
from .stores import Allowance, Limiter, Quota

_LOG = logging.getLogger("pypow_server.gate")


async def over_limit(limiter: Limiter | None, hearing: Hearing, client: str) -> Problem | None:
    """Count a call that costs nothing; a problem when its network made too many.

    A limiter that cannot tell holds nothing back: such calls are open to everybody, and what it
    protects against is a nuisance.
    """
    quota = hearing.rulebook.policy.free_limit
    if limiter is None or quota is None:
        return None
    found = await _take(limiter, hearing, f"free {client}", quota)
    if found is None or found.allowed:
        return None
    wait_s = max(1, math.ceil(found.retry_after_ms / 1000))
    return problems.rate_limited(
        f"expected at most {quota.calls} free calls in {quota.period_ms / 1000:g} s from one "
        f"network; wait {wait_s} s",
        retry_after_s=wait_s,
    )


async def _take(limiter: Limiter, hearing: Hearing, key: str, quota: Quota) -> Allowance | None:
    try:
        return await limiter.take(
            key.encode("utf-8", "surrogatepass"), quota=quota, now_ms=hearing.now_ms
        )
    except Exception as error:  # noqa: BLE001 - any store's fault
        hearing.limiter_failed = True
        _LOG.warning("the limiter failed, and holds nothing back: %s", type(error).__name__)
        return None

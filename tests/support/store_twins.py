# SPDX-License-Identifier: Apache-2.0
"""Stores that are wrong in one way each, for gates that must be caught with them."""

import os
from dataclasses import replace
from typing import Any

from pypow_server.stores import Charged, Early, Spend, Store, memory
from pypow_server.stores.attempts import Attempt, Ending
from pypow_server.stores.redis_address import read_address
from pypow_server.stores.redis_store import RedisLedger
from pypow_server.stores.redis_store import open_store as open_redis
from pypow_server.stores.sqlite import SqliteLedger
from support.ledger_twins import ForgetsOnRestart


def forgets_on_restart(rest: str) -> Store:
    """Keeps its epoch over a restart, and not what is spent."""
    return replace(memory.open_store(rest), ledger=ForgetsOnRestart())


class _HandsOnNone(SqliteLedger):
    async def take(self, key: bytes, *, attempt: Attempt, **terms: Any) -> Charged | Spend | Early:
        anew = attempt._replace(request=os.urandom(16))
        return await super().take(key, attempt=anew, **terms)


def hands_on_none(rest: str) -> Store:
    """Spends each payment once, whatever became of the call."""
    ledger = _HandsOnNone(rest)
    return replace(memory.open_store(""), ledger=ledger, credits=ledger, payments=ledger)


class _HearsNothing(SqliteLedger):
    async def end(self, key: bytes, attempt: Attempt, ending: Ending) -> bool:
        return True


def hears_nothing(rest: str) -> Store:
    """Takes each call for unanswered."""
    ledger = _HearsNothing(rest)
    return replace(memory.open_store(""), ledger=ledger, credits=ledger, payments=ledger)


class _IgnoresTheEpoch(RedisLedger):
    async def spend(
        self, key: bytes, *, epoch: int | None, expires_at_ms: int, now_ms: int, limit: int = 1
    ) -> Spend:
        return await super().spend(
            key, epoch=None, expires_at_ms=expires_at_ms, now_ms=now_ms, limit=limit
        )

    async def epoch(self) -> int:
        return 7


def redis_without_epochs(rest: str) -> Store:
    """Takes whatever Redis is there now for the one that there was."""
    ledger = _IgnoresTheEpoch(read_address(rest, scheme="redis"))
    return replace(open_redis(rest), ledger=ledger)

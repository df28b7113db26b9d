# SPDX-License-Identifier: Apache-2.0
"""A ledger's and a limiter's operations as runs of scripts in Redis."""

import secrets
from collections.abc import Sequence
from typing import Final, assert_never

from pypow_server.stores import SKEW_MS, Allowance, Spend, StoreError
from pypow_server.stores import redis_scripts as scripts
from pypow_server.stores.gcra import Level, allowance
from pypow_server.stores.operations import (
    Claim,
    LedgerOperation,
    LedgerOutcome,
    ListRevoked,
    Probe,
    Release,
    Revoke,
    Take,
)
from pypow_server.stores.redis_address import RedisAddress
from pypow_server.stores.redis_connection import RedisConnection, Reply, ScriptCall

MAX_LEVELS: Final = 1_000_000
"""Principals that the limiter remembers, about 300 octets each."""

_SPENDS: Final = {
    scripts.WON: Spend.WON,
    scripts.LOST: Spend.LOST,
    scripts.STALE: Spend.STALE,
    scripts.UNKNOWN: Spend.UNKNOWN,
}
_LEDGER_SCRIPTS: Final = (
    scripts.BEAT,
    scripts.CLAIM,
    scripts.RELEASE,
    scripts.REVOKE,
    scripts.REVOKED,
)


class RedisRecords:
    """The records of one deployment; `epoch` and `high_water_ms` are those of the last batch."""

    def __init__(self, address: RedisAddress, *, high_water_ms: int) -> None:
        """Connects, and settles the epoch.

        Args:
            address: where they are.
            high_water_ms: The ledger's clock as this process last saw it.

        Raises:
            StoreError: They cannot be reached, or would not be kept.
        """
        self.epoch = 0
        self.high_water_ms = high_water_ms
        self._spends = (address.key("spends"), address.key("expiries"))
        self._revoked = (address.key("revoked"),)
        self._connection = RedisConnection(address, _LEDGER_SCRIPTS)
        try:
            self.apply(())
        except StoreError:
            self.close()
            raise

    def apply(self, operations: Sequence[LedgerOperation]) -> list[LedgerOutcome | StoreError]:
        """Does all of ``operations`` in one round trip, and keeps the heartbeat fresh.

        Raises:
            StoreError: What was done is unknown.
        """
        beaten = any(isinstance(operation, Claim | Probe) for operation in operations)
        asked = [*operations] if beaten else [*operations, Probe()]
        replies = self._connection.run([self._call(operation) for operation in asked])
        outcomes = [
            reply if isinstance(reply, StoreError) else self._read(operation, reply)
            for operation, reply in zip(asked, replies, strict=True)
        ]
        for outcome in outcomes[len(operations) :]:
            if isinstance(outcome, StoreError):
                raise outcome
        return outcomes[: len(operations)]

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _call(self, operation: LedgerOperation) -> ScriptCall:
        seen = (secrets.token_hex(16), self.high_water_ms)
        match operation:
            case Claim(key, epoch, expires_at_ms, now_ms, limit):
                claimed = (key, "" if epoch is None else epoch, expires_at_ms, limit)
                return ScriptCall(scripts.CLAIM, self._spends, (*seen, now_ms, *claimed))
            case Release(key):
                return ScriptCall(scripts.RELEASE, self._spends, (key,))
            case Probe():
                return ScriptCall(scripts.BEAT, self._spends, (*seen, 0))
            case Revoke(identity, expires_at_ms, now_ms):
                values = (identity, expires_at_ms, now_ms - SKEW_MS)
                return ScriptCall(scripts.REVOKE, self._revoked, values)
            case ListRevoked(now_ms):
                return ScriptCall(scripts.REVOKED, self._revoked, (now_ms - SKEW_MS,))
            case _:
                assert_never(operation)

    def _read(self, operation: LedgerOperation, reply: Reply) -> LedgerOutcome:
        match operation:
            case Claim():
                return _SPENDS[self._settled(reply)]
            case Probe():
                self._settled(reply)
                return None
            case Release() | Revoke():
                return None
            case ListRevoked():
                return frozenset(reply)
            case _:
                assert_never(operation)

    def _settled(self, reply: Reply) -> int:
        code, self.epoch, high_water = reply
        self.high_water_ms = max(self.high_water_ms, int(high_water))
        return int(code)


class RedisLevels:
    """What the principals of one deployment have used of their quotas."""

    def __init__(self, address: RedisAddress, *, max_levels: int = MAX_LEVELS) -> None:
        """Connects.

        Args:
            address: where they are.
            max_levels: How many are kept; one more, and the one that has used least is dropped.

        Raises:
            StoreError: They cannot be reached.
        """
        self._keys = (address.key("levels"), address.key("ends"))
        self._max_levels = max_levels
        self._connection = RedisConnection(address, (scripts.TAKE,))

    def apply(self, operations: Sequence[Take]) -> list[Allowance | StoreError]:
        """Takes from the quotas, in one round trip.

        Raises:
            StoreError: What was taken is unknown.
        """
        replies = self._connection.run([self._call(operation) for operation in operations])
        return [
            reply if isinstance(reply, StoreError) else _read_taken(operation, reply)
            for operation, reply in zip(operations, replies, strict=True)
        ]

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _call(self, take: Take) -> ScriptCall:
        quota = (take.quota.calls, take.quota.period_ms)
        values = (take.key, take.calls, *quota, take.now_ms, self._max_levels)
        return ScriptCall(scripts.TAKE, self._keys, values)


def _read_taken(take: Take, reply: Reply) -> Allowance:
    fit, at_ms, used = reply
    level = Level(int(at_ms), int(used))
    return allowance(level, take.quota, fit=bool(fit), calls=take.calls)

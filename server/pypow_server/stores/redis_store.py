# SPDX-License-Identifier: Apache-2.0
"""A store in Redis or Valkey, for the gates of several machines.

What it promises is in ``docs/stores.md``: replication is asynchronous, so a failover may lose the
newest spends; the epoch then changes with it, and no challenge from before is worth anything.
"""

from collections.abc import Callable

from pypow_server.stores import Store, StoreError
from pypow_server.stores.batched import (
    HEARTBEAT_S,
    BatchedLedger,
    BatchedLimiter,
    store_of,
    wall_clock_ms,
)
from pypow_server.stores.redis_address import RedisAddress, read_address

try:
    from pypow_server.stores.redis_books import RedisBooks
    from pypow_server.stores.redis_records import RedisLevels, RedisRecords
except ModuleNotFoundError as error:
    if error.name != "redis":
        raise
    raise StoreError(
        "a Redis store needs the redis package", fix="pip install 'pypow-engine[redis]'"
    ) from error


class RedisLedger(BatchedLedger):
    """A `Ledger` and its `Revocations` in Redis or Valkey."""

    def __init__(
        self,
        address: RedisAddress,
        *,
        clock: Callable[[], int] = wall_clock_ms,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """Connects, and makes sure that the server keeps what it is told.

        Args:
            address: Where it is.
            clock: Unix ms, for `probe`.
            heartbeat_s: The longest silence between two round trips.

        Raises:
            StoreError: It cannot be reached, or may forget spends; the text says the fix.
        """
        super().__init__(
            lambda high_water_ms: RedisRecords(address, high_water_ms=high_water_ms),
            name=f"the Redis ledger at {address}",
            clock=clock,
            heartbeat_s=heartbeat_s,
        )


class RedisLimiter(BatchedLimiter):
    """A `Limiter` in Redis or Valkey, over a connection of its own."""

    def __init__(self, address: RedisAddress) -> None:
        """Connects.

        Args:
            address: Where it is.

        Raises:
            StoreError: It cannot be reached.
        """
        super().__init__(lambda: RedisLevels(address), name=f"the Redis limiter at {address}")


def open_store(rest: str, *, scheme: str = "redis") -> Store:
    """Opens what a store URL names.

    Args:
        rest: what stands after ``scheme:``.
        scheme: one of `redis_address.SCHEMES`.

    Raises:
        StoreError: it cannot be read, reached or trusted; the text says the fix.
    """
    address = read_address(rest, scheme=scheme)
    return store_of(RedisLedger(address), lambda: RedisLimiter(address))


def open_books(rest: str, *, scheme: str) -> RedisBooks:
    """Opens what a store URL names, for reading its sales.

    Args:
        rest: what stands after ``scheme:``.
        scheme: one of `redis_address.SCHEMES`.

    Raises:
        StoreError: it cannot be read or reached; the text says the fix.
    """
    return RedisBooks(read_address(rest, scheme=scheme))

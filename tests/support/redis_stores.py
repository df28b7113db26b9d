# SPDX-License-Identifier: Apache-2.0
"""Stores in a test's own deployment of a Redis or Valkey that many tests share."""

import itertools
from collections.abc import Callable

from pypow_server.stores.redis_address import RedisAddress, read_address
from pypow_server.stores.redis_store import RedisLedger
from support.ledger_contract import NOW_MS
from support.redis_server import RedisServer

_numbers = itertools.count()


def fresh_address(server: RedisServer) -> RedisAddress:
    """A deployment of this server that nobody has used."""
    return read_address(f"{server.rest}?deployment=test-{next(_numbers)}", scheme="redis")


def opened(address: RedisAddress, *, clock: Callable[[], int] = lambda: NOW_MS) -> RedisLedger:
    """A ledger whose heartbeat comes by hand, with each spend and probe."""
    return RedisLedger(address, clock=clock, heartbeat_s=3600)

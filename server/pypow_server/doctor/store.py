# SPDX-License-Identifier: Apache-2.0
"""Does the store take spends, and keep them?"""

import time
from collections.abc import Callable

from pypow_server.stores import Store, StoreError, without_secrets
from pypow_server.stores.redis_address import SCHEMES, read_address
from pypow_server.stores.sqlite import file_of

from . import Finding, clock, fail, ok, warn


async def check(url: str, open_store: Callable[[str], Store]) -> list[Finding]:
    """Open the store, and ask whether it takes spends.

    Args:
        url: of the store.
        open_store: opens it; raises `StoreError`.
    """
    shown = without_secrets(url)
    scheme, _, rest = url.partition(":")
    if scheme == "memory":
        return [
            warn(
                "store",
                "memory: forgets what is spent when the gate ends, and serves one process",
                fix="give --store sqlite:PATH, or redis://HOST for several machines",
            )
        ]
    try:
        if scheme == "sqlite" and not file_of(rest).exists():
            return [
                warn(
                    "store",
                    f"there is no {rest} yet",
                    fix="nothing, if the gate has never run; else name it with --store",
                )
            ]
        store = open_store(url)
    except StoreError as error:
        return [_failure(error)]
    try:
        await store.ledger.probe()
    except StoreError as error:
        return [_failure(error)]
    finally:
        await store.ledger.aclose()
        await store.limiter.aclose()
    taking = ok("store", f"{shown} takes spends")
    return [taking, *_of_redis(scheme, rest)] if scheme in SCHEMES else [taking]


def _of_redis(scheme: str, rest: str) -> list[Finding]:
    """Whether a Redis or Valkey keeps spends when its machine fails, and agrees about the time."""
    # Imported when it is asked for: the redis package is an extra.
    from pypow_server.stores.redis_connection import RedisConnection

    connection = RedisConnection(read_address(rest, scheme=scheme), scripts=())
    try:
        condition = connection.condition()
        ahead_s = (condition.now_ms - time.time_ns() // 1_000_000) / 1000
    except StoreError as error:
        return [_failure(error)]
    finally:
        connection.close()
    findings = []
    if not condition.appends:
        findings.append(
            warn(
                "store",
                "the Redis server writes no append-only file: a restart forgets what is spent, "
                "and every open challenge must be solved again",
                fix="set appendonly yes and appendfsync everysec or always in redis.conf",
            )
        )
    return [*findings, *clock.agreement({"the store": ahead_s})]


def _failure(error: StoreError) -> Finding:
    return fail("store", error.found, fix=error.fix or "see docs/stores.md")

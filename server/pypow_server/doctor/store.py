# SPDX-License-Identifier: Apache-2.0
"""Does the store take spends, and keep them?"""

from collections.abc import Callable
from pathlib import Path

from pypow import PowError
from pypow_server.stores import Store, without_secrets

from . import Finding, fail, ok, warn


async def check(url: str, open_store: Callable[[str], Store]) -> list[Finding]:
    """Open the store, and ask whether it takes spends.

    Args:
        url: of the store.
        open_store: opens it; raises `PowError`.
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
    if scheme == "sqlite" and not _exists(rest):
        return [
            warn(
                "store",
                f"there is no {rest} yet",
                fix="nothing, if the gate has never run; else name it with --store",
            )
        ]
    try:
        store = open_store(url)
    except PowError as error:
        return [_failure(error)]
    try:
        await store.ledger.probe()
    except PowError as error:
        return [_failure(error)]
    finally:
        await store.ledger.aclose()
        await store.limiter.aclose()
    return [ok("store", f"{shown} takes spends")]


def _exists(path: str) -> bool:
    return Path(path).expanduser().exists()


def _failure(error: PowError) -> Finding:
    text, _, remedy = str(error).rpartition("; ")
    return fail("store", text or str(error), fix=remedy if text else "see docs/stores.md")

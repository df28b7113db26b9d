# SPDX-License-Identifier: Apache-2.0
"""Does the store take spends, and keep them?"""

from collections.abc import Callable
from pathlib import Path

from ..configuration import without_secrets
from ..stores import Store, StoreError
from . import Finding, fail, ok, warn


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
    if scheme == "sqlite" and not Path(rest).expanduser().exists():
        return [
            warn(
                "store",
                f"there is no {rest} yet",
                fix="nothing, if the gate has never run; else name it with --store",
            )
        ]
    try:
        store = open_store(url)
    except StoreError as error:
        return [_failure(shown, error)]
    try:
        await store.ledger.probe()
    except StoreError as error:
        return [_failure(shown, error)]
    finally:
        await store.ledger.aclose()
        await store.limiter.aclose()
    return [ok("store", f"{shown} takes spends")]


def _failure(url: str, error: StoreError) -> Finding:
    text, _, remedy = str(error).rpartition("; ")
    advice = "see docs/operations.md under store" if not text else remedy
    return fail("store", f"{url}: {text or error}", fix=advice)
